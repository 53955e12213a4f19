package sysprep

import (
	"context"
	"errors"
	"fmt"
	"log"
	"runtime/debug"
	"slices"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// carried does something that watches in a goroutine of its own, and hands its panic on
// to whoever takes the events.
func carried(ctx context.Context, events chan<- event, do func()) {
	defer func() {
		if p := recover(); p != nil {
			select {
			case events <- event{crash: edge.NewCrash("watching sysprep", p)}:
			case <-ctx.Done():
				log.Printf("sysprep: a defect in the plugin, after the watch had ended: %v\n%s", p, debug.Stack())
			}
		}
	}()
	do()
}

// crashed does what can still be done after a panic, and makes the error of the run: it
// claims nothing about the machine that was not seen.
func (r *run) crashed(ctx context.Context, c *edge.Crash) error {
	// It may crash again, or wait for what the panic has left locked.
	done := make(chan error, 1)
	go func() {
		done <- edge.Guard("cleaning up after it", func() error { r.afterCrash(ctx); return nil })
	}()
	var again error
	select {
	case again = <-done:
	case <-time.After(r.real(afterCrashLimit)):
		again = errors.New("cleaning up after it did not end")
	}
	return r.explainCrash(c, again)
}

// explainCrash is the error of the run. again is why the guest could not be cleaned.
func (r *run) explainCrash(c *edge.Crash, again error) error {
	head, state := r.classOfCrash()
	err := fmt.Errorf("%w; %s", c, state)
	if again != nil {
		err = fmt.Errorf("%w; what was brought into the guest may be there still (%w)", err, again)
	}
	return failed(head, err, nil, edge.NextOfCrash)
}

// afterCrashLimit bounds what is done in the guest after a panic: the logs, and cleaning up.
const afterCrashLimit = logsLimit + 2*cleanupLimit

// started: sysprep has been, or may have been, started in the phase that goes on, or in
// one before it.
func (r *run) started() bool {
	return !r.begun.IsZero() && slices.Contains([]string{"audit", "sysprep", "finish"}, r.doing)
}

// classOfCrash is the class of a run that crashed, and what is known of the machine.
func (r *run) classOfCrash() (h verdict.Head, state string) {
	switch class := r.verdict.Class; {
	case !r.started():
		return verdict.Head{Class: verdict.NotStarted}, "sysprep was not started"
	case r.inBetween:
		return verdict.Head{Class: verdict.Lost}, "sysprep may have been started to bring Windows into audit mode, and whether it is there is not known"
	case class == verdict.Generalized:
		return verdict.Head{Class: verdict.AtTheEnd}, "sysprep had succeeded before that, and whether what follows it was done is not known"
	case class != verdict.Running:
		return r.verdict.Head(), "before that " + r.verdict.Reason
	}
	return verdict.Head{Class: verdict.Lost}, "sysprep may have been started, and its end was not seen: do not use the disk without a proof of it"
}

// afterCrash saves the logs, and removes what was brought.
func (r *run) afterCrash(ctx context.Context) {
	switch {
	case !r.started():
		_ = r.giveUp(ctx, errors.New("it crashed"))
	case r.verdict.Class == verdict.Replaced || r.verdict.Crashed: // as end does
	default:
		logs, end := afterCancel(ctx, logsLimit)
		defer end()
		r.saveLogs(logs, r.answering)
		limit := cleanupLimit
		if !r.answering {
			limit = cancelLimit
		}
		work, cancel := afterCancel(ctx, limit)
		defer cancel()
		r.cleanup(work, r.left)
	}
}
