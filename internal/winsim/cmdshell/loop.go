package cmdshell

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// loop is FOR: its body runs once for each word, or with /D for each folder that
// the pattern finds.
type loop struct {
	variable string // with its percent sign
	pattern  string
	items    []string // without /D
	body     node
}

// forLoop parses what follows FOR. Other kinds are not simulated. All that follows
// DO on the line belongs to it.
func (p *parser) forLoop() (node, error) {
	var words [3]string
	folders := false
	for i := range words {
		p.blank()
		words[i] = p.word()
		if i == 0 && !strings.EqualFold(words[0], "/d") {
			words[1] = words[0]
			p.blank()
			words[2] = p.word()
			break
		}
		folders = true
	}
	l := &loop{variable: words[1]}
	switch {
	case len(l.variable) == 2 && l.variable[0] == '/':
		return nil, fmt.Errorf("%w: for", ErrUnsupported)
	case len(l.variable) != 2 || l.variable[0] != '%' || !strings.EqualFold(words[2], "in"):
		return nil, unexpected(words[1])
	}
	p.blank()
	if !p.at("(") {
		return nil, errSyntax
	}
	p.pos++
	p.depth++
	for {
		p.blank()
		word := p.word()
		if word == "" {
			break
		}
		l.items = append(l.items, strings.ReplaceAll(word, `"`, ""))
	}
	p.depth--
	if len(l.items) == 0 || folders && len(l.items) > 1 || !p.at(")") {
		return nil, errSyntax
	}
	if !folders && strings.ContainsAny(strings.Join(l.items, ""), "*?") {
		return nil, fmt.Errorf("%w: for over files", ErrUnsupported)
	}
	if folders {
		l.pattern, l.items = l.items[0], nil
	}
	p.pos++
	p.blank()
	if !strings.EqualFold(p.word(), "do") {
		return nil, errSyntax
	}
	p.blank()
	if p.pos >= len(p.s) {
		return nil, errSyntax
	}
	var err error
	l.body, err = p.list()
	return l, err
}

func (s *Shell) forLoop(ctx context.Context, l *loop) int {
	code := 0
	for _, item := range s.itemsOf(l) {
		code = s.run(ctx, replaced(l.body, l.variable, item))
		if s.exit || s.jumping() {
			break
		}
	}
	return code
}

func (s *Shell) itemsOf(l *loop) []string {
	if l.pattern == "" {
		return l.items
	}
	list, err := s.glob(l.pattern)
	if err != nil {
		return nil // nothing is found
	}
	return slices.DeleteFunc(list, func(path string) bool {
		info, err := s.Drive.Stat(path)
		return err != nil || !info.IsDir()
	})
}

// replaced is a command in which the variable of a loop has its value.
func replaced(n node, variable, value string) node {
	text := func(s string) string { return strings.ReplaceAll(s, variable, value) }
	redirs := func(list []redir) []redir {
		list = slices.Clone(list)
		for i := range list {
			list[i].target = text(list[i].target)
		}
		return list
	}
	switch n := n.(type) {
	case *chain:
		return &chain{n.op, replaced(n.left, variable, value), replaced(n.right, variable, value)}
	case *group:
		return &group{replaced(n.body, variable, value), redirs(n.redirs)}
	case *conditional:
		c := *n
		c.test = slices.Clone(n.test)
		for i := range c.test {
			c.test[i] = text(c.test[i])
		}
		c.then = replaced(n.then, variable, value)
		if n.otherwise != nil {
			c.otherwise = replaced(n.otherwise, variable, value)
		}
		return &c
	case *simple:
		return &simple{text(n.text), n.silent, redirs(n.redirs)}
	case *loop:
		items := slices.Clone(n.items)
		for i := range items {
			items[i] = text(items[i])
		}
		return &loop{n.variable, text(n.pattern), items, replaced(n.body, variable, value)}
	}
	return n
}
