package sysprep

import (
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

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
	return passwords
}

// scrubber takes secrets out of a text. Copies of it learn of more together.
type scrubber struct {
	known *atomic.Pointer[secrets.Known]
}

func newScrubber(list []string) scrubber {
	s := scrubber{new(atomic.Pointer[secrets.Known])}
	s.hide(list)
	return s
}

// hide makes these the secrets to take out.
func (s scrubber) hide(list []string) { s.known.Store(secrets.Know(list...)) }

// text takes them out. The head of an error is from a list of words that is known to
// all: there they hide nothing, and the builder has to read it.
func (s scrubber) text(t string) string {
	_, rest := verdict.CutHead(t)
	return t[:len(t)-len(rest)] + s.known.Load().Hide(rest)
}

// kept is a text as it may stand in a file: what looks like a secret is taken out too.
func (s scrubber) kept(t string) string { return secrets.Scrub(s.text(t)) }

// scrubUI is a Ui that never shows a secret.
type scrubUI struct {
	packersdk.Ui
	scrub scrubber
}

func (u scrubUI) Say(text string)              { u.Ui.Say(u.scrub.text(text)) }
func (u scrubUI) Error(text string)            { u.Ui.Error(u.scrub.text(text)) }
func (u scrubUI) Message(text string)          { u.Say(text) } // Message is deprecated for it
func (u scrubUI) Sayf(f string, args ...any)   { u.Say(fmt.Sprintf(f, args...)) }
func (u scrubUI) Errorf(f string, args ...any) { u.Error(fmt.Sprintf(f, args...)) }

func (u scrubUI) Ask(query string) (string, error)           { return u.Ui.Ask(u.scrub.text(query)) }
func (u scrubUI) Askf(f string, args ...any) (string, error) { return u.Ask(fmt.Sprintf(f, args...)) }

func (u scrubUI) Machine(category string, args ...string) {
	safe := make([]string, len(args))
	for i, text := range args {
		safe[i] = u.scrub.text(text)
	}
	u.Ui.Machine(category, safe...)
}

func (u scrubUI) TrackProgress(src string, at, of int64, body io.ReadCloser) io.ReadCloser {
	return u.Ui.TrackProgress(u.scrub.text(src), at, of, body)
}

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
