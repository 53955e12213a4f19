// Package secrets knows the forms in which command lines, settings and logs hold a
// password or a product key, and hides those: Scrub what is told by its form alone,
// Known what the run was given. Whatever finds or hides a secret by its form does it here,
// so that a form which is known to one is known to all.
package secrets

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// Redacted stands where something secret stood.
const Redacted = "<sensitive>"

// form is one way in which a text gives a secret. Group 1 of its patterns is the secret,
// quotes around it included.
type form struct {
	name string
	// words: a text without one of them, in small letters, has not the form.
	words []string
	// hides is generous: what it takes too much of is lost to the reader of a log, what it
	// leaves is not secret any more. It is for one line.
	hides *lazyregexp.Regexp
	// finds is narrow, since it accuses: it takes the value alone. nil: the form is no
	// proof that there is a secret. It may go over lines.
	finds *lazyregexp.Regexp
}

const (
	// value is a text as it is hidden: a quote that nobody closes goes to the end of the
	// line, and punctuation at the end belongs to the sentence.
	value = `("[^"\r\n]*"?|'[^'\r\n]*'?|[^\s"'](?:\S*[^\s,;)])?)`
	// words of a setting.
	settings = `password|passwd|admin_?pass|passphrase|pwd|api_?key|access_?key`
	// netUser is the program and the name of an account.
	netUser = `\bnet1?(?:\.exe)?["']?\s+user\s+(?:"[^"\r\n]*"|[^\s/"]+)\s+`
	netUse  = `\bnet1?(?:\.exe)?["']?\s+use\s+(?:\S:\s+|\*\s+)?"?\\\\[^\s"\]]+"?\s+`
	logon   = `\bautologon(?:64)?(?:\.exe)?"?(?:\s+[/-]accepteula)?\s+[^\s/=<>-]\S*\s+\S+\s+`
	psexec  = `\bpsexec(?:64)?(?:\.exe)?\b[^\r\n]*?\s[-/]p\s+`
	regAdd  = `/v\s+"?\w*password\w*"?(?:\s+/\w(?:\s+REG_\w+)?)*?\s+(?:/t\s+\w+\s+)?/d\s+`
	setItem = `-Name\s+["']?\w*password["']?(?:\s+-(?:PropertyType|Type)\s+\w+|\s+-Force)*\s+-Value\s+`
	secure  = `ConvertTo-SecureString\s+(?:-String\s+)?`
	// notSwitch is a value of a command line that is no other switch.
	notSwitch = `("[^"\r\n]+"?|[^\s/"-]\S*)`
)

var forms = []form{
	{"setting", []string{"pass", "pwd", "secret", "token", "apikey", "api_key", "accesskey", "access_key"},
		lazyregexp.New(`(?i)(?:` + settings + `|secret|(?:\b|_)token)\w*["']?\s*(?:=>|[=:])\s*` + value),
		lazyregexp.New(`(?i)(?:` + settings + `|(?:\b|_)(?:secret|token))[0-9]*["']?\s*[=:]\s*["']?([^\s"'&<>;,]+)`)},
	{"element", []string{"password"}, // <Password><Value>value, and one that is commented out
		lazyregexp.New(`(?i)<(?:\w+:)?\w*Password(?:\s[^<>]*)?>\s*(?:<(?:\w+:)?Value(?:\s[^<>]*)?>)?\s*([^<\r\n]+)`),
		lazyregexp.New(`(?is)<\w*Password>\s*(?:<Value>)?\s*([^\s<]+)`)},
	{"element of a key", []string{"accountdata>", "keymaterial>"},
		lazyregexp.New(`(?i)<(?:\w+:)?(?:AccountData|keyMaterial)>\s*([^<\r\n]+)`), nil},
	{"reg add", []string{"password"},
		lazyregexp.New(`(?i)` + regAdd + `("[^"\r\n]*"?|\S+)`),
		lazyregexp.New(`(?i)` + regAdd + `("[^"]+"|\S+)`)},
	{"reg add, the data first", []string{"password"}, lazyregexp.New(`(?i)\s/d\s+("[^"\r\n]*"|\S+)\s.*?/v\s+"?\w*password`), nil},
	{"net user", []string{"user"},
		lazyregexp.New(`(?i)` + netUser + `("[^"\r\n]+"?|[^\s/&|>*"]\S*)`),
		lazyregexp.New(`(?i)` + netUser + `("[^"]+"|[^\s/&|>*"][^\s&|>"]*)`)},
	{"net use", []string{"use"},
		lazyregexp.New(`(?i)` + netUse + `("[^"\r\n]+"?|[^\s/&|>*"]\S*)`),
		lazyregexp.New(`(?i)` + netUse + `("[^"]+"|[^\s/&|>*"][^\s&|>"]*)`)},
	{"password behind a user", []string{"user"}, // net use ... /user:NAME value
		lazyregexp.New(`(?i)[-/]user(?:name)?[:\s]\s*(?:"[^"\r\n]*"|[^\s"]+)\s+` + notSwitch), nil},
	{"switch", []string{"pass", "pwd", "/rp", "-rp", "secret", "token"}, // -Password value, /rp value, /pass:value
		lazyregexp.New(`(?i)(?:^|[\s"'(,;\[])(?:-{1,2}|/)(?:(?:\w*password|passwd|passphrase|pass|pwd|userpass|secret|token)\w*(?:\s+|\s*[=:]\s*)|rp\s+)` + value),
		lazyregexp.New(`(?i)(?:^|\s)(?:-{1,2}|/)(?:\w*password|pwd|pass|rp|passphrase|userpass)(?:\s+|[:=])("[^"]+"|'[^']+'|[^\s"'/$(-][^\s"']*)`)},
	{"Set-ItemProperty", []string{"password"},
		lazyregexp.New(`(?i)` + setItem + value),
		lazyregexp.New(`(?i)` + setItem + `("[^"$]+"|'[^']+'|[^\s"'$(-][^\s"']*)`)},
	{"autologon", []string{"autologon"}, // Sysinternals: USER DOMAIN PASSWORD
		lazyregexp.New(`(?i)` + strings.Replace(logon, `(?:\.exe)?"?`, `\.exe"?`, 1) + notSwitch),
		lazyregexp.New(`(?i)` + logon + `("[^"]+"|[^\s/"-]\S*)`)},
	{"psexec", []string{"psexec"},
		lazyregexp.New(`(?i)` + psexec + `("[^"\r\n]+"?|[^\s"]\S*)`),
		lazyregexp.New(`(?i)` + psexec + `("[^"]+"|[^\s"]\S*)`)},
	{"into a secure string", []string{"securestring"},
		lazyregexp.New(`(?i)("[^"$\r\n]+"|'[^'\r\n]+')\s*\|\s*ConvertTo-SecureString`),
		lazyregexp.New(`(?i)("[^"$]+"|'[^']+')\s*\|\s*ConvertTo-SecureString`)},
	{"secure string", []string{"securestring"},
		lazyregexp.New(`(?i)` + secure + `("[^"\r\n]*"?|'[^'\r\n]*'?|[^\s"'$(-][^\s"']*)`),
		lazyregexp.New(`(?i)` + secure + `("[^"$]+"|'[^']+'|[^\s"'$(-][^\s"']*)`)},
	{"private key", []string{"private key"}, // its lines: see Scrub
		lazyregexp.New(`-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----(\S+)`),
		lazyregexp.New(`-----(BEGIN (?:[A-Z]+ )*PRIVATE KEY)-----`)},
	{"header", []string{"authorization"}, lazyregexp.New(`(?i)\bauthorization["']?\s*[=:]\s*["']?(?:basic|bearer|negotiate|ntlm)\s+([^\s"']+)`),
		lazyregexp.New(`(?i)\bauthorization["']?\s*[=:]\s*["']?(?:basic|bearer)\s+([A-Za-z0-9+/=._~-]{8,})`)},
	{"account in an address", []string{"://"}, lazyregexp.New(`://[^/\s:@]*:([^/\s]+)@`),
		lazyregexp.New(`://[^/\s:@"'<>]+:([^/\s@"'<>$%{]+)@[A-Za-z0-9]`)},
	{"signature in an address", []string{"sig"}, lazyregexp.New(`(?i)[?&](?:sig|signature|x-amz-signature|x-goog-signature)=([^&\s"'<>]+)`),
		lazyregexp.New(`(?i)[?&](?:sig|x-amz-signature|x-goog-signature)=([A-Za-z0-9%+/=_-]{20,})`)},
	{"encoded command", []string{" -e", "\t-e", " /e"}, lazyregexp.New(`(?i)\s[-/]e(?:nc?|ncodedcommand)?\s+([A-Za-z0-9+/=]{40,})`), nil},
	{"refused value in hexadecimal", []string{"bytes ("}, lazyregexp.New(`(?i)bytes \(\s*\d+\s*\): ([0-9a-f.]+)`), nil}, // of SMI, in setupact.log
}

// anyKey is a product key by its form. A published one is hidden too, which nobody misses.
var anyKey = lazyregexp.New(`\b([0-9A-Za-z]{5}(?:-[0-9A-Za-z]{5}){4})\b`)

// has reports whether a text, in small letters, has one of the words, and where the first
// of them is.
func (f form) has(small string) (first int, found bool) {
	first = len(small)
	for _, word := range f.words {
		if i := strings.Index(small, word); i >= 0 {
			first, found = min(first, i), true
		}
	}
	return first, found
}

// Scrub takes out of a text what looks like a password in a command line or a setting,
// private keys, and product keys. It works by line, in any amount of text.
func Scrub(text string) string {
	var b strings.Builder
	var s scrubbing
	for len(text) > 0 {
		line := text
		if i := strings.IndexByte(text, '\n'); i >= 0 {
			line = text[:i+1]
		}
		text = text[len(line):]
		b.WriteString(s.line(line))
	}
	return b.String()
}

// scrubbing is what the lines before tell of the next.
type scrubbing struct {
	inKey bool // a private key has begun
	// value is how many lines may follow until the value of an element for a password.
	value int
}

var (
	keyBegins     = lazyregexp.New(`-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s*$`)
	keyEnds       = lazyregexp.New(`-----END (?:[A-Z]+ )*PRIVATE KEY-----`)
	elementBegins = lazyregexp.New(`(?i)<(?:\w+:)?\w*Password(?:\s[^<>]*)?>\s*$`)
	elementValue  = lazyregexp.New(`(?i)(?:^|<(?:\w+:)?Value(?:\s[^<>]*)?>)\s*([^<\s][^<\r\n]*)`)
)

func (s *scrubbing) line(line string) string {
	switch {
	case s.inKey && keyEnds.MatchString(line):
		s.inKey = false
	case s.inKey && strings.TrimSpace(line) != "":
		return Redacted + line[len(strings.TrimRight(line, "\r\n")):]
	}
	small := asciiLower(line)
	if s.value > 0 {
		s.value--
		if elementValue.MatchString(line) {
			line, s.value = hideIn(elementValue, line), 0
		}
	}
	for _, f := range forms {
		if _, found := f.has(small); found {
			line = hideIn(f.hides, line)
		}
	}
	if strings.Count(small, "-") >= 4 {
		line = hideIn(anyKey, line)
	}
	if strings.Contains(small, "password") && elementBegins.MatchString(line) {
		s.value = 2
	}
	s.inKey = s.inKey || strings.Contains(small, "private key") && keyBegins.MatchString(line)
	return line
}

// hideIn puts Redacted where the group of the pattern matches: the first that does, where
// its alternatives have one each.
func hideIn(pattern interface {
	FindAllStringSubmatchIndex(text string, n int) [][]int
}, text string) string {
	matches := pattern.FindAllStringSubmatchIndex(text, -1)
	if len(matches) == 0 {
		return text
	}
	var b strings.Builder
	at := 0
	for _, m := range matches {
		for g := 2; g < len(m); g += 2 {
			if m[g] >= 0 {
				b.WriteString(text[at:m[g]])
				b.WriteString(Redacted)
				at = m[g+1]
				break
			}
		}
	}
	b.WriteString(text[at:])
	return b.String()
}

// notSecret is what stands in place of a password.
var notSecret = lazyregexp.New(`(?i)^(?:\*+|true|false|yes|no|none|null|never|0|1|x{3,}|<.*|%\w+%|\$.*|\{\{.*|/.*|-.*|!\w+!|[(\[][A-Za-z$].*|@[({].*|(?:Get|Read|Convert|ConvertTo|ConvertFrom|New|Import|Invoke)-\w+)$`)

const (
	// maxFind is how much of a text is searched, in bytes, and maxFound how many secrets
	// of a form are found in it.
	maxFind  = 256 << 10
	maxFound = 100
	// maxBefore is how much of a match can stand before the word of its form.
	maxBefore = 200
)

// Find returns what looks like a password in a command or a comment, each value without
// its quotes, and may return one twice. What stands in place of one, as a variable does,
// is none. Of a text the first 256 KiB are searched. The caller must not print the result.
//
// What PowerShell is given in base64 (-EncodedCommand) is searched as well.
func Find(text string) []string {
	text = text[:min(len(text), maxFind)]
	found := findIn(text)
	for _, command := range decoded(text) {
		found = append(found, findIn(command)...)
	}
	return found
}

// encodedCommand is the switch of PowerShell that takes a script in base64 of
// UTF-16LE, in each of its spellings.
var encodedCommand = lazyregexp.New(`(?i)\s[-/]e(?:c|nc?|nco\w*)?\s+["']?([A-Za-z0-9+/]{40,}={0,2})`)

// decoded are the commands that a text gives in base64.
func decoded(text string) (commands []string) {
	if low := asciiLower(text); !strings.Contains(low, "powershell") && !strings.Contains(low, "pwsh") {
		return nil
	}
	for _, m := range encodedCommand.FindAllStringSubmatch(text, maxFound) {
		b, err := base64.StdEncoding.DecodeString(m[1])
		if err != nil || len(b)%2 != 0 {
			continue
		}
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
		}
		commands = append(commands, string(utf16.Decode(units)))
	}
	return commands
}

func findIn(text string) (found []string) {
	small := asciiLower(text)
	for _, f := range forms {
		if f.finds == nil {
			continue
		}
		first, has := f.has(small)
		if !has {
			continue
		}
		for _, m := range f.finds.FindAllStringSubmatch(text[max(first-maxBefore, 0):], maxFound) {
			if s := strings.Trim(m[1], `"'`); s != "" && !notSecret.MatchString(s) {
				found = append(found, s)
			}
		}
	}
	return found
}

// key finds a product key anywhere in a text. The letters are those of the keys that
// Windows takes.
var key = lazyregexp.New(`(?i)\b[BCDFGHJKMNPQRTVWXY2-9]{5}(?:-[BCDFGHJKMNPQRTVWXY2-9]{5}){4}\b`)

// Keys returns what looks like a product key in a text, of which the first 256 KiB are
// searched: those that are published, and are no secret, too.
func Keys(text string) []string {
	text = text[:min(len(text), maxFind)]
	if strings.Count(text, "-") < 4 {
		return nil
	}
	return key.FindAllString(text, maxFound)
}

// asciiLower writes the capitals A to Z small, and keeps every byte in its place.
func asciiLower(text string) string {
	small := []byte(text)
	for i, c := range small {
		if 'A' <= c && c <= 'Z' {
			small[i] = c + 'a' - 'A'
		}
	}
	return string(small)
}
