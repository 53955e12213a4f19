package sysprep

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// applied is what the run has changed in the guest besides running sysprep.
type applied struct {
	// remedies are those that had something to do, in their order, and cleaned what
	// was removed: both for the record of the run.
	remedies []preflight.Applied
	cleaned  []guest.Cleaned
	// stopped are services that run again where no image comes of the run, by the
	// remedy that has stopped them.
	stopped map[string][]string
}

// any: something may have been changed.
func (a applied) any() bool { return len(a.remedies)+len(a.cleaned) > 0 }

// errUnverified: the guest could not be asked after a remedy.
var errUnverified = errors.New("it could not be verified")

// remedy applies the remedies of a choice to a guest whose facts are known, and
// returns the facts as they are then: judged anew, because what a remedy has done is
// what its checks say. With report nothing is done but to say what would be.
// Facts that could not be asked for again are as before. An error ends the run: sysprep
// was not started.
func (r *run) remedy(ctx context.Context, options Remedying, facts preflight.Facts, plan preflight.Plan, chosen finding.Overrides, report bool) (preflight.Facts, error) {
	choice := options.choice(r.config.answer.name)
	if choice.None() || r.attached != nil {
		return facts, nil
	}
	var begun []preflight.Planned
	for _, p := range preflight.PlanRemedies(facts, choice) {
		targets := targetsOf(p)
		switch {
		case p.Unknown != "":
			r.ui.Sayf("Warning: remedy %s is left out: %s", p.Remedy.ID, p.Unknown)
			continue
		case len(p.Calls) == 0:
			log.Printf("sysprep: remedy %s: nothing to do", p.Remedy.ID)
			continue
		case report:
			r.ui.Sayf("Remedy %s is not applied with report_only. It %s (%s)", p.Remedy.ID, p.Remedy.Changes, targets)
			continue
		}
		r.ui.Sayf("Remedy %s: %s (%s)", p.Remedy.ID, p.Remedy.Changes, targets)
		begun = append(begun, p)
		if err := r.apply(ctx, p, options.BitLockerTimeout); err != nil {
			return facts, err
		}
	}
	if len(begun) == 0 {
		return facts, nil
	}
	return r.verify(ctx, begun, facts, plan, chosen)
}

func targetsOf(p preflight.Planned) string {
	var targets []string
	for _, c := range p.Calls {
		targets = append(targets, c.Targets...)
	}
	return strings.Join(targets, ", ")
}

// apply does one remedy. What a guest refuses is said and kept for the record: the
// checks judge it. An error is a guest that did not answer, or a cancel.
func (r *run) apply(ctx context.Context, p preflight.Planned, bitLocker time.Duration) error {
	begun := r.now()
	a := preflight.Applied{ID: p.Remedy.ID, Checks: p.Remedy.Answers, Actions: []preflight.Done{}, Verified: preflight.VerifiedUnknown}
	if p.Remedy.ForTheRun { // before it is done: the answer may get lost
		if r.stopped == nil {
			r.stopped = map[string][]string{}
		}
		for _, c := range p.Calls {
			r.stopped[p.Remedy.ID] = append(r.stopped[p.Remedy.ID], c.Targets...)
		}
	}
	var err error
	for _, c := range p.Calls {
		var did guest.Repaired
		err = r.patiently(ctx, func() (err error) {
			did, err = r.session.Repair(ctx, guest.Repair(c.Repair), c.Parameters, false)
			return err
		})
		if err != nil {
			a.Error = r.scrub.text(err.Error())
			break
		}
		a.Changed = a.Changed || did.Changed
		for _, action := range did.Actions {
			a.Actions = append(a.Actions, preflight.Done{What: action.What, Target: action.Target, Done: action.Done, Error: action.Error})
		}
		if guest.Repair(c.Repair) == guest.RepairBitLocker && did.Failed == 0 {
			if err = r.awaitDecrypted(ctx, c, bitLocker); err != nil {
				a.Error = r.scrub.text(err.Error())
				break
			}
		}
	}
	a.Seconds = r.now().Sub(begun).Round(time.Millisecond).Seconds()
	r.applied.remedies = append(r.applied.remedies, a)
	r.ui.Say(preflight.Says(a))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("cancelled while the remedy %s was applied", a.ID)
	case guest.Unanswered(err):
		return failed(verdict.Head{Class: verdict.NotStarted}, fmt.Errorf("sysprep was not started: the guest stopped answering while the remedy %s was applied, and may have been changed by it: %w", a.ID, err), nil,
			"find out why the guest stopped answering, and run the build again: a remedy that was applied has nothing to do the next time")
	case errors.Is(err, errStillEncrypted):
		return failed(verdict.Head{Class: verdict.NotStarted}, fmt.Errorf("sysprep was not started: %w", err), nil,
			"raise bitlocker_timeout; decryption goes on in the guest as long as it runs, and the next run waits for the rest")
	}
	return nil // the checks say what it means
}

// errStillEncrypted: the drive was not decrypted in time.
var errStillEncrypted = errors.New("the drive is not decrypted")

// awaitDecrypted waits until the drives of a call are decrypted, and says how far they
// are.
func (r *run) awaitDecrypted(ctx context.Context, c preflight.Call, limit time.Duration) error {
	deadline := r.now().Add(limit)
	said := 101
	for {
		var state guest.Repaired
		err := r.patiently(ctx, func() (err error) {
			state, err = r.session.Repair(ctx, guest.Repair(c.Repair), c.Parameters, true)
			return err
		})
		if err != nil {
			return err
		}
		volumes, err := guest.Volumes(state.Before)
		if err != nil {
			return err
		}
		busy := slices.DeleteFunc(volumes, func(v guest.EncryptedVolume) bool { return v.Status == decrypted })
		if len(busy) == 0 {
			return nil
		}
		v := busy[0]
		if v.Percent <= said-decryptedStep {
			said = v.Percent
			r.ui.Sayf("Decrypting %s: %d%% is still encrypted (waiting up to %s, see bitlocker_timeout)", v.Drive, v.Percent, limit)
		}
		if r.now().After(deadline) {
			return fmt.Errorf("%w after %s (bitlocker_timeout): of %s %d%% is still encrypted", errStillEncrypted, limit, v.Drive, v.Percent)
		}
		if err := r.pause(ctx, decryptedEvery*r.config.PollInterval); err != nil {
			return err
		}
	}
}

const (
	decrypted      = 0  // ConversionStatus of Win32_EncryptableVolume
	decryptedStep  = 10 // percent from one line of the output to the next
	decryptedEvery = 5  // poll intervals from one look to the next
)

// verify asks for the facts of what was done again, and says what its checks make of
// them.
func (r *run) verify(ctx context.Context, done []preflight.Planned, facts preflight.Facts, plan preflight.Plan, chosen finding.Overrides) (preflight.Facts, error) {
	var groups []preflight.Group
	for _, p := range done {
		for _, g := range p.Remedy.Groups {
			if !slices.Contains(groups, g) {
				groups = append(groups, g)
			}
		}
	}
	after, err := r.factsAgain(ctx, facts, groups)
	switch {
	case ctx.Err() != nil:
		return facts, errors.New("cancelled while the remedies were verified")
	case err != nil:
		r.ui.Sayf("Warning: what the remedies have done %s: %s", errUnverified, err)
		return facts, nil
	}
	judged := preflight.Judge(after, plan, chosen)
	for i := range r.applied.remedies {
		a := &r.applied.remedies[i]
		var open []preflight.Result
		a.Verified, open = judged.Verifies(a.Checks)
		for _, result := range open {
			if result.Outcome == preflight.Failed && result.Severity != finding.Info {
				r.ui.Sayf("Warning: after the remedy %s the check %s still finds: %s", a.ID, result.Check.ID, result.Summary)
			}
		}
	}
	return after, nil
}

// factsAgain asks for groups once more.
func (r *run) factsAgain(ctx context.Context, facts preflight.Facts, groups []preflight.Group) (preflight.Facts, error) {
	var names []guest.Group
	for _, g := range groups {
		names = append(names, guest.Group(g))
	}
	var answer guest.PreflightAnswer
	err := r.patiently(ctx, func() (err error) {
		answer, err = r.session.Preflight(ctx, names)
		return err
	})
	if err != nil {
		return facts, err
	}
	facts.Add(r.now(), groups, answer.Facts())
	return facts, nil
}

// undo starts again what was stopped for the run only, where no image comes of it.
func (r *run) undo(ctx context.Context) {
	for _, p := range preflight.Remedies() { // in their order
		names := r.stopped[p.ID]
		if len(names) == 0 {
			continue
		}
		delete(r.stopped, p.ID)
		left, err := r.session.StartServices(ctx, cleanupLimit, names...)
		said := "started again: " + strings.Join(names, ", ")
		switch {
		case err != nil:
			said = fmt.Sprintf("not started again (%s): %s; their start types are as before", err, strings.Join(names, ", "))
		case len(left) > 0:
			said = fmt.Sprintf("not started again: %s; their start types are as before", strings.Join(left, ", "))
		}
		r.settle(p.ID, said)
		r.ui.Sayf("Remedy %s is undone: services %s", p.ID, said)
	}
}

// settle keeps what became of a change that was only for the run.
func (r *run) settle(id, said string) {
	for i := range r.applied.remedies {
		if r.applied.remedies[i].ID == id {
			r.applied.remedies[i].Undone = r.scrub.text(said)
		}
	}
}

// undoAfter undoes what was only for the run, as its verdict allows: a sysprep that
// works, or has broken the machine, is left alone.
func (r *run) undoAfter(ctx context.Context, v verdict.Verdict) {
	if len(r.stopped) == 0 {
		return
	}
	refused := v.Class == verdict.Refused || v.Class == verdict.NotStarted || v.Class == verdict.Cancelled && !v.StillRunning
	if refused && r.answering {
		r.undo(ctx)
		return
	}
	said := "not started again: Windows starts them at its next start, because their start types are as before"
	for id := range r.stopped {
		r.settle(id, said)
	}
	r.stopped = nil
}
