package answerfile

import (
	"encoding/xml"
	"strings"
	"unicode/utf8"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// What encoding/xml lets pass and Windows' parser, like every other, refuses.

// checkRunes looks for characters that XML 1.0 (§2.2) forbids everywhere, also
// in comments.
func checkRunes(text []byte) *Error {
	line := 1
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return &Error{Rule: ruleEncoding, Line: line, Problem: "bytes that are not UTF-8", Fix: "save the file as UTF-8"}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xFFFE, r == 0xFFFF:
			return &Error{Rule: ruleWellFormed, Line: line, Problem: "a control character that XML does not allow",
				Fix: "remove it; in a password choose another character"}
		case r == '\n':
			line++
		}
		i += size
	}
	return nil
}

var surrogateRef = lazyregexp.New(`&#(?:x0*[dD][89a-fA-F][0-9a-fA-F]{2}|0*(?:5529[6-9]|55[3-9]\d\d|56\d{3}|57[0-2]\d\d|573[0-3]\d|5734[0-3]));`)

// checkReferences looks for references to halves of UTF-16 pairs, which are no
// characters.
func (p *parser) checkReferences(raw string) *Error {
	if !strings.HasPrefix(raw, "<![CDATA[") && surrogateRef.MatchString(raw) {
		return p.fault(ruleWellFormed, "a reference to a character that XML does not allow", "write the character itself")
	}
	return nil
}

// checkTag looks at the spaces between attributes, at the local parts of names
// and at namespace declarations (Namespaces in XML 1.0 §2.3, §3).
func (p *parser) checkTag(t xml.StartElement, raw string) *Error {
	var quote byte
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote && c != 0:
			quote = 0
			if i+1 < len(raw) && !strings.ContainsRune(" \t\r\n/>", rune(raw[i+1])) {
				return p.fault(ruleWellFormed, "no space between two attributes", "put a space between them")
			}
		}
	}
	names := []xml.Name{t.Name}
	for _, a := range t.Attr {
		names = append(names, a.Name)
		if a.Name.Space == "xmlns" && (a.Value == "" || a.Name.Local == "xmlns" || a.Name.Local == "xml" && a.Value != xmlNamespace) {
			return p.fault(ruleWellFormed, "a namespace declaration that is not allowed", `write xmlns:prefix="..." with a prefix and a namespace`)
		}
	}
	for _, n := range names {
		if strings.ContainsAny(n.Local[:1], "0123456789-.") {
			return p.fault(ruleWellFormed, "a name that begins with a digit, hyphen or dot after its prefix", "begin it with a letter")
		}
	}
	return nil
}

var (
	declarationText = lazyregexp.New(`^version\s*=\s*(?:"1\.0"|'1\.0')` +
		`(?:\s+encoding\s*=\s*("[A-Za-z][\w.-]*"|'[A-Za-z][\w.-]*'))?` +
		`(?:\s+standalone\s*=\s*(?:"yes"|"no"|'yes'|'no'))?\s*$`)
	instructionText = lazyregexp.New(`^<\?[A-Za-z_][\w.-]*(\s|\?>)`)
)

// instruction judges <?...?>, of which only the XML declaration has a meaning.
// Windows' parser refuses a file whose declared encoding is not the one it is
// saved in.
func (p *parser) instruction(t xml.ProcInst, raw string, first bool) *Error {
	if !instructionText.MatchString(raw) {
		return &Error{Rule: ruleWellFormed, Problem: "a processing instruction without a proper name", Fix: "remove what is between <? and ?>"}
	}
	if !strings.EqualFold(t.Target, "xml") {
		return nil
	}
	if !first {
		return &Error{Rule: ruleWellFormed, Problem: "the XML declaration is not at the very start of the file",
			Fix: "remove what is before <?xml, including spaces and empty lines"}
	}
	parts := declarationText.FindStringSubmatch(string(t.Inst))
	if parts == nil || t.Target != "xml" {
		return &Error{Rule: ruleWellFormed, Problem: "the XML declaration is malformed",
			Fix: `write <?xml version="1.0" encoding="utf-8"?>`}
	}
	if encoding := strings.Trim(parts[1], `"'`); encoding != "" && strings.EqualFold(encoding, "utf-16") != p.wide {
		return &Error{Rule: ruleEncoding, Problem: "the XML declaration names a different encoding from the one the file is saved in",
			Fix: `save the file as UTF-8 and write encoding="utf-8"`}
	}
	return nil
}
