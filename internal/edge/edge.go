// Package edge is the edge where text leaves the plugin: every line is made
// safe for terminals and CI logs there, and credentials in addresses are taken
// out, whoever wrote them.
package edge

import (
	"io"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// logLine is the length of a line in a log, which may hold what a screen
// should not.
const logLine = 64 << 10

// Text makes a message of several lines safe.
func Text(s string) string { return foreign.Lines(weburl.Redact(s)) }

// Error returns an error with a safe text and the chain of err; nil for nil.
func Error(err error) error {
	if err == nil {
		return nil
	}
	return &safe{err}
}

type safe struct{ err error }

func (s *safe) Error() string { return Text(s.err.Error()) }
func (s *safe) Unwrap() error { return s.err }

// Texts makes each text safe.
func Texts(list []string) []string {
	for i, s := range list {
		list[i] = Text(s)
	}
	return list
}

// Writer makes safe what is written through it. Every Write has to bring whole
// lines, as those of packages fmt and log do.
type Writer struct {
	to  io.Writer
	max int
}

// Screen returns a Writer for standard output or standard error.
func Screen(to io.Writer) *Writer { return &Writer{to, foreign.MaxLine} }

// Log returns a Writer for the log.
func Log(to io.Writer) *Writer { return &Writer{to, logLine} }

// Write implements io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	text := string(p)
	end := ""
	if n := len(text); n > 0 && text[n-1] == '\n' {
		text, end = text[:n-1], "\n"
	}
	if _, err := io.WriteString(w.to, foreign.LinesLimit(weburl.Redact(text), w.max)+end); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Raw is the writer beneath, for documents that are safe as they are and must
// not be cut.
func (w *Writer) Raw() io.Writer { return w.to }
