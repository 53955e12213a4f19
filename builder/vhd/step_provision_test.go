package vhd

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/record"
)

func TestProvision(t *testing.T) {
	failing := stepFunc{run: func(_ context.Context, s multistep.StateBag) multistep.StepAction {
		return halt(s, errors.New("script failed"))
	}}
	t.Run("a provisioner's error stays as it is", func(t *testing.T) {
		b := started(t, nil)
		b.wantHalt(t, (&StepProvision{failing}).Run(t.Context(), b))
		if got := b.Get("error").(error).Error(); got != "script failed" {
			t.Error(got)
		}
	})
	t.Run("with a dead machine it says so", func(t *testing.T) {
		b := started(t, nil)
		b.over(crashed)
		b.wantHalt(t, (&StepProvision{failing}).Run(t.Context(), b), "script failed", "kernel fell over")
	})
	t.Run("a hanging provisioner is left when its time after power-off is over", func(t *testing.T) {
		b := started(t, map[string]any{"shutdown_timeout": "20ms"})
		b.over(poweredOff)
		b.wantHalt(t, (&StepProvision{untilDone}).Run(t.Context(), b), "provisioning: the guest powered itself off")
	})
	t.Run("a provisioner of the guest after sysprep", func(t *testing.T) {
		for name, inner := range map[string]stepFunc{"that hangs": untilDone, "that fails": failing} {
			b := started(t, map[string]any{"shutdown_timeout": "20ms"})
			if err := (record.Run{ID: "id", PoweredOff: true}).Write(t.Context(), b.run.recordPath()); err != nil {
				t.Fatal(err)
			}
			b.over(poweredOff)
			t.Log(name)
			b.wantHalt(t, (&StepProvision{inner}).Run(t.Context(), b), `nothing can run in the guest after provisioner "sysprep" with action = "shutdown"`, "make it the last provisioner", `action = "quit"`)
		}
	})
	t.Run("sysprep itself, which is not done", func(t *testing.T) {
		b := started(t, map[string]any{"shutdown_timeout": "20ms"})
		if err := (record.Run{ID: "id"}).Write(t.Context(), b.run.recordPath()); err != nil {
			t.Fatal(err)
		}
		b.over(poweredOff)
		b.wantHalt(t, (&StepProvision{untilDone}).Run(t.Context(), b), "provisioning: the guest powered itself off")
	})
	t.Run("a machine that crashes after sysprep", func(t *testing.T) {
		b := started(t, nil)
		if err := (record.Run{ID: "id", PoweredOff: true}).Write(t.Context(), b.run.recordPath()); err != nil {
			t.Fatal(err)
		}
		b.over(crashed)
		b.wantHalt(t, (&StepProvision{failing}).Run(t.Context(), b), "script failed", "kernel fell over")
	})
	t.Run("a provisioner of the host may go on after power-off", func(t *testing.T) {
		b := started(t, nil)
		b.over(poweredOff)
		b.wantContinue(t, (&StepProvision{stepFunc{run: func(ctx context.Context, _ multistep.StateBag) multistep.StepAction {
			if ctx.Err() != nil {
				return multistep.ActionHalt
			}
			return multistep.ActionContinue
		}}}).Run(t.Context(), b))
	})
	t.Run("cancel", func(t *testing.T) {
		b := started(t, nil)
		b.wantQuietHalt(t, (&StepProvision{untilDone}).Run(cancelled(), b))
	})
	t.Run("cleanup runs the cleanup provisioner, only after a run", func(t *testing.T) {
		b := started(t, nil)
		new(StepProvision).Cleanup(b)
		ran := false
		(&StepProvision{stepFunc{cleanup: func(multistep.StateBag) { ran = true }}}).Cleanup(b)
		if !ran {
			t.Error("did not run")
		}
	})
}
