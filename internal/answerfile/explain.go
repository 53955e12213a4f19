package answerfile

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
)

// faults translates the messages of encoding/xml, whose own texts quote the
// file: in a password with a "<" that would print a part of it.
var faults = []struct{ has, rule, problem, fix string }{
	{"not allowed in comments", ruleComment, `"--" inside a comment`, `XML forbids it and Windows refuses the file (0x800705b9): write the comment without "--"`},
	{"closed by", ruleWellFormed, "an end tag does not match the start tag before it", "close every element with its own name; a literal < in a value is written &lt;"},
	{"unexpected end element", ruleWellFormed, "an end tag has no start tag", "remove it or add the start tag"},
	{"unexpected EOF", ruleWellFormed, "the file ends inside an element, tag or comment", "close what is open; check that the file was copied whole"},
	{"invalid character entity", ruleWellFormed, "an & that begins no known entity", "a literal & is written &amp;"},
	{"illegal character code", ruleWellFormed, "a control character that XML does not allow", "remove it; in a password choose another character"},
	{"invalid UTF-8", ruleEncoding, "bytes that are not UTF-8", "save the file as UTF-8"},
	{"inside quoted string", ruleWellFormed, "a < inside an attribute value", "write it as &lt;"},
	{"not in CDATA section", ruleWellFormed, "]]> inside a text", "write it as ]]&gt;"},
	{"attribute", ruleWellFormed, "an attribute is not written as name=\"value\"", "put quotes around the value and spaces between attributes"},
	{"unsupported version", ruleWellFormed, "the XML declaration names a version other than 1.0", `write <?xml version="1.0" encoding="utf-8"?>`},
	{"", ruleWellFormed, "the XML is not well-formed", "a literal < is written &lt;, a literal & is written &amp;"},
}

// explain turns an error of the decoder into one that says what to do.
func (p *parser) explain(err error) *Error {
	if errors.Is(err, errCharset) {
		return p.fault(ruleEncoding, "the XML declaration names an encoding that is neither UTF-8 nor UTF-16",
			`save the file as UTF-8 and write encoding="utf-8"`)
	}
	for _, f := range faults {
		if strings.Contains(err.Error(), f.has) {
			e := p.fault(f.rule, f.problem, f.fix)
			var syntax *xml.SyntaxError
			if errors.As(err, &syntax) {
				e.Line = syntax.Line
			}
			return e
		}
	}
	return nil // not reached: the last entry fits every text
}

// fault makes an error at the current place. It names the pass and component
// but no setting: what looks like an element may be a piece of a password with
// an unescaped "<".
func (p *parser) fault(rule, problem, fix string) *Error {
	line, _ := p.dec.InputPos()
	var where []string
	for _, e := range p.open {
		switch {
		case e.Is("settings"):
			where = append(where, "pass "+quotable(e.Attr("pass")))
		case e.Is("component"):
			where = append(where, quotable(e.Attr("name")))
		}
	}
	if len(where) > 0 {
		problem += fmt.Sprintf(" (in %s)", strings.Join(where, ", "))
	}
	return &Error{Rule: rule, Line: line, Problem: problem, Fix: fix}
}

// quotable returns a name of the file for a message, on one line and short.
func quotable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 80 {
		s = string(r[:80]) + "..."
	}
	return s
}
