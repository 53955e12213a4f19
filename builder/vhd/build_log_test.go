package vhd

import (
	"encoding/base64"
	"testing"
)

// The passwords of the communicator are in no text that is kept: in no spelling, and the
// shortest ones where a password is expected.
func TestNoTextOfTheBuildHasItsPasswords(t *testing.T) {
	b := newBench(t, nil)
	b.run.config.Comm.WinRMPassword, b.run.config.Comm.SSHPassword, b.run.config.Comm.SSHBastionPassword = `Can"ary`, "a1", "Canary-3"
	for text, want := range map[string]string{
		`with Can"ary, Can\"ary and ` + base64.StdEncoding.EncodeToString([]byte(`Can"ary`)): "with <sensitive>, <sensitive> and <sensitive>",
		`the login with password "a1" of a123`:                                               `the login with password "<sensitive>" of a123`,
		"a1":                                                                                 "<sensitive>",
		"Canary-3":                                                                           "<sensitive>",
	} {
		if got := b.run.hide(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestTheLoginsThatAreRiskedAreWrittenDown(t *testing.T) {
	for set, want := range map[int]int{0: 4, 7: 7} {
		b := newBench(t, nil)
		b.run.config.LoginAttempts = set
		if got := b.run.config.shown()["login_attempts"]; got != want {
			t.Errorf("login_attempts = %d is written down as %v", set, got)
		}
	}
}
