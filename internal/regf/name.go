package regf

import (
	"strings"
	"unicode"
	"unicode/utf16"
)

// decodeName decodes the name of a key or value: "compressed" names are
// Latin-1, others UTF-16LE. Unpaired surrogates become U+FFFD.
func decodeName(b []byte, compressed bool) string {
	if !compressed {
		return decodeUTF16(b)
	}
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

// decodeUTF16 decodes UTF-16LE; an odd last byte is dropped.
func decodeUTF16(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = le.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

// upcase maps names the way Windows compares them: unit by unit, without
// mappings that change the length, leave the plane or turn other letters into
// ASCII.
func upcase(s string) string {
	return strings.Map(func(r rune) rune {
		u := unicode.ToUpper(r)
		switch {
		case r < 0x80 || r == u:
			return u
		case u < 0x80, r > 0xffff, r == 0xb5:
			return r
		}
		return u
	}, s)
}

// nameHash is the hash in leaves of kind "lh" (section "Hash leaf"). It is
// exact only for names whose upcasing is beyond doubt.
func nameHash(name string) (hash uint32, exact bool) {
	exact = true
	for _, u := range utf16.Encode([]rune(upcase(name))) {
		exact = exact && u < 0x80
		hash = hash*37 + uint32(u)
	}
	return hash, exact
}
