package winsim

import (
	"context"
)

// Boot starts a new Windows session: after New, and after a reboot. A
// generalized image goes into specialize and stops in the first-boot dialogs.
func (g *Guest) Boot() error {
	g.mu.Lock()
	g.boot, g.halt = context.WithCancel(context.Background())
	g.procs = map[int]*process{}
	g.nextPID = 4000
	g.shutdown, g.down, g.atOOBE = nil, false, false
	g.pressed = 0
	g.mu.Unlock()
	g.setTimeZone()
	// What an update waited for has happened now.
	g.reg.DeleteKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`)
	g.reg.DeleteKey(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`)
	if kind, _ := g.reg.GetDWord(keySetup, "SetupType"); kind != 2 {
		return nil
	}
	g.logf("booting a generalized image: specialize, then the first-boot dialogs")
	if g.scenario.WinRMInSetup {
		return g.slowFirstBoot()
	}
	g.reg.SetDWord(keySysprep, "GeneralizationState", 7)
	if g.scenario.FirstBoot == FirstBootDone {
		if err := g.passFirstBoot(); err != nil {
			return err
		}
		return g.Flush()
	}
	return g.waitInDialogs()
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
