package sysprep

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf16"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

const redacted = "<sensitive>"

// minSecret: shorter texts are in every other word; replacing them would
// spell the secret out instead of hiding it.
const minSecret = 4

// secrets lists what must not be seen of a run, with others.
func (c *Config) secrets(others ...string) []string {
	passwords := append(slices.Clone(others), c.ElevatedPassword)
	if c.WinRM != nil {
		passwords = append(passwords, c.WinRM.Password)
	}
	if c.answer.file != nil {
		passwords = append(passwords, answerfile.Secrets(c.answer.file)...)
	}
	if c.answer.block != nil {
		passwords = append(passwords, answerfile.SecretsOfCommands(c.answer.block.SetupComplete)...)
	}
	var all []string
	for _, p := range passwords {
		all = append(all, spelt(p)...)
	}
	all = slices.DeleteFunc(all, func(s string) bool { return len(s) < minSecret })
	// The longest first: one may hold another.
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(all)
}

// spelt is a password as it may stand in a log: plain, on a command line, in XML, in
// JSON, in base64 of its bytes and of its UTF-16.
func spelt(s string) []string {
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
	return []string{
		s, strings.ReplaceAll(s, `"`, `\"`), strings.ReplaceAll(s, `"`, `""`), inXML.String(), strings.Trim(string(inJSON), `"`),
		base64.StdEncoding.EncodeToString([]byte(s)), base64.StdEncoding.EncodeToString(wide),
	}
}

// scrubber takes secrets out of a text. Copies of it learn of more together.
type scrubber struct {
	replacer *atomic.Pointer[strings.Replacer]
}

func newScrubber(secrets []string) scrubber {
	s := scrubber{new(atomic.Pointer[strings.Replacer])}
	s.hide(secrets)
	return s
}

// hide makes these the secrets to take out.
func (s scrubber) hide(secrets []string) {
	var pairs []string
	for _, s := range secrets {
		pairs = append(pairs, s, redacted)
	}
	s.replacer.Store(strings.NewReplacer(pairs...))
}

// text takes them out. The head of an error is from a list of words that is known to
// all: there they hide nothing, and the builder has to read it.
func (s scrubber) text(t string) string {
	_, rest := verdict.CutHead(t)
	return t[:len(t)-len(rest)] + s.replacer.Load().Replace(rest)
}

// scrubUI is a Ui that never shows a secret.
type scrubUI struct {
	packersdk.Ui
	scrub scrubber
}

func (u scrubUI) Say(text string)              { u.Ui.Say(u.scrub.text(text)) }
func (u scrubUI) Error(text string)            { u.Ui.Error(u.scrub.text(text)) }
func (u scrubUI) Sayf(f string, args ...any)   { u.Say(fmt.Sprintf(f, args...)) }
func (u scrubUI) Errorf(f string, args ...any) { u.Error(fmt.Sprintf(f, args...)) }

// scrubWriter is a log output that never shows a secret. The log package
// writes a whole message at once.
type scrubWriter struct {
	io.Writer
	scrub scrubber
}

func (w scrubWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, w.scrub.text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
