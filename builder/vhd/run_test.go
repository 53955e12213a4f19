package vhd

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestEndedErrorUnwraps(t *testing.T) {
	if err := error(&endedError{"x", crashed}); !errors.Is(err, crashed.Err) {
		t.Error(err)
	}
	ctx, release := started(t, nil).run.machine.bind(t.Context(), "x", func(hypervisor.Fate) time.Duration { return 0 })
	release()
	if ended := (*endedError)(nil); errors.As(context.Cause(ctx), &ended) {
		t.Error("released, not ended")
	}
}

func TestWhatAMachineCanDoIsFoundOutOnce(t *testing.T) {
	fake := newFakeMachine()
	if got := resolve(fake); got != (able{}) {
		t.Errorf("the least of a machine can %+v", got)
	}
	if got := resolve(ableMachine{fake}); got.reporter == nil || got.button == nil || got.killer == nil || got.camera == nil || got.meter == nil || got.waiter != nil {
		t.Errorf("got %+v", got)
	}
	if got := resolve(waiting{fake, "x"}); got != (able{waiter: waiting{fake, "x"}}) {
		t.Errorf("got %+v", got)
	}
}

// The step that made the machine starts and closes it, and no other one.
func TestAStartedMachineIsNotTheStepsToEnd(t *testing.T) {
	var m any = started(t, nil).run.machine
	if _, ok := m.(hypervisor.Machine); ok {
		t.Error("every step can start it")
	}
	if _, ok := m.(closer); ok {
		t.Error("every step can close it")
	}
}
