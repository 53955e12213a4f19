package guest

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

// launchWithout starts sysprep by cmd.exe and a scheduled task. PowerShell ran
// nothing, so nothing has been started yet.
func (s *Session) launchWithout(ctx context.Context, l Launch, launched Launched, why error) (Launched, error) {
	launched.WithoutPowerShell, launched.Reason, launched.Task = true, why.Error(), ""
	user := `"` + l.User + `" /np`
	switch {
	case l.Logon == LogonSystem:
		user = "SYSTEM"
	case l.Logon == LogonPassword:
		return launched, fmt.Errorf("%w: PowerShell does not work (%w), and schtasks would show the password; leave the password out", ErrNotStarted, why)
	// In quotes nothing else means anything to cmd.exe and schtasks.
	case l.User == "" || strings.ContainsAny(l.User, "\"%\r\n") || strings.HasSuffix(l.User, `\`):
		return launched, fmt.Errorf("%w: PowerShell does not work (%w) and user %q cannot be given to schtasks", ErrNotStarted, why, l.User)
	}
	if strings.ContainsAny(l.Arguments, "\"%^&|<>\r\n") {
		return launched, fmt.Errorf("%w: PowerShell does not work (%w) and the arguments %q cannot be given to schtasks", ErrNotStarted, why, l.Arguments)
	}
	folder := s.Windir() + `\System32\Sysprep`
	tag := folder + `\Sysprep_succeeded.tag`
	// The old log keeps its lines under another name: they may explain an earlier failure.
	ours := s.Folder() // what the guest is known by from now on
	out, err := s.Run(ctx, `md "`+ours+`"& (if exist "`+ours+`" (echo ours-^there))& del /f /q "`+tag+`" "`+s.markFile()+`"& ren "`+folder+`\Panther\setupact.log" setupact.packer-`+s.id+`.log& `+
		`(if exist "`+folder+`\Panther\setupact.log" (echo `+hidden("log-stays")+`& find /c /v "" "`+folder+`\Panther\setupact.log"))& `+
		`(if exist "`+tag+`" (echo `+hidden("tag-left")+`) else (echo `+hidden("tag-gone")+`))`, CommandLimit)
	if err != nil {
		return launched, fmt.Errorf("%w: deleting the old tag: %w", ErrNotStarted, err)
	}
	switch {
	case said(out.Stdout, "tag-gone"):
	case said(out.Stdout, "tag-left"):
		return launched, &ScriptError{Script: scripts.Launch, Name: "tag-not-deleted", Message: short(string(out.Stderr))}
	default:
		return launched, fmt.Errorf("%w: deleting the old tag: %w: %q", ErrNotStarted, ErrUnreadable, short(string(out.Stdout)))
	}
	s.mu.Lock()
	clear(s.scripts)   // what was uploaded may never have arrived
	s.removing = false // the command that would do it did not run
	s.scripts[ours] = bytes.Contains(out.Stdout, []byte("ours-there"))
	s.mu.Unlock()
	launched.OldLines = counted(out.Stdout)
	launched.OldUncounted = bytes.Contains(out.Stdout, []byte(marker+"log-stays")) && launched.OldLines == 0
	launched.OldLogs.Files = []string{folder + `\Panther\setupact.packer-` + s.id + `.log`}
	launched.Task = s.Task()
	create := `schtasks /create /f /tn ` + s.Task() + ` /tr "` + folder + `\sysprep.exe ` + l.Arguments + `" /sc once /st 00:00 /rl highest /ru ` + user
	if out, err = s.Run(ctx, create+"&& echo "+hidden("done"), CommandLimit); err != nil || !said(out.Stdout, "done") {
		return launched, fmt.Errorf("%w: %w", ErrNotStarted, noTask("registering", out, err))
	}
	out, err = s.Run(ctx, `schtasks /run /tn `+s.Task()+"&& echo "+hidden("done"), CommandLimit)
	switch {
	case err == nil && said(out.Stdout, "done"):
	case err == nil && out.Exit != 0: // it came to its end and says that it failed
		return launched, fmt.Errorf("%w: %w", ErrNotStarted, noTask("running", out, err))
	default: // the word after it is missing, so what else is missing is not known
		if start, pid := s.started(ctx, false, err == nil); start == startYes {
			launched.PID = pid
			return launched, nil
		}
		return launched, noTask("running", out, err)
	}
	return launched, nil
}

func noTask(doing string, out Result, err error) error {
	if err == nil {
		err = fmt.Errorf("%w: %q", ErrUnreadable, short(string(out.Stdout)+" "+string(out.Stderr)))
	}
	return fmt.Errorf("%s a scheduled task for sysprep by schtasks: %w", doing, err)
}
