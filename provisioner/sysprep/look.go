package sysprep

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// look finds out whether sysprep may run, and plans the run.
func (r *run) look(ctx context.Context) (over bool, err error) {
	first, decision, err := r.untilClear(ctx)
	if ctx.Err() != nil {
		return true, r.giveUp(ctx, err) // the look brought a script
	}
	if err != nil {
		return true, err
	}
	r.first = first
	if err := r.buildAnswer(first.Architecture); err != nil {
		return true, err
	}
	r.plan = r.config.plan(r.session.Windir(), r.id)
	for _, w := range slices.Concat(decision.Warnings, r.plan.Warnings, r.answerWarnings(first.Architecture)) {
		r.ui.Say("Warning: " + w)
	}
	if r.plan.Why != "" {
		r.ui.Sayf("Afterwards: %s, as suits the builder %s (%s)", r.plan.Action, r.config.PackerBuilderType, r.plan.Why)
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
	expect := r.config.plan(r.session.Windir(), r.id).Expect
	deadline := r.now().Add(r.config.StallTimeout)
	said := ""
	for {
		state, err := r.session.Look(ctx)
		if ctx.Err() != nil {
			return state, verdict.Clearance{}, errors.New(notStarted)
		}
		first := verdict.First{
			Observation: observation(r.now(), state), SysprepExe: tri(state.SysprepExe),
			SystemSetupInProgress: set(state.SystemSetupInProgress), OOBEInProgress: set(state.OOBEInProgress), AuditMode: set(state.AuditBoot),
		}
		if len(state.Processes) > 0 {
			first.SysprepPID = state.Processes[0]
		}
		if err != nil {
			first.Reached, first.TransportErr = false, err.Error()
			r.knock(ctx) // a guest that answers again is asked again
		}
		d := verdict.Clear(first, expect)
		switch {
		case d.Start == verdict.Go || d.Start == verdict.Already:
			return state, d, nil
		case d.Start == verdict.Refuse, r.now().After(deadline):
			text := "sysprep was not started: " + d.Reason
			if d.Start == verdict.Wait {
				text += fmt.Sprintf(" (waited up to %s, see stall_timeout)", r.config.StallTimeout)
			}
			return state, d, failed(verdict.Head{Class: verdict.NotStarted, Cause: d.Cause}, errors.New(text), append(r.firstBoot(ctx, d, first.Reached), r.earlier(ctx, d)...), d.Next...)
		}
		if d.Reason != said {
			r.ui.Sayf("Waiting: %s", d.Reason)
			said = d.Reason
		}
		if err := r.pause(ctx, r.config.PollInterval); err != nil {
			return state, d, errors.New(notStarted)
		}
	}
}
