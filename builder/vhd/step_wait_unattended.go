package vhd

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

const (
	// lifeEvery is how often a guest is looked at that nobody talks to.
	lifeEvery = 10 * time.Second
	// lifeLimit bounds one look.
	lifeLimit = 15 * time.Second
)

// stepWaitUnattended waits for a guest without a communicator: its answer file
// generalizes it, and powers it off. Restarts belong to that.
type stepWaitUnattended struct {
	every time.Duration // 0: lifeEvery
}

func (s *stepWaitUnattended) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	defer run.phase("unattended", state)()
	if run.config.Comm.Type != "none" {
		return multistep.ActionContinue
	}
	every := cmp.Or(s.every, lifeEvery)
	limit, stall := run.config.ShutdownTimeout, run.config.StallTimeout
	m := run.machine
	ui.Sayf("Waiting up to %s for the guest to power itself off, by its answer file; without a sign of life for %s it is given up", limit, stall)
	begun := time.Now()
	v := beginVigil(begun)
	facts := heartbeat.Facts{Doing: "waiting for the guest to power itself off", Limit: limit, Option: "shutdown_timeout"}
	wait := run.heart.Begin(facts)
	defer wait.End()
	for !m.awaitEnd(ctx, min(every, max(0, limit-time.Since(begun)))) {
		if ctx.Err() != nil {
			return multistep.ActionHalt
		}
		sign := run.lifeSign(ctx)
		wrote := v.wrote
		v = v.after(sign)
		if why := v.over(time.Now(), limit, stall); why != "" && !m.over() {
			return halt(state, fmt.Errorf("waiting for the guest to power itself off: %s; %s%s\nnext: look at the screen; the answer file has to reach audit mode (Reseal in pass oobeSystem) and to generalize there (Generalize with ForceShutdownNow = true in pass auditUser); if the guest only needs longer, raise the limit",
				why, v, run.photograph(ctx)))
		}
		if wrote.IsZero() != v.wrote.IsZero() {
			ui.Sayf("The guest is on for %s; %s", time.Since(begun).Round(time.Second), v)
		}
		facts.Says = v.String()
		wait.Set(facts)
	}
	if !m.fate.Clean() {
		return halt(state, &endedError{"waiting for the guest to power itself off", m.fate})
	}
	ui.Sayf("The guest was on for %s; restarts: %d", time.Since(begun).Round(time.Second), restartsIn(run.events.Events()))
	if run.makes() && !run.started.IsZero() && run.started == stampOf(run.disk.Path) {
		ui.Say("Warning: the guest powered itself off without having written anything to its disk: its answer file did nothing, and what the proof finds was on the source before")
	}
	return multistep.ActionContinue
}

func (*stepWaitUnattended) Cleanup(multistep.StateBag) {}

// lifeSign looks at the machine. What cannot be seen is left out.
func (r *run) lifeSign(ctx context.Context) lifeSign {
	ctx, cancel := context.WithTimeout(ctx, lifeLimit)
	defer cancel()
	events := r.events.Events()
	s := lifeSign{at: time.Now(), restarts: restartsIn(events), paused: hypervisor.Sum(events).Paused}
	if meter := r.machine.meter; meter != nil {
		written, err := meter.Written(ctx)
		if s.written, s.counted = written, err == nil; err != nil {
			log.Printf("asking what the guest has written: %v", err)
		}
	}
	if camera := r.machine.camera; camera != nil {
		path := filepath.Join(r.scratch, "look.png")
		err := camera.Screenshot(ctx, path)
		var picture []byte
		if err == nil {
			picture, err = os.ReadFile(path)
		}
		if err != nil {
			log.Printf("looking at the guest's screen: %v", err)
		} else {
			s.screen = fmt.Sprintf("%x", sha256.Sum256(picture))
		}
	}
	return s
}

// stamp tells whether a file was written to.
type stamp struct {
	size     int64
	modified time.Time
}

// IsZero says that the file could not be looked at.
func (s stamp) IsZero() bool { return s == stamp{} }

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info.Size(), info.ModTime()}
}
