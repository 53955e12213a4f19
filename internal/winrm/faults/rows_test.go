package faults

import (
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// all is one outcome for every phase.
func all(want string) [5]string { return [5]string{want, want, want, want, want} }

// refused is what every phase ends as when a request is refused: nothing was run
// unless it was before.
func refused(name string) [5]string {
	return [5]string{name, name, name, name, name + "?"}
}

// table is every fault: what opening a shell, a command, an upload, a download and
// a watch end as. An upload and a download are struck in their middle.
var table = []row{
	{name: "none", want: all("ok")},
	{name: "FIN", fault: once(wsman.Close), want: [5]string{"EOF", "EOF?", "ok, resumed", "ok, resumed", "EOF?"}},
	{name: "FIN each time", fault: each(wsman.Close), want: [5]string{"EOF", "EOF?", "EOF", "EOF", "EOF?"}},
	{name: "FIN of every connection", fault: do((*wsman.Faults).CloseConnections), want: [5]string{"ok", "ok", "ok, resumed", "ok, resumed", "EOF?"}},
	{name: "RST", fault: once(wsman.Reset), want: [5]string{"Reset", "Reset?", "ok, resumed", "ok, resumed", "Reset?"}},
	{name: "RST each time", fault: each(wsman.Reset), want: [5]string{"Reset", "Reset?", "Reset", "Reset", "Reset?"}},
	{name: "RST of every connection", fault: do((*wsman.Faults).ResetConnections), want: [5]string{"ok", "ok", "ok, resumed", "ok, resumed", "Reset?"}},
	{name: "black hole", fault: hole(0), want: [5]string{"HeaderDeadline", "HeaderDeadline?", "HeaderDeadline", "HeaderDeadline", "HeaderDeadline?"}},
	{name: "black hole for a while", fault: hole(awhile), want: [5]string{"HeaderDeadline", "HeaderDeadline?", "ok, resumed", "ok, resumed", "HeaderDeadline?"}},
	{name: "SIGSTOP", alone: true, fault: halt(0), want: [5]string{"HeaderDeadline", "HeaderDeadline?", "HeaderDeadline", "HeaderDeadline", "HeaderDeadline?"}},
	{name: "SIGSTOP for a moment", alone: true, fault: halt(scale * 300 * time.Millisecond), want: all("ok")},
	{name: "SIGSTOP for a while", alone: true, fault: halt(scale * 5 * time.Second), want: [5]string{"HeaderDeadline", "HeaderDeadline?", "ok", "ok", "HeaderDeadline?"}},
	{name: "frozen", fault: freeze(0), want: [5]string{"HeaderDeadline", "HeaderDeadline?", "HeaderDeadline", "HeaderDeadline", "HeaderDeadline?"}},
	{name: "frozen for a moment", fault: freeze(scale * 300 * time.Millisecond), want: all("ok")},
	{name: "no answer", fault: each(wsman.Hang), want: [5]string{"HeaderDeadline", "HeaderDeadline?", "HeaderDeadline", "HeaderDeadline", "HeaderDeadline?"}},
	{name: "late answers", fault: rule(wsman.Rule{Do: wsman.Hang, For: 50 * time.Millisecond}), want: all("ok")},
	{name: "slow start", fault: do(func(f *wsman.Faults) { f.SlowStart(scale * 500 * time.Millisecond) }), want: all("ok")},
	{name: "shells lost", fault: do((*wsman.Faults).LoseShells), want: [5]string{"ok", "ShellLost", "ok, resumed", "ok, resumed", "ShellLost?"}},
	{name: "shells lost each time", fault: each(wsman.Lose), want: [5]string{"ok", "ShellLost", "ShellLost", "ShellLost", "ShellLost?"}},
	{name: "service restart", fault: func(c *cell) { c.g.Faults.CloseConnections(); c.g.Faults.LoseShells() }, want: [5]string{"ok", "ShellLost", "ok, resumed", "ok, resumed", "EOF?"}},
	{name: "service starts (503)", fault: bare(503), want: [5]string{"Unavailable", "Unavailable", "Unavailable", "Unavailable", "Unavailable?"}},
	{name: "reboot", fault: off(awhile), want: [5]string{"Refused", "Refused", "ok, resumed", "ok, resumed", "EOF?"}},
	{name: "power-off", fault: off(0), want: [5]string{"Refused", "Refused", "Refused", "Refused", "EOF?"}},
	{name: "401", fault: each(wsman.Refuse), want: refused("Unauthorized")},
	{name: "401 for everything", fault: do(func(f *wsman.Faults) { f.RejectCredentials(true, false) }), want: refused("Unauthorized")},
	{name: "401 for new shells", fault: do(func(f *wsman.Faults) { f.RejectCredentials(false, true) }), want: [5]string{"Unauthorized", "ok", "ok", "ok", "ok"}},
	{name: "500 with a fault", fault: fail(4711), want: [5]string{"Fault 4711", "Fault 4711", "ok, classic way", "Fault 4711", "Fault 4711?"}},
	{name: "500 without one", fault: bare(500), want: [5]string{"NotWinRM", "NotWinRM?", "NotWinRM", "NotWinRM", "NotWinRM?"}},
	{name: "access denied", fault: fail(5), want: refused("AccessDenied")},
	{name: "quota of shells", fault: fail(2150859173), want: refused("QuotaShells")},
	{name: "quota of operations", fault: fail(2150859174), want: refused("QuotaOperations")},
	{name: "quota of users", fault: fail(2150859179), want: refused("QuotaUsers")},
	{name: "quota of memory", fault: fail(2147942408), want: refused("QuotaResources")},
	{name: "envelope limit", fault: fail(2150858823), want: [5]string{"TooLarge", "TooLarge", "ok, classic way", "TooLarge", "TooLarge?"}},
	{name: "operation time-out", fault: fail(2150858793), want: [5]string{"OperationTimedOut", "OperationTimedOut?", "OperationTimedOut", "Stalled", "Cancelled?"}},
	{name: "operation aborted", fault: fail(995), want: [5]string{"ShellLost", "ShellLost?", "ShellLost", "ShellLost", "ShellLost?"}},
	{name: "endless output", fault: endless, want: [5]string{"ok", "the writer's?", "TooMuch", "TooMuch", "the writer's?"}},
	{name: "TLS expiry", certificate: expired, fault: exchange, want: [5]string{"CertificateExpired", "CertificateExpired", "CertificateExpired", "CertificateExpired", "CertificateExpired?"}},
	{name: "wrong name", certificate: renamed, fault: exchange, want: [5]string{"WrongName", "WrongName", "WrongName", "WrongName", "WrongName?"}},
	{name: "slow link, 40 ms", link: link{delay: 20 * time.Millisecond}, want: all("ok")},
	{name: "1 % loss", link: link{delay: time.Millisecond, lose: 100}, want: all("ok")},
	{name: "1 % loss at 40 ms", link: link{delay: 20 * time.Millisecond, lose: 100}, want: all("ok")},
}
