package sysprep

import (
	"context"
	"errors"
	"fmt"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/winrmguest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
)

// atTheEnd runs the lines of before_shutdown, where there are any, and then ends
// Windows as the plan says. The verdict is that of the whole run.
func (r *run) atTheEnd(ctx context.Context, v verdict.Verdict) (verdict.Verdict, error) {
	lines := r.config.lastLines()
	if len(lines) == 0 {
		return v, nil
	}
	if n := len(r.config.BeforeShutdown); n > 0 {
		r.ui.Sayf("Running before_shutdown (lines: %d)", n)
	}
	for _, cleaning := range r.config.endCleanings() {
		r.ui.Sayf("Hygiene %s: %s", cleaning.ID, cleaning.Changes)
	}
	how := map[string]guest.Ending{"": guest.StayUp, actionShutdown: guest.PowerOff, actionReboot: guest.Restart}[r.plan.Then]
	err := r.heart.During(heartbeat.Facts{Doing: "running before_shutdown", Limit: r.config.BeforeShutdownTimeout, Option: "before_shutdown_timeout"}, func() error {
		return r.session.AtTheEnd(ctx, texts(lines), how, r.config.BeforeShutdownTimeout)
	})
	r.noteAtTheEnd(len(lines), err)
	if ctx.Err() != nil {
		return v, verdict.Fail(verdict.Head{Class: verdict.Cancelled}, fmt.Errorf("cancelled while before_shutdown ran; %s", r.done()))
	}
	if err != nil {
		return v, endFailed(r.done(), lines, err)
	}
	if r.plan.Then == "" {
		return r.still(ctx, v)
	}
	return r.leave(ctx, v)
}

// done is what sysprep has made of Windows, for a person.
func (r *run) done() string {
	if r.config.generalize() {
		return "Windows is generalized"
	}
	return "Windows is resealed"
}

// endFailed says which line failed. The line itself may hold a secret.
func endFailed(done string, lines []lastLine, err error) error {
	var line *guest.LineError
	var unsaid *guest.UnsaidError
	var end *guest.EndError
	head := verdict.Head{Class: verdict.AtTheEnd}
	switch {
	case errors.As(err, &unsaid):
		return failed(head, fmt.Errorf("%s, but whether %s worked is not known: %w", done, lines[unsaid.Index].name, err), nil,
			"look at the guest before its disk is used: it may go down all the same. A line must not end the connection; close WinRM by disabling its service, which takes effect at the next start")
	case errors.As(err, &end):
		return failed(head, fmt.Errorf("%s and before_shutdown has worked, but Windows did not take the order to end: %w", done, err), nil,
			"look at the guest before its disk is used: it may go down or restart all the same. A line must not restart Windows or shut it down")
	case errors.As(err, &line) && !errors.Is(err, guest.ErrNotSent):
		return failed(head, fmt.Errorf("%s, but %s failed with %w", done, lines[line.Index].name, err), nil,
			"correct that line and run the build again; Windows stays up")
	}
	return failed(head, fmt.Errorf("%s, but before_shutdown could not be run: %w", done, err), nil,
		"find out why the guest could not be asked, and run the build again; Windows stays up")
}

// still looks whether Windows is as it was before the lines, where it can be asked.
func (r *run) still(ctx context.Context, before verdict.Verdict) (verdict.Verdict, error) {
	expect := r.plan.Expect
	expect.End, expect.Agent = verdict.Quit, ""
	if state, err := r.session.Poll(ctx); err == nil { // else tryLogin tells of it
		_, now := verdict.Ending(r.now(), expect).Step(r.ending(ctx, state, nil))
		if now != nil && now.Class != verdict.Generalized {
			v := now.After(before)
			return v, r.explain(v)
		}
	}
	return before, nil
}

// leave watches how Windows goes down, which it was told. The verdict before that
// is of the run.
func (r *run) leave(ctx context.Context, before verdict.Verdict) (verdict.Verdict, error) {
	v := r.untilGone(ctx, r.plan.End()).After(before)
	switch {
	case v.Class == verdict.Generalized:
		return v, nil
	case v.Class == verdict.Cancelled:
		return v, verdict.Fail(v.Head(), fmt.Errorf("cancelled while Windows was shutting down; %s", r.done()))
	case v.Class == verdict.Lost && v.ConsistentWithSuccess && r.config.PackerBuilderType == ownBuilder:
		return v, nil // it sees the machine, and proves the disk
	}
	return v, r.explain(v)
}

// untilGone asks the guest until it is known how it ended: it may restart in place
// of the power-off, and then it is not what was seen before.
func (r *run) untilGone(ctx context.Context, how string) verdict.Verdict {
	expect := r.plan.Expect
	expect.End = map[string]verdict.End{actionShutdown: verdict.Shutdown, actionReboot: verdict.Reboot}[how]
	judge := verdict.Ending(r.now(), expect)
	facts := heartbeat.Facts{Doing: "waiting for Windows to go down", Limit: r.config.ShutdownTimeout, Option: "shutdown_timeout"}
	wait := r.heart.Begin(facts)
	defer wait.End()
	for {
		state, err := r.session.Poll(ctx)
		facts.Says = "it still answers"
		if err != nil {
			facts.Says = "it does not answer"
		}
		wait.Set(facts)
		var v *verdict.Verdict
		if judge, v = judge.Step(r.ending(ctx, state, err)); v == nil && judge.WantsLastLook() && ctx.Err() == nil {
			state, err = r.session.PollRegardless(ctx, lastLookLimit(r.config.StallTimeout))
			o := r.ending(ctx, state, err)
			o.Last = true
			judge, v = judge.Step(o)
		}
		switch {
		case ctx.Err() != nil:
			return judge.Cancel(r.now())
		case v != nil:
			return *v
		}
		if r.pause(ctx, r.config.PollInterval) != nil {
			return judge.Cancel(r.now())
		}
	}
}

func (r *run) ending(ctx context.Context, state guest.Status, err error) verdict.Observation {
	if err != nil {
		return r.unreached(ctx, err.Error())
	}
	o := observation(r.now(), state)
	o.Machine, o.Ours = r.machine.now(), verdict.Unknown // all of it was removed
	r.note(o, guest.Sample{Status: state})
	return o
}

// tryLogin says when nobody is let in any more, though the builder has to be: a
// connection that was opened before may live on.
func (r *run) tryLogin(ctx context.Context) {
	if b, _ := handover(r.config.PackerBuilderType); b.noLogin {
		return
	}
	limited, cancel := context.WithTimeout(ctx, r.real(guest.CommandLimit))
	defer cancel()
	err := r.askAnew(limited)
	if err == nil || ctx.Err() != nil || errors.Is(err, guest.ErrResting) || errors.Is(err, guest.ErrGivenUp) {
		return // nothing was asked
	}
	who := "the builder's shutdown_command"
	if r.config.PackerBuilderType == "null" { // it has none
		who = "whoever logs in to shut Windows down"
	}
	r.ui.Sayf("Warning: %s will fail: a new login to the guest is not answered as before (%s). %s and stays up: shut it down by other means, or use action = \"shutdown\" and no shutdown_command", who, err, r.done())
}

// askAnew asks the guest over a connection that was not there before.
func (r *run) askAnew(ctx context.Context) error {
	if r.own == nil {
		return r.session.Hello(ctx) // Packer's communicator logs in for each command
	}
	client, err := r.logIn(ctx)
	if err != nil {
		return err
	}
	fresh := &own{client, winrmguest.New(winrm.NewSession(client, winrm.ShellOptions{}), files.Options{})}
	defer fresh.close(ctx)
	return r.open(fresh.transport).Hello(ctx)
}
