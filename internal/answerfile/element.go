// Package answerfile reads, builds, merges and judges Windows answer files
// (unattend.xml). It needs no Windows and touches no file.
//
// Nothing it reports quotes the value of a setting: values can be passwords
// or product keys.
package answerfile

import (
	"encoding/xml"
	"strings"
)

// Namespaces of an answer file (Windows Unattend reference, "unattend").
const (
	Namespace    = "urn:schemas-microsoft-com:unattend"
	wcmNamespace = "http://schemas.microsoft.com/WMIConfig/2002/State"
	xsiNamespace = "http://www.w3.org/2001/XMLSchema-instance"
	cpiNamespace = "urn:schemas-microsoft-com:cpi"
	xmlNamespace = "http://www.w3.org/XML/1998/namespace"
)

// Element is one XML element. Processing instructions and white space between
// elements carry no meaning for Windows and are not kept.
type Element struct {
	Name xml.Name
	// Attrs holds no namespace declarations: names are already resolved.
	Attrs []xml.Attr
	// Text stands before the first child, Tail after the end tag. Beside
	// child elements they are kept only when they are not blank.
	Text, Tail string
	Children   []*Element
	// Line is where the start tag begins, from 1; 0 for built elements. last is
	// the line where the end tag ends.
	Line, last int
	// at is where the element stands in the text that was read.
	at span
}

// span is a place in the text of a file, in bytes: of the element from its
// start tag to the end of its end tag, and of what is between the tags. It is
// empty for what was not read.
type span struct{ from, body, bodyEnd, to int }

// comment is one comment of a file.
type comment struct {
	text string
	// line is where it begins, last where it ends.
	line, last int
	// in is the element around it, nil outside of the root.
	in *Element
	// next is the element that follows it in the same element, or the root that
	// follows it, nil for none.
	next *Element
}

// Is reports whether the element has this name in the answer file namespace.
func (e *Element) Is(local string) bool {
	return e.Name.Local == local && e.Name.Space == Namespace
}

// Attr returns an attribute without namespace, or "".
func (e *Element) Attr(local string) string { return e.attr("", local) }

func (e *Element) attr(space, local string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == local && a.Name.Space == space {
			return a.Value
		}
	}
	return ""
}

// Child returns the first child of this name in the answer file namespace, or
// nil.
func (e *Element) Child(local string) *Element {
	for _, c := range e.Children {
		if c.Is(local) {
			return c
		}
	}
	return nil
}

// Value returns the text at a path below the element, or "".
func (e *Element) Value(path ...string) string {
	for _, name := range path {
		if e = e.Child(name); e == nil {
			return ""
		}
	}
	return e.Text
}

func (e *Element) clone() *Element {
	c := *e
	c.Attrs = append([]xml.Attr(nil), e.Attrs...)
	c.Children = make([]*Element, len(e.Children))
	for i, child := range e.Children {
		c.Children[i] = child.clone()
	}
	return &c
}

func isBlank(s string) bool { return strings.Trim(s, " \t\r\n") == "" }

// File is an answer file: the element <unattend>.
type File struct {
	Root *Element
	// comments are those of the text that was read. They mean nothing to Windows,
	// and are not written.
	comments []comment
	// text is what was read, as UTF-8 without byte order mark.
	text []byte
}

// Pass is one <settings> element: the settings of a configuration pass.
type Pass struct{ *Element }

// Component is one <component> element of a pass.
type Component struct{ *Element }

// Passes returns the <settings> elements in document order.
func (f *File) Passes() []Pass {
	var passes []Pass
	for _, c := range f.Root.Children {
		if c.Is("settings") {
			passes = append(passes, Pass{c})
		}
	}
	return passes
}

// Name returns the configuration pass, for example "specialize".
func (p Pass) Name() string { return p.Attr("pass") }

// Components returns the <component> elements in document order.
func (p Pass) Components() []Component {
	var components []Component
	for _, c := range p.Children {
		if c.Is("component") {
			components = append(components, Component{c})
		}
	}
	return components
}

// Name returns the component's name, for example
// "Microsoft-Windows-Shell-Setup".
func (c Component) Name() string { return c.Attr("name") }

// Architecture returns amd64, x86, arm64, wow64 or what the file says.
func (c Component) Architecture() string { return c.Attr("processorArchitecture") }

// Find returns the first element at a path of a component in a pass, or nil.
func (f *File) Find(pass, component string, path ...string) *Element {
	for _, p := range f.Passes() {
		for _, c := range p.Components() {
			if p.Name() != pass || !strings.EqualFold(c.Name(), component) {
				continue
			}
			e := c.Element
			for _, name := range path {
				if e = e.Child(name); e == nil {
					break
				}
			}
			if e != nil {
				return e
			}
		}
	}
	return nil
}
