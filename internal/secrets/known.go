package secrets

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// short: a text of fewer bytes is in every other word. Replacing it everywhere would
// spell the secret out instead of hiding it.
const short = 4

// Known takes secrets that are known out of texts. Its zero value knows none. It does not
// change, and may be used by several goroutines.
type Known struct {
	anywhere *strings.Replacer
	// whole are the short ones: they are hidden where they are all of a text, in quotes or
	// between tags, or behind a word that announces a password.
	whole  map[string]bool
	places []*regexp.Regexp
}

// Know makes a Known of secrets, each in the spellings that programs give it. Empty ones
// are none.
func Know(list ...string) *Known {
	var long []string
	k := &Known{whole: map[string]bool{}}
	for _, secret := range list {
		for i, s := range Spelt(secret) {
			if len(secret) < short && i < plain {
				k.whole[s] = true
			} else {
				long = append(long, s)
			}
		}
	}
	for s := range k.whole {
		if !utf8.ValidString(s) {
			continue // no pattern has it
		}
		q := `(?-i:` + regexp.QuoteMeta(s) + `)`
		k.places = append(k.places,
			regexp.MustCompile(`"(`+q+`)"|'(`+q+`)'|>(`+q+`)<|`+"`("+q+")`"),
			regexp.MustCompile(`(?i)(?:pass(?:word|wd|phrase)?|pwd|secret|token|kennwort|mot de passe)\w*(?:\s+(?:is|was|of|value))?[\s"'=:>(\[]+(`+q+`)(?:[^0-9A-Za-z]|$)`))
	}
	// The longest first: one may hold another.
	slices.SortFunc(long, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range slices.Compact(long) {
		pairs = append(pairs, s, Redacted)
	}
	k.anywhere = strings.NewReplacer(pairs...)
	return k
}

// Hide takes them out of a text.
func (k *Known) Hide(text string) string {
	if k == nil || k.anywhere == nil {
		return text
	}
	text = k.anywhere.Replace(text)
	if len(k.whole) == 0 {
		return text
	}
	if inner := strings.TrimSpace(text); k.whole[inner] {
		return strings.Replace(text, inner, Redacted, 1)
	}
	for _, p := range k.places {
		text = hideIn(p, text)
	}
	return text
}

// plain is how many of the spellings are about as short as the secret.
const plain = 5

// Spelt is a secret as it may stand in a log: plain, on a command line, in XML, in JSON, in
// base64 of its bytes and of its UTF-16. The caller must not print the result.
func Spelt(s string) []string {
	if s == "" {
		return nil
	}
	var inXML strings.Builder
	_ = xml.EscapeText(&inXML, []byte(s)) // a Builder takes all
	inJSON, _ := json.Marshal(s)          // as it does text
	var wide []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	return []string{ // first the plain ones
		s, strings.ReplaceAll(s, `"`, `\"`), strings.ReplaceAll(s, `"`, `""`), inXML.String(), string(inJSON[1 : len(inJSON)-1]),
		base64.StdEncoding.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString(wide),
	}
}
