package vhd

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

const (
	// cancelGrace is what provisioners get after a cancel. The sysprep
	// provisioner needs less than that to end a sysprep that has
	// changed nothing yet and to remove its files from the guest.
	cancelGrace = 20 * time.Second
	// onePress is how far apart the signal and the cancel of one Ctrl-C arrive
	// at most.
	onePress = time.Second
)

// trackedHook tells when the provisioners have ended: the step does not
// wait for them after a cancel.
type trackedHook struct {
	packersdk.Hook
	ended chan error
}

func (h *trackedHook) Run(ctx context.Context, name string, ui packersdk.Ui, comm packersdk.Communicator, data any) error {
	err := h.Hook.Run(ctx, name, ui, comm, data)
	if name == packersdk.HookProvision {
		h.ended <- err
	}
	return err
}

// trackHook returns where the end of the provisioners is told, nil without
// any.
func trackHook(state multistep.StateBag) <-chan error {
	hook, ok := state.Get("hook").(packersdk.Hook)
	if !ok {
		return nil
	}
	tracked := &trackedHook{hook, make(chan error, 1)}
	state.Put("hook", tracked)
	return tracked.ended
}

// awaitCancelled waits until the provisioners of a cancelled build have ended,
// for limit at most and no longer than until the next Ctrl-C, and returns
// their error.
func awaitCancelled(ui packersdk.Ui, ended <-chan error, limit time.Duration) error {
	if ended == nil {
		return nil
	}
	select {
	case err := <-ended:
		return err
	default:
	}
	ui.Sayf("Cancelled. Waiting up to %s for the provisioner to clean up in the guest; press Ctrl-C again to stop immediately.", limit)
	pressed := make(chan os.Signal, 1)
	signal.Notify(pressed, os.Interrupt)
	defer signal.Stop(pressed)
	began, timer := time.Now(), time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-timer.C:
			ui.Error("The provisioner did not stop in time, and the build no longer waits for it: what it started keeps running in the guest, and its files stay there.")
			return nil
		case <-pressed:
			if time.Since(began) < onePress {
				continue // of the press that cancelled the build
			}
			ui.Error("Stopped by a second Ctrl-C: what the provisioner started keeps running in the guest, and its files may stay there.")
			return nil
		}
	}
}

// cancelError is the error of a build that was cancelled.
func (r *run) cancelError() error {
	if r.cancelled != nil {
		if head, ok := verdict.ParseHead(r.cancelled.Error()); ok && head.Class == verdict.Cancelled {
			return r.cancelled
		}
	}
	if r.takes() && r.provisioned {
		return errors.New("the build was cancelled after its provisioners had run: the machine is as they left it, and no image was made; once it is off, its disk can be proven with `packer-plugin-sysprep inspect`")
	}
	return errors.New("the build was cancelled")
}
