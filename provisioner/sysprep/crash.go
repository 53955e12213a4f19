package sysprep

import (
	"context"
	"errors"
	"fmt"
	"log"
	"runtime/debug"
	"slices"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// crash is a panic of our own code: a defect of the plugin, and nothing that the guest
// or the template is to blame for.
type crash struct {
	in    string // what went on
	value any
	stack []byte
}

func (c *crash) Error() string {
	return fmt.Sprintf("a defect in the plugin ended the run while it was %s: %v", c.in, c.value)
}

// guarded does something, and makes an error of its panic, whose stack goes to the log.
func guarded(in string, do func() error) (err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		c, ok := p.(*crash) // of a goroutine that was guarded
		if !ok {
			c = &crash{in, p, debug.Stack()}
		}
		log.Printf("sysprep: %s\n%s", c, c.stack)
		err = c
	}()
	return do()
}

// carried does something that watches in a goroutine of its own, and hands its panic on
// to whoever takes the events.
func carried(ctx context.Context, events chan<- event, do func()) {
	defer func() {
		if p := recover(); p != nil {
			select {
			case events <- event{crash: &crash{"watching sysprep", p, debug.Stack()}}:
			case <-ctx.Done():
				log.Printf("sysprep: a defect in the plugin, after the watch had ended: %v\n%s", p, debug.Stack())
			}
		}
	}()
	do()
}

// crashed does what can still be done after a panic, and makes the error of the run: it
// claims nothing about the machine that was not seen.
func (r *run) crashed(ctx context.Context, c *crash) error {
	// It may crash again, or wait for what the panic has left locked.
	done := make(chan error, 1)
	go func() {
		done <- guarded("cleaning up after it", func() error { r.afterCrash(ctx); return nil })
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
func (r *run) explainCrash(c *crash, again error) error {
	head, state := r.classOfCrash()
	err := fmt.Errorf("%w; %s", c, state)
	if again != nil {
		err = fmt.Errorf("%w; what was brought into the guest may be there still (%s)", err, again)
	}
	return failed(head, err, nil, nextOfCrash)
}

// afterCrashLimit bounds what is done in the guest after a panic: the logs, and cleaning up.
const afterCrashLimit = logsLimit + 2*cleanupLimit

// nextOfCrash is for a person who cannot mend it.
const nextOfCrash = "report it with the log of Packer (PACKER_LOG=1), which has its stack, and with run.json of log_directory: https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/issues"

// started: sysprep has been, or may have been, started in the phase that goes on, or in
// one before it.
func (r *run) started() bool {
	return !r.watched.begun.IsZero() && slices.Contains([]string{"audit", "sysprep", "finish"}, r.doing)
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
		r.saveLogs(ctx, r.answering)
		limit := cleanupLimit
		if !r.answering {
			limit = cancelLimit
		}
		work, cancel := afterCancel(ctx, limit)
		defer cancel()
		r.cleanup(work, r.left)
	}
}
