package sysprep

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

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
	// paused are services that run again where no image comes of the run, by the
	// remedy that has stopped them.
	paused map[string][]string
}

// any: something may have been changed.
func (a applied) any() bool { return len(a.remedies)+len(a.cleaned) > 0 }

// remedies applies the remedies that were asked for, between the checks and what they
// say: what a remedy has done is what its checks say then.
func (r *run) remedies(ctx context.Context) (over bool, err error) {
	if r.config.Preflight == nil || r.config.Preflight.choice().None() || r.attached != nil {
		return false, nil
	}
	if r.checked == nil {
		r.ui.Say("Warning: no remedy is applied, because the guest could not be looked at")
		return false, nil
	}
	var begun []preflight.Planned
	for _, p := range r.planRemedies() {
		r.ui.Sayf("Remedy %s: %s (%s)", p.Remedy.ID, p.Remedy.Changes, targetsOf(p))
		begun = append(begun, p)
		if err := r.apply(ctx, p, r.config.Preflight.BitLockerTimeout); err != nil {
			return true, r.giveUp(ctx, err)
		}
	}
	if len(begun) == 0 {
		return false, nil
	}
	if err := r.verify(ctx, begun); err != nil {
		return true, r.giveUp(ctx, err)
	}
	return false, nil
}

// planRemedies are the remedies that were asked for and have something to do. It says
// which cannot be planned.
func (r *run) planRemedies() (todo []preflight.Planned) {
	// The answer file of answer_file_in_guest may be one that Windows finds by itself.
	for _, p := range preflight.PlanRemedies(r.checked.facts, r.config.Preflight.choice(r.config.answer.name)) {
		switch {
		case p.Unknown != "":
			r.ui.Sayf("Warning: the remedy %s is left out: %s", p.Remedy.ID, p.Unknown)
		case len(p.Calls) == 0:
			log.Printf("sysprep: remedy %s: nothing to do", p.Remedy.ID)
		default:
			todo = append(todo, p)
		}
	}
	return todo
}

// tellRemedies says what the remedies would do, where nothing is changed.
func (r *run) tellRemedies() {
	if r.config.Preflight == nil || r.checked == nil {
		return
	}
	for _, p := range r.planRemedies() {
		r.ui.Sayf("Not applied, because of report_only: remedy %s (%s)", p.Remedy.ID, targetsOf(p))
	}
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
		if r.applied.paused == nil {
			r.applied.paused = map[string][]string{}
		}
		for _, c := range p.Calls {
			r.applied.paused[p.Remedy.ID] = append(r.applied.paused[p.Remedy.ID], c.Targets...)
		}
	}
	var err error
	for _, c := range p.Calls {
		var did guest.Repaired
		err = r.again(ctx, func() (err error) {
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
		return errors.New(notStarted) // giveUp says so
	case guest.Unanswered(err):
		return failed(verdict.Head{Class: verdict.NotStarted}, fmt.Errorf("sysprep was not started: the guest stopped answering while the remedy %s was applied, and may have been changed by it: %w", a.ID, err), nil,
			"find out why the guest stopped answering, and run the build again: a remedy that was applied has nothing to do the next time")
	case errors.Is(err, errStillEncrypted):
		return failed(verdict.Head{Class: verdict.NotStarted}, fmt.Errorf("sysprep was not started: %w", err), nil,
			"raise bitlocker_timeout; decryption goes on in the guest as long as it runs, and the next run waits for the rest")
	}
	return nil // the checks say what it means
}

// again does what may be done twice, and once more where the connection broke off in
// the middle of it.
func (r *run) again(ctx context.Context, do func() error) error {
	err := r.patiently(ctx, do)
	var said *guest.ScriptError
	if err == nil || ctx.Err() != nil || guest.Unanswered(err) || errors.As(err, &said) || errors.Is(err, guest.ErrNoDocument) || errors.Is(err, guest.ErrNotSent) {
		return err
	}
	log.Printf("sysprep: once more: %v", err)
	return r.patiently(ctx, do)
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
		err := r.again(ctx, func() (err error) {
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
			r.ui.Sayf("Decrypting %s, of which %d%% is still encrypted (waiting up to %s, see bitlocker_timeout)", v.Drive, v.Percent, limit)
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

// verify makes the checks again for which something was done, and says what they say.
func (r *run) verify(ctx context.Context, done []preflight.Planned) error {
	var groups []guest.Group
	for _, p := range done {
		for _, g := range p.Remedy.Groups {
			if !slices.Contains(groups, guest.Group(g)) {
				groups = append(groups, guest.Group(g))
			}
		}
	}
	var judged preflight.Judgement
	err := r.again(ctx, func() (err error) {
		judged, err = r.recheck(ctx, groups...)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return errors.New(notStarted) // giveUp says so
	case err != nil:
		return failed(verdict.Head{Class: verdict.NotStarted}, fmt.Errorf("sysprep was not started: what the remedies have done could not be verified: %w", err), nil,
			"find out why the guest did not answer, and run the build again: a remedy that was applied has nothing to do the next time")
	}
	for i := range r.applied.remedies {
		a := &r.applied.remedies[i]
		var open []preflight.Result
		a.Verified, open = judged.Verifies(a.Checks)
		for _, result := range open {
			r.ui.Sayf("Warning: after the remedy %s the check %s still says: %s", a.ID, result.Check.ID, result.Summary)
		}
	}
	r.ui.Sayf("Pre-flight after the remedies: %s", judged.Count())
	for _, line := range judged.Table() {
		r.ui.Say("  " + line)
	}
	return nil
}

// undo starts again what was stopped for the run only, where no image comes of it.
func (r *run) undo(ctx context.Context) {
	for _, p := range preflight.Remedies() { // in their order
		names := r.applied.paused[p.ID]
		if len(names) == 0 {
			continue
		}
		delete(r.applied.paused, p.ID)
		left, err := r.session.StartServices(ctx, cleanupLimit, names...)
		said, head := "started again: "+strings.Join(names, ", "), "Remedy "+p.ID+" is undone: services "
		if err != nil || len(left) > 0 {
			head = "Warning: remedy " + p.ID + " is not undone: services "
		}
		switch {
		case err != nil:
			said = fmt.Sprintf("not started again (%s): %s; their start types are as before", err, strings.Join(names, ", "))
		case len(left) > 0:
			said = fmt.Sprintf("not started again: %s; their start types are as before", strings.Join(left, ", "))
		}
		r.settle(p.ID, said)
		r.ui.Say(head + said)
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
	if len(r.applied.paused) == 0 {
		return
	}
	refused := v.Class == verdict.Refused || v.Class == verdict.NotStarted || v.Class == verdict.Cancelled && !v.StillRunning
	if refused && r.answering {
		r.undo(ctx)
		return
	}
	said := "not started again: Windows starts them at its next start, because their start types are as before"
	for id := range r.applied.paused {
		r.settle(id, said)
	}
	r.applied.paused = nil
}

// pauseAgain stops again what was stopped for the run, after a restart.
func (r *run) pauseAgain(ctx context.Context) {
	if !r.resealed {
		return
	}
	for _, p := range preflight.Remedies() {
		if len(r.applied.paused[p.ID]) == 0 {
			continue
		}
		repair := map[string]guest.Repair{preflight.RemedyUpdates: guest.RepairUpdates, preflight.RemedySearch: guest.RepairSearch}[p.ID]
		did, err := r.session.Repair(ctx, repair, nil, false)
		for _, action := range did.Actions {
			if err == nil && action.Error != "" {
				err = fmt.Errorf("%s (%s): %s", action.Target, action.What, action.Error)
			}
		}
		if err != nil && ctx.Err() == nil {
			r.ui.Sayf("Warning: the remedy %s could not be applied again after the restart into audit mode: %s", p.ID, err)
		}
	}
}
