package sysprep

import (
	"io"
	"slices"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
)

// toldUI keeps whatever it is told, by whichever of its methods.
type toldUI struct {
	packersdk.Ui
	texts []string
}

func (u *toldUI) keep(texts ...string)              { u.texts = append(u.texts, texts...) }
func (u *toldUI) Say(text string)                   { u.keep(text) }
func (u *toldUI) Error(text string)                 { u.keep(text) }
func (u *toldUI) Message(text string)               { u.keep(text) }
func (u *toldUI) Ask(text string) (string, error)   { u.keep(text); return "", nil }
func (u *toldUI) Machine(_ string, texts ...string) { u.keep(texts...) }
func (u *toldUI) TrackProgress(text string, _, _ int64, body io.ReadCloser) io.ReadCloser {
	u.keep(text)
	return body
}

func TestNoMethodOfTheUiShowsASecret(t *testing.T) {
	told := &toldUI{}
	u := scrubUI{told, newScrubber([]string{"Canary-1"})}
	const text = "with Canary-1"
	u.Say(text)
	u.Sayf("%s", text)
	u.Error(text)
	u.Errorf("%s", text)
	u.Message(text)
	_, _ = u.Ask(text)
	_, _ = u.Askf("%s", text)
	args := []string{text}
	u.Machine("x", args...)
	u.TrackProgress(text, 0, 0, nil)
	if len(told.texts) != 9 || slices.ContainsFunc(told.texts, func(s string) bool { return strings.Contains(s, "Canary") || !strings.Contains(s, secrets.Redacted) }) || args[0] != text {
		t.Errorf("%q", told.texts)
	}
}
