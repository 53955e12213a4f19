package packerui

import (
	"io"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
)

// heard is a Ui that keeps everything it is told.
type heard struct {
	packersdk.Ui
	texts []string
}

func (h *heard) keep(texts ...string)             { h.texts = append(h.texts, texts...) }
func (h *heard) Say(s string)                     { h.keep(s) }
func (h *heard) Error(s string)                   { h.keep(s) }
func (h *heard) Ask(s string) (string, error)     { h.keep(s); return "answer", nil }
func (h *heard) Machine(s string, args ...string) { h.keep(args...) }
func (h *heard) TrackProgress(s string, _, _ int64, body io.ReadCloser) io.ReadCloser {
	h.keep(s)
	return body
}

func TestEveryWordToTheUiIsSafe(t *testing.T) {
	const text = "https://u:TopSecret@h/x?sig=TopSecret " + foreigntest.Hostile + "\n::error::x"
	h := &heard{}
	ui := Wrap(h)
	args := []string{text}
	ui.Say(text)
	ui.Sayf("%s", text)
	ui.Error(text)
	ui.Errorf("%s", text)
	ui.Message(text) //nolint:staticcheck // deprecated, and still there to be called
	ui.Machine("error", args...)
	ui.TrackProgress(text, 0, 0, nil)
	for _, ask := range []func() (string, error){func() (string, error) { return ui.Ask(text) }, func() (string, error) { return ui.Askf("%s", text) }} {
		if answer, err := ask(); answer != "answer" || err != nil {
			t.Errorf("answered %q, %v", answer, err)
		}
	}
	if len(h.texts) != 9 {
		t.Errorf("%d texts arrived", len(h.texts))
	}
	for _, got := range h.texts {
		if harm := foreigntest.Harm(got); harm != "" || strings.Count(got, "\n") != 1 {
			t.Errorf("shown is %s\n%q", harm, got)
		}
	}
	if args[0] != text {
		t.Error("the caller's arguments were changed")
	}
	if Unwrap(ui) != packersdk.Ui(h) || Unwrap(h) != packersdk.Ui(h) || Wrap(nil) != nil {
		t.Error("Unwrap is not Wrap's opposite")
	}
}
