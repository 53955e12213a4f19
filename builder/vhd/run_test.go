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
