package vhd

import (
	"context"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidencefile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/record"
)

// stepProve looks at the disk of the machine that is off, and ends the build
// unless it is proven to be generalized.
type stepProve struct{}

func (*stepProve) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	defer run.phase("proof", state)()
	if run.scratch != "" {
		var err error
		if run.ran, err = record.Read(run.recordPath()); err != nil {
			ui.Sayf("Warning: %s; the proof cannot ask for what this run brought into the image", err)
		}
	}
	result, err := proof.Run(ctx, ui, run.proving(run.disk.Path))
	run.told.proved(result, err)
	if err == nil {
		err = evidencefile.CheckWindows(run.config.SBOM, run.config.Verify.Windows, result)
	}
	if err != nil {
		if ctx.Err() != nil {
			return multistep.ActionHalt
		}
		return halt(state, err)
	}
	return multistep.ActionContinue
}

func (*stepProve) Cleanup(multistep.StateBag) {}

// proving says how a disk is proven that is, or becomes, the output. The report
// of one that is refused lies beside the folder, which the build removes.
func (r *run) proving(disk string) proof.Options {
	o := proof.Options{
		Config: r.config.Verify, Disk: proof.File(disk, r.backing()...), Name: r.config.outputPath(), Source: r.windows.Origin,
		Report: r.config.beside("report.json"), PlacedLater: true, Replaces: r.output.replaces, Inputs: r.inputs(),
		Chain: r.source.Chain(),
	}
	if r.ran != nil {
		o.Run, o.AnswerFile, o.VMMode = r.ran.ID, r.ran.AnswerFile, &r.ran.VMMode
	}
	return o
}
