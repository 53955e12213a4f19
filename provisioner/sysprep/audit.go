package sysprep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// throughAudit brings the guest into audit mode, from which the run goes on.
func (r *run) throughAudit(ctx context.Context) (over bool, err error) {
	first := firstOf(r.now(), r.first)
	if in, _ := verdict.InAudit(first); !r.config.ThroughAudit || r.attached != nil || in {
		return false, nil
	}
	whole, planned := r.config, r.plan
	r.config.Mode, r.config.Action, r.config.Generalize = modeAudit, actionReboot, config.TriFalse
	r.config.ThroughAudit, r.config.VMMode, r.config.BeforeShutdown, r.config.DeleteCachedAnswerFile, r.config.answer = false, false, nil, false, answer{}
	r.config.Hygiene = nil
	r.plan, r.inBetween = r.config.plan(r.session.Windir(), r.id), true
	restore := func() { r.config, r.plan, r.inBetween = whole, planned, false }
	defer restore()
	if r.session.Places() {
		if err := r.bring(ctx); err != nil {
			return true, r.giveUp(ctx, err)
		}
	}
	if over, err := r.sysprep(ctx); over || err != nil {
		return true, err
	}
	if _, err := r.finish(ctx); err != nil {
		return true, err
	}
	r.left, r.resealed = guest.Leftovers{}, true
	restore()
	state, d, err := r.untilClear(ctx)
	switch {
	case err != nil:
		return true, r.giveUp(ctx, err) // the look may have brought a script
	case d.Start != verdict.Go:
		return true, untouched(fmt.Errorf("sysprep was not started in audit mode: %s", d.Reason), d.Next...)
	}
	r.first = state
	return false, nil
}

// logonLimit is how long a guest that is in audit mode may take to log on: without
// a window by then none is expected.
const logonLimit = time.Minute

// awaitAudit waits until the guest is back, in audit mode, for what follows.
func (r *run) awaitAudit(ctx context.Context) error {
	r.ui.Sayf("Waiting until the guest is back in audit mode (up to %s, see reboot_timeout)", r.config.RebootTimeout)
	deadline := r.now().Add(r.config.RebootTimeout)
	said, begun := "", time.Time{}
	facts := heartbeat.Facts{Doing: "waiting until the guest is back in audit mode", Limit: r.config.RebootTimeout, Option: "reboot_timeout"}
	wait := r.heart.Begin(facts)
	defer wait.End()
	for {
		state, err := r.session.Look(ctx)
		if ctx.Err() != nil {
			return errors.New("cancelled while the guest restarted into audit mode")
		}
		first := firstOf(r.now(), state)
		if err != nil {
			first.Reached, first.TransportErr = false, err.Error()
			r.knock(ctx) // a guest that answers again is asked again
		}
		r.noteLook(first, state)
		in, why := verdict.InAudit(first)
		facts.Says = why
		wait.Set(facts)
		if in && begun.IsZero() {
			begun = r.now()
		}
		// Windows logs on when it has started, and opens its window then.
		if in && (first.Process == verdict.Yes || r.now().Sub(begun) >= logonLimit) {
			r.ui.Say("The guest is back in audit mode")
			if what := r.leftovers(); r.launched.PID != 0 && !what.None() {
				r.cleanup(ctx, what)
			}
			return nil
		}
		if !in && r.now().After(deadline) {
			return failed(verdict.Head{Class: verdict.Lost}, fmt.Errorf("the guest is not back in audit mode within %s: %s", r.config.RebootTimeout, why), nil,
				"look at the guest's screen; if it is on the way, raise reboot_timeout. In audit mode WinRM has to answer as before: its service starts by itself, and the network is no public one")
		}
		if first.Reached && !in && why != said {
			r.ui.Sayf("Waiting: %s", why)
			said = why
		}
		if r.pause(ctx, r.config.PollInterval) != nil {
			return errors.New("cancelled while the guest restarted into audit mode")
		}
	}
}
