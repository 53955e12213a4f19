package winsim

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// sshGuest is a guest with a client of somebody else's.
func sshGuest(t *testing.T, s SSH) (*Running, *ssh.Client) {
	t.Helper()
	r, err := Start(t.Context(), Options{Root: t.TempDir(), User: "packer", Password: "pw", Scenario: Scenario{SSH: s}, Speed: 100, Log: t.Logf}, ServerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", r.SSH.Addr, &ssh.ClientConfig{User: "packer", Auth: []ssh.AuthMethod{ssh.Password("pw")}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r, client
}

func overSSH(t *testing.T, c *ssh.Client, line, input string) (out string, code int) {
	t.Helper()
	session, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	var both bytes.Buffer
	session.Stdin, session.Stdout = strings.NewReader(input), &both
	err = session.Run(line)
	if exit := (*ssh.ExitError)(nil); errors.As(err, &exit) {
		code = exit.ExitStatus()
	} else if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return both.String(), code
}

func TestTheDefaultShellRunsLines(t *testing.T) {
	t.Parallel()
	for shell, lines := range map[string]map[string]string{
		"cmd": {`echo a& echo "b"`: "a\r\n\"b\"\r\n", `cmd.exe /d /s /c "echo "a" b"`: "\"a\" b\r\n", `echo a^&b`: "a&b\r\n"},
		"powershell": {
			`cmd.exe /d /s /c (' echo ~a b~& echo it''s'-replace'~',[char]34)`: "\"a b\"\r\n" + "it's\r\n",
			`echo x:$($PSVersionTable.PSVersion.Major)`:                        "x:5\r\n",
		},
	} {
		r, client := sshGuest(t, SSH{Shell: shell})
		for line, want := range lines {
			if out, code := overSSH(t, client, line+"\n", ""); out != want || code != 0 {
				t.Errorf("%s: %s says %q, %d", shell, line, out, code)
			}
		}
		if u := r.Guest.Unknown(); len(u) > 0 {
			t.Errorf("%s: unknown: %q", shell, u)
		}
	}
	// What PowerShell would take otherwise is refused, not guessed.
	r, client := sshGuest(t, SSH{Shell: "powershell"})
	for _, line := range []string{`cmd.exe /d /s /c ('echo a'-replace'~',[char]34)`, `cmd.exe /d /s /c "echo a"`, `Get-Process`} {
		if _, code := overSSH(t, client, line, ""); code == 0 {
			t.Errorf("%s was run", line)
		}
	}
	if u := r.Guest.Unknown(); len(u) != 3 {
		t.Errorf("unknown: %q", u)
	}
}

// A folder that is missing becomes a file, as with OpenSSH's scp.
func TestScpIsOpenSSHs(t *testing.T) {
	t.Parallel()
	r, client := sshGuest(t, SSH{Shell: "cmd"})
	for _, c := range []struct{ dir, name, path, says string }{
		{"C:/Windows/Temp", "a.txt", `C:\Windows\Temp\a.txt`, "\x00\x00\x00"},
		{"C:/Windows/Temp/new", "b.txt", `C:\Windows\Temp\new`, "\x00\x00\x00"},
		{"C:/Windows/Temp/far/new", "c.txt", "", "No such file or directory"},
		{"C:/Windows/Temp", `C:\d.txt`, "", "unexpected filename"},
	} {
		out, _ := overSSH(t, client, "scp -vt "+c.dir, "C0644 5 "+c.name+"\nhello\x00")
		if !strings.Contains(out, c.says) {
			t.Errorf("%s into %s: %q", c.name, c.dir, out)
		}
		if c.path == "" {
			continue
		}
		if content, err := os.ReadFile(r.Guest.Host(c.path)); err != nil || string(content) != "hello" {
			t.Errorf("%s: %q, %v", c.path, content, err)
		}
	}
	if out, code := overSSH(t, client, "scp -vf C:/Windows/Temp/a.txt", "\x00\x00\x00"); code != 0 || !strings.Contains(out, "C0644 5 a.txt\nhello") {
		t.Errorf("from there: %q, %d", out, code)
	}
	if out, code := overSSH(t, client, "scp -vf C:/none", "\x00"); code == 0 || !strings.Contains(out, "No such file") {
		t.Errorf("a file that is missing: %q, %d", out, code)
	}
}

func TestSftpAndWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, client := sshGuest(t, SSH{Shell: "cmd"})
	files, err := sftp.NewClient(client)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if _, err := files.Create("C:/none/a.txt"); err == nil {
		t.Error("a folder was made on the way")
	}
	f, err := files.Create("C:/Windows/Temp/a.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	f.Close()
	if info, err := files.Stat("C:/windows/temp/A.TXT"); err != nil || info.Size() != 5 {
		t.Errorf("%v, %v", info, err)
	}
	_, without := sshGuest(t, SSH{Shell: "cmd", NoSFTP: true, Silent: 1})
	if _, err := sftp.NewClient(without); err == nil {
		t.Error("there is sftp")
	}
	if out, code := overSSH(t, without, "echo a", ""); out != "" || code != 0 {
		t.Errorf("a silent server says %q, %d", out, code)
	}
	if out, _ := overSSH(t, without, "echo a", ""); out != "a\r\n" {
		t.Errorf("then it says %q", out)
	}
	for _, s := range []string{`{"ssh":{"shell":"bash"}}`, `{"ssh":{"no_scp":true}}`, `{"ssh":{"shell":"cmd","silent":-1}}`} {
		if _, err := ParseScenario(s); err == nil {
			t.Errorf("%s is taken", s)
		}
	}
}
