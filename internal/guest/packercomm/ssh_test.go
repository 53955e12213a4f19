package packercomm

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
)

func TestShellsAreToldByTheirAnswer(t *testing.T) {
	for said, want := range map[string]shell{
		"packer-shell:Windows_NT:$($PSVersionTable.PSVersion.Major)\r\n":             shellCmd,
		"a banner\r\npacker-shell:Windows_NT:$($PSVersionTable.PSVersion.Major)\r\n": shellCmd,
		"packer-^shell:%OS%:5\r\n":                                   shellPowerShell,
		"profile\r\npacker-^shell:%OS%:7\r\n":                        shellPowerShell,
		"packer-^shell:%OS%:\n":                                      shellOther, // a POSIX shell
		"$PSVersionTable.PSVersion.Major: command not found":         shellOther,
		"echo packer-^shell:%OS%:$($PSVersionTable.PSVersion.Major)": shellOther,
		"":      shellUnknown,
		" \r\n": shellUnknown,
	} {
		if got := readShell(said); got != want {
			t.Errorf("%q is %d, want %d", said, got, want)
		}
	}
}

// What PowerShell makes of the line again is in the simulated guest; here it has to
// hold no double quote, and nothing that PowerShell would fill in.
func TestALineForPowerShell(t *testing.T) {
	for line, want := range map[string]string{
		`echo a& echo "b c"`:      `cmd.exe /d /s /c (' echo a& echo ~b c~'-replace'~',[char]34)`,
		`type "C:\PROGRA~1\a"`:    `cmd.exe /d /s /c (' type #C:\PROGRA~1\a#'-replace'#',[char]34)`,
		`echo it's "$env:x"`:      `cmd.exe /d /s /c (' echo it''s ~$env:x~'-replace'~',[char]34)`,
		"echo \u2019quoted\u2018": "cmd.exe /d /s /c (' echo \u2019\u2019quoted\u2018\u2018'-replace'~',[char]34)",
	} {
		got, err := shellPowerShell.line(line)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v", line, got, err)
		}
		if raw, err := shellCmd.line(line); err != nil || raw != line {
			t.Errorf("cmd.exe gets %s, %v", raw, err)
		}
	}
	if _, err := shellPowerShell.line(`~#@;!`); !errors.Is(err, guest.ErrNotSent) {
		t.Errorf("a line without a stand-in: %v", err)
	}
}

// sshComm answers lines with texts, the last of them for ever.
type sshComm struct {
	mu      sync.Mutex
	answers []string
	exit    int
	lines   []string
	paths   []string
	upload  error
}

func (c *sshComm) Start(_ context.Context, cmd *packersdk.RemoteCmd) error {
	c.mu.Lock()
	answer := c.answers[0]
	if len(c.answers) > 1 {
		c.answers = c.answers[1:]
	}
	c.lines = append(c.lines, cmd.Command)
	c.mu.Unlock()
	_, _ = io.WriteString(cmd.Stdout, answer)
	cmd.SetExited(c.exit)
	return nil
}

func (c *sshComm) Upload(path string, _ io.Reader, _ *os.FileInfo) error {
	c.paths = append(c.paths, path)
	return c.upload
}

const inPowerShell = "packer-^shell:%OS%:5\r\n"

func quickSSH(c *sshComm) *Transport {
	t := NewSSH(c, time.Second)
	t.Hurry(1000)
	return t
}

func run(t *Transport, line string) (string, error) {
	var out strings.Builder
	err := t.Run(context.Background(), guest.Request{Line: line, Stdout: &out, Stderr: io.Discard})
	return out.String(), err
}

func TestTheShellIsAskedForOnce(t *testing.T) {
	c := &sshComm{answers: []string{"", "", inPowerShell, "said"}}
	transport := quickSSH(c)
	for range 2 {
		if out, err := run(transport, `echo "a"`); out != "said" || err != nil {
			t.Errorf("%q, %v", out, err)
		}
	}
	if len(c.lines) != 5 || c.lines[0] != askShell || c.lines[2] != askShell || c.lines[4] != `cmd.exe /d /s /c (' echo ~a~'-replace'~',[char]34)` {
		t.Errorf("sent %q", c.lines)
	}
}

func TestAServerThatNeverSaysAnything(t *testing.T) {
	c := &sshComm{answers: []string{""}}
	if _, err := run(quickSSH(c), "echo"); !guest.Unanswered(err) || len(c.lines) != shellAsks {
		t.Errorf("after %d questions: %v", len(c.lines), err)
	}
	c = &sshComm{answers: []string{"packer-^shell:%OS%:\n"}}
	if _, err := run(quickSSH(c), "echo"); !errors.Is(err, guest.ErrNotSent) || !strings.Contains(err.Error(), "DefaultShell") || len(c.lines) != 1 {
		t.Errorf("a POSIX shell, after %d questions: %v", len(c.lines), err)
	}
}

func TestACommandThatIsCutOffIsAnError(t *testing.T) {
	c := &sshComm{answers: []string{inPowerShell, "half"}}
	transport := quickSSH(c)
	if _, err := run(transport, "echo"); err != nil {
		t.Fatal(err)
	}
	c.exit = packersdk.CmdDisconnect
	if _, err := run(transport, "echo"); !errors.Is(err, errCut) {
		t.Errorf("got %v", err)
	}
	if _, err := run(New(c, time.Second), "echo"); err != nil {
		t.Errorf("over WinRM that is no end of the connection: %v", err)
	}
}

func TestUploadsHaveForwardSlashesAndHints(t *testing.T) {
	for text, hint := range map[string]string{
		"":                                  "",
		"ssh: subsystem request failed":     `set ssh_file_transfer_method = "scp"`,
		"Process exited with status 1":      `set ssh_file_transfer_method = "sftp"`,
		"SCP failed to start. This usually": `set ssh_file_transfer_method = "sftp"`,
		"connection refused":                "",
	} {
		c := &sshComm{answers: []string{""}}
		if text != "" {
			c.upload = errors.New(text)
		}
		transport := quickSSH(c)
		err := transport.Upload(t.Context(), `C:\Windows\Temp\a\b.ps1`, []byte("x"))
		if len(c.paths) != 1 || c.paths[0] != "C:/Windows/Temp/a/b.ps1" {
			t.Errorf("uploaded to %q", c.paths)
		}
		if (err == nil) != (text == "") || err != nil && (!strings.Contains(err.Error(), hint) || hint == "" && strings.Contains(err.Error(), "ssh_file")) {
			t.Errorf("%q: %v", text, err)
		}
		if !transport.NeedsFolders() || New(c, time.Second).NeedsFolders() {
			t.Error("who makes folders is mixed up")
		}
	}
}
