// Package foreigntest is for tests: text that would hurt its reader, and what
// tells whether an output still does. It shares nothing with package foreign.
package foreigntest

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hostile is one line of text with everything that terminals and CI systems
// act on. It can stand in XML if XML is set.
const Hostile = "::set-output name=x::EVIL\x1b[2J\x1b]0;title\a\x1b]52;c;cm0=\x1b\\\x1bPq\x9b\u009b31m\r::add-mask::EVIL\b\b\x00##vso[task.setvariable variable=x]EVIL ##[error]EVIL ##teamcity[buildStop] section_start:0:x\r\x1b[0K\u202eevil\u2066\u200b\u2028::error::EVIL\u0085"

// HostileXML is the part of Hostile that XML 1.0 can hold.
const HostileXML = "::set-output name=x::EVIL\u009b31m##vso[task.setvariable variable=x]EVIL ##[error]EVIL ##teamcity[buildStop] section_start:0:x\u202eevil\u2066\u200b\u2028::error::EVIL\u0085"

// obeyed is what CI systems look for, in their own words: GitHub Actions trims
// white space and wants ::, and finds ##[ anywhere, as Azure Pipelines does
// ##vso[ and TeamCity ##teamcity[; GitLab folds sections, Buildkite groups.
var obeyed = regexp.MustCompile(`(?im)^[\s\p{Z}]*::|##[a-z]*\[|section_(start|end):\d+:|^\s*(---|\+\+\+|~~~|\^\^\^) `)

// Harm says what in an output is not fit to be shown, "" for none. Line feeds
// are allowed.
func Harm(output string) string {
	if !utf8.ValidString(output) {
		return "invalid UTF-8"
	}
	if m := obeyed.FindString(output); m != "" {
		return fmt.Sprintf("a command: %q", m)
	}
	runes := []rune(output)
	for i, r := range runes {
		switch {
		case r == '\n':
		case unicode.IsControl(r):
			return fmt.Sprintf("a control character: %q", r)
		case r == '\u200d' && i > 0 && i+1 < len(runes) && runes[i-1] > 0x2000 && runes[i+1] > 0x2000: // joins emoji
		case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs):
			return fmt.Sprintf("an invisible character: %q", r)
		case unicode.Is(unicode.Variation_Selector, r) && i == 0:
			return "a form of nothing"
		}
	}
	if strings.Contains(output, "TopSecret") {
		return "a secret"
	}
	return ""
}
