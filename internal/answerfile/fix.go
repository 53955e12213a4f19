package answerfile

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// FixOptions choose what Fix does.
type FixOptions struct {
	Context Context
	// EncodePasswords writes passwords that stand readable in the file as Windows
	// encodes them, which hides them from a glance and nothing else.
	EncodePasswords bool
}

// edit replaces a part of a text.
type edit struct {
	from, to int
	text     string
}

// fixer is one kind of change.
type fixer struct {
	rule string
	// change returns the edits that a setting needs, and says what they do.
	change func(l *linter, n node) (edits []edit, done string)
	wanted func(FixOptions) bool
}

var fixers = []fixer{
	{rule: "deprecated", change: removeDeprecated},
	{rule: "white-space", change: trimValue},
	{rule: "order-credentials", change: orderCredentials},
	{rule: "list-action", change: addAction},
	{rule: "time-zone", change: nameTimeZone},
	{rule: "secret", change: encodeValue, wanted: func(o FixOptions) bool { return o.EncodePasswords }},
}

// Fix changes what is mechanical in an answer file, and nothing else: its
// encoding, comments and layout stay. The findings say each change, with the
// line where it was made; there is none where nothing was to be done, and the
// text is the same then. Rules that are off, here or by a directive, change
// nothing. The error is an *Error of a text that cannot be read.
func Fix(data []byte, options FixOptions) (fixed []byte, changes []finding.Finding, err error) {
	text, wide, err := decode(data)
	if err != nil {
		return nil, nil, err
	}
	if _, err := Parse(data); err != nil {
		return nil, nil, err
	}
	rows := map[string]*Rule{}
	for i := range rules {
		rows[rules[i].ID] = &rules[i]
	}
	for _, f := range fixers {
		if f.wanted != nil && !f.wanted(options) || options.Context.Severities[f.rule] == finding.Off {
			continue
		}
		p := &parser{wide: wide, text: text, inScope: map[string]int{"": 1, xmlNamespace: 1}}
		root, bad := p.parse()
		if bad != nil {
			return nil, nil, fmt.Errorf("reading what was changed: %w", bad)
		}
		file := &File{Root: root, comments: p.comments, text: text}
		l := &linter{file: file, ctx: options.Context, off: file.directives(), rule: rows[f.rule]}
		for _, pass := range file.Passes() {
			for _, c := range pass.Components() {
				l.walk(pass, c, c.Element, known().component(c.Name()), "", "")
			}
		}
		var edits []edit
		for _, n := range l.nodes {
			some, done := f.change(l, n)
			if len(some) == 0 {
				continue
			}
			change := remark(f.rule, finding.Info, n.el.Line, done, "", quotable(n.pass.Name()), quotable(n.comp.Name()), n.where)
			if l.turnedOff(change) {
				continue
			}
			edits, changes = append(edits, some...), append(changes, change)
		}
		text = apply(text, edits)
	}
	if len(changes) == 0 {
		return data, nil, nil
	}
	return encodeLike(data, text, wide), changes, nil
}

// apply makes edits, which do not overlap except for one inside of another that
// removes it: the outer one counts.
func apply(text []byte, edits []edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int { return a.from - b.from })
	var out bytes.Buffer
	at := 0
	for _, e := range edits {
		if e.from < at {
			continue
		}
		out.Write(text[at:e.from])
		out.WriteString(e.text)
		at = e.to
	}
	out.Write(text[at:])
	return out.Bytes()
}

// encodeLike writes a text in the encoding of data, with its byte order mark.
func encodeLike(data, text []byte, wide bool) []byte {
	if !wide {
		if mark := []byte{0xEF, 0xBB, 0xBF}; bytes.HasPrefix(data, mark) {
			return append(mark, text...)
		}
		return text
	}
	var order binary.AppendByteOrder = binary.LittleEndian
	if bytes.HasPrefix(data, []byte{0xFE, 0xFF}) || bytes.HasPrefix(data, []byte{0, '<'}) {
		order = binary.BigEndian
	}
	var out []byte
	if bytes.HasPrefix(data, []byte{0xFE, 0xFF}) || bytes.HasPrefix(data, []byte{0xFF, 0xFE}) {
		out = order.AppendUint16(out, 0xFEFF)
	}
	for _, unit := range utf16.Encode([]rune(string(text))) {
		out = order.AppendUint16(out, unit)
	}
	return out
}

// raw is the text between the tags of an element, as it is written.
func (l *linter) raw(e *Element) string { return string(l.file.text[e.at.body:e.at.bodyEnd]) }

// selfClosing reports whether an element is written <a/>, with nothing between
// tags.
func (e *Element) selfClosing() bool { return e.at.body == e.at.to }

// removeDeprecated takes a deprecated setting out, with its line where it has
// one of its own.
func removeDeprecated(l *linter, n node) ([]edit, string) {
	if n.def == nil || n.def.deprecated == "" || n.around.deprecated != "" || never(n.pass) || n.holdsText() || l.directed(n) {
		return nil, ""
	}
	from, to, text := n.el.at.from, n.el.at.to, l.file.text
	start := from
	for start > 0 && (text[start-1] == ' ' || text[start-1] == '\t') {
		start--
	}
	end := to
	for end < len(text) && (text[end] == ' ' || text[end] == '\t' || text[end] == '\r') {
		end++
	}
	if (start == 0 || text[start-1] == '\n') && end < len(text) && text[end] == '\n' {
		from, to = start, end+1
	}
	return []edit{{from, to, ""}}, "removed: it is deprecated"
}

// directed reports whether a directive stands right before the element: without
// it, the directive would be for the next one.
func (l *linter) directed(n node) bool {
	return slices.ContainsFunc(l.file.comments, func(c comment) bool { return c.next == n.el && directiveText.MatchString(c.text) })
}

// holdsText reports whether text of a mistake stands beside the element, which
// must not get lost.
func (n node) holdsText() bool { return n.el.Tail != "" && !isBlank(n.el.Tail) }

func trimValue(l *linter, n node) ([]edit, string) {
	if !n.leaf() || isBlank(n.el.Text) || n.holdsSecret() || n.command() || n.el.Name.Local == "Description" || n.el.selfClosing() {
		return nil, ""
	}
	raw := l.raw(n.el)
	trimmed := strings.Trim(raw, " \t\r\n")
	if trimmed == raw || strings.ContainsAny(trimmed, "<\n") {
		return nil, ""
	}
	return []edit{{n.el.at.body, n.el.at.bodyEnd, trimmed}}, "the white space around the value is removed"
}

func orderCredentials(l *linter, n node) ([]edit, string) {
	if n.el.Name.Local != "Credentials" {
		return nil, ""
	}
	want := []string{"Domain", "Password", "Username"}
	var have []*Element
	for _, c := range n.el.Children {
		if slices.Contains(want, c.Name.Local) {
			have = append(have, c)
		}
	}
	sorted := slices.Clone(have)
	slices.SortStableFunc(sorted, func(a, b *Element) int {
		return slices.Index(want, a.Name.Local) - slices.Index(want, b.Name.Local)
	})
	var edits []edit
	for i, e := range have {
		if s := sorted[i]; s != e {
			edits = append(edits, edit{e.at.from, e.at.to, string(l.file.text[s.at.from:s.at.to])})
		}
	}
	return edits, "put into the order Domain, Password, Username"
}

func addAction(l *linter, n node) ([]edit, string) {
	if n.def == nil || !n.def.list || slices.ContainsFunc(n.el.Attrs, func(a xml.Attr) bool { return a.Name.Local == "action" }) || !bytes.Contains(l.file.text, []byte(`xmlns:wcm="`+wcmNamespace+`"`)) {
		return nil, ""
	}
	// The prefix has to reach here: only where the root declares it, that is sure.
	root := l.file.Root
	if !bytes.Contains(l.file.text[root.at.from:root.at.body], []byte(`xmlns:wcm="`+wcmNamespace+`"`)) {
		return nil, ""
	}
	name := n.el.at.from + 1
	for name < n.el.at.body && !strings.ContainsRune(" \t\r\n/>", rune(l.file.text[name])) {
		name++
	}
	return []edit{{name, name, ` wcm:action="add"`}}, `wcm:action="add" is added`
}

func nameTimeZone(l *linter, n node) ([]edit, string) {
	if !n.is(compShell, "TimeZone") || n.el.selfClosing() || strings.Contains(l.raw(n.el), "<") { // comments and elements stay
		return nil, ""
	}
	zone, ok := timeZones().iana[strings.ToLower(strings.TrimSpace(n.el.Text))]
	if !ok || timeZones().names[strings.ToLower(strings.TrimSpace(n.el.Text))] != "" {
		return nil, ""
	}
	return []edit{{n.el.at.body, n.el.at.bodyEnd, escapeText(zone)}}, "written as Windows names the time zone: " + zone
}

func encodeValue(l *linter, n node) ([]edit, string) {
	s := n.secret()
	value, plain := n.el.Child("Value"), n.el.Child("PlainText")
	if s.kind != plainSecret || value == nil || value.selfClosing() || len(value.Children) > 0 || placeholder(s.text) || !slices.Contains(passwordElements, n.el.Name.Local) {
		return nil, ""
	}
	edits := []edit{{value.at.body, value.at.bodyEnd, EncodePassword(s.plain, n.el.Name.Local)}}
	prefix, _, _ := strings.Cut(string(l.file.text[value.at.from+1:value.at.body]), "Value")
	no := "<" + prefix + "PlainText>false</" + prefix + "PlainText>"
	switch {
	case plain == nil:
		edits = append(edits, edit{value.at.to, value.at.to, no})
	case plain.selfClosing():
		edits = append(edits, edit{plain.at.from, plain.at.to, no})
	default:
		edits = append(edits, edit{plain.at.body, plain.at.bodyEnd, "false"})
	}
	return edits, "the password is encoded as Windows does; that hides it from a glance only"
}
