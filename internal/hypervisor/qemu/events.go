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
func (m *Machine) onEvent(e event) {
	log.Printf("QEMU event %s %+v", e.Name, e.eventData)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e.Name {
	case "SHUTDOWN":
		// Whatever ends QEMU later, the guest was off: with -no-shutdown it is us.
		if m.shutdown == nil || m.shutdown.Reason != "guest-shutdown" {
			m.shutdown = &e
		}
		switch e.Reason {
		case "guest-shutdown":
			m.report(hypervisor.EventOff, "")
		case "guest-reset", "subsystem-reset":
			m.report(hypervisor.EventRestart, resetBy(e))
		}
		return
	case "POWERDOWN": // ours, or somebody's in the monitor or window
		m.asked = true
	case "RESET":
		m.reset(e)
	case "STOP":
		m.stops++
		go m.explainStop(m.monitor, m.stops)
	case "RESUME":
		m.stops++
		if m.paused {
			m.paused = false
			m.say("The machine runs again.")
		}
		m.report(hypervisor.EventResume, "")
	}
	if s := judge(e, m.resets, m.expectOff); s != nil && m.sentence == nil {
		m.sentence = s
		go m.end()
	}
}

func (m *Machine) report(kind hypervisor.EventKind, detail string) {
	m.tell(hypervisor.Event{Kind: kind, Detail: detail, When: time.Now()})
}

// reset notes a restart. Only the guest's own count as a boot that fails.
func (m *Machine) reset(e event) {
	m.asked = false // what was asked of the boot before
	m.report(hypervisor.EventRestart, resetBy(e))
	if !e.Guest {
		m.say("The machine restarts: " + resetBy(e) + ".")
		return
	}
	m.resets = append(m.resets, time.Now())
	if n := len(m.resets); n <= loopResets {
		m.say(fmt.Sprintf("The guest restarts (%d).", n))
	}
}

// explainStop asks why QEMU does not run its machine any more, unless that was
// over before it answered. A machine that is off and kept by -no-shutdown is
// ended.
func (m *Machine) explainStop(mon *monitor, stop int) {
	var now struct {
		Status string `json:"status"`
	}
	if err := mon.ask(context.Background(), "query-status", nil, &now); err != nil {
		log.Printf("asking why the machine was stopped: %v", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stops != stop || m.sentence != nil {
		return
	}
	if m.shutdown != nil {
		go m.end()
		return
	}
	pause, s := stopped(now.Status)
	switch {
	case s != nil:
		m.sentence = s
		go m.end()
	case pause != "":
		m.paused = true
		m.say("The machine is paused: " + pause + ". Nothing goes on until it is resumed.")
		m.report(hypervisor.EventPause, pause)
	}
}
