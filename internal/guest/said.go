package guest

import (
	"bytes"
	"strings"
)

// hidden writes a word for echo that said finds in the answer. The caret is not
// in what cmd.exe shows, so a guest that shows the line itself, as an AutoRun of
// "echo %cmdcmdline%" does, is not taken for one that ran it.
func hidden(word string) string {
	return strings.Replace(marker, "-", "-^", 1) + word
}

// said reports whether the answer's last line ends with a word behind our
// marker. What comes before it is not ours: a banner, escape codes.
func said(out []byte, word string) bool {
	return strings.HasSuffix(lastLine(out), marker+word)
}

// lastLine returns the last line that is not empty.
func lastLine(out []byte) string {
	out = bytes.TrimSpace(bytes.ReplaceAll(out, []byte{0}, nil))
	return strings.TrimSpace(string(out[bytes.LastIndexByte(out, '\n')+1:]))
}
