package winrm

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// outcomes are the names of this file, the narrower first.
var outcomes = []struct {
	name string
	kind error
}{
	{"operation timed out", ErrOperationTimedOut}, {"shell lost", ErrShellLost}, {"access denied", ErrAccessDenied}, {"too large", ErrTooLarge},
	{"not offered", ErrNotOffered}, {"unauthorized", ErrUnauthorized}, {"not WinRM", ErrNotWinRM}, {"unavailable", ErrUnavailable}, {"closed", ErrClosed},
	{"quota of shells", ErrQuotaShells}, {"quota of operations", ErrQuotaOperations}, {"quota of users", ErrQuotaUsers}, {"quota of resources", ErrQuotaResources}, {"quota", ErrQuota},
	{"refused", ErrRefused}, {"reset", ErrReset}, {"EOF", ErrEOF}, {"connection", ErrConnection},
	{"connect deadline", ErrConnectDeadline}, {"header deadline", ErrHeaderDeadline}, {"body deadline", ErrBodyDeadline}, {"deadline", ErrDeadline},
	{"expired", ErrCertificateExpired}, {"unknown authority", ErrUnknownAuthority}, {"wrong name", ErrWrongName}, {"wrong pin", ErrWrongPin}, {"TLS", ErrTLS},
	{"given up", ErrCancelled},
}

// outcome names how something ended, with "?" where it may have run.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	name := ""
	for _, o := range outcomes {
		if errors.Is(err, o.kind) {
			name = o.name
			break
		}
	}
	if fault := new(Fault); name == "" && errors.As(err, &fault) {
		name = fmt.Sprintf("fault %d", fault.Code)
	}
	if name == "" {
		name = err.Error()
	}
	if failed := new(CommandError); errors.As(err, &failed) && failed.MayHaveRun {
		name += "?"
	}
	return name
}

// short are limits that a fault runs into soon. What every fault ends as is the
// table of package faults.
var short = Limits{Connect: 300 * time.Millisecond, Header: 800 * time.Millisecond, Body: 300 * time.Millisecond, Cleanup: 200 * time.Millisecond,
	OperationTimeout: 200 * time.Millisecond, Poll: 600 * time.Millisecond}

func TestARequestThatIsTooLarge(t *testing.T) {
	s := honest()
	s.Limits.MaxEnvelopeSizekb = 16
	g := start(t, s, nil)
	shell := g.shell(g.client(nil))
	if _, err := shell.Run(t.Context(), Command{Line: "echo", Args: []string{string(make16k())}, SkipCmdShell: true}); outcome(err) != "too large" {
		t.Errorf("got %v", err)
	}
	// In pieces as small as every Windows takes it is still too large here.
	if _, err := shell.Run(t.Context(), Command{Line: "cat", Stdin: readerFunc(func(p []byte) (int, error) { return len(p), nil })}); outcome(err) != "too large?" {
		t.Errorf("input: %v", err)
	}
}

func make16k() []byte {
	b := make([]byte, 16*1024)
	for i := range b {
		b[i] = 'x'
	}
	return b
}
