package runlog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"path"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
)

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

// Fit makes a log fit into a bundle: what is secret is taken out by hide, and by its form, and
// what is too long loses its beginning, since a log ends with why it ended. name
// is below the folder.
func (b *Budget) Fit(name string, content []byte, hide func(string) string) ([]byte, File) {
	text := decode(content)
	limit := max(0, min(cmp.Or(b.file, MaxFile), cmp.Or(b.total, MaxTotal)-b.used))
	text, cut := end(text, limit)
	text = secrets.Scrub(hide(text))
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
