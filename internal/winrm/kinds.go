package winrm

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// kind is what happened, and what to do about it. Kinds are compared with
// errors.Is; one with a parent is that, too.
type kind struct {
	what, next string
	parent     error
}

func (k *kind) Error() string { return k.what }

// Is makes a kind one of its parent's.
func (k *kind) Is(target error) bool { return k.parent != nil && errors.Is(k.parent, target) }

// What a service answers, and what becomes of a request without an answer.
var (
	// ErrOperationTimedOut: the service could not finish within the time it was
	// given (fault 2150858793). A command without output ends a Receive so.
	ErrOperationTimedOut error = &kind{what: "the guest did not finish in the time it was given", next: "look whether the guest is busy, and give it more"}
	// ErrShellLost: the shell is gone, with its commands.
	ErrShellLost error = &kind{what: "the shell is gone", next: "open another; a restart of WinRM or of the guest ends every shell"}
	// ErrAccessDenied: the account may log in and may not do this.
	ErrAccessDenied error = &kind{what: "access is denied", next: "use an administrator; a local one other than the built-in Administrator needs LocalAccountTokenFilterPolicy = 1"}
	// ErrTooLarge: a message is larger than the service or the client takes.
	ErrTooLarge error = &kind{what: "a message exceeds the largest envelope", next: "raise MaxEnvelopeSizekb in the guest, or send less at a time"}
	// ErrUnauthorized: HTTP 401.
	ErrUnauthorized error = &kind{what: "the login is refused", next: "check user and password, and that the guest allows this way to log in"}
	// ErrHeld: no login was tried, because too many were refused (lockout.Guard).
	ErrHeld error = &kind{what: "no login is tried", parent: ErrUnauthorized}
	// ErrNotOffered: the service has no way to log in that the client may use.
	ErrNotOffered error = &kind{what: "the guest does not offer this way to log in", next: "allow it in the guest's WinRM configuration, or use another", parent: ErrUnauthorized}
	// ErrNotWinRM: what answers does not speak WS-Management.
	ErrNotWinRM error = &kind{what: "what answers is not WinRM", next: "check host, port and whether the port expects TLS"}
	// ErrUnavailable: HTTP 503, as while the service starts.
	ErrUnavailable error = &kind{what: "WinRM does not take requests now", next: "try again in a while"}
	// ErrClosed: the client was closed.
	ErrClosed error = &kind{what: "the client is closed", next: "make another"}
	// ErrCancelled: the caller gave up.
	ErrCancelled error = &kind{what: "it was given up"}

	// ErrQuota: one of the quotas below.
	ErrQuota error = &kind{what: "a WinRM quota is used up", next: "close what is open, or raise the quotas in the guest"}
	// ErrQuotaShells: MaxShellsPerUser, or a quota of the plug-in.
	ErrQuotaShells error = &kind{what: "the quota of shells is used up", next: "close shells of this user, or raise MaxShellsPerUser in the guest", parent: ErrQuota}
	// ErrQuotaOperations: MaxConcurrentOperationsPerUser. Commands count until their
	// shell is deleted (MS-WSMV, note on 2.2.4.10).
	ErrQuotaOperations error = &kind{what: "the quota of operations is used up", next: "close shells of this user, or raise MaxConcurrentOperationsPerUser in the guest", parent: ErrQuota}
	// ErrQuotaUsers: MaxConcurrentUsers.
	ErrQuotaUsers error = &kind{what: "the quota of users is used up", next: "let other users close their shells, or raise MaxConcurrentUsers in the guest", parent: ErrQuota}
	// ErrQuotaResources: MaxProcessesPerShell or MaxMemoryPerShellMB.
	ErrQuotaResources error = &kind{what: "the shell's quota of processes or memory is used up", next: "run fewer commands at once, or raise MaxProcessesPerShell and MaxMemoryPerShellMB in the guest", parent: ErrQuota}

	// ErrConnection: the network, not the service, ended it: one of those below.
	ErrConnection error = &kind{what: "the connection failed", next: "check the network to the guest"}
	// ErrRefused: nobody listens.
	ErrRefused error = &kind{what: "the connection is refused", next: "check that the guest runs, that WinRM listens on this port and that the firewall lets it through", parent: ErrConnection}
	// ErrReset: the connection was broken.
	ErrReset error = &kind{what: "the connection was reset", next: "look whether the guest restarts", parent: ErrConnection}
	// ErrEOF: the connection ended before the answer did.
	ErrEOF error = &kind{what: "the connection ended without an answer", next: "look whether the guest or its WinRM service restarts", parent: ErrConnection}

	// ErrDeadline: an answer did not come in time: one of those below.
	ErrDeadline error = &kind{what: "the guest did not answer in time", next: "look whether the guest still runs"}
	// ErrConnectDeadline: no connection, or no TLS handshake, in time.
	ErrConnectDeadline error = &kind{what: "no connection came about in time", next: "check that the guest runs and can be reached", parent: ErrDeadline}
	// ErrHeaderDeadline: the request was sent, and no answer began in time.
	ErrHeaderDeadline error = &kind{what: "no answer came in time", next: "look whether the guest hangs", parent: ErrDeadline}
	// ErrBodyDeadline: a message was not sent, or not received, to its end in time.
	ErrBodyDeadline error = &kind{what: "a message was not carried to its end in time", next: "look whether the network is slow or the guest hangs", parent: ErrDeadline}

	// ErrTLS: TLS failed: one of those below, or another reason.
	ErrTLS error = &kind{what: "TLS failed", next: "check that the port speaks TLS 1.2"}
	// ErrCertificateExpired: its time is over, or has not come.
	ErrCertificateExpired error = &kind{what: "the guest's certificate is not valid now", next: "check the clocks and renew it", parent: ErrTLS}
	// ErrUnknownAuthority: nobody who is believed signed it.
	ErrUnknownAuthority error = &kind{what: "the guest's certificate is signed by an unknown authority", next: "give its CA or its fingerprint", parent: ErrTLS}
	// ErrWrongName: it was made for another host.
	ErrWrongName error = &kind{what: "the guest's certificate is for another name", next: "connect by that name, or give the name or the fingerprint", parent: ErrTLS}
	// ErrWrongPin: it is not the pinned one.
	ErrWrongPin error = &kind{what: "the guest's certificate is not the pinned one", next: "check that this is the right machine, then give the new fingerprint", parent: ErrTLS}
)

// Error is why a request has no answer.
type Error struct {
	Kind error  // one of the above
	Op   string // the request: Identify, login, Create, Command, Send, Receive, Signal, Delete
	Addr string
	// Uncertain: all of the request was handed to the network, and no answer says
	// what became of it. Otherwise nothing has been done.
	Uncertain bool
	Err       error // the cause, may be nil
}

var doing = map[string]string{
	"Identify": "asking for WinRM", "login": "logging in", "Create": "opening a shell", "Command": "starting a command", "Send": "sending input",
	"Receive": "reading output", "Signal": "ending a command", "Delete": "closing a shell",
}

func (e *Error) Error() string { return describe(e.Op, e.Addr, e.Kind, e.Err) }

// Unwrap makes both kind and cause known to errors.Is.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// describe puts what was asked, what happened, what to do and why in one line.
func describe(op, addr string, k, cause error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s at %s: %v", doing[op], addr, k)
	var known *kind
	if errors.As(k, &known) && known.next != "" {
		b.WriteString(": " + known.next)
	}
	if cause != nil {
		fmt.Fprintf(&b, " (%s)", oneLine(cause.Error()))
	}
	return b.String()
}

// oneLine shortens foreign text to a part of a line.
func oneLine(text string) string {
	const most = 300
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "..."
	}
	return text
}

// givenUp says that ctx has ended, with its cause.
func givenUp(ctx context.Context, op, addr string, uncertain bool) *Error {
	err := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(cause, err) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return &Error{Kind: ErrCancelled, Op: op, Addr: addr, Uncertain: uncertain, Err: err}
}
