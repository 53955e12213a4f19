package vhd

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// stepStartMachine boots the machine and follows its fate from there on.
type stepStartMachine struct {
	driver hypervisor.Hypervisor
	// building ends when the build is cancelled, which may be during Cleanup.
	building context.Context
}

func (s *stepStartMachine) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	c := run.config
	s.driver, s.building = run.newHypervisor(), ctx
	var spec hypervisor.Spec
	if !run.existing() {
		ui.Sayf("Starting the machine: %d processors, %d MiB, %s", c.CPUs, c.Memory, run.firmware)
		spec = hypervisor.Spec{
			Name: c.OutputName, Disk: run.disk, CPUs: c.CPUs, MemoryMB: c.Memory, Firmware: run.firmware,
			Accelerator: c.Accelerator, DiskInterface: run.diskInterface(), NetworkInterface: run.networkInterface(),
			Headless: c.Headless.True(), Arguments: c.QemuArguments, GuestPort: c.guestPort(), ScratchDir: run.scratch,
			HardwareClock: hardwareClock(c.RTCTimeBase, run.windows.Clock, time.Now()),
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
	run.share(state)
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

// flushLimit bounds what a guest whose run ended without a known cause gets to
// shut down: Windows writes its logs to the disk when it does. A service may
// hold a shutdown for 3 minutes (SERVICE_PRESHUTDOWN_INFO, before Windows 10
// 1703), the others have 20 s after it, and the first press may only wake the
// display. A guest that needs less is waited for no longer.
const flushLimit = 4 * time.Minute

// unexplained says whether sysprep may have left the reason of a failure on
// the disk only. Of a run that a restart undid, the disk has what was written
// before the restart, and the first boot that goes on only changes it.
func (r *run) unexplained(state multistep.StateBag) bool {
	_, cancelled := state.GetOk(multistep.StateCancelled)
	err, _ := state.Get("error").(error)
	if r.provisioning.IsZero() || cancelled || err == nil || r.windows.Windows == "" || !r.machine.Features().PowerDown {
		return false
	}
	head, _ := verdict.ParseHead(err.Error())
	return head.Cause == "" && head.Class != verdict.Undone
}

func isAuto(name string) bool { return name == "" || name == "auto" }

func (s *stepStartMachine) Cleanup(state multistep.StateBag) {
	if s.driver == nil {
		return
	}
	run, ui := runOf(state)
	if run.machine != nil && !run.machine.over() && run.machine.Features().Kill {
		// After a cancel the disk is not read, so nothing is waited for.
		if run.unexplained(state) {
			run.flush(s.building, ui)
		}
		if !run.machine.over() {
			ui.Say("Ending the machine")
		}
	}
	if err := s.driver.Close(); err != nil {
		ui.Errorf("Ending the machine: %s", err)
	}
}

// flush lets Windows shut down, so that its logs are on the disk when that is
// read for the cause. The context ends at a cancel.
func (r *run) flush(ctx context.Context, ui packersdk.Ui) {
	if ctx.Err() != nil || hypervisor.Sum(r.events.Events()).Paused != "" {
		return
	}
	limit := min(flushLimit, r.config.ShutdownTimeout)
	ui.Sayf("Waiting up to %s for Windows to shut down and to write its logs to the disk, which is then read for the cause; press Ctrl-C to end it at once", limit)
	asked := r.powerButton(ctx, ui, limit)
	switch {
	case asked.off:
		ui.Sayf("The machine has ended: %s%s", r.machine.fate, asked.clause())
	case ctx.Err() != nil:
	case asked.restarted:
		ui.Say("The guest restarted instead of powering off, and is ended by force")
	default:
		ui.Sayf("The guest did not power off within %s%s; it is ended by force, and what it had not written by then is missing on its disk", limit, asked.clause())
	}
}
