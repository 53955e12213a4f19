package answerfile

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// Marshal writes the file as UTF-8 XML without byte order mark. Elements are
// indented, but never the text inside of one: Windows takes white space in a
// value for a part of it.
func (f *File) Marshal() []byte {
	m := &marshaler{prefixes: map[string]string{}}
	m.collect(f.Root)
	m.b.WriteString("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n")
	m.element(f.Root, "", 0, true)
	m.b.WriteString("\n")
	return []byte(m.b.String())
}

type marshaler struct {
	b        strings.Builder
	prefixes map[string]string
	order    []string
}

var usualPrefixes = map[string]string{wcmNamespace: "wcm", xsiNamespace: "xsi", cpiNamespace: "cpi"}

// collect gives every foreign namespace a prefix, to be declared once on the
// root. wcm is always there: Windows System Image Manager writes it too.
func (m *marshaler) collect(root *Element) {
	need := func(uri string) {
		if uri == "" || uri == Namespace || uri == xmlNamespace || m.prefixes[uri] != "" {
			return
		}
		prefix := usualPrefixes[uri]
		if prefix == "" {
			prefix = fmt.Sprintf("n%d", len(m.order))
		}
		m.prefixes[uri] = prefix
		m.order = append(m.order, uri)
	}
	need(wcmNamespace)
	var visit func(e *Element)
	visit = func(e *Element) {
		need(e.Name.Space)
		for _, a := range e.Attrs {
			need(a.Name.Space)
		}
		for _, c := range e.Children {
			visit(c)
		}
	}
	visit(root)
}

func (m *marshaler) name(n xml.Name) string {
	switch n.Space {
	case "", Namespace:
		return n.Local
	case xmlNamespace:
		return "xml:" + n.Local
	}
	return m.prefixes[n.Space] + ":" + n.Local
}

// attr returns the name of an attribute. Unlike an element, an attribute in
// the answer file namespace needs a prefix, as the default does not reach it.
func (m *marshaler) attr(n xml.Name) string {
	if n.Space == Namespace {
		return "u:" + n.Local
	}
	return m.name(n)
}

// element writes e where the default namespace is space. Without
// indent no white space is added: inside of mixed text it would be a part of
// the text.
func (m *marshaler) element(e *Element, space string, depth int, indent bool) {
	name := m.name(e.Name)
	m.b.WriteString("<" + name)
	if (e.Name.Space == "" || e.Name.Space == Namespace) && e.Name.Space != space {
		space = e.Name.Space
		m.write("xmlns", space)
	}
	if depth == 0 {
		for _, uri := range m.order {
			m.write("xmlns:"+m.prefixes[uri], uri)
		}
	}
	for _, a := range e.Attrs {
		if a.Name.Space == Namespace {
			m.write("xmlns:u", Namespace)
			break
		}
	}
	for _, a := range e.Attrs {
		m.write(m.attr(a.Name), a.Value)
	}
	if e.Text == "" && len(e.Children) == 0 {
		m.b.WriteString(" />")
		return
	}
	m.b.WriteString(">" + escapeText(e.Text))
	inner := indent && e.Text == ""
	for _, c := range e.Children {
		inner = inner && c.Tail == ""
	}
	for _, c := range e.Children {
		if inner {
			m.b.WriteString("\n" + strings.Repeat("  ", depth+1))
		}
		m.element(c, space, depth+1, inner)
		m.b.WriteString(escapeText(c.Tail))
	}
	if inner && len(e.Children) > 0 {
		m.b.WriteString("\n" + strings.Repeat("  ", depth))
	}
	m.b.WriteString("</" + name + ">")
}

func (m *marshaler) write(name, value string) {
	m.b.WriteString(" " + name + `="` + attrEscaper.Replace(value) + `"`)
}

var (
	textEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
	attrEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "\r", "&#xD;", "\n", "&#xA;", "\t", "&#x9;")
)

func escapeText(s string) string { return textEscaper.Replace(s) }
