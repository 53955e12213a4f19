package winrmguest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// simulated is a session to a simulated guest, whose drive C: is in the folder.
func simulated(t *testing.T) (session *winrm.Session, drive string) {
	t.Helper()
	root := t.TempDir()
	sim, err := winsim.Start(context.WithoutCancel(t.Context()), winsim.Options{Root: root, User: "packer", Password: "s3cret-text"}, winsim.ServerOptions{NTLM: true, NoBasic: true, Encrypted: true})
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

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestAFileArrivesAsItIs(t *testing.T) {
	session, drive := simulated(t)
	tr := New(session, nil)
	random := make([]byte, 3*chunk+1)
	for i := range random {
		random[i] = byte(rand.IntN(256))
	}
	for _, size := range []int{1, chunk - 1, chunk, chunk + 1, len(random), 0} {
		if err := tr.Upload(t.Context(), `C:\Windows\Temp\packer-new\file.bin`, random[:size]); err != nil {
			t.Fatal(err)
		}
		if got := read(t, filepath.Join(drive, "Windows", "Temp", "packer-new", "file.bin")); !bytes.Equal(got, random[:size]) {
			t.Errorf("%d bytes arrived as %d", size, len(got))
		}
	}
	left, err := filepath.Glob(filepath.Join(drive, "Users", "packer", "AppData", "Local", "Temp", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the guest: %q, %v", left, err)
	}
}

func TestAnUploadThatFailsSaysSo(t *testing.T) {
	session, _ := simulated(t)
	tr := New(session, nil)
	if err := tr.Upload(t.Context(), `C:\Windows`, []byte("x")); err == nil || !strings.Contains(err.Error(), "PowerShell failed in the guest") {
		t.Errorf("over a folder: %v", err)
	}
	for _, path := range []string{"", `C:\a b`, `C:\$(exit)`, `C:\%TEMP%`, "C:\\a\"b", "C:\\a\nb", "C:\\a`b"} {
		if err := tr.Upload(t.Context(), path, []byte("x")); err == nil || !strings.Contains(err.Error(), "cannot be the path of an upload") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// What was begun is in a file of another name, so nothing is there twice.
func TestAnUploadIsBegunAnewOnceWhenTheConnectionBreaks(t *testing.T) {
	broken := &winrm.CommandError{MayHaveRun: true, Err: &winrm.Error{Kind: winrm.ErrEOF, Op: "Receive"}}
	for failures, want := range map[int]error{1: nil, 2: winrm.ErrEOF} {
		f := &fake{}
		f.run = func(_ context.Context, c winrm.Command) (int, error) {
			if failures > 0 {
				failures--
				return 0, broken
			}
			_, _ = c.Stdout.Write([]byte(restored + "\r\n"))
			return 0, nil
		}
		if err := New(f, nil).Upload(t.Context(), `C:\file`, []byte("x")); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		for i, line := range f.lines {
			if i > 0 && line == f.lines[i-1] {
				t.Errorf("sent twice: %s", line)
			}
		}
	}
}

func TestLinesFitIntoCmd(t *testing.T) {
	f := &fake{run: func(_ context.Context, c winrm.Command) (int, error) {
		_, _ = c.Stdout.Write([]byte(restored))
		return 0, nil
	}}
	if err := New(f, nil).Upload(t.Context(), `C:\`+strings.Repeat("x", 200), make([]byte, 2*chunk)); err != nil {
		t.Fatal(err)
	}
	for _, line := range f.lines {
		if n := len(strings.ReplaceAll(line, "%TEMP%", strings.Repeat("x", 100))); n > 8191 {
			t.Errorf("a line has %d characters", n)
		}
	}
}
