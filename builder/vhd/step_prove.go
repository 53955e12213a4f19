package vhd

import (
	"context"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
)

// stepProve lets the Prover look at the disk of the machine that is off.
type stepProve struct{ prover Prover }

func (s *stepProve) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	if err := s.prover.Prove(ctx, ui, run.disk.Path); err != nil {
		return halt(state, err)
	}
	return multistep.ActionContinue
}

func (*stepProve) Cleanup(multistep.StateBag) {}
