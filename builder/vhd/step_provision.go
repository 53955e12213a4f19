package vhd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/record"
)

const (
	// crashGrace is what a provisioner gets to report its own, better error
	// after the machine has crashed.
	crashGrace = 10 * time.Second
	// reportGrace is what it gets after that to write down how it ended: the plugin's
	// processes end with the build. The sysprep provisioner watches for a crash itself
	// once sysprep runs, and needs it before that only.
	reportGrace = 6 * time.Second
	// cleanupLimit bounds the error-cleanup-provisioner: a communicator whose
	// guest is gone can block for ever, and nothing can interrupt it.
	cleanupLimit = 30 * time.Minute
)

// StepProvision runs the provisioners, and never waits for one whose machine has
// ended.
type StepProvision struct {
	inner multistep.Step // runHook unless a test says otherwise
}

// Run implements multistep.Step.
func (s *StepProvision) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	defer run.phase("provision", state)()
	run.provisioning = time.Now()
	if s.inner == nil {
		s.inner = runHook{}
	}
	// A guest that powers itself off is how the sysprep provisioner ends, and
	// provisioners of this host may well follow it.
	alive, release := run.machine.bind(ctx, "provisioning", func(f hypervisor.Fate) time.Duration {
		if f.Clean() {
			return run.config.ShutdownTimeout
		}
		return crashGrace
	})
	defer release()
	hookEnded := trackHook(state)
	action := s.inner.Run(alive, state)
	if ctx.Err() != nil {
		run.cancelled = awaitCancelled(ui, hookEnded, cancelGrace)
		return multistep.ActionHalt
	}
	if action == multistep.ActionContinue {
		run.provisioned = true
		return action
	}
	err, _ := state.Get("error").(error)
	ended := (*endedError)(nil)
	switch {
	case action == multistep.ActionHalt && run.machine.over() && run.machine.fate.Clean() && endedBySysprep(run.recordPath()):
		ui.Error("The guest was already off while another provisioner was to run in it; the build no longer waits for that provisioner.")
		return halt(state, errAfterSysprep)
	case errors.As(context.Cause(alive), &ended):
		if ended.fate.Cause == hypervisor.CauseCrash {
			awaitReports(ctx, hookEnded)
		}
		ui.Error("The machine ended while a provisioner was running; the build no longer waits for that provisioner.")
		return halt(state, ended)
	case err != nil && run.machine.over():
		if fate := run.machine.fate.String(); !strings.Contains(err.Error(), fate) { // the provisioner may know
			err = fmt.Errorf("%w (by then %s)", err, fate)
		}
		return halt(state, err)
	}
	return action
}

// awaitReports lets a provisioner that was told to end write its reports.
func awaitReports(ctx context.Context, ended <-chan error) {
	ctx, cancel := context.WithTimeout(ctx, reportGrace)
	defer cancel()
	select {
	case <-ended: // never, where there is no provisioner
	case <-ctx.Done():
	}
}

// errAfterSysprep is a template whose order is wrong.
var errAfterSysprep = errors.New(`the guest powered itself off while another provisioner was to run: nothing can run in the guest after provisioner "sysprep" with action = "shutdown"` +
	"\nnext: make it the last provisioner, or set action = \"quit\" and let a later one shut Windows down, and run the build again; the source is untouched")

// endedBySysprep: the sysprep provisioner was done, and has let Windows power
// itself off.
func endedBySysprep(path string) bool {
	ran, err := record.Read(path)
	return err == nil && ran != nil && ran.PoweredOff
}

// Cleanup runs the error-cleanup-provisioner, if there is one, for a limited
// time.
func (s *StepProvision) Cleanup(state multistep.StateBag) {
	if s.inner == nil {
		return
	}
	run, ui := runOf(state)
	ctx, cancel := context.WithTimeout(context.Background(), cleanupLimit)
	defer cancel()
	alive, release := run.machine.bind(ctx, "cleaning up", func(hypervisor.Fate) time.Duration { return crashGrace })
	defer release()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.inner.Cleanup(state)
	}()
	select {
	case <-done:
	case <-alive.Done():
		ui.Error("The error-cleanup-provisioner did not stop; the build no longer waits for it.")
	}
}
