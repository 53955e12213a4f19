package foreign

import (
	"fmt"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON makes a JSON document safe to be shown without changing what it says:
// characters that do something or cannot be seen, and the beginnings of
// commands for CI systems, become \uXXXX. They can stand in strings only, and
// every reader of JSON turns them back.
func JSON(document []byte) []byte {
	out := make([]byte, 0, len(document))
	for i := 0; i < len(document); {
		r, n := utf8.DecodeRune(document[i:])
		switch {
		case r == '#' || r == 's' || r == 'S':
			if command(string(document[i:min(len(document), i+64)]), false) {
				out = appendUnit(out, uint16(r))
			} else {
				out = append(out, byte(r))
			}
		case r == utf8.RuneError && n == 1:
			out = appendUnit(out, uint16(r))
		case r < 0x7f:
			out = append(out, byte(r)) // encoders have escaped controls
		case unicode.IsGraphic(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector):
			out = append(out, document[i:i+n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = appendUnit(appendUnit(out, uint16(high)), uint16(low))
		default:
			out = appendUnit(out, uint16(r))
		}
		i += n
	}
	return out
}

func appendUnit(out []byte, u uint16) []byte { return fmt.Appendf(out, `\u%04x`, u) }
