package vhd

import (
	"context"
	"errors"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestWaitForPowerOff(t *testing.T) {
	short := map[string]any{"shutdown_timeout": "20ms"}
	t.Run("already off: no command is sent", func(t *testing.T) {
		b := started(t, map[string]any{"shutdown_command": "shutdown /s"})
		b.Put("communicator", packersdk.Communicator(commFunc(func(context.Context, *packersdk.RemoteCmd) error { t.Error("sent"); return nil })))
		b.over(poweredOff)
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
		if b.fake.called() != "expect-off" {
			t.Error(b.fake.called())
		}
	})
	t.Run("powers off by itself while waited for", func(t *testing.T) {
		b := started(t, nil)
		go b.fake.end(poweredOff)
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
	})
	t.Run("the command takes the connection with it", func(t *testing.T) {
		b := started(t, map[string]any{"shutdown_command": "shutdown /s"})
		b.Put("communicator", packersdk.Communicator(commFunc(func(_ context.Context, cmd *packersdk.RemoteCmd) error {
			if cmd.Command != "shutdown /s" || cmd.Stdout == nil || cmd.Stderr == nil {
				t.Errorf("got %+v", cmd)
			}
			b.over(poweredOff)
			return errors.New("EOF")
		})))
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
	})
	t.Run("a command that never returns does not matter", func(t *testing.T) {
		b := started(t, map[string]any{"shutdown_command": "shutdown /s"})
		release := make(chan struct{})
		defer close(release)
		b.Put("communicator", packersdk.Communicator(commFunc(func(context.Context, *packersdk.RemoteCmd) error {
			b.fake.end(poweredOff)
			<-release
			return nil
		})))
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
	})
	t.Run("a machine whose disk is held is told as one", func(t *testing.T) {
		b := started(t, short)
		b.run.machine.able = resolve(waiting{b.fake, "another program holds its disk: C:\\a.vhdx"})
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "not off after 20ms (shutdown_timeout)", "holds its disk: C:\\a.vhdx", "shut it down")
	})
	t.Run("obeys the power button", func(t *testing.T) {
		b := started(t, short)
		b.fake.powerDown = func() error { b.fake.end(hypervisor.Fate{Cause: hypervisor.CauseHostRequest}); return nil }
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
		if b.fake.called() != "expect-off power-down" {
			t.Error(b.fake.called())
		}
	})
	t.Run("is killed at last, which is a failure", func(t *testing.T) {
		b := started(t, short)
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "did not power off within 20ms (shutdown_timeout)", "its disk cannot be used as an image", "see the screenshot")
		if b.fake.called() != "expect-off power-down screenshot kill" {
			t.Error(b.fake.called())
		}
	})
	t.Run("somebody else's machine cannot be asked or killed", func(t *testing.T) {
		b := started(t, short)
		b.run.machine.able = resolve(b.fake)
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "was not seen to be off within 20ms")
		if b.fake.called() != "expect-off" {
			t.Error(b.fake.called())
		}
	})
	t.Run("a paused machine is named, and not asked to power off", func(t *testing.T) {
		b := started(t, short)
		b.run.happens(hypervisor.Event{Kind: hypervisor.EventPause, Detail: "somebody stopped it"})
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "the machine is paused (somebody stopped it)", "its disk cannot be used as an image")
		if b.fake.called() != "expect-off screenshot kill" {
			t.Error(b.fake.called())
		}
	})
	t.Run("a restart before the end of provisioning is named", func(t *testing.T) {
		b := started(t, short)
		b.run.happens(hypervisor.Event{Kind: hypervisor.EventRestart, When: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)})
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "the machine last restarted at 03:04:05", "begins the first boot of the image")
	})
	for _, fate := range []hypervisor.Fate{crashed, {Cause: hypervisor.CauseUnknown}, {Cause: hypervisor.CauseGuestReset, Err: errors.New("it came back")}} {
		t.Run("an end as "+string(fate.Cause)+" is a failure", func(t *testing.T) {
			b := started(t, nil)
			b.over(fate)
			b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "waiting for the guest to power off: ", fate.String())
		})
	}
	t.Run("cancel", func(t *testing.T) {
		b := started(t, nil)
		b.wantQuietHalt(t, new(stepWaitForPowerOff).Run(cancelled(), b))
	})
}

// waiting is a machine that says what it waits for.
type waiting struct {
	*fakeMachine
	what string
}

func (w waiting) WaitingFor() string { return w.what }
