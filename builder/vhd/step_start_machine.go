package vhd

import (
	"context"
	"fmt"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// stepStartMachine boots the machine and follows its fate from there on.
type stepStartMachine struct{ driver hypervisor.Hypervisor }

func (s *stepStartMachine) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	c := run.config
	s.driver = run.newHypervisor()
	var spec hypervisor.Spec
	if !run.existing() {
		ui.Sayf("Starting the machine: %d processors, %d MiB, %s", c.CPUs, c.Memory, run.firmware)
		spec = hypervisor.Spec{
			Name: c.OutputName, Disk: run.disk, CPUs: c.CPUs, MemoryMB: c.Memory, Firmware: run.firmware,
			Accelerator: c.Accelerator, DiskInterface: run.diskInterface(), NetworkInterface: run.networkInterface(),
			Headless: c.Headless.True(), Arguments: c.QemuArguments, GuestPort: c.guestPort(), ScratchDir: run.scratch,
		}
	}
	fates, err := s.driver.Start(ctx, spec)
	if err != nil {
		if ctx.Err() != nil {
			return multistep.ActionHalt
		}
		return halt(state, fmt.Errorf("starting the machine: %w", err))
	}
	run.machine = follow(s.driver, fates)
	state.Put("instance_id", c.OutputName)
	return multistep.ActionContinue
}

// diskInterface follows the drivers of the Windows on the source where the user
// leaves the choice. IDE exists on the machine type "pc" only.
func (r *run) diskInterface() string {
	found := r.windows.DiskInterface
	if !isAuto(r.config.DiskInterface) || found == "" || found == "ide" && !isAuto(r.config.MachineType) {
		return r.config.DiskInterface
	}
	return found
}

func (r *run) networkInterface() string {
	if found := r.windows.NetworkInterface; isAuto(r.config.NetworkInterface) && found != "" {
		return found
	}
	return r.config.NetworkInterface
}

func isAuto(name string) bool { return name == "" || name == "auto" }

func (s *stepStartMachine) Cleanup(state multistep.StateBag) {
	if s.driver == nil {
		return
	}
	run, ui := runOf(state)
	if run.machine != nil && !run.machine.over() && run.machine.Features().Kill {
		ui.Say("Ending the machine")
	}
	if err := s.driver.Close(); err != nil {
		ui.Errorf("Ending the machine: %s", err)
	}
}
