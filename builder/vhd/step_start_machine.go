package vhd

import (
	"context"
	"fmt"
	"strings"
	"time"

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
	run.shareEvents(state)
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

// flushLimit is what a guest whose run ended without a known cause gets to shut
// down before it is ended by force.
const flushLimit = 15 * time.Second

// unexplained says whether sysprep may have left the reason of a failure on
// the disk only. The error of a run whose cause is known names the fix.
func (r *run) unexplained(state multistep.StateBag) bool {
	_, cancelled := state.GetOk(multistep.StateCancelled)
	err, _ := state.Get("error").(error)
	return r.provisioning && !cancelled && err != nil && r.windows.Windows != "" && r.machine.Features().PowerDown &&
		!strings.Contains(err.Error(), ". Fix: ")
}

func isAuto(name string) bool { return name == "" || name == "auto" }

func (s *stepStartMachine) Cleanup(state multistep.StateBag) {
	if s.driver == nil {
		return
	}
	run, ui := runOf(state)
	if run.machine != nil && !run.machine.over() && run.machine.Features().Kill {
		ui.Say("Ending the machine")
		if run.unexplained(state) {
			// Windows writes its logs to the disk when it shuts down.
			ctx, cancel := context.WithTimeout(context.Background(), flushLimit)
			defer cancel()
			if err := run.machine.PowerDown(ctx); err == nil {
				run.machine.awaitEnd(ctx, flushLimit)
			}
		}
	}
	if err := s.driver.Close(); err != nil {
		ui.Errorf("Ending the machine: %s", err)
	}
}
