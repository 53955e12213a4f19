package winsim

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/guestexec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
)

// sdkRunner is the SDK's runner of elevated commands for one account.
type sdkRunner struct {
	user, password string
	text           bytes.Buffer
}

func (r *sdkRunner) Communicator() packersdk.Communicator { return uploads{to: r} }
func (r *sdkRunner) ElevatedUser() string                 { return r.user }
func (r *sdkRunner) ElevatedPassword() string             { return r.password }

type uploads struct {
	packersdk.Communicator
	to *sdkRunner
}

func (u uploads) Upload(_ string, in io.Reader, _ *os.FileInfo) error {
	_, err := u.to.text.ReadFrom(in)
	return err
}

// The SDK escapes for PowerShell's own quotes only, and puts the same text into
// XML. What ends a string there, or is no XML, must not run here either.
func TestTheElevatedRunnerCarriesOnlyWhatPowerShellAndXMLTake(t *testing.T) {
	for _, test := range []struct {
		user, password string
		carried        bool
	}{
		{"svc", "secret", true},
		{"svc", `a"b`, true},
		{"svc", `a'b`, true},
		{"svc", "a`b", true},
		{"svc", `a$b$(calc)`, true},
		{"svc", "it\u2019s", true}, // single quotes mean nothing between double ones
		{"svc", "a\u201d; calc #", false},
		{"svc", "a\u201c", false},
		{"svc", "\u201e", false},
		{`R&D-svc`, "secret", false}, // no XML
		{`a<b`, "secret", false},
		{`O'Brien`, "secret", false}, // its backtick is part of the name in the XML
		{`svc$`, "secret", false},
		{"a\u201d); calc #", "secret", false},
		{"O\u2019Brien", "secret", true},
		{"svc", "two\nlines", false},
	} {
		t.Run(test.user+" "+test.password, func(t *testing.T) {
			r := &sdkRunner{user: test.user, password: test.password}
			if _, err := guestexec.GenerateElevatedRunner("echo ran", r); err != nil {
				t.Fatal(err)
			}
			g, err := New(Options{Root: t.TempDir(), Password: "x", Accounts: map[string]string{test.user: test.password}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := g.Close(); err != nil {
					t.Error(err)
				}
			}()
			var out, errs strings.Builder
			c := &call{Call: &cmdshell.Call{Dir: g.full(folderSystem32), Env: g.environment("packer"), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs}, user: "packer"}
			code := g.script(context.Background(), c, r.text.String())
			if ran := code == 0 && strings.Contains(out.String(), "ran"); ran != test.carried {
				t.Errorf("ran %v: %d, %q, %q", ran, code, out.String(), errs.String())
			}
			if len(g.taskList()) != 0 {
				t.Error("a task stays")
			}
		})
	}
}
