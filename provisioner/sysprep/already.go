package sysprep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// endAlready ends with a machine that was generalized before: sysprep is not
// run again, only what follows it is done.
func (r *run) endAlready(ctx context.Context, d verdict.Clearance) error {
	r.ui.Sayf("Not running sysprep: %s", d.Reason)
	if r.config.answer.content != nil {
		r.ui.Say("Warning: the answer file of this run is not in the image, because sysprep was run before.")
	}
	r.saveLogs(ctx, true)
	r.reportCached(ctx, true)
	r.cleanup(ctx, guest.Leftovers{})
	if r.plan.Action == actionQuit {
		if r.config.PackerBuilderType == ownBuilder {
			return nil // it shuts the machine down
		}
		for _, step := range render.Steps(d.Next) {
			r.ui.Say(step)
		}
		return nil
	}
	r.ui.Sayf("Asking Windows for a %s", r.plan.Action)
	return r.awaitGone(ctx, r.session.EndWindows(ctx, r.plan.Action == actionReboot))
}

// awaitGone waits until the port is closed, and stays so for a shutdown.
func (r *run) awaitGone(ctx context.Context, sent error) error {
	deadline := r.now().Add(r.config.ShutdownTimeout)
	var closed time.Time
	for {
		switch port := r.knock(ctx); {
		case port == verdict.PortOpen:
			closed = time.Time{}
		case port == verdict.PortClosed && closed.IsZero():
			closed = r.now()
		}
		if !closed.IsZero() && (r.plan.Action == actionReboot || r.now().Sub(closed) >= r.plan.Expect.SecondLook) {
			r.ui.Say("The guest no longer answers")
			return nil
		}
		if r.now().After(deadline) && closed.IsZero() {
			if sent == nil {
				sent = errors.New("the command was accepted")
			}
			return failed(verdict.Head{Class: verdict.Hung}, fmt.Errorf("Windows was generalized before, but it has not shut down within shutdown_timeout (%s): %w", r.config.ShutdownTimeout, sent), nil,
				"let the builder shut it down and prove the disk, or use action = \"quit\"")
		}
		if err := r.pause(ctx, r.config.PollInterval); err != nil {
			return errors.New("cancelled while Windows was shutting down; the machine was generalized before")
		}
	}
}
