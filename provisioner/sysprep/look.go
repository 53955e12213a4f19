package sysprep

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// look finds out whether sysprep may run, and plans the run.
func (r *run) look(ctx context.Context) (over bool, err error) {
	if r.config.reportOnly() {
		return r.examine(ctx)
	}
	first, decision, err := r.untilClear(ctx)
	if ctx.Err() != nil || err != nil && r.session.Brought() {
		return true, r.giveUp(ctx, err) // the look brought a script
	}
	if err != nil {
		return true, err
	}
	r.first = first
	if r.overSSH() {
		r.knock(ctx)
	}
	if decision.Start == verdict.Go {
		for _, ready := range []func(context.Context) error{r.findAgent, r.awaitAzure, r.fetchAnswer} {
			if err := ready(ctx); err != nil {
				return true, r.giveUp(ctx, err)
			}
		}
	}
	if err := r.buildAnswer(first.Architecture); err != nil {
		return true, r.giveUp(ctx, err)
	}
	r.plan = r.config.plan(r.session.Windir(), r.id)
	r.noteFirst()
	for _, w := range slices.Concat(decision.Warnings, r.plan.Warnings, r.answerWarnings(first.Architecture)) {
		r.ui.Say("Warning: " + w)
	}
	switch {
	case r.plan.Why == "":
	case r.config.goesToAudit(r.plan.End()):
		r.ui.Sayf("Afterwards: %s (%s)", r.plan.End(), r.plan.Why)
	default:
		r.ui.Sayf("Afterwards: %s, as suits the builder %s (%s)", r.plan.End(), r.config.PackerBuilderType, r.plan.Why)
	}
	if decision.Start == verdict.Attach {
		return false, r.attach(ctx, decision)
	}
	if decision.Start == verdict.Already {
		return true, r.endAlready(ctx, decision)
	}
	if r.config.RunAs == runAsSystem && first.Build >= windows.BlackScreenFrom {
		return true, untouched(fmt.Errorf("run_as = \"system\" is refused, the machine is untouched: on build %d sysprep as SYSTEM leaves a black screen after first boot", first.Build), "use the build user or elevated_user")
	}
	return false, nil
}

// untilClear asks for the guest's state until sysprep may run or it is clear
// that it may not.
func (r *run) untilClear(ctx context.Context) (guest.Status, verdict.Clearance, error) {
	r.ui.Say("Looking at the guest")
	limit, option := r.config.StallTimeout, "stall_timeout"
	if w := r.config.awaits(); w.FirstBoot {
		limit, option = w.Timeout, "preflight.wait_for.timeout"
	}
	deadline := r.now().Add(limit)
	said, closed := "", 0
	wait := r.heart.Begin(r.waitingFor("looking at the guest", ""))
	defer wait.End()
	for {
		state, d := r.lookOnce(ctx)
		if ctx.Err() != nil {
			return state, verdict.Clearance{}, errors.New(notStarted)
		}
		late := r.now().After(deadline)
		wait.Set(r.waitingFor("waiting until sysprep may run", d.Reason))
		switch {
		case d.Start == verdict.Go || d.Start == verdict.Already || d.Start == verdict.Attach:
			return state, d, nil
		case d.Start == verdict.Refuse, late:
			text := "sysprep was not started: " + d.Reason
			if d.Start != verdict.Refuse {
				text += fmt.Sprintf(" (waited up to %s, see %s)", limit, option)
			}
			return state, d, failed(verdict.Head{Class: verdict.NotStarted, Cause: d.Cause}, errors.New(text), append(r.firstBoot(ctx, d), r.earlier(ctx, d, state)...), d.Next...)
		case d.Start == verdict.Close:
			if closed != d.PID {
				r.ui.Sayf("Closing it: %s", d.Reason)
				closed = d.PID
			}
			if err := r.session.Stop(ctx, d.PID, guest.CommandLimit); err != nil {
				r.ui.Sayf("It could not be closed: %s", err)
			}
		case d.Reason != said:
			r.ui.Sayf("Waiting: %s", d.Reason)
			said = d.Reason
		}
		if err := r.pause(ctx, r.config.PollInterval); err != nil {
			return state, d, errors.New(notStarted)
		}
	}
}

// lookOnce looks at the guest, and judges what it sees.
func (r *run) lookOnce(ctx context.Context) (guest.Status, verdict.Clearance) {
	planned := r.config.plan(r.session.Windir(), r.id)
	state, err := r.session.Look(ctx)
	first := firstOf(r.now(), state)
	if !r.config.startsSysprep() { // what an agent gives sysprep is not known before
		first.Wanted = planned.Arguments
	}
	if err != nil && ctx.Err() == nil {
		first.Reached, first.TransportErr = false, err.Error()
		r.knock(ctx) // a guest that answers again is asked again
	}
	d := verdict.Clear(first, planned.Expect)
	if d.Start == verdict.Ask && ctx.Err() == nil {
		if first.Programs = r.programs(ctx, first.SysprepPID); len(first.Programs) == 0 {
			first.Process = verdict.No // it has ended since
		}
		d = verdict.Clear(first, planned.Expect)
	}
	r.noteLook(first, state)
	return state, d
}

func firstOf(at time.Time, state guest.Status) verdict.First {
	first := verdict.First{
		Observation: observation(at, state), SysprepExe: tri(state.SysprepExe),
		SystemSetupInProgress: set(state.SystemSetupInProgress), OOBEInProgress: set(state.OOBEInProgress), AuditMode: set(state.AuditBoot),
	}
	if len(state.Processes) > 0 {
		first.SysprepPID = state.Processes[0]
	}
	return first
}

// programs are the command lines of the sysprep.exe that run.
func (r *run) programs(ctx context.Context, pid int) []verdict.Program {
	found, err := r.session.Running(ctx)
	if err != nil {
		log.Printf("sysprep: %v", err)
		return []verdict.Program{{PID: pid}}
	}
	r.running = found
	all := []verdict.Program{}
	for _, p := range found {
		all = append(all, verdict.Program{PID: p.PID, Arguments: p.Arguments, Known: p.Known, Ours: p.Run != ""})
	}
	return all
}
