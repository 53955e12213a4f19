package winsim

import (
	"fmt"
	"io"
	"unicode/utf16"
)

// take puts what a scenario does to PowerShell's output in front of a call, and
// returns what ends it.
func (o PowerShellOutput) take(c *call) (end func()) {
	switch {
	case o.Silent:
		c.Stdout = io.Discard
	case o.UTF16:
		_, _ = c.Stdout.Write([]byte("\xff\xfe")) // nobody is told of a reader that left
		c.Stdout = wide{c.Stdout}
	}
	fmt.Fprint(c.Stdout, o.Prefix)
	return func() { fmt.Fprint(c.Stdout, o.Suffix) }
}

// wide writes UTF-16LE.
type wide struct{ to io.Writer }

func (w wide) Write(p []byte) (int, error) {
	var out []byte
	for _, unit := range utf16.Encode([]rune(string(p))) {
		out = append(out, byte(unit), byte(unit>>8))
	}
	if _, err := w.to.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}
