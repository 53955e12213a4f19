package cmdshell

import (
	"fmt"
	"strings"
)

// word reads one word as IF does: up to a blank, an operator or a
// parenthesis outside quotes. Quotes stay, carets go.
func (p *parser) word() string {
	var b strings.Builder
	quoted := false
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		if c == '"' {
			quoted = !quoted
		}
		if !quoted {
			if strings.IndexByte(" \t&|<>()", c) >= 0 {
				break
			}
			// a==b is one word, a =b and a,b are two.
			if c == ',' || c == ';' {
				break
			}
			if c == '^' && p.pos+1 < len(p.s) {
				p.pos++
				c = p.s[p.pos]
			}
		}
		b.WriteByte(c)
		p.pos++
	}
	p.lastWord = b.String()
	return p.lastWord
}

// simple reads one command up to an operator, taking the redirections out.
func (p *parser) simple() (*simple, error) {
	n := &simple{}
	var b strings.Builder
	quoted := false
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		if c == '"' {
			quoted = !quoted
		}
		if !quoted {
			if c == '^' {
				p.pos++
				if p.pos < len(p.s) {
					b.WriteByte(p.s[p.pos])
					p.pos++
				}
				continue
			}
			if c == '&' || c == '|' || (c == ')' && p.depth > 0) {
				break
			}
			if c == '>' || c == '<' || (isDigit(c) && p.startsRedirection(b.String())) {
				r, _, err := p.redirection()
				if err != nil {
					return nil, err
				}
				n.redirs = append(n.redirs, r)
				continue
			}
		}
		b.WriteByte(c)
		p.pos++
	}
	n.text = b.String()
	return n, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// startsRedirection reports whether the digit at hand is a handle: alone
// between a delimiter and the angle bracket.
func (p *parser) startsRedirection(before string) bool {
	if p.pos+1 >= len(p.s) || (p.s[p.pos+1] != '>' && p.s[p.pos+1] != '<') {
		return false
	}
	return before == "" || strings.IndexByte(" \t,;=\")", before[len(before)-1]) >= 0
}

// redirection reads one redirection, if there is one here.
func (p *parser) redirection() (redir, bool, error) {
	start := p.pos
	r := redir{handle: -1}
	if p.pos < len(p.s) && isDigit(p.s[p.pos]) {
		r.handle = int(p.s[p.pos] - '0')
		p.pos++
	}
	switch {
	case p.at(">>"):
		r.mode = ">>"
	case p.at(">"):
		r.mode = ">"
	case p.at("<"):
		r.mode = "<"
	default:
		p.pos = start
		return r, false, nil
	}
	p.pos += len(r.mode)
	if r.handle < 0 {
		r.handle = 1
		if r.mode == "<" {
			r.handle = 0
		}
	}
	if p.at("&") {
		p.pos++
		if p.pos >= len(p.s) || !isDigit(p.s[p.pos]) || r.mode == ">>" {
			return r, false, errSyntax
		}
		r.mode, r.toHandle = "&", int(p.s[p.pos]-'0')
		p.pos++
	} else {
		for p.pos < len(p.s) && (p.s[p.pos] == ' ' || p.s[p.pos] == '\t') {
			p.pos++
		}
		r.target = strings.ReplaceAll(p.fileName(), `"`, "")
		if r.target == "" {
			return r, false, errSyntax
		}
	}
	if r.handle > 2 || r.toHandle > 2 || (r.handle == 0) != (r.mode == "<") {
		return r, false, fmt.Errorf("%w: redirection of handle %d", ErrUnsupported, r.handle)
	}
	return r, true, nil
}

func (p *parser) fileName() string {
	var b strings.Builder
	quoted := false
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		if c == '"' {
			quoted = !quoted
		}
		if !quoted && (strings.IndexByte(" \t,;=&|<>", c) >= 0 || (c == ')' && p.depth > 0)) {
			break
		}
		if !quoted && c == '^' && p.pos+1 < len(p.s) {
			p.pos++
			c = p.s[p.pos]
		}
		b.WriteByte(c)
		p.pos++
	}
	return b.String()
}
