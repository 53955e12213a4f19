package cmdshell

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// loop is FOR /D: its body runs once for each folder that the pattern finds.
type loop struct {
	variable string // with its percent sign
	pattern  string
	body     node
}

// forFolders parses what follows FOR. Other kinds than /D are not simulated. All that
// follows DO on the line belongs to it.
func (p *parser) forFolders() (node, error) {
	var words [3]string
	for i := range words {
		p.blank()
		words[i] = p.word()
	}
	if !strings.EqualFold(words[0], "/d") {
		return nil, fmt.Errorf("%w: for", ErrUnsupported)
	}
	l := &loop{variable: words[1]}
	if len(l.variable) != 2 || l.variable[0] != '%' || !strings.EqualFold(words[2], "in") {
		return nil, unexpected(words[1])
	}
	p.blank()
	if !p.at("(") {
		return nil, errSyntax
	}
	p.pos++
	p.depth++
	l.pattern = strings.ReplaceAll(p.word(), `"`, "")
	p.depth--
	if l.pattern == "" || !p.at(")") {
		return nil, errSyntax
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

func (s *Shell) forFolders(ctx context.Context, l *loop) int {
	list, err := s.glob(l.pattern)
	if err != nil {
		return 0 // nothing is found
	}
	code := 0
	for _, path := range list {
		if info, err := s.Drive.Stat(path); err != nil || !info.IsDir() {
			continue
		}
		code = s.run(ctx, replaced(l.body, l.variable, path))
		if s.exit || s.jumping() {
			break
		}
	}
	return code
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
		return &loop{n.variable, text(n.pattern), replaced(n.body, variable, value)}
	}
	return n
}
