package answerfile

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"strings"
	"unicode/utf16"
)

// EncodePassword returns what Windows expects in <Value> beside
// <PlainText>false</PlainText>: the password and the name of its element, as
// base64 of UTF-16LE (Windows Unattend reference, AdministratorPassword). It
// is obfuscation, not encryption. The element is "AdministratorPassword" or
// "Password".
func EncodePassword(password, element string) string {
	units := utf16.Encode([]rune(password + element))
	data := make([]byte, 0, 2*len(units))
	for _, u := range units {
		data = binary.LittleEndian.AppendUint16(data, u)
	}
	return base64.StdEncoding.EncodeToString(data)
}

// DecodePassword undoes EncodePassword. It reports false for a text that is
// not a password encoded for this element.
func DecodePassword(value, element string) (string, bool) {
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
	if err != nil || len(data)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(data[2*i:])
	}
	return strings.CutSuffix(string(utf16.Decode(units)), element)
}

// scrubbed is what Windows leaves in place of a password in the cached answer
// file once the pass has run.
const scrubbed = "*SENSITIVE*DATA*DELETED*"

type secretKind int

const (
	notSecret secretKind = iota
	// plainSecret stands readable in the file.
	plainSecret
	// encodedSecret is in the form of EncodePassword.
	encodedSecret
	// brokenSecret says PlainText=false but is not in that form.
	brokenSecret
	// lostSecret was scrubbed by Windows.
	lostSecret
	// productKey is a licence, not a credential.
	productKey
)

// secret is one secret value of a file.
type secret struct {
	kind secretKind
	// text is as in the file, plain the password or key itself.
	text, plain string
}

// secretOf judges an element by itself and its children; parent is the name
// of the element around it.
func secretOf(e *Element, parent string) secret {
	name := e.Name.Local
	switch {
	case name == "ProductKey" && !isBlank(e.Text), name == "Key" && parent == "ProductKey" && !isBlank(e.Text):
		text := strings.TrimSpace(e.Text)
		return secret{productKey, text, text}
	case strings.HasSuffix(name, "Password") && e.Child("Value") != nil:
		text := e.Value("Value")
		switch plainText := strings.TrimSpace(e.Value("PlainText")); {
		case text == "":
			return secret{}
		case strings.TrimSpace(text) == scrubbed:
			return secret{kind: lostSecret}
		default:
			plain, ok := DecodePassword(text, name)
			switch {
			case ok && !strings.EqualFold(plainText, "true"):
				return secret{encodedSecret, text, plain}
			case strings.EqualFold(plainText, "false"):
				return secret{brokenSecret, text, text}
			}
			return secret{plainSecret, text, text}
		}
	case (strings.HasSuffix(name, "Password") || name == "AccountData") && len(e.Children) == 0 && e.Text != "":
		if strings.TrimSpace(e.Text) == scrubbed {
			return secret{kind: lostSecret}
		}
		return secret{plainSecret, e.Text, e.Text}
	}
	return secret{}
}

// Secrets returns every text that must not be seen in a log: passwords and
// product keys as they stand in the file, plain, encoded as Windows does, and
// as XML text. Published volume licence keys are no secret. The caller must
// not print the result.
func Secrets(f *File) []string {
	seen := map[string]bool{}
	var secrets []string
	add := func(s string) {
		if s != "" && !seen[s] {
			seen[s] = true
			secrets = append(secrets, s)
		}
	}
	addAll := func(s string) {
		add(s)
		add(strings.TrimSpace(s))
		add(escapeText(s))
		var b strings.Builder
		// What other programs write: quotes as character references too.
		if xml.EscapeText(&b, []byte(s)) == nil {
			add(b.String())
		}
	}
	var visit func(e *Element, parent string)
	visit = func(e *Element, parent string) {
		switch s := secretOf(e, parent); s.kind {
		case productKey:
			if !isPublishedKey(s.plain) {
				addAll(s.text)
			}
		case plainSecret, encodedSecret, brokenSecret:
			addAll(s.text)
			addAll(s.plain)
			if s.plain != "" {
				add(EncodePassword(s.plain, "Password"))
				add(EncodePassword(s.plain, "AdministratorPassword"))
			}
		}
		for _, c := range e.Children {
			visit(c, e.Name.Local)
		}
	}
	visit(f.Root, "")
	return secrets
}

// SecretSettings lists where a file holds passwords and product keys, as
// "pass setting". Published volume licence keys are no secret, and what
// Windows has scrubbed is none any more.
func SecretSettings(f *File) []string {
	l := &linter{file: f}
	for _, p := range f.Passes() {
		for _, c := range p.Components() {
			l.walk(p, c, c.Element, "", "")
		}
	}
	var places []string
	for _, n := range l.nodes {
		switch s := n.secret(); s.kind {
		case productKey:
			if isPublishedKey(s.plain) {
				continue
			}
		case plainSecret, encodedSecret, brokenSecret:
		default:
			continue
		}
		places = append(places, quotable(n.pass.Name())+" "+n.where)
	}
	return places
}
