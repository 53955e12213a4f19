package sysprep

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/record"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// sysprep starts it and watches it until there is a verdict.
func (r *run) sysprep(ctx context.Context) (over bool, err error) {
	begun := r.now()
	r.watched = &watched{begun: begun}
	r.machine.begin()
	if r.attached != nil {
		r.keepRecord(ctx)
		r.noteLaunch(nil)
		r.watchAttached(ctx)
		return false, nil
	}
	if err = r.launch(ctx); alreadyRunning(err) && ctx.Err() == nil {
		err = r.launchAgain(ctx)
	}
	r.noteLaunch(err)
	switch {
	case ctx.Err() != nil:
		r.verdict = r.cancelledLaunch(ctx)
	case err != nil:
		return true, r.giveUp(ctx, err)
	default:
		r.keepRecord(ctx)
		r.verdict = r.observe(ctx)
	}
	return false, nil
}

// alreadyRunning: a sysprep.exe has come up since the guest was looked at.
func alreadyRunning(err error) bool {
	return errors.Is(err, &guest.ScriptError{Name: "already-running"})
}

// lateWindows is how often the window of audit mode may come up between a look and
// the start.
const lateWindows = 3

// launchAgain looks at the guest again, because a sysprep.exe has come up: in audit
// mode Windows opens its window when it logs on, which may be later than WinRM
// answers.
func (r *run) launchAgain(ctx context.Context) (err error) {
	for range lateWindows {
		_, d, lookErr := r.untilClear(ctx)
		if lookErr != nil {
			return lookErr
		}
		if d.Start != verdict.Go {
			d = verdict.AlreadyRunning(d.PID)
			return failed(verdict.Head{Class: verdict.NotStarted, Cause: d.Cause}, errors.New("sysprep was not started: "+d.Reason), nil, d.Next...)
		}
		if err = r.launch(ctx); !alreadyRunning(err) {
			return err
		}
	}
	return err
}

// keepRecord tells our own builder what the image has to show.
func (r *run) keepRecord(ctx context.Context) { r.keep(ctx, false) }

func (r *run) keep(ctx context.Context, poweredOff bool) {
	if r.record == "" {
		return
	}
	ran := record.Run{ID: r.id, AnswerFile: r.plan.AnswerFile != "", VMMode: r.config.VMMode, PoweredOff: poweredOff}
	if content := r.config.answer.content; ran.AnswerFile && len(content) > 0 {
		ran.AnswerFileSHA256 = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	if err := ran.Write(ctx, r.record); err != nil {
		r.ui.Sayf("Warning: %s; the proof cannot ask for what this run brought into the image", err)
	}
}

// launch starts sysprep and makes sure of it.
func (r *run) launch(ctx context.Context) error {
	if r.plan.Starter == "" {
		r.ui.Sayf("Starting sysprep %s", r.plan.Arguments)
	} else {
		r.ui.Sayf("Starting %s, which starts sysprep", r.plan.Starter)
	}
	watch := r.watching()
	l := guest.Launch{Arguments: r.plan.Arguments, Agent: r.plan.Starter != "", User: r.user, Watch: &watch}
	var err error
	switch {
	case r.config.RunAs == runAsSystem:
		l.Logon = guest.LogonSystem
	case r.config.RunAs == runAsElevated && r.config.ElevatedPassword == "":
		l.Logon, l.User = guest.LogonS4U, r.config.ElevatedUser
	case r.config.RunAs == runAsElevated:
		l.Logon, l.User, l.Password = guest.LogonPassword, r.config.ElevatedUser, r.config.ElevatedPassword
	}
	silent := r.patiently(ctx, func() error {
		before := r.launched
		r.launched, err = r.session.Launch(ctx, l)
		r.launched.OldLogs = before.OldLogs.With(r.launched.OldLogs)
		r.launched.TagDeleted = r.launched.TagDeleted || before.TagDeleted
		r.left = r.left.With(r.launched.Brought)
		if r.launched.Task != "" {
			r.left = r.left.With(guest.Leftovers{Tasks: []string{r.launched.Task}})
		}
		if errors.Is(err, guest.ErrNotStarted) {
			return err
		}
		return nil // started or not, it must not be started again
	})
	if silent != nil {
		err = silent
	}
	if r.launched.WithoutPowerShell {
		r.ui.Sayf("PowerShell does not work in the guest; continuing without it (%s)", r.launched.Reason)
	}
	if r.launched.Instead != "" {
		r.ui.Sayf("Windows does not let WMI start a process (%s): sysprep runs from a scheduled task of %s instead; set run_as to choose the account", r.launched.Instead, r.user)
	}
	if r.launched.TagDeleted {
		r.ui.Say("Deleted the tag of an earlier run")
	}
	if r.launched.Lost != "" {
		r.ui.Sayf("The answer to the start was lost (%s), but sysprep was started; continuing", r.launched.Lost)
	}
	if r.launched.Unsaid != "" {
		r.ui.Sayf("Whether sysprep was started is not certain (%s); watching for it", r.launched.Unsaid)
	}
	if err == nil {
		if r.launched.AgentPID != 0 {
			r.ui.Sayf("%s runs (process id %d); waiting for its sysprep", r.plan.Starter, r.launched.AgentPID)
		}
		return nil
	}
	var refusal *guest.ScriptError
	refused := errors.As(err, &refusal) && refusal.Name != "script"
	if ctx.Err() != nil || refused || errors.Is(err, guest.ErrNotStarted) {
		return launchError(err)
	}
	// The connection broke, the answer got lost, or the script broke midway;
	// sysprep may run all the same, and none ran before.
	state, perr := r.session.Poll(ctx)
	if perr == nil && len(state.Processes) == 0 && !l.Agent {
		return failed(verdict.Head{Class: verdict.Lost}, fmt.Errorf("sysprep is not running, and the outcome of its start is not known: %w", err), nil, "run the build again from an untouched disk")
	}
	r.ui.Sayf("Whether sysprep was started is not certain (%s); watching for it", err)
	if len(state.Processes) > 0 {
		r.launched.PID = state.Processes[0]
	}
	return nil
}

// cancelledLaunch finds out whether sysprep runs, so that it can be ended.
func (r *run) cancelledLaunch(ctx context.Context) verdict.Verdict {
	ctx, cancel := afterCancel(ctx, cancelLimit)
	defer cancel()
	state := verdict.Begin(r.begun, r.plan.Expect)
	seen, err := r.session.Poll(ctx)
	if err == nil {
		r.answering = true
		if len(seen.Processes) == 1 {
			r.launched.PID = seen.Processes[0] // none ran before
		}
		state, _ = state.Step(observation(r.now(), seen))
	}
	return state.Cancel(r.now())
}

// launchError says what kept sysprep from starting, and the way out.
func launchError(err error) error {
	for _, known := range []struct {
		name, cause string
	}{{"already-running", "F51"}, {"sysprep-missing", "F52"}} {
		if errors.Is(err, &guest.ScriptError{Name: known.name}) {
			d, _ := diagnosis.ByID(known.cause)
			return failed(verdict.Head{Class: verdict.NotStarted, Cause: d.Name}, fmt.Errorf("sysprep was not started: %w", err), nil, d.Remedy...)
		}
	}
	if errors.Is(err, &guest.ScriptError{Name: "tag-not-deleted"}) {
		return untouched(fmt.Errorf("sysprep was not started: the tag of an earlier run cannot be deleted, so success could not be recognized: %w", err), "connect as an administrator with the elevated token")
	}
	var account *guest.AccountError
	if errors.As(err, &account) {
		return untouched(fmt.Errorf("sysprep was not started, the machine is untouched: the guest did not accept elevated_user %q or elevated_password (%s): %w", account.User, account.Code, err),
			"name a local administrator as the guest knows it, and check the password; without elevated_password no password is needed")
	}
	next := "remove what keeps it from being started, and run the build again"
	if guest.Unanswered(err) {
		next = unanswered
	}
	return untouched(fmt.Errorf("sysprep was not started, the machine is untouched: %w", err), next)
}
