package answerfile

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
)

// secretsInText returns what looks like a password or a product key in a command or a
// comment.
func secretsInText(text string) []string {
	found := secrets.Find(text)
	for _, key := range secrets.Keys(text) {
		if !isPublishedKey(key) && !isPlaceholder(key) {
			found = append(found, key)
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
	var all []string
	add := func(s string) {
		if s != "" && !seen[s] {
			seen[s] = true
			all = append(all, s)
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
	for _, e := range f.scripts() {
		for line := range strings.Lines(e.Text) {
			guess(line[:min(len(line), maxSecretLine)])
		}
	}
	for _, c := range f.comments {
		if !c.directive() {
			guess(c.text)
		}
	}
	return all
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
	for _, e := range f.scripts() {
		if len(SecretLines(e.Text)) > 0 {
			places = append(places, fmt.Sprintf("%s on line %d", quotable(e.Name.Local), e.Line))
		}
	}
	for _, c := range f.comments {
		if !c.directive() && len(secretsInText(c.text)) > 0 {
			places = append(places, fmt.Sprintf("comment on line %d", c.line))
		}
	}
	return places
}

// scripts are the elements with text that stand beside the passes, as generators of
// answer files write them: Windows does not read them, keeps them in its copies of
// the file, and the scripts of the file take them from there.
func (f *File) scripts() (all []*Element) {
	var visit func(e *Element)
	visit = func(e *Element) {
		if e.Text != "" {
			all = append(all, e)
		}
		for _, c := range e.Children {
			visit(c)
		}
	}
	for _, c := range f.Root.Children {
		if c.Name.Local != "settings" || c.Name.Space != Namespace {
			visit(c)
		}
	}
	return all
}

// SecretsOfCommands returns what looks like a password in command lines. The
// caller must not print the result.
func SecretsOfCommands(lines []string) (found []string) {
	for _, line := range lines {
		found = append(found, secretsInText(line)...)
	}
	return found
}

// isCommand reports whether an element holds a command line, by its name.
func isCommand(e *Element, parent string) bool {
	return len(e.Children) == 0 && (e.Name.Local == "CommandLine" || e.Name.Local == "Path" && strings.HasSuffix(parent, "Command"))
}
