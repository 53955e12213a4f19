package answerfile

import (
	"bytes"
	"fmt"
)

// checkTags refuses a start tag of more attributes than any answer file has
// before the decoder reads it, which keeps all of them. What is not well-formed
// is left to the decoder.
func checkTags(text []byte) *Error {
	skip := func(at int, end string) int {
		if n := bytes.Index(text[at:], []byte(end)); n >= 0 {
			return at + n + len(end)
		}
		return len(text)
	}
	for at := 0; ; {
		n := bytes.IndexByte(text[at:], '<')
		if n < 0 {
			return nil
		}
		at += n
		switch rest := text[at:]; {
		case bytes.HasPrefix(rest, []byte("<!--")):
			at = skip(at, "-->")
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			at = skip(at, "]]>")
		case bytes.HasPrefix(rest, []byte("<?")):
			at = skip(at, "?>")
		default:
			values, length := tagValues(rest)
			if values > maxAttributes {
				return &Error{Rule: ruleLimits, Line: 1 + bytes.Count(text[:at], []byte("\n")),
					Problem: fmt.Sprintf("an element with more than %d attributes", maxAttributes), Fix: "check that it is an answer file"}
			}
			at += length
		}
	}
}

// tagValues counts the quoted values of the tag that text begins with, and its
// bytes. It stops where there are too many.
func tagValues(text []byte) (values, length int) {
	for at := 1; at < len(text) && values <= maxAttributes; at++ {
		switch c := text[at]; c {
		case '>':
			return values, at + 1
		case '"', '\'':
			n := bytes.IndexByte(text[at+1:], c)
			if n < 0 {
				return values, len(text)
			}
			values++
			at += n + 1
		}
	}
	return values, len(text)
}
