package files

import (
	"encoding/base64"
	"fmt"
	"io"
)

// lineBytes is how many bytes a line of base64 stands for: a whole number of
// groups, few lines for PowerShell's loop, and little memory for each.
const lineBytes = 24_000

var lineLength = base64.StdEncoding.EncodedLen(lineBytes) + 2

// lines are the bytes of a source as lines of base64. A Read becomes a request, so
// it is filled.
type lines struct {
	from    *source
	offset  int64 // of what is encoded next
	before  func(offset int64)
	left    []byte // of a line that did not fit
	raw     [lineBytes]byte
	encoded []byte
}

// newLines begins with a line for head, nil for none.
func newLines(head []byte, s *source, offset int64, before func(int64)) *lines {
	l := &lines{from: s, offset: offset, before: before, encoded: make([]byte, 0, lineLength)}
	if head != nil {
		l.left = append(base64.StdEncoding.AppendEncode(nil, head), '\r', '\n')
	}
	return l
}

// Len is how much is to be read, so that the end goes with the last bytes.
func (l *lines) Len() int {
	rest := l.from.size - l.offset
	whole := rest / lineBytes
	n := whole * int64(lineLength)
	if last := rest % lineBytes; last > 0 {
		n += int64(base64.StdEncoding.EncodedLen(int(last)) + 2)
	}
	return len(l.left) + int(min(n, 1<<30))
}

// Read is part of io.Reader. What earlier Reads gave has been sent by then.
func (l *lines) Read(p []byte) (int, error) {
	l.before(max(0, l.offset-int64(base64.StdEncoding.DecodedLen(len(l.left)))))
	n := 0
	for n < len(p) {
		if len(l.left) == 0 {
			if l.offset >= l.from.size {
				break
			}
			if err := l.encode(); err != nil {
				return n, err
			}
		}
		m := copy(p[n:], l.left)
		l.left = l.left[m:]
		n += m
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (l *lines) encode() error {
	want := int(min(lineBytes, l.from.size-l.offset))
	n, err := l.from.from.ReadAt(l.raw[:want], l.offset)
	if n < want {
		return fmt.Errorf("reading what is to be sent: it has changed, or: %w", err)
	}
	l.offset += int64(n)
	l.encoded = append(base64.StdEncoding.AppendEncode(l.encoded[:0], l.raw[:n]), '\r', '\n')
	l.left = l.encoded
	return nil
}
