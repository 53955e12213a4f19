package winsim

import (
	"context"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// Boot starts a new Windows session: after New, and after a reboot. A
// generalized image goes into specialize, and stops in the first-boot dialogs or
// comes to audit mode.
func (g *Guest) Boot() error {
	g.mu.Lock()
	g.boot, g.halt = context.WithCancel(context.Background())
	g.procs = map[int]*process{}
	g.nextPID = 4000
	g.shutdown, g.down, g.inDialogs = nil, false, false
	g.pressed, g.settled = 0, nil
	g.mu.Unlock()
	g.setTimeZone()
	g.reg.Forget()
	g.reg.SetString(keyHardware, "Identifier", "AT/AT COMPATIBLE")
	g.machine.View(func(s *machinestate.State) {
		g.reg.SetString(keyHardware+`\BIOS`, "SystemManufacturer", s.Computer.Manufacturer)
		g.reg.SetString(keyHardware+`\BIOS`, "SystemProductName", s.Computer.Model)
	})
	// What an update waited for has happened now.
	g.reg.DeleteKey(keyRebootPending)
	g.reg.DeleteKey(keyRebootRequired)
	audit, _ := g.reg.GetDWord(keyStatus, "AuditBoot")
	switch {
	case g.armed():
		return g.firstBoot(audit != 0)
	case audit != 0:
		return g.auditMode()
	}
	return nil
}

// session is the context that ends with the present Windows session.
func (g *Guest) session() context.Context {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.boot
}

func (g *Guest) end() {
	g.mu.Lock()
	halt := g.halt
	g.mu.Unlock()
	halt()
}

// goDo runs f on a goroutine that Close waits for.
func (g *Guest) goDo(f func()) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		f()
	}()
}
