package sysprep

import (
	"log"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// machineEvents reads what our own builder's hypervisor reports while sysprep
// works. Other builders report nothing.
type machineEvents struct {
	path   string
	before int // events of before the launch
	failed bool
}

// begin leaves out what happened so far.
func (m *machineEvents) begin() { m.before = len(m.read()) }

func (m *machineEvents) read() []hypervisor.Event {
	if m.path == "" {
		return nil
	}
	events, err := hypervisor.ReadEvents(m.path)
	if err != nil && !m.failed {
		m.failed = true
		log.Printf("%v", err)
	}
	return events
}

// now is what the machine did since the launch.
func (m *machineEvents) now() verdict.Machine {
	events := m.read()
	s := hypervisor.Sum(events[min(m.before, len(events)):])
	return verdict.Machine{Restarts: s.Restarts, Paused: s.Paused, Off: s.Off, Crashed: s.Crashed}
}
