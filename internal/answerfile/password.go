package answerfile

import (
	"encoding/base64"
	"encoding/binary"
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
	text, ok := decodeText(value)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(text, element)
}

// decodeText undoes base64 of UTF-16LE. The padding may be missing, as in an
// example of Microsoft's.
func decodeText(value string) (string, bool) {
	value = strings.TrimRight(strings.Join(strings.Fields(value), ""), "=")
	data, err := base64.RawStdEncoding.DecodeString(value)
	if err != nil || len(data)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(data[2*i:])
	}
	return string(utf16.Decode(units)), true
}

// passwordElements are the elements that hold a password, those whose names end
// with another's first.
var passwordElements = []string{"OfflineAdministratorPassword", "AdministratorPassword", "Password"}

// encodedFor returns the element that a password seems to be encoded for, ""
// for none.
func encodedFor(value string) string {
	text, ok := decodeText(value)
	if !ok {
		return ""
	}
	for _, name := range passwordElements {
		if strings.HasSuffix(text, name) {
			return name
		}
	}
	return ""
}

func unpadded(value string) bool { return len(strings.Join(strings.Fields(value), ""))%4 != 0 }

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
	// element is the one that a password is encoded for, as it seems; unpadded:
	// its base64 has no padding.
	element  string
	unpadded bool
}

// secretOf judges an element by itself and its children; parent is the name
// of the element around it.
func secretOf(e *Element, parent string) secret {
	name := e.Name.Local
	switch {
	case name == "ProductKey" && !isBlank(e.Text), name == "Key" && parent == "ProductKey" && !isBlank(e.Text):
		text := strings.TrimSpace(e.Text)
		return secret{kind: productKey, text: text, plain: text}
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
				return secret{encodedSecret, text, plain, encodedFor(text), unpadded(text)}
			case strings.EqualFold(plainText, "false"):
				return secret{kind: brokenSecret, text: text, plain: text, element: encodedFor(text)}
			}
			return secret{kind: plainSecret, text: text, plain: text}
		}
	case (strings.HasSuffix(name, "Password") || name == "AccountData") && len(e.Children) == 0 && e.Text != "":
		if strings.TrimSpace(e.Text) == scrubbed {
			return secret{kind: lostSecret}
		}
		return secret{kind: plainSecret, text: e.Text, plain: e.Text}
	}
	return secret{}
}
