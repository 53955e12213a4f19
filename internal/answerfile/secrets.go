package answerfile

import (
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
)

// secretText finds what looks like a password in a comment or a command line:
// name=value, name: value, an element, a registry value, a switch.
var secretText = []struct {
	// words: without one of them in the text, in small letters, the pattern is not
	// tried.
	words   []string
	pattern *regexp.Regexp
}{
	// A form in an address, as generators of answer files leave it, and settings.
	{[]string{"password", "passwd", "passphrase", "pwd", "secret", "apikey", "api_key", "accesskey", "access_key", "token", "adminpass", "admin_pass"}, regexp.MustCompile(`(?i)(?:password|passwd|admin_?pass|passphrase|pwd|apikey|api_key|accesskey|access_key|(?:\b|_)(?:secret|token))[0-9]*["']?\s*[=:]\s*["']?([^\s"'&<>;,]+)`)},
	// An element that is commented out.
	{[]string{"password>"}, regexp.MustCompile(`(?is)<\w*Password>\s*(?:<Value>)?\s*([^\s<]+)`)},
	// reg add ... /v DefaultPassword ... /d value
	{[]string{"password"}, regexp.MustCompile(`(?i)/v\s+"?\w*password\w*"?(?:\s+/\w(?:\s+REG_\w+)?)*?\s+(?:/t\s+\w+\s+)?/d\s+("[^"]+"|\S+)`)},
	// net user NAME PASSWORD
	{[]string{"user "}, regexp.MustCompile(`(?i)\bnet1?(?:\.exe)?\s+user\s+(?:"[^"]*"|[^\s/"]+)\s+("[^"]+"|[^\s/&|>*"][^\s&|>"]*)`)},
	// -Password value, /password value, -AsPlainText value, /rp value, /pass:value
	{[]string{"password", "pwd", "pass", "/rp", "-rp"}, regexp.MustCompile(`(?i)(?:^|\s)(?:-{1,2}|/)(?:\w*password|pwd|pass|rp|passphrase|userpass)(?:\s+|[:=])("[^"]+"|'[^']+'|[^\s"'/$(-][^\s"']*)`)},
	// net use Z: \\SERVER\SHARE PASSWORD
	{[]string{"use "}, regexp.MustCompile(`(?i)\bnet1?(?:\.exe)?\s+use\s+(?:\S:\s+|\*\s+)?"?\\\\[^\s"]+"?\s+("[^"]+"|[^\s/&|>*"][^\s&|>"]*)`)},
	// Set-ItemProperty ... -Name DefaultPassword -Value value
	{[]string{"password"}, regexp.MustCompile(`(?i)-Name\s+["']?\w*password["']?(?:\s+-(?:PropertyType|Type)\s+\w+|\s+-Force)*\s+-Value\s+("[^"$]+"|'[^']+'|[^\s"'$(-][^\s"']*)`)},
	// Sysinternals: autologon USER DOMAIN PASSWORD, psexec -u USER -p PASSWORD
	{[]string{"autologon"}, regexp.MustCompile(`(?i)\bautologon(?:64)?(?:\.exe)?"?(?:\s+[/-]accepteula)?\s+[^\s/=<>-]\S*\s+\S+\s+("[^"]+"|[^\s/"-]\S*)`)},
	{[]string{"psexec"}, regexp.MustCompile(`(?i)\bpsexec(?:64)?(?:\.exe)?\b[^\r\n]*?\s[-/]p\s+("[^"]+"|[^\s"]\S*)`)},
	// "value" | ConvertTo-SecureString
	{[]string{"securestring"}, regexp.MustCompile(`(?i)("[^"$]+"|'[^']+')\s*\|\s*ConvertTo-SecureString`)},
	{[]string{"private key"}, regexp.MustCompile(`-----(BEGIN (?:[A-Z]+ )*PRIVATE KEY)-----`)},
	{[]string{"securestring"}, regexp.MustCompile(`(?i)ConvertTo-SecureString\s+(?:-String\s+)?("[^"$]+"|'[^']+'|[^\s"'$(-][^\s"']*)`)},
}

// notSecretWords are what stands in place of a password.
var notSecretWords = regexp.MustCompile(`(?i)^(?:\*+|true|false|yes|no|none|null|never|0|1|x{3,}|<.*|%\w+%|\$.*|\{\{.*|/.*|-.*|!\w+!|[(\[][A-Za-z$].*|@[({].*|(?:Get|Read|Convert|ConvertTo|ConvertFrom|New|Import|Invoke)-\w+)$`)

// productKeyText finds a product key anywhere in a text. The letters are those
// of the keys that Windows takes.
var productKeyText = regexp.MustCompile(`(?i)\b[BCDFGHJKMNPQRTVWXY2-9]{5}(?:-[BCDFGHJKMNPQRTVWXY2-9]{5}){4}\b`)

// maxSecretText is how much of a command or comment is searched, in bytes.
const maxSecretText = 256 << 10

// maxBefore is how much of a match can stand before the word of its pattern.
const maxBefore = 200

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

// secretsInText returns what looks like a password in a command or a comment.
func secretsInText(text string) (found []string) {
	text = text[:min(len(text), maxSecretText)]
	lower := asciiLower(text)
	for _, kind := range secretText {
		first := -1
		for _, word := range kind.words {
			if i := strings.Index(lower, word); i >= 0 && (first < 0 || i < first) {
				first = i
			}
		}
		if first < 0 {
			continue
		}
		// A pattern begins a little before its word.
		for _, m := range kind.pattern.FindAllStringSubmatch(text[max(first-maxBefore, 0):], 100) {
			if s := strings.Trim(m[1], `"'`); s != "" && !notSecretWords.MatchString(s) {
				found = append(found, s)
			}
		}
	}
	if strings.Contains(text, "-") {
		for _, key := range productKeyText.FindAllString(text, 100) {
			if !isPublishedKey(key) && !isPlaceholder(key) {
				found = append(found, key)
			}
		}
	}
	return found
}

// isPlaceholder reports whether a product key has a group of one letter only,
// as XXXXX-XXXXX has.
func isPlaceholder(key string) bool {
	for group := range strings.SplitSeq(key, "-") {
		if strings.Count(group, group[:1]) == len(group) {
			return true
		}
	}
	return false
}

// SecretLines returns the numbers of the lines of a text, from 1, that seem to
// hold a password or a product key: of a script, a history, a configuration. Of a
// line the first 4096 bytes are searched.
func SecretLines(text string) (lines []int) {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if len(secretsInText(line[:min(len(line), maxSecretLine)])) > 0 {
			lines = append(lines, n)
		}
	}
	return lines
}

// maxSecretLine is in bytes.
const maxSecretLine = 4 << 10

// Secrets returns every text that must not be seen in a log: passwords and
// product keys as they stand in the file, plain, encoded as Windows does, and
// as XML text, and what looks like one in a command or comment. Published
// volume licence keys are no secret. The caller must not print the result.
func Secrets(f *File) []string {
	seen := map[string]bool{}
	var secrets []string
	add := func(s string) {
		if s != "" && !seen[s] {
			seen[s] = true
			secrets = append(secrets, s)
		}
	}
	addAll := func(s string) {
		add(s)
		add(strings.TrimSpace(s))
		add(escapeText(s))
		var b strings.Builder
		// What other programs write: quotes as character references too.
		if xml.EscapeText(&b, []byte(s)) == nil {
			add(b.String())
		}
	}
	// A short word of a command or comment may stand in any log.
	guess := func(text string) {
		for _, s := range secretsInText(text) {
			if len(s) >= 6 {
				addAll(s)
			}
		}
	}
	var visit func(e *Element, parent string)
	visit = func(e *Element, parent string) {
		switch s := secretOf(e, parent); s.kind {
		case productKey:
			if !isPublishedKey(s.plain) {
				addAll(s.text)
			}
		case plainSecret, encodedSecret, brokenSecret:
			addAll(s.text)
			addAll(s.plain)
			if s.plain != "" {
				for _, name := range passwordElements {
					add(EncodePassword(s.plain, name))
				}
			}
		}
		if isCommand(e, parent) {
			guess(e.Text)
		}
		for _, c := range e.Children {
			visit(c, e.Name.Local)
		}
	}
	visit(f.Root, "")
	for _, c := range f.comments {
		if !c.directive() {
			guess(c.text)
		}
	}
	return secrets
}

// SecretSettings lists where a file holds passwords and product keys, as
// "pass setting", and commands and comments that seem to hold a password.
// Published volume licence keys are no secret, and what Windows has scrubbed is
// none any more.
func SecretSettings(f *File) []string {
	l := &linter{file: f}
	for _, p := range f.Passes() {
		for _, c := range p.Components() {
			l.walk(p, c, c.Element, nil, "", "")
		}
	}
	var places []string
	for _, n := range l.nodes {
		switch s := n.secret(); s.kind {
		case productKey:
			if isPublishedKey(s.plain) {
				continue
			}
		case plainSecret, encodedSecret, brokenSecret:
		default:
			if !n.command() || len(secretsInText(n.el.Text)) == 0 {
				continue
			}
		}
		places = append(places, quotable(n.pass.Name())+" "+n.where)
	}
	for _, c := range f.comments {
		if !c.directive() && len(secretsInText(c.text)) > 0 {
			places = append(places, fmt.Sprintf("comment on line %d", c.line))
		}
	}
	return places
}

// SecretsOfCommands returns what looks like a password in command lines. The
// caller must not print the result.
func SecretsOfCommands(lines []string) (secrets []string) {
	for _, line := range lines {
		secrets = append(secrets, secretsInText(line)...)
	}
	return secrets
}

// isCommand reports whether an element holds a command line, by its name.
func isCommand(e *Element, parent string) bool {
	return len(e.Children) == 0 && (e.Name.Local == "CommandLine" || e.Name.Local == "Path" && strings.HasSuffix(parent, "Command"))
}
