// Package console is what the programs of the simulated guest say in the
// language of their Windows, as bytes of the code page that was asked for.
package console

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// UTF8 is the code page that clients ask for; every other is the OEM code page
// of the languages here (850).
const UTF8 = "65001"

// Console is what a program writes to. The zero value is English.
type Console struct {
	Language string // as Languages lists it
	CodePage string
}

// Languages are those that there are texts in, other than English.
func Languages() []string { return slices.Sorted(maps.Keys(texts)) }

// Text is an English message in the console's language and code page. What has
// no text in it, such as paths and values, stays as it is.
func (c Console) Text(format string, args ...any) string {
	known := texts[c.Language]
	if t, ok := known[format]; ok {
		format = t
	}
	if known != nil {
		args = slices.Clone(args)
		for i := range args {
			if s, ok := args[i].(string); ok && known[s] != "" {
				args[i] = known[s]
			}
		}
	}
	return c.encode(fmt.Sprintf(format, args...))
}

func (c Console) encode(s string) string {
	if c.Language == "" || c.CodePage == UTF8 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch o, ok := oem850[r]; {
		case r < 0x80:
			b.WriteByte(byte(r))
		case ok:
			b.WriteByte(o)
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// oem850 is the part of code page 850 that the texts use.
var oem850 = map[rune]byte{
	'ü': 0x81, 'é': 0x82, 'â': 0x83, 'ä': 0x84, 'à': 0x85, 'ç': 0x87, 'ê': 0x88, 'ë': 0x89, 'è': 0x8a, 'ï': 0x8b, 'î': 0x8c,
	'Ä': 0x8e, 'É': 0x90, 'ô': 0x93, 'ö': 0x94, 'û': 0x96, 'ù': 0x97, 'Ö': 0x99, 'Ü': 0x9a, 'ß': 0xe1, '\u00a0': 0xff, '«': 0xae, '»': 0xaf,
}
