package packercomm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// NewSSH is New for Packer's SSH communicator and the OpenSSH server of Windows.
// Lines run in cmd.exe whatever the server's default shell is.
func NewSSH(comm Communicator, longest time.Duration) *Transport {
	t := New(comm, longest)
	t.ssh = &sshServer{asking: make(chan struct{}, 1)}
	return t
}

// sshServer is what is known of the guest's server.
type sshServer struct {
	asking chan struct{} // holds one while somebody asks for the shell
	mu     sync.Mutex
	known  shell
}

// shell is what the server runs lines with.
type shell int

const (
	shellUnknown shell = iota
	shellCmd
	shellPowerShell
	shellOther
)

const (
	// askShell tells the shells apart by what each makes of it: cmd.exe takes the
	// caret away and fills in %OS%, PowerShell fills in its version. POSIX shells do
	// neither.
	askShell = `echo packer-^shell:%OS%:$($PSVersionTable.PSVersion.Major)`
	// shellAsks is how often a server that says nothing is asked for its shell, and
	// shellPause the time in between.
	shellAsks  = 5
	shellPause = 2 * time.Second
	maxShell   = 4 << 10 // bytes of the answer
)

var (
	saysCmd        = lazyregexp.New(`packer-shell:Windows_NT:`)
	saysPowerShell = lazyregexp.New(`packer-\^shell:%OS%:[0-9]`)
)

// readShell reads the answer to askShell. A banner may come before it.
func readShell(said string) shell {
	said = strings.ReplaceAll(said, "\x00", "")
	switch {
	case strings.TrimSpace(said) == "":
		return shellUnknown
	case saysCmd.MatchString(said):
		return shellCmd
	case saysPowerShell.MatchString(said):
		return shellPowerShell
	}
	return shellOther
}

// line is a cmd.exe line as this shell has to be given it.
func (s shell) line(line string) (string, error) {
	if s != shellPowerShell {
		return line, nil // sshd runs cmd.exe /c "line"
	}
	return viaPowerShell(line)
}

// quotes are what PowerShell takes for a single quote.
var quotes = []string{"'", "‘", "’", "‚", "‛"}

// viaPowerShell makes PowerShell start cmd.exe with a line. No double quote is in
// what it is sent, because sshd, PowerShell and the program each have rules of their
// own for those: a character that the line does not have stands for one. PowerShell
// puts quotes around the argument for the blank that it begins with, and cmd.exe /s
// takes these away, and no others. It needs no method call, which a constrained
// language mode forbids.
func viaPowerShell(line string) (string, error) {
	for _, standIn := range []string{"~", "#", "@", ";", "!"} {
		if strings.Contains(line, standIn) {
			continue
		}
		line = strings.ReplaceAll(line, `"`, standIn)
		for _, q := range quotes {
			line = strings.ReplaceAll(line, q, q+q)
		}
		return `cmd.exe /d /s /c (' ` + line + `'-replace'` + standIn + `',[char]34)`, nil
	}
	return "", fmt.Errorf("%w: the line has every character that could stand for a quote in PowerShell", guest.ErrNotSent)
}

// errSilent: the server takes lines, and says nothing.
var errSilent = fmt.Errorf("%w: the SSH server takes commands, but its shell says nothing", guest.ErrNoAnswer)

// shell finds out, once, what the server runs lines with. One that says nothing is
// asked again.
func (t *Transport) shell(ctx context.Context, insist bool) (shell, error) {
	select {
	case t.ssh.asking <- struct{}{}:
		defer func() { <-t.ssh.asking }()
	case <-ctx.Done():
		return shellUnknown, context.Cause(ctx)
	}
	t.ssh.mu.Lock()
	known := t.ssh.known
	t.ssh.mu.Unlock()
	for asked := 0; known == shellUnknown; asked++ {
		if asked == shellAsks {
			return shellUnknown, errSilent
		}
		if asked > 0 {
			timer := time.NewTimer(t.scaled(shellPause))
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return shellUnknown, context.Cause(ctx)
			}
		}
		var said said
		if err := t.run(ctx, guest.Request{Line: askShell, Stdout: &said, Stderr: &said, Insist: insist}); err != nil {
			return shellUnknown, err
		}
		text := said.String()
		if known = readShell(text); known == shellOther {
			return known, fmt.Errorf("%w: the default shell of the guest's SSH server is neither cmd.exe nor PowerShell (it said %.120q); set DefaultShell of HKLM\\SOFTWARE\\OpenSSH in the guest to one of them", guest.ErrNotSent, strings.TrimSpace(text))
		}
	}
	t.ssh.mu.Lock()
	t.ssh.known = known
	t.ssh.mu.Unlock()
	return known, nil
}

// said keeps the beginning of what both outputs say.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p[:min(len(p), max(0, maxShell-s.text.Len()))])
	return len(p), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// NeedsFolders implements guest.Folders: scp would make a file of a folder that is
// missing, and sftp fails.
func (t *Transport) NeedsFolders() bool { return t.ssh != nil }

// slashes is a path for scp and sftp: Packer, where it does not run on Windows, and
// the guest's scp take a backslash for a part of the file's name.
func slashes(path string) string { return strings.ReplaceAll(path, `\`, "/") }

// errCut: the connection went, and the command with it.
var errCut = errors.New("the SSH connection ended before the command did")

// uploadHint says which option of the source may help, by how an upload failed. It
// is advice only: Packer does not say how it copies files.
func uploadHint(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "subsystem request failed"):
		return `; the guest's SSH server has no sftp: set ssh_file_transfer_method = "scp" in the source, or add "Subsystem sftp sftp-server.exe" to sshd_config in the guest`
	case strings.Contains(text, "SCP failed to start"), strings.Contains(text, "exited with status"):
		return `; if scp.exe is missing in the guest, set ssh_file_transfer_method = "sftp" in the source, or install the OpenSSH client's programs in the guest`
	}
	return ""
}
