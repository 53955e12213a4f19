package guest

import (
	"context"
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// launchWithout starts sysprep by cmd.exe and a scheduled task. PowerShell ran
// nothing, so nothing has been started yet.
func (s *Session) launchWithout(ctx context.Context, l Launch, launched Launched, why error) (Launched, error) {
	launched.WithoutPowerShell, launched.Reason, launched.Task = true, why.Error(), ""
	user := call("? /np", l.User)
	switch {
	case l.Logon == LogonSystem:
		user = call("SYSTEM")
	case l.Logon == LogonPassword:
		return launched, fmt.Errorf("%w: PowerShell does not work (%w), and schtasks would show the password; leave the password out", ErrNotStarted, why)
	case user.err != nil:
		return launched, fmt.Errorf("%w: PowerShell does not work (%w) and user %q cannot be passed to schtasks", ErrNotStarted, why, l.User)
	}
	if strings.ContainsAny(l.Arguments, "\"%^&|<>\r\n") {
		return launched, fmt.Errorf("%w: PowerShell does not work (%w) and the arguments %q cannot be passed to schtasks", ErrNotStarted, why, l.Arguments)
	}
	ours := s.Folder() // what the guest is known by from now on
	// The old log keeps its lines under another name: they may explain an earlier failure.
	a, err := s.ask(ctx, all(s.putBoot(), call("md ?", ours), tell("ours", ours), call("del /f /q ? ?", s.tag(), s.markFile()), call("ren ? "+nameOf(s.oldLog()), s.Log()),
		when(s.Log(), echo("log-stays"), countLines(s.Log())), tell("tag", s.tag())), CommandLimit)
	s.heardBoot(a)
	tag := a.yes("tag")
	switch {
	case err == nil && tag == nil:
		err = a.unreadable()
		fallthrough
	case err != nil:
		return launched, fmt.Errorf("%w: deleting the old tag: %w", ErrNotStarted, err)
	case *tag:
		return launched, &ScriptError{Script: scripts.Launch, Name: "tag-not-deleted", Message: short(a.stderr)}
	}
	s.mu.Lock()
	clear(s.brought)   // what was uploaded may never have arrived
	s.removing = false // the command that would do it did not run
	s.mu.Unlock()
	if there := a.yes("ours"); there != nil {
		s.note(ours, *there)
	}
	launched.OldLines = counted(a)
	launched.OldUncounted = a.has("log-stays") && launched.OldLines == 0
	launched.OldLogs.Files = []string{s.oldLog()}
	launched.Task = s.Task()
	program, arguments := s.program(l)
	create := joined(" ", call("schtasks /create /f /tn ? /tr ? /sc once /st 00:00 /rl highest /ru", s.Task(), program+" "+arguments), user)
	if err := s.done(ctx, "registering a scheduled task for sysprep by schtasks", create); err != nil {
		return launched, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	a, err = s.ask(ctx, call("schtasks /run /tn ?", s.Task()).then(echo("done")).otherwise(echo("failed")), CommandLimit)
	switch {
	case a.has("done"):
		return launched, nil
	case err == nil:
		err = a.unreadable()
	}
	err = fmt.Errorf("running a scheduled task for sysprep by schtasks: %w", err)
	if a.has("failed") {
		return launched, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	if start, pid := s.started(ctx, false, false); start == startYes {
		launched.PID = pid
		return launched, nil
	}
	return launched, err
}
