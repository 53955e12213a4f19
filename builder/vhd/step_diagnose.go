package vhd

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// diagnoseLimit bounds looking for the cause on the disk of a failed build.
const diagnoseLimit = 2 * time.Minute

// stepDiagnose reads the logs of sysprep from the disk of a build that failed:
// a guest that hangs or is gone cannot be asked any more, but it has written
// down what happened. It works in Cleanup, which comes after the machine has
// been ended and before its disk is removed.
type stepDiagnose struct{}

func (*stepDiagnose) Run(context.Context, multistep.StateBag) multistep.StepAction {
	return multistep.ActionContinue
}

func (*stepDiagnose) Cleanup(state multistep.StateBag) {
	run, ui := runOf(state)
	_, cancelled := state.GetOk(multistep.StateCancelled)
	err, _ := state.Get("error").(error)
	// Before provisioning and without a Windows there are no logs, and the disk of
	// somebody else's machine, which may still run, is not to be believed.
	if err == nil || cancelled || run.provisioning.IsZero() || run.takes() || run.windows.Windows == "" {
		return
	}
	if booted := (*bootTestError)(nil); errors.As(err, &booted) {
		return // sysprep did its work
	}
	known, _ := verdict.ParseHead(err.Error())
	ctx, cancel := context.WithTimeout(context.Background(), diagnoseLimit)
	defer cancel()
	said, err := diagnose(ctx, ui, proof.File(run.disk.Path, run.backing()...), run.config.beside("logs"), known, run.provisioning, run.hide)
	run.told.disk = said
	for _, file := range said.Kept {
		run.log.Saved(file)
	}
	if said.Cause != nil {
		run.log.Found(said.Cause.Finding)
	}
	switch off := run.machine != nil && run.machine.over() && run.machine.fate.Clean(); {
	case err != nil:
		ui.Sayf("The guest's disk gave no further information: %s", err)
	case said.Progress.TagCreated && said.Cause == nil && !said.Earlier && !off:
		ui.Say("Look for what kept the machine from powering off")
	}
}
