package vhd

import (
	"context"
	"errors"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
)

func TestConnectEndsWithTheMachine(t *testing.T) {
	b := started(t, nil)
	b.wantContinue(t, (&stepConnect{inner: stepFunc{run: func(context.Context, multistep.StateBag) multistep.StepAction { return multistep.ActionContinue }}}).Run(t.Context(), b))
	b.wantQuietHalt(t, (&stepConnect{inner: untilDone}).Run(cancelled(), b))
	silent := stepFunc{run: func(context.Context, multistep.StateBag) multistep.StepAction { return multistep.ActionHalt }}
	b.wantHalt(t, (&stepConnect{inner: silent}).Run(t.Context(), b), "connecting to the guest over winrm failed", "see the screenshot")
	b.over(crashed)
	b.wantHalt(t, (&stepConnect{inner: untilDone}).Run(t.Context(), b), "connecting to the guest", "kernel fell over")
}

func TestConnectKeepsTheReasonOfTheSDK(t *testing.T) {
	b := started(t, nil)
	b.wantHalt(t, (&stepConnect{inner: stepFunc{run: func(_ context.Context, s multistep.StateBag) multistep.StepAction {
		return halt(s, errors.New("Timeout waiting for WinRM."))
	}}}).Run(t.Context(), b), "connecting to the guest: Timeout waiting for WinRM.")
}
