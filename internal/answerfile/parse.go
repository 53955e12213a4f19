package answerfile

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// Bounds of what Parse accepts. The answer files in public use, with whole
// scripts inside, stay far below all of them.
const (
	MaxSize       = 4 << 20
	maxDepth      = 32
	maxElements   = 20_000
	maxAttributes = 64
	maxName       = 128
)

// Error is why a text is not an answer file. Its message never holds a value
// of the file.
type Error struct {
	// Name is the file as the caller calls it; Parse leaves it empty.
	Name string
	// Line counts from 1; 0 when the problem has no line.
	Line int
	// Rule is the lint rule that the file breaks.
	Rule string
	// Problem and Fix are short texts for the user.
	Problem, Fix string
}

// Limit reports whether the text was given up because there is too much of it,
// so that nothing is known of what it holds.
func (e *Error) Limit() bool { return e.Rule == ruleLimits }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("answer file")
	if e.Name != "" {
		b.WriteString(" " + e.Name)
	}
	if e.Line > 0 {
		fmt.Fprintf(&b, ", line %d", e.Line)
	}
	fmt.Fprintf(&b, ": %s; %s", e.Problem, e.Fix)
	return b.String()
}

// finding is the error as the linter reports it, with the place if it is known.
func (e *Error) finding(path ...string) finding.Finding {
	return remark(e.Rule, finding.Fail, e.Line, e.Problem, e.Fix, path...)
}

// Parse reads an answer file in UTF-8 or UTF-16, with or without byte order
// mark. The error is an *Error.
func Parse(data []byte) (*File, error) {
	if len(data) > MaxSize {
		return nil, &Error{Rule: ruleLimits, Problem: fmt.Sprintf("the file is larger than %d MiB", MaxSize>>20),
			Fix: "move embedded scripts into files of their own"}
	}
	text, wide, err := decode(data)
	if err != nil {
		return nil, err
	}
	p := &parser{wide: wide, text: text, inScope: map[string]int{"": 1, xmlNamespace: 1}}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	if root.Name.Local != "unattend" {
		return nil, &Error{Rule: ruleRoot, Line: root.Line, Problem: "the root element is not <unattend>",
			Fix: "an answer file is <unattend xmlns=\"" + Namespace + "\"> around <settings> elements"}
	}
	if root.Name.Space != Namespace {
		return nil, &Error{Rule: ruleRoot, Line: root.Line, Problem: "<unattend> is not in the namespace " + Namespace,
			Fix: "write <unattend xmlns=\"" + Namespace + "\">"}
	}
	return &File{Root: root, comments: p.comments, text: text}, nil
}

// decode returns the text as UTF-8 without byte order mark, and whether it
// was UTF-16.
func decode(data []byte) (text []byte, wide bool, err error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xEF, 0xBB, 0xBF}):
		data = data[3:]
	case bytes.HasPrefix(data, []byte{0xFF, 0xFE}):
		order, data = binary.LittleEndian, data[2:]
	case bytes.HasPrefix(data, []byte{0xFE, 0xFF}):
		order, data = binary.BigEndian, data[2:]
	case bytes.HasPrefix(data, []byte{'<', 0}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0, '<'}):
		order = binary.BigEndian
	}
	if order == nil {
		return data, false, nil
	}
	bad := &Error{Rule: ruleEncoding, Problem: "the file looks like UTF-16 but is cut or damaged", Fix: "save it as UTF-8"}
	if len(data)%2 != 0 {
		return nil, true, bad
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	runes := utf16.Decode(units)
	for i, r := range runes {
		// utf16.Decode puts U+FFFD for a lone surrogate.
		if r == utf8.RuneError {
			bad.Line = 1 + strings.Count(string(runes[:i]), "\n")
			return nil, true, bad
		}
	}
	return []byte(string(runes)), true, nil
}

type parser struct {
	text []byte
	wide bool
	dec  *xml.Decoder
	// open holds the elements from the root to the current one, declared the
	// namespaces that each of them declares, inScope how often each is.
	open     []*Element
	declared [][]string
	inScope  map[string]int
	// pending is the text since the last tag, which comments may interrupt.
	pending  strings.Builder
	elements int
	root     *Element
	comments []comment
	// waiting are the comments since the last element, whose next is not known.
	waiting []int
}

func (p *parser) parse() (*Element, error) {
	if bad := checkRunes(p.text); bad != nil {
		return nil, bad
	}
	if bad := checkTags(p.text); bad != nil {
		return nil, bad
	}
	p.dec = xml.NewDecoder(bytes.NewReader(p.text))
	p.dec.CharsetReader = p.charset
	for {
		line, _ := p.dec.InputPos()
		from := p.dec.InputOffset()
		token, err := p.dec.Token()
		if errors.Is(err, io.EOF) {
			if p.root == nil {
				return nil, &Error{Rule: ruleWellFormed, Line: 1, Problem: "the file holds no XML element",
					Fix: "an answer file is <unattend xmlns=\"" + Namespace + "\"> around <settings> elements"}
			}
			return p.root, nil
		}
		if err != nil {
			return nil, p.explain(err)
		}
		raw := string(p.text[from:p.dec.InputOffset()])
		var bad *Error
		switch t := token.(type) {
		case xml.StartElement:
			bad = p.start(t, raw, line, int(from))
		case xml.EndElement:
			p.end(int(from))
		case xml.Comment:
			bad = p.comment(string(t), line)
		case xml.CharData:
			bad = p.chars(string(t), raw, line)
		case xml.ProcInst:
			bad = p.instruction(t, raw, from == 0)
		case xml.Directive:
			bad = &Error{Rule: ruleWellFormed, Problem: "a document type declaration is not accepted in an answer file",
				Fix: "remove <!DOCTYPE ...> and write entities out"}
		}
		if bad != nil {
			if bad.Line == 0 {
				bad.Line = line
			}
			return nil, bad
		}
	}
}

func (p *parser) start(t xml.StartElement, raw string, line, from int) *Error {
	if len(p.open) == 0 && p.root != nil {
		return &Error{Rule: ruleWellFormed, Problem: "a second root element follows </unattend>", Fix: "keep one <unattend> element in the file"}
	}
	if len(p.open) == maxDepth {
		return &Error{Rule: ruleLimits, Problem: fmt.Sprintf("elements are nested more than %d deep", maxDepth), Fix: "check the end tags above this line"}
	}
	if p.elements++; p.elements > maxElements {
		return &Error{Rule: ruleLimits, Problem: fmt.Sprintf("the file has more than %d elements", maxElements), Fix: "check that it is an answer file"}
	}
	if len(t.Attr) > maxAttributes || len(t.Name.Local) > maxName {
		return p.fault(ruleLimits, "an element with too many attributes or too long a name", "check that it is an answer file")
	}
	if bad := p.checkTag(t, raw); bad != nil {
		return bad
	}
	if bad := p.checkReferences(raw); bad != nil {
		return bad
	}
	var declared []string
	for _, a := range t.Attr {
		if declares(a) {
			declared = append(declared, a.Value)
			p.inScope[a.Value]++
		}
	}
	e := &Element{Name: t.Name, Line: line, at: span{from: from, body: from + len(raw)}}
	for i, a := range t.Attr {
		for _, b := range t.Attr[:i] {
			if a.Name == b.Name {
				return p.fault(ruleWellFormed, "an attribute is written twice in one element", "remove one of the two")
			}
		}
		if declares(a) {
			continue
		}
		if p.inScope[a.Name.Space] == 0 || strings.Contains(a.Name.Local, ":") {
			return p.prefix(a.Name.Space)
		}
		// XML 1.0 §3.3.3: white space in an attribute value is blanks.
		a.Value = strings.Map(blank, a.Value)
		e.Attrs = append(e.Attrs, a)
	}
	if p.inScope[t.Name.Space] == 0 || strings.Contains(t.Name.Local, ":") {
		return p.prefix(t.Name.Space)
	}
	p.flush()
	if p.root == nil {
		p.root = e
	} else {
		parent := p.open[len(p.open)-1]
		parent.Children = append(parent.Children, e)
	}
	p.open = append(p.open, e)
	p.declared = append(p.declared, declared)
	for _, i := range p.waiting {
		p.comments[i].next = e
	}
	p.waiting = nil
	return nil
}

// comment keeps a comment.
func (p *parser) comment(text string, line int) *Error {
	if len(p.comments) == maxElements {
		return &Error{Rule: ruleLimits, Problem: fmt.Sprintf("the file has more than %d comments", maxElements), Fix: "check that it is an answer file"}
	}
	c := comment{text: text, line: line, last: line + strings.Count(text, "\n")}
	if len(p.open) > 0 {
		c.in = p.open[len(p.open)-1]
	}
	p.waiting = append(p.waiting, len(p.comments))
	p.comments = append(p.comments, c)
	return nil
}

// declares reports whether an attribute is a namespace declaration.
func declares(a xml.Attr) bool {
	return a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns"
}

func blank(r rune) rune {
	if r == '\t' || r == '\n' || r == '\r' {
		return ' '
	}
	return r
}

// prefix says which namespace prefix has no declaration; an unusual one may be
// part of a mistyped value and is not quoted.
func (p *parser) prefix(prefix string) *Error {
	switch prefix {
	case "wcm":
		return p.fault(ruleWellFormed, "the namespace prefix wcm is used but not declared", `write xmlns:wcm="`+wcmNamespace+`" on <unattend>`)
	case "xsi":
		return p.fault(ruleWellFormed, "the namespace prefix xsi is used but not declared", `write xmlns:xsi="`+xsiNamespace+`" on <unattend>`)
	case "cpi":
		return p.fault(ruleWellFormed, "the namespace prefix cpi is used but not declared", `write xmlns:cpi="`+cpiNamespace+`" on the element`)
	}
	return p.fault(ruleWellFormed, "a namespace prefix is used but not declared", `declare it with xmlns:prefix="..." on <unattend>`)
}

func (p *parser) end(from int) {
	p.flush()
	p.waiting = nil
	last := len(p.open) - 1
	e := p.open[last]
	e.at.bodyEnd, e.at.to = from, int(p.dec.InputOffset())
	e.last, _ = p.dec.InputPos()
	for _, uri := range p.declared[last] {
		p.inScope[uri]--
	}
	p.open, p.declared = p.open[:last], p.declared[:last]
	if len(e.Children) > 0 && isBlank(e.Text) {
		e.Text = ""
	}
	for _, c := range e.Children {
		if isBlank(c.Tail) {
			c.Tail = ""
		}
	}
}

func (p *parser) chars(text, raw string, line int) *Error {
	if len(p.open) == 0 {
		if isBlank(raw) {
			return nil
		}
		// The text may begin with empty lines.
		line += strings.Count(raw[:len(raw)-len(strings.TrimLeft(raw, " \t\r\n"))], "\n")
		return &Error{Rule: ruleWellFormed, Line: line, Problem: "text appears outside the root element", Fix: "remove it"}
	}
	p.pending.WriteString(text)
	return p.checkReferences(raw)
}

// flush gives the text read so far to the element it belongs to.
func (p *parser) flush() {
	if len(p.open) > 0 {
		e := p.open[len(p.open)-1]
		if n := len(e.Children); n > 0 {
			e.Children[n-1].Tail = p.pending.String()
		} else {
			e.Text = p.pending.String()
		}
	}
	p.pending.Reset()
}

var errCharset = errors.New("unsupported encoding")

// charset is asked by the decoder for every declared encoding but UTF-8. The
// text is UTF-8 by then; declaration reports a mismatch.
func (p *parser) charset(label string, input io.Reader) (io.Reader, error) {
	if strings.EqualFold(label, "utf-16") {
		return input, nil
	}
	return nil, errCharset
}
