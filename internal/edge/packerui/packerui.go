// Package packerui is Packer's Ui for text of the plugin's own: every line is
// made safe, see package edge.
package packerui

import (
	"fmt"
	"io"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
)

type safe struct{ packersdk.Ui }

// Wrap returns a Ui whose lines are safe.
func Wrap(ui packersdk.Ui) packersdk.Ui {
	if ui == nil {
		return nil
	}
	return safe{ui}
}

// Unwrap returns what Wrap was given: for what others say through us, as the
// provisioners of a build, whose colours are their own.
func Unwrap(ui packersdk.Ui) packersdk.Ui {
	if s, ok := ui.(safe); ok {
		return s.Ui
	}
	return ui
}

func (s safe) Say(text string)              { s.Ui.Say(edge.Text(text)) }
func (s safe) Message(text string)          { s.Ui.Say(edge.Text(text)) } // Message is deprecated for it
func (s safe) Error(text string)            { s.Ui.Error(edge.Text(text)) }
func (s safe) Sayf(f string, args ...any)   { s.Say(fmt.Sprintf(f, args...)) }
func (s safe) Errorf(f string, args ...any) { s.Error(fmt.Sprintf(f, args...)) }

func (s safe) Ask(query string) (string, error)           { return s.Ui.Ask(edge.Text(query)) }
func (s safe) Askf(f string, args ...any) (string, error) { return s.Ask(fmt.Sprintf(f, args...)) }
func (s safe) Machine(category string, args ...string)    { s.Ui.Machine(category, safeAll(args)...) }
func (s safe) TrackProgress(src string, at, of int64, body io.ReadCloser) io.ReadCloser {
	return s.Ui.TrackProgress(edge.Text(src), at, of, body)
}

// safeAll leaves the caller's list as it is.
func safeAll(list []string) []string { return edge.Texts(append([]string(nil), list...)) }
