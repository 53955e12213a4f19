package qemu

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// onEvent records what QEMU reports and ends a machine that has to be ended.
// It is called from the monitor's reader and must not wait for an answer.
func (d *Driver) onEvent(e event) {
	log.Printf("QEMU event %s %+v", e.Name, e.eventData)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch e.Name {
	case "SHUTDOWN":
		// Whatever ends QEMU later, the guest was off: with -no-shutdown it is us.
		if d.shutdown == nil || d.shutdown.Reason != "guest-shutdown" {
			d.shutdown = &e
		}
		switch e.Reason {
		case "guest-shutdown":
			d.report(hypervisor.EventOff, "")
		case "guest-reset", "subsystem-reset":
			d.report(hypervisor.EventRestart, resetBy(e))
		}
		return
	case "POWERDOWN": // ours, or somebody's in the monitor or window
		d.asked = true
	case "RESET":
		d.reset(e)
	case "STOP":
		d.stops++
		go d.explainStop(d.monitor, d.stops)
	case "RESUME":
		d.stops++
		if d.paused {
			d.paused = false
			d.options.Say("The machine runs again.")
		}
		d.report(hypervisor.EventResume, "")
	}
	if s := judge(e, d.resets, d.expectOff); s != nil && d.sentence == nil {
		d.sentence = s
		go d.end()
	}
}

func (d *Driver) report(kind hypervisor.EventKind, detail string) {
	d.options.OnEvent(hypervisor.Event{Kind: kind, Detail: detail, When: time.Now()})
}

// reset notes a restart. Only the guest's own count as a boot that fails.
func (d *Driver) reset(e event) {
	d.asked = false // what was asked of the boot before
	d.report(hypervisor.EventRestart, resetBy(e))
	if !e.Guest {
		d.options.Say("The machine restarts: " + resetBy(e) + ".")
		return
	}
	d.resets = append(d.resets, time.Now())
	if n := len(d.resets); n <= loopResets {
		d.options.Say(fmt.Sprintf("The guest restarts (%d).", n))
	}
}

// explainStop asks why QEMU does not run its machine any more, unless that was
// over before it answered. A machine that is off and kept by -no-shutdown is
// ended.
func (d *Driver) explainStop(mon *monitor, stop int) {
	var now struct {
		Status string `json:"status"`
	}
	if err := mon.ask(context.Background(), "query-status", nil, &now); err != nil {
		log.Printf("asking why the machine was stopped: %v", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stops != stop || d.sentence != nil {
		return
	}
	if d.shutdown != nil {
		go d.end()
		return
	}
	pause, s := stopped(now.Status)
	switch {
	case s != nil:
		d.sentence = s
		go d.end()
	case pause != "":
		d.paused = true
		d.options.Say("The machine is paused: " + pause + ". Nothing goes on until it is resumed.")
		d.report(hypervisor.EventPause, pause)
	}
}
