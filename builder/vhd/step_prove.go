package vhd

import (
	"context"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/verify"
)

// stepProve looks at the disk of the machine that is off, and ends the build
// unless it is proven to be generalized.
type stepProve struct{}

func (*stepProve) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	if _, err := verify.Run(ctx, ui, run.proof(run.disk.Path)); err != nil {
		if ctx.Err() != nil {
			return multistep.ActionHalt
		}
		return halt(state, err)
	}
	return multistep.ActionContinue
}

func (*stepProve) Cleanup(multistep.StateBag) {}

// proof says how a disk is proven that is, or becomes, the output. The report
// of one that is refused lies beside the folder, which the build removes.
func (r *run) proof(disk string) verify.Options {
	return verify.Options{
		Config: r.config.Verify, Disk: disk, Name: r.config.outputPath(), NotBefore: r.began,
		Report: r.config.beside("report.json"), PlacedLater: true, Replaces: r.output.replaces, Inputs: r.inputs(),
		BackingFiles: r.backing(), Chain: r.source.Chain(),
	}
}
