package runlog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
)

// Redacted stands where something secret stood.
const Redacted = "<sensitive>"

var (
	// productKey is a key of Windows: five groups of five. A published volume licence
	// key is taken out too, which nobody misses.
	productKey = regexp.MustCompile(`\b[0-9A-Z]{5}(?:-[0-9A-Z]{5}){4}\b`)

	// shapes are how command lines and settings give a password: what is in group 1
	// stays, the rest goes. A value in quotes goes to their end. A line without one of
	// the words, in small letters, has not the shape.
	shapes = []struct {
		words []string
		shape *regexp.Regexp
	}{
		// password=value, "Password": "value", pwd: value
		{[]string{"pass", "pwd", "secret", "token", "apikey", "api_key", "accesskey", "access_key"}, regexp.MustCompile(`(?i)((?:password|passwd|passphrase|pwd|api_?key|access_?key|secret|\btoken)\w*["']?\s*[=:]\s*)(?:"[^"\r\n]*"|'[^'\r\n]*'|[^\s"'<>;,]+)`)},
		// <Password><Value>value</Value>, <AdministratorPassword>value
		{[]string{"password>"}, regexp.MustCompile(`(?i)(<\w*Password>\s*(?:<Value>)?)[^<\r\n]+`)},
		// -Password value, /rp value, /pass value
		{[]string{"pass", "pwd", "/rp", "-rp"}, regexp.MustCompile(`(?i)((?:^|\s)(?:-{1,2}|/)(?:\w*password|pwd|pass|rp|passphrase|userpass)\s+)(?:"[^"\r\n]*"|'[^'\r\n]*'|[^\s"'/$(-][^\s"']*)`)},
		// net user NAME value
		{[]string{" user "}, regexp.MustCompile(`(?i)(\bnet1?(?:\.exe)?["']?\s+user\s+(?:"[^"\r\n]*"|[^\s/"]+)\s+)(?:"[^"\r\n]+"|[^\s/&|>*"][^\s&|>"]*)`)},
		// reg add ... /v DefaultPassword ... /d value
		{[]string{"password"}, regexp.MustCompile(`(?i)(/v\s+"?\w*password\w*"?(?:\s+/\w(?:\s+REG_\w+)?)*?\s+(?:/t\s+\w+\s+)?/d\s+)(?:"[^"\r\n]*"|\S+)`)},
		{[]string{"securestring"}, regexp.MustCompile(`(?i)(ConvertTo-SecureString\s+(?:-String\s+)?)(?:"[^"\r\n]*"|'[^'\r\n]*'|[^\s"'$(-][^\s"']*)`)},
		// user:value@host in an address
		{[]string{"://"}, regexp.MustCompile(`(?i)(://[^/\s:@]+:)[^/\s@]+`)},
	}
)

// Scrub takes out of a text of a guest what looks like a password in a command
// line or a setting, and product keys. It works by line, in any amount of text.
func Scrub(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line = text[:i+1]
		}
		text = text[len(line):]
		b.WriteString(scrubLine(line))
	}
	return b.String()
}

func scrubLine(line string) string {
	if strings.Count(line, "-") >= 4 {
		line = productKey.ReplaceAllString(line, Redacted)
	}
	lower := strings.ToLower(line)
	for _, s := range shapes {
		if slices.ContainsFunc(s.words, func(word string) bool { return strings.Contains(lower, word) }) {
			line = s.shape.ReplaceAllString(line, "${1}"+Redacted)
		}
	}
	return line
}

// Limits of the logs in a bundle, in bytes.
const (
	MaxFile  = 8 << 20
	MaxTotal = 64 << 20
)

// Budget is what the logs of a bundle may still take; the zero value is that of a new
// bundle.
type Budget struct {
	used        int
	file, total int // limits of tests
}

// Fit makes a log fit into a bundle: hide and Scrub take out what is secret, and
// what is too long loses its beginning, since a log ends with why it ended. name
// is below the folder.
func (b *Budget) Fit(name string, content []byte, hide func(string) string) ([]byte, File) {
	text := decode(content)
	limit := max(0, min(cmp.Or(b.file, MaxFile), cmp.Or(b.total, MaxTotal)-b.used))
	text, cut := end(text, limit)
	text = Scrub(hide(text))
	text, more := end(text, limit) // what stands for a secret may be longer
	if cut += more; cut > 0 {
		text = fmt.Sprintf("(%d bytes before this were left out)\r\n", cut) + text
	}
	b.used += len(text)
	return []byte(text), File{Name: path.Clean(strings.ReplaceAll(name, `\`, "/")), Size: len(text), Cut: cut}
}

// end is the end of a text that is too long, from the beginning of a line: half a line may
// begin in a secret.
func end(text string, limit int) (kept string, cut int) {
	if len(text) <= limit {
		return text, 0
	}
	cut = len(text) - limit
	if i := strings.IndexByte(text[cut:], '\n'); i >= 0 {
		return text[cut+i+1:], cut + i + 1
	}
	return "", len(text)
}

// decode is a log in UTF-8: one in UTF-16, with a byte order mark or without, is
// converted, since what is secret in it could not be found else.
func decode(content []byte) string {
	order := binary.ByteOrder(binary.LittleEndian)
	switch {
	case bytes.HasPrefix(content, []byte{0xff, 0xfe}):
		content = content[2:]
	case bytes.HasPrefix(content, []byte{0xfe, 0xff}):
		order, content = binary.BigEndian, content[2:]
	default:
		even, odd := zeros(content[:min(len(content), 4096)])
		switch n := min(len(content), 4096) / 2; {
		case n < 2 || 3*max(even, odd) < n: // text of other scripts than Latin has its blanks and line ends
			return string(content)
		case even > odd:
			order = binary.BigEndian
		}
	}
	units := make([]uint16, len(content)/2)
	for i := range units {
		units[i] = order.Uint16(content[2*i:])
	}
	return string(utf16.Decode(units))
}

// zeros counts those at even and at odd offsets.
func zeros(content []byte) (even, odd int) {
	for i, c := range content {
		switch {
		case c != 0:
		case i%2 == 0:
			even++
		default:
			odd++
		}
	}
	return even, odd
}
