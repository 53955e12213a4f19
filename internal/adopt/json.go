package adopt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// node is a value of a JSON text with its place.
type node struct {
	span
	kind    json.Delim // '{', '[' or 0
	text    string     // of a string
	isText  bool
	keys    []string
	members map[string]*node
	// starts are where the members, with their names, begin.
	starts map[string]int
	items  []*node
}

// deepest is how deep a JSON text may be nested.
const deepest = 100

// jsonReader walks through a JSON text and keeps the places.
type jsonReader struct {
	text []byte
	d    *json.Decoder
}

// next is the token that comes, and where it begins.
func (r *jsonReader) next() (json.Token, int, error) {
	before := int(r.d.InputOffset())
	token, err := r.d.Token()
	if err != nil {
		return nil, 0, fmt.Errorf("line %d: %w", lineAt(r.text, min(int(r.d.InputOffset()), len(r.text))), err)
	}
	for before < len(r.text) && strings.IndexByte(" \t\r\n,:", r.text[before]) >= 0 {
		before++
	}
	return token, before, nil
}

func (r *jsonReader) value(depth int) (*node, error) {
	token, from, err := r.next()
	if err != nil {
		return nil, err
	}
	n := &node{span: span{from: from}}
	switch t := token.(type) {
	case string:
		n.text, n.isText = t, true
	case json.Delim:
		n.kind, n.members, n.starts = t, map[string]*node{}, map[string]int{}
		if depth == deepest {
			return nil, fmt.Errorf("line %d: nested deeper than %d levels, which no template is", lineAt(r.text, from), deepest)
		}
		for r.d.More() {
			if t == '[' {
				item, err := r.value(depth + 1)
				if err != nil {
					return nil, err
				}
				n.items = append(n.items, item)
				continue
			}
			key, at, err := r.next()
			if err != nil {
				return nil, err
			}
			name, _ := key.(string)
			if n.members[name], err = r.value(depth + 1); err != nil {
				return nil, err
			}
			n.keys, n.starts[name] = append(n.keys, name), at
		}
		if _, _, err := r.next(); err != nil {
			return nil, err
		}
	}
	n.to = int(r.d.InputOffset())
	return n, nil
}

func readJSON(text []byte) (*template, error) {
	if bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) {
		return nil, errors.New("it begins with a byte order mark, which Packer does not take either; save it without one")
	}
	r := &jsonReader{text, json.NewDecoder(bytes.NewReader(text))}
	root, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if root.kind != '{' {
		return nil, errors.New("it is not an object with builders and provisioners")
	}
	t := &template{json: true, plugins: -1, values: map[string]attr{}}
	if v := root.members["variables"]; v != nil {
		for name, a := range r.block(v).attrs {
			t.values["{{user `"+name+"`}}"] = a
		}
	}
	for _, n := range items(root.members["builders"]) {
		b := r.block(n)
		if b.name == "" {
			b.name = b.kind
		}
		t.builders = append(t.builders, b)
	}
	one := build{root: root.from}
	for _, b := range t.builders {
		one.builders = append(one.builders, b.name)
	}
	list := root.members["provisioners"]
	for _, n := range items(list) {
		t.steps = append(t.steps, r.block(n))
	}
	switch {
	case len(t.steps) > 0:
		last := t.steps[len(t.steps)-1]
		one.end, one.indent = last.to, last.indent
	case list != nil && list.kind == '[':
		one.end, one.indent, one.first = list.from+1, indentAt(text, list.from)+"  ", true
	default:
		one.end = -1
	}
	t.builds = []build{one}
	return t, nil
}

func items(n *node) (objects []*node) {
	if n == nil {
		return nil
	}
	for _, i := range n.items {
		if i.kind == '{' {
			objects = append(objects, i)
		}
	}
	return objects
}

func (r *jsonReader) block(n *node) block {
	b := block{span: n.span, line: lineAt(r.text, n.from), indent: indentAt(r.text, n.from), attrs: map[string]attr{}}
	for _, key := range n.keys {
		m := n.members[key]
		a := attr{span: m.span, line: lineAt(r.text, n.starts[key]), list: m.kind == '['}
		switch {
		case m.isText:
			a.elems = []elem{{m.span, lineAt(r.text, m.from), m.text}}
		case a.list:
			for _, i := range m.items {
				a.computed = a.computed || !i.isText
				a.elems = append(a.elems, elem{i.span, lineAt(r.text, i.from), i.text})
			}
		default:
			a.computed = true
		}
		b.attrs[key] = a
	}
	if a := b.attrs["type"]; len(a.elems) == 1 {
		b.kind = a.elems[0].text
	}
	if a := b.attrs["name"]; len(a.elems) == 1 {
		b.name = a.elems[0].text
	}
	return b
}
