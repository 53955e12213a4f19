package winrmguest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// simulated is a session to a simulated guest, whose drive C: is in the folder.
func simulated(t *testing.T, s winsim.Scenario) (session *winrm.Session, drive string) {
	t.Helper()
	root := t.TempDir()
	sim, err := winsim.Start(context.WithoutCancel(t.Context()), winsim.Options{Root: root, User: "packer", Password: "s3cret-text", Scenario: s}, winsim.ServerOptions{NTLM: true, NoBasic: true, Encrypted: true})
	if err != nil {
		t.Fatal(err)
	}
	client, err := winrm.New(winrm.Config{Host: sim.Host, Port: sim.Port, User: "packer", Password: winrm.NewSecret("s3cret-text"), Auth: winrm.AuthNTLM})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
		for _, u := range sim.Guest.Unknown() {
			t.Errorf("the guest was sent what it does not know: %s", u)
		}
	})
	return winrm.NewSession(client, winrm.ShellOptions{}), filepath.Join(root, "C")
}

func TestFilesArriveAsTheyAre(t *testing.T) {
	for name, scenario := range map[string]winsim.Scenario{"over stdin": {}, "the classic way": {Unkind: winsim.Unkind{ConstrainedLanguage: true}}} {
		t.Run(name, func(t *testing.T) {
			session, drive := simulated(t, scenario)
			tr := New(session, files.Options{Folder: `%SystemRoot%\Temp\packer-sysprep-x`})
			content := bytes.Repeat([]byte{0, '\n', 0xff, '%', '"'}, 4000)
			if err := tr.Place(t.Context(), guest.File{Path: `C:\Windows\Temp\packer-sysprep-x\a`, Content: content}, guest.File{Path: `C:\Windows\Temp\packer-sysprep-x\private\b`, Content: content[1:], Private: true}); err != nil {
				t.Fatal(err)
			}
			if err := tr.Upload(t.Context(), `C:\Windows\Temp\packer-sysprep-x\c`, nil); err != nil {
				t.Fatal(err)
			}
			for file, want := range map[string][]byte{"a": content, "private/b": content[1:], "c": {}} {
				if got, err := os.ReadFile(filepath.Join(drive, "Windows", "Temp", "packer-sysprep-x", file)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes, %v", file, len(got), err)
				}
			}
			if err := tr.Upload(t.Context(), `C:\Windows`, []byte("x")); err == nil {
				t.Error("over a folder: no error")
			}
		})
	}
}

// What is written again is the same, so it is tried again, and not for ever.
func TestAPlacingIsRepeatedWhenTheConnectionBreaks(t *testing.T) {
	broken := &winrm.CommandError{MayHaveRun: true, Err: &winrm.Error{Kind: winrm.ErrEOF, Op: "Receive"}}
	synctest.Test(t, func(t *testing.T) {
		f := &fake{run: func(context.Context, winrm.Command) (int, error) { return 0, broken }}
		err := New(f, files.Options{}).Place(t.Context(), guest.File{Path: `C:\file`, Content: []byte("x")})
		if !errors.Is(err, winrm.ErrEOF) || f.asked() != 3 {
			t.Errorf("%v after %d commands", err, f.asked())
		}
		for _, line := range f.lines {
			if !strings.HasPrefix(line, "powershell.exe ") {
				t.Errorf("the classic way was taken: %.60s", line)
			}
		}
	})
}

// A guest that says it is alive and takes nothing may take it later, and may be
// asked again.
func TestAPlacingThatDoesNotGetOnIsUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{run: func(ctx context.Context, _ winrm.Command) (int, error) {
			<-ctx.Done()
			return 0, &winrm.CommandError{MayHaveRun: true, Err: &winrm.Error{Kind: winrm.ErrCancelled, Op: "Receive", Err: ctx.Err()}}
		}}
		err := New(f, files.Options{}).Place(t.Context(), guest.File{Path: `C:\file`, Content: []byte("x")})
		if !errors.Is(err, files.ErrStalled) || !guest.Unanswered(err) || errors.Is(err, guest.ErrNotSent) {
			t.Errorf("got %v", err)
		}
	})
}
