package vhd

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// closer releases a machine, and ends one of our own.
type closer interface{ Close() error }

// stepStartMachine boots the machine and follows its fate from there on.
type stepStartMachine struct {
	machine closer
	// building ends when the build is cancelled, which may be during Cleanup.
	building context.Context
}

func (s *stepStartMachine) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	defer run.phase("boot", state)()
	c := run.config
	m := run.newMachine()
	s.machine, s.building = m, ctx
	var spec hypervisor.Spec
	if run.makes() {
		ui.Sayf("Starting the machine: CPUs: %d, memory: %d MiB, firmware: %s", c.CPUs, c.Memory, run.firmware)
		spec = hypervisor.Spec{
			Name: c.OutputName, Disk: run.disk, CPUs: c.CPUs, MemoryMB: c.Memory, Firmware: run.firmware,
			Drivers: run.windows.Drivers, GuestPort: c.guestPort(), ScratchDir: run.scratch,
			HardwareClock: hardwareClock(c.RTCTimeBase, run.windows.Clock, time.Now()),
		}
	}
	can := resolve(m)
	if can.reporter != nil {
		can.reporter.Report(run.happens)
	}
	run.started = stampOf(run.disk.Path)
	fates, err := m.Start(ctx, spec)
	if err != nil {
		if ctx.Err() != nil {
			return multistep.ActionHalt
		}
		return halt(state, fmt.Errorf("starting the machine: %w", err))
	}
	run.machine = follow(m, can, fates, run.happens)
	run.share(state)
	state.Put("instance_id", c.OutputName)
	return multistep.ActionContinue
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
	if r.provisioning.IsZero() || cancelled || err == nil || r.windows.Windows == "" {
		return false
	}
	head, _ := verdict.ParseHead(err.Error())
	// That of a hang is where it stood, and not why.
	return head.Cause == "" || head.Class == verdict.Hung
}

func (s *stepStartMachine) Cleanup(state multistep.StateBag) {
	if s.machine == nil {
		return
	}
	run, ui := runOf(state)
	if run.machine != nil && !run.machine.over() && run.makes() {
		// After a cancel the disk is not read, so nothing is waited for.
		if run.machine.button != nil && run.unexplained(state) {
			run.flush(s.building, ui, run.machine.button)
		}
		if !run.machine.over() {
			ui.Say("Stopping the machine")
		}
	}
	if err := s.machine.Close(); err != nil {
		ui.Errorf("Stopping the machine: %s", err)
	}
}

// flush lets Windows shut down, so that its logs are on the disk when that is
// read for the cause. The context ends at a cancel.
func (r *run) flush(ctx context.Context, ui packersdk.Ui, button hypervisor.PowerDowner) {
	if ctx.Err() != nil || hypervisor.Sum(r.events.Events()).Paused != "" {
		return
	}
	limit := min(flushLimit, r.config.ShutdownTimeout)
	ui.Sayf("Waiting up to %s for Windows to shut down and write its logs to the disk, which is then searched for the cause; press Ctrl-C to force the machine off now", limit)
	watch := r.awaits(ctx, heartbeat.Facts{Doing: "waiting for Windows to shut down", Limit: limit})
	asked := r.powerButton(ctx, ui, button, limit)
	watch.end()
	switch {
	case asked.off:
		ui.Sayf("The machine has ended: %s%s", r.machine.fate, asked.clause())
	case ctx.Err() != nil:
	case asked.restarted:
		ui.Say("The guest restarted instead of powering off, and is forced off")
	default:
		ui.Sayf("The guest did not power off within %s%s; it is forced off, and what it had not written by then is missing from its disk", limit, asked.clause())
	}
}
