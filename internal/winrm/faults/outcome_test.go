package faults

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
)

// names are the errors of winrm and files as the table calls them: without "Err",
// the narrower first.
var names = []struct {
	name string
	err  error
}{
	{"Stalled", files.ErrStalled}, {"TooMuch", files.ErrTooMuch}, {"Hash", files.ErrHash}, {"Changed", files.ErrChanged}, {"not-exist", fs.ErrNotExist},
	{"OperationTimedOut", winrm.ErrOperationTimedOut}, {"ShellLost", winrm.ErrShellLost}, {"AccessDenied", winrm.ErrAccessDenied}, {"TooLarge", winrm.ErrTooLarge},
	{"NotOffered", winrm.ErrNotOffered}, {"Unauthorized", winrm.ErrUnauthorized}, {"NotWinRM", winrm.ErrNotWinRM}, {"Unavailable", winrm.ErrUnavailable}, {"Closed", winrm.ErrClosed},
	{"QuotaShells", winrm.ErrQuotaShells}, {"QuotaOperations", winrm.ErrQuotaOperations}, {"QuotaUsers", winrm.ErrQuotaUsers}, {"QuotaResources", winrm.ErrQuotaResources}, {"Quota", winrm.ErrQuota},
	{"Refused", winrm.ErrRefused}, {"Reset", winrm.ErrReset}, {"EOF", winrm.ErrEOF}, {"Connection", winrm.ErrConnection},
	{"ConnectDeadline", winrm.ErrConnectDeadline}, {"HeaderDeadline", winrm.ErrHeaderDeadline}, {"BodyDeadline", winrm.ErrBodyDeadline}, {"Deadline", winrm.ErrDeadline},
	{"CertificateExpired", winrm.ErrCertificateExpired}, {"UnknownAuthority", winrm.ErrUnknownAuthority}, {"WrongName", winrm.ErrWrongName}, {"WrongPin", winrm.ErrWrongPin}, {"TLS", winrm.ErrTLS},
	{"Cancelled", winrm.ErrCancelled}, {"the writer's", errFull}, {"given up", context.DeadlineExceeded},
}

var errFull = errors.New("full")

// outcome names how something ended; with "?" a command may have run, and its
// caller has to look.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	name := ""
	for _, n := range names {
		if errors.Is(err, n.err) {
			name = n.name
			break
		}
	}
	if fault := new(winrm.Fault); name == "" && errors.As(err, &fault) {
		name = fmt.Sprintf("Fault %d", fault.Code)
	}
	if name == "" {
		return err.Error()
	}
	if failed := new(winrm.CommandError); errors.As(err, &failed) && failed.MayHaveRun {
		name += "?"
	}
	return name
}
