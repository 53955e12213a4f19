package vhd

import (
	"context"
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// machine is a started machine with its fate, and what the steps behind
// stepStartMachine may ask of it: it is for that one to start and to close.
type machine struct {
	locator  // stepWaitForGuest, stepConnect
	expecter // stepWaitForPowerOff
	able
	ended chan struct{}
	fate  hypervisor.Fate // valid once ended is closed
}

// able is what only some machines can do; each is nil where this one cannot.
type able struct {
	reporter hypervisor.Reporter
	button   hypervisor.PowerDowner
	killer   hypervisor.Killer
	camera   hypervisor.Screenshotter
	meter    hypervisor.Meter
	reads    hypervisor.ReadMeter
	flusher  hypervisor.Flusher
	waiter   hypervisor.Waiter
}

// resolve finds out once what a machine can do.
func resolve(m hypervisor.Machine) (a able) {
	a.reporter, _ = m.(hypervisor.Reporter)
	a.button, _ = m.(hypervisor.PowerDowner)
	a.killer, _ = m.(hypervisor.Killer)
	a.camera, _ = m.(hypervisor.Screenshotter)
	a.meter, _ = m.(hypervisor.Meter)
	a.reads, _ = m.(hypervisor.ReadMeter)
	a.flusher, _ = m.(hypervisor.Flusher)
	a.waiter, _ = m.(hypervisor.Waiter)
	return a
}

// follow waits for the fate in the background, until the driver is closed, and tells of
// a crash.
func follow(driven hypervisor.Machine, can able, fates <-chan hypervisor.Fate, tell func(hypervisor.Event)) *machine {
	m := &machine{locator: driven, expecter: driven, able: can, ended: make(chan struct{})}
	go func() {
		m.fate = <-fates
		if m.fate.Cause == hypervisor.CauseCrash {
			tell(hypervisor.Event{Kind: hypervisor.EventCrash, Detail: m.fate.String(), When: m.fate.When})
		}
		close(m.ended)
	}()
	return m
}

// over says whether the machine has ended.
func (m *machine) over() bool {
	select {
	case <-m.ended:
		return true
	default:
		return false
	}
}

// endedError is the cause of a context that was ended by the machine's fate.
type endedError struct {
	during string
	fate   hypervisor.Fate
}

func (e *endedError) Error() string {
	text := fmt.Sprintf("%s: %s", e.during, e.fate)
	if e.fate.Cause == hypervisor.CauseCrash {
		text += "\nnext: look on this host for what ended it (memory that ran out, another program) or at the screenshot, and run the build again; the source is untouched"
	}
	return text
}

func (e *endedError) Unwrap() error { return e.fate.Err }

// bind returns a context that ends when the machine does, after what grace
// says that kind of end is granted. Its cause is then an *endedError.
func (m *machine) bind(ctx context.Context, during string, grace func(hypervisor.Fate) time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-m.ended:
		}
		timer := time.NewTimer(grace(m.fate))
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
			cancel(&endedError{during, m.fate})
		}
	}()
	return ctx, func() { cancel(nil) }
}

// awaitEnd says whether the machine ended within limit.
func (m *machine) awaitEnd(ctx context.Context, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-m.ended:
	case <-timer.C:
	case <-ctx.Done():
	}
	return m.over() // whichever of them was seen first
}
