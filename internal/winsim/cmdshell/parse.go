package cmdshell

import (
	"errors"
	"fmt"
	"strings"
)

// node is one parsed command.
type node interface{}

type (
	// chain runs left, then right as op says: & && || or a pipe.
	chain struct {
		op          string
		left, right node
	}
	group struct {
		body   node
		redirs []redir
	}
	conditional struct {
		not, ignoreCase bool
		test            []string // exist f | errorlevel n | defined v | a op b
		then, otherwise node
	}
	// simple is a command line without redirections: quotes kept, carets gone.
	simple struct {
		text   string
		silent bool
		redirs []redir
	}
)

// redir is one redirection: > and >> to a file, or a handle to another one.
type redir struct {
	handle   int // 0, 1, 2
	mode     string
	target   string // file name, quotes removed
	toHandle int    // with mode "&"
}

var errSyntax = errors.New("the syntax of the command is incorrect")

func unexpected(what string) error {
	return fmt.Errorf("%w: %s was unexpected at this time", errSyntax, what)
}

type parser struct {
	s     string
	pos   int
	depth int // open parentheses

	lastWord string // what word read last
}

// parse reads one line after %-expansion.
func parse(line string) (node, error) {
	p := &parser{s: line}
	n, err := p.list()
	if err == nil && p.pos < len(p.s) {
		err = unexpected(p.s[p.pos : p.pos+1])
	}
	return n, err
}

func (p *parser) blank() {
	for p.pos < len(p.s) && strings.IndexByte(" \t,;=", p.s[p.pos]) >= 0 {
		p.pos++
	}
}

func (p *parser) at(text string) bool { return strings.HasPrefix(p.s[p.pos:], text) }

// list is the loosest operator, &.
func (p *parser) list() (node, error) {
	return p.left([]string{"&"}, func() (node, error) {
		return p.left([]string{"||"}, func() (node, error) {
			return p.left([]string{"&&"}, func() (node, error) { return p.left([]string{"|"}, p.command) })
		})
	})
}

func (p *parser) left(ops []string, next func() (node, error)) (node, error) {
	n, err := next()
	for err == nil {
		op := p.operator()
		if op != ops[0] {
			return n, nil
		}
		p.pos += len(op)
		p.blank()
		if op == "&" && (p.pos >= len(p.s) || p.s[p.pos] == ')') {
			return n, nil // a line may end in &
		}
		if p.pos >= len(p.s) {
			return nil, errSyntax
		}
		var right node
		right, err = next()
		n = &chain{op, n, right}
	}
	return nil, err
}

func (p *parser) operator() string {
	for _, op := range []string{"&&", "||", "&", "|"} {
		if p.at(op) {
			return op
		}
	}
	return ""
}

func (p *parser) command() (node, error) {
	p.blank()
	silent := false
	for p.at("@") {
		silent = true
		p.pos++
		p.blank()
	}
	switch {
	case p.pos >= len(p.s):
		return &simple{silent: silent}, nil
	case p.operator() != "":
		return nil, unexpected(p.operator())
	case p.at("("):
		return p.group()
	case p.at(")"):
		return nil, unexpected(")")
	}
	switch word := strings.ToLower(p.peekWord()); word {
	case "if":
		p.pos += len(word)
		return p.condition()
	case "for":
		p.pos += len(word)
		return p.forLoop()
	case "rem":
		text := p.s[p.pos:]
		p.pos = len(p.s)
		return &simple{text: text, silent: silent}, nil
	}
	n, err := p.simple()
	if err == nil {
		n.silent = silent
	}
	return n, err
}

func (p *parser) peekWord() string {
	rest := p.s[p.pos:]
	if i := strings.IndexAny(rest, " \t,;=()/&|<>\"^"); i >= 0 {
		return rest[:i]
	}
	return rest
}

func (p *parser) group() (node, error) {
	p.pos++
	p.depth++
	body, err := p.list()
	if err != nil {
		return nil, err
	}
	if !p.at(")") {
		return nil, errSyntax // the rest would be asked for
	}
	p.pos++
	p.depth--
	g := &group{body: body}
	for {
		p.blank()
		r, ok, err := p.redirection()
		if err != nil {
			return nil, err
		}
		if !ok {
			return g, nil
		}
		g.redirs = append(g.redirs, r)
	}
}

// condition parses what follows IF. All that follows the condition belongs to
// it; with ELSE the first branch is a parenthesis. What cmd does with
// operators after a closing parenthesis there is not known well enough.
func (p *parser) condition() (node, error) {
	c := &conditional{}
	for more := true; more; {
		p.blank()
		switch strings.ToLower(p.word()) {
		case "/i":
			c.ignoreCase = true
		case "not":
			c.not = true
		default:
			more = false
		}
	}
	first := p.lastWord
	switch kind := strings.ToLower(first); kind {
	case "exist", "errorlevel", "defined":
		p.blank()
		c.test = []string{kind, p.word()}
	case "cmdextversion":
		return nil, fmt.Errorf("%w: if cmdextversion", ErrUnsupported)
	default:
		if left, right, ok := cutComparison(first); ok && right != "" {
			c.test = []string{"==", left, right}
			break
		} else if ok {
			p.blank()
			c.test = []string{"==", left, p.word()}
			break
		}
		for p.pos < len(p.s) && (p.s[p.pos] == ' ' || p.s[p.pos] == '\t') {
			p.pos++
		}
		if p.at("==") {
			p.pos += 2
			p.blank()
			c.test = []string{"==", first, p.word()}
			break
		}
		op := strings.ToLower(p.word())
		switch op {
		case "equ", "neq", "lss", "leq", "gtr", "geq":
			p.blank()
			c.test = []string{op, first, p.word()}
		default:
			return nil, unexpected(p.lastWord)
		}
	}
	if c.test[len(c.test)-1] == "" {
		return nil, errSyntax
	}
	p.blank()
	if p.pos >= len(p.s) || p.operator() != "" || p.at(")") {
		return nil, errSyntax
	}
	if !p.at("(") {
		var err error
		c.then, err = p.list()
		return c, err
	}
	var err error
	if c.then, err = p.group(); err != nil {
		return nil, err
	}
	p.blank()
	if strings.EqualFold(p.peekWord(), "else") {
		p.pos += len("else")
		p.blank()
		if p.pos >= len(p.s) {
			return nil, errSyntax
		}
		c.otherwise, err = p.list()
		return c, err
	}
	if p.operator() != "" {
		return nil, fmt.Errorf("%w: if … (…) %s", ErrUnsupported, p.operator())
	}
	return c, nil
}

// cutComparison splits a==b outside quotes.
func cutComparison(word string) (left, right string, ok bool) {
	quoted := false
	for i := 0; i+1 < len(word); i++ {
		if word[i] == '"' {
			quoted = !quoted
		}
		if !quoted && word[i] == '=' && word[i+1] == '=' {
			return word[:i], word[i+2:], true
		}
	}
	return "", "", false
}
