package sysprep

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

const (
	cleanupLimit = 30 * time.Second
	cleanupAgain = 15 * time.Second // in which a cleanup that failed is tried again
	// cancelLimit bounds each thing done in the guest after a cancel: finding
	// out whether sysprep was started, ending it, cleaning up. Our own builder
	// waits for all three together (20 s), others for none.
	cancelLimit = 6 * time.Second
	logsLimit   = 3 * time.Minute // for all logs together
	maxLogFile  = 8 << 20         // of a larger log the end is fetched
)

const notStarted = "cancelled: sysprep was not started, the machine is untouched"

// giveUp ends a run in which sysprep was not started.
func (r *run) giveUp(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = errors.New(notStarted)
		if r.applied.any() {
			err = errors.New("cancelled: sysprep was not started; what hygiene and remedies have changed in the guest stays, as the lines above say")
		}
		if r.resealed {
			err = errors.New("cancelled: Windows was brought into audit mode (through_audit), where it is still; sysprep was not started to generalize it")
		}
	}
	ctx, cancel := afterCancel(ctx, cleanupLimit)
	defer cancel()
	r.answering = true // as it did when it was looked at
	r.undo(ctx)
	r.cleanup(ctx, r.left)
	return err
}

// afterCancel returns a context for what still has to be done, short when the
// user waits for the end.
func afterCancel(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	if ctx.Err() != nil {
		limit = cancelLimit
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// finish does what is left after the verdict, and turns it into an error unless
// the image is good.
func (r *run) finish(ctx context.Context) (over bool, err error) {
	return true, r.end(ctx, r.verdict)
}

func (r *run) end(ctx context.Context, v verdict.Verdict) error {
	r.progress(r.tracker.Flush())
	switch {
	case v.Class == verdict.Generalized:
		return r.succeed(ctx, v)
	case v.Class == verdict.Lost && v.ConsistentWithSuccess && r.config.PackerBuilderType == ownBuilder:
		r.saveLogs(ctx, false)
		r.reportLeft()
		r.ui.Sayf("Warning: whether Windows is generalized could not be seen in the guest (%s). Nothing contradicts it, and %s proves the disk next.", v.Reason, ownBuilder)
		return nil
	case v.Class == verdict.Cancelled:
		r.endCancelled(ctx, &v)
	case v.Class == verdict.Replaced, v.Crashed:
		// Nothing is asked of, or changed on, a machine that is not ours, or is no more.
		r.saveLogs(ctx, false)
	default:
		r.diagnose(ctx, &v)
		r.explainAgent(ctx, &v)
		r.stopOwn(ctx, &v)
		r.undoAfter(ctx, v)
		r.saveLogs(ctx, r.answering)
		if r.tidied != nil {
			if !r.answering {
				r.reportLeft()
				break
			}
			<-r.tidied // fetching logs has brought something again
		}
		limit := cleanupLimit
		if !r.answering {
			limit = cancelLimit // most likely in vain
		}
		work, cancel := afterCancel(ctx, limit)
		defer cancel()
		r.cleanup(work, r.left)
	}
	return r.explain(v)
}

// explain shows all of a verdict once, and makes the error of it: Packer prints
// that twice.
func (r *run) explain(v verdict.Verdict) error {
	said, next := v.Explain()
	r.noteCause(v, said)
	err := verdict.Fail(v.Head(), errors.New(said[0]))
	said[0] = err.Error()
	if r.config.LogDirectory == "" && v.Class != verdict.Cancelled {
		next = append(next, "Set log_directory to keep the guest's logs.")
	}
	r.ui.Error(strings.Join(append(said, render.Steps(next)...), "\n"))
	return err
}

// endCancelled ends a sysprep that has changed nothing yet, removes what the run
// brought, and sees what became of the machine: it may be in use.
func (r *run) endCancelled(ctx context.Context, v *verdict.Verdict) {
	work, cancel := afterCancel(ctx, cancelLimit)
	defer cancel()
	now, err := r.session.Poll(work)
	if r.answering = err == nil; r.answering {
		if r.launched.PID == 0 && len(now.Processes) == 1 {
			r.launched.PID = now.Processes[0] // none ran before
		}
		v.StillRunning = len(now.Processes) > 0
		v.Tag, v.ImageState, v.GeneralizationState = tri(now.Tag), now.ImageState, now.GeneralizationState
	}
	r.stopOwn(work, v)
	r.stopAgent(work, now)
	r.undoAfter(work, *v)
	last, cancelLast := afterCancel(ctx, cancelLimit)
	defer cancelLast()
	r.cleanup(last, r.left)
}

// succeed does what is left to do in the image, lets Windows end as it is to, and
// says what was proven.
func (r *run) succeed(ctx context.Context, v verdict.Verdict) error {
	if !r.inBetween {
		r.undoAfter(ctx, v)
	}
	if r.plan.Action == actionQuit {
		r.saveLogs(ctx, true)
		r.reportCached(ctx, true)
		if what := r.leftovers(); !what.None() || r.session.Brought() {
			r.cleanup(ctx, what)
		}
	} else {
		r.saveLogs(ctx, false)
		r.reportLeft()
		r.reportCached(ctx, false)
	}
	v, err := r.atTheEnd(ctx, v)
	if err != nil {
		return err
	}
	said, next := v.Explain()
	if v.Unseen || v.Class != verdict.Generalized {
		said[0] = "Warning: " + said[0]
	}
	r.noteCause(v, said)
	if r.config.PackerBuilderType == ownBuilder || r.inBetween {
		next = nil // it does what a person would have to do
	}
	for _, line := range append(said, render.Steps(next)...) {
		r.ui.Say(line)
	}
	switch r.plan.End() {
	case actionQuit:
		r.tryLogin(ctx)
	case actionShutdown:
		r.keep(ctx, true)
	}
	if r.config.goesToAudit(r.plan.End()) {
		return r.awaitAudit(ctx)
	}
	return nil
}

// diagnose names the cause from the log of the run, or from the one in the
// guest where too little of it was seen.
func (r *run) diagnose(ctx context.Context, v *verdict.Verdict) {
	last := r.diagnoseRun(ctx, v)
	r.consult(ctx, v.Diagnosis, last)
}

// diagnoseRun also returns what the log says of the run that was diagnosed.
func (r *run) diagnoseRun(ctx context.Context, v *verdict.Verdict) (run diagnosis.Progress) {
	if v.Diagnosis != nil || v.Class == verdict.Undone || v.Class == verdict.Unarmed {
		return run
	}
	seen := r.tracker.Run()
	run = seen.Progress
	if d, ok := diagnosis.Diagnose(seen); ok && (v.OwnLog == verdict.Yes || r.ownLog(seen.Progress)) {
		v.Diagnosis = &d
		return run
	}
	if v.Class == verdict.Hung {
		if d, ok := diagnosis.Hang(seen.Progress); ok {
			v.Diagnosis = &d
		}
		return run
	}
	if !r.answering {
		return run
	}
	raw, err := r.session.Fetch(ctx, r.session.Log(), maxLogFile)
	if err != nil {
		return run
	}
	last := diagnosis.LastRun(raw)
	if last.Progress.Lines == 0 || !r.ownLog(last.Progress) {
		return run
	}
	if d, ok := diagnosis.Diagnose(last); ok {
		v.Diagnosis, run = &d, last.Progress
	}
	return run
}

// stopOwn ends the sysprep that this run started if it has changed nothing yet
// (it would sit in a dialog and block every other run). One that works on the
// machine is left alone: ending it would break what it may still finish.
func (r *run) stopOwn(ctx context.Context, v *verdict.Verdict) {
	if r.attached != nil || !v.StillRunning || !r.answering || r.launched.PID == 0 || r.tracker.Progress().Stage > diagnosis.StageValidating {
		return
	}
	if v.Class == verdict.Refused && v.OwnLog != verdict.Yes {
		return // the log that says so may be that of an earlier run
	}
	// It may have gone on since it was seen last.
	now, err := r.session.Poll(ctx)
	if err != nil || now.ImageState != windows.StateComplete || !slices.Contains(now.Processes, r.launched.PID) {
		return
	}
	if err := r.session.Stop(ctx, r.launched.PID, cancelLimit); err != nil {
		r.ui.Sayf("sysprep.exe could not be ended: %s", err)
		return
	}
	after, err := r.session.Poll(ctx)
	if err != nil || after.Processes == nil || slices.Contains(after.Processes, r.launched.PID) {
		return
	}
	v.StillRunning, v.ImageState, v.GeneralizationState = false, after.ImageState, after.GeneralizationState
	r.ui.Sayf("Ended sysprep.exe (process id %d), before it changed the machine", r.launched.PID)
}

// leftovers are what is to be removed after success: all that the run brought,
// and nothing but what came later once the command that watched has done it.
func (r *run) leftovers() guest.Leftovers {
	if r.tidied != nil && len(r.untidy) == 0 {
		return guest.Leftovers{}
	}
	return r.left.With(r.launched.OldLogs)
}

// cleanup removes what the run brought into the guest, where it can be reached.
func (r *run) cleanup(ctx context.Context, what guest.Leftovers) {
	left, err := r.session.Cleanup(ctx, what, cleanupLimit)
	// A service that restarts is back within seconds, and passwords may lie there.
	for end := r.now().Add(cleanupAgain); err != nil && r.answering && r.now().Before(end); {
		if errors.Is(err, guest.ErrGivenUp) || r.pause(ctx, r.config.PollInterval) != nil {
			break
		}
		left, err = r.session.Cleanup(ctx, what, cleanupLimit)
	}
	if err != nil {
		r.ui.Sayf("Could not clean up in the guest (%s). These may remain: %s", err, strings.Join(left, ", "))
		return
	}
	if len(left) > 0 {
		r.ui.Sayf("Warning: could not remove from the guest: %s", strings.Join(left, ", "))
	}
}

// reportLeft says what was not removed before Windows went down.
func (r *run) reportLeft() {
	left := r.session.Names(r.left)
	if r.tidied != nil {
		<-r.tidied
		left = r.untidy
	}
	if len(left) > 0 {
		r.ui.Sayf("Warning: the guest went down before these could be removed from it: %s", strings.Join(left, ", "))
	}
}
