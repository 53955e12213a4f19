package vhd

import (
	"context"
	"fmt"
	"os"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/verify"
)

// stepProve looks at the disk of the machine that is off, and ends the build
// unless it is proven to be generalized.
type stepProve struct{}

func (*stepProve) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	result, err := verify.Run(ctx, ui, run.proof(run.disk.Path))
	if err != nil {
		if ctx.Err() != nil {
			return multistep.ActionHalt
		}
		return halt(state, err)
	}
	run.report = result.ReportPath
	return multistep.ActionContinue
}

func (*stepProve) Cleanup(multistep.StateBag) {}

// proof says how a disk is proven that is, or becomes, the output.
func (r *run) proof(disk string) verify.Options {
	return verify.Options{
		Config: r.config.Verify, Disk: disk, Name: r.config.outputPath(), NotBefore: r.began, Report: r.config.beside("report.json"), ReportMoves: true,
		BackingFiles: r.backing(), Chain: r.source.Chain(),
	}
}

// placeReport moves the report beside the disk once there is one, unless the
// user chose a place. The report of a build that fails outlives its folder.
func (r *run) placeReport() error {
	if r.report == "" || r.report != r.config.beside("report.json") {
		return nil
	}
	path := r.output.path + verify.ReportSuffix
	if err := os.Rename(r.report, path); err != nil {
		return fmt.Errorf("placing report: %w", err)
	}
	r.report = path
	return nil
}
