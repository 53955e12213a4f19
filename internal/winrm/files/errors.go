package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

var (
	// ErrHash: what arrived has another SHA-256 than what was sent.
	ErrHash = errors.New("what arrived is not what was sent: its SHA-256 differs")
	// ErrStalled: the guest takes or gives nothing any more.
	ErrStalled = errors.New("the guest has not got on with it")
	// ErrChanged: the file was replaced or cut while it was read.
	ErrChanged = errors.New("the file became shorter while it was read")
	// ErrTooMuch: the guest says more than any answer to what it was asked.
	ErrTooMuch = errors.New("the guest does not stop talking")
	// ErrNeedsPowerShell: certutil.exe does not encode so large a file.
	ErrNeedsPowerShell = errors.New("the file is too large to be downloaded without PowerShell: allow PowerShell in the guest, or split the file there into parts of at most 70 MB")
	// ErrTooBig: the file is larger than the caller takes.
	ErrTooBig = errors.New("the file is larger than allowed")
)

// Error is what the guest says about a file. It is fs.ErrNotExist or
// fs.ErrPermission by errors.Is.
type Error struct {
	Path string
	Name string // not-found, access-denied, io and others of contract.md
	Type string // of .NET
	// Message is in the guest's language.
	Message string
}

func (e *Error) Error() string {
	what := map[string]string{
		"not-found":     "there is no such file in the guest: check the path",
		"access-denied": "the guest denies access: check its permissions, and that it is no folder",
	}[e.Name]
	if what == "" {
		what = "the guest cannot do it: " + e.Name
	}
	return fmt.Sprintf("%s: %s (%s)", e.Path, what, oneLine(e.Message))
}

// Is compares with the errors of io/fs.
func (e *Error) Is(target error) bool {
	return e.Name == "not-found" && target == fs.ErrNotExist || e.Name == "access-denied" && target == fs.ErrPermission
}

// unfit is why PowerShell cannot be used: not at all, not where it needs input, or
// not to place files.
type unfit struct {
	why            string
	input, placing bool
}

func (e *unfit) Error() string { return e.why }

// passing says whether another try may go better: the network or the shell
// failed, not the file.
func passing(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	for _, k := range []error{winrm.ErrConnection, winrm.ErrDeadline, winrm.ErrShellLost, winrm.ErrUnavailable, winrm.ErrOperationTimedOut} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

func oneLine(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return text
}
