package winsim

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Moment is a point of a run at which something begins.
type Moment string

// The moments of a run.
const (
	AtLaunch     Moment = "launch"     // sysprep.exe starts
	AtGeneralize Moment = "generalize" // the generalize phase begins
	AtTag        Moment = "tag"        // the tag is on disk, the last line of the log is not
)

// Freeze stops everything in the machine, as a snapshot or a migration does:
// connections stay open, nothing answers, and all goes on where it was.
type Freeze struct {
	At  Moment   `json:"at,omitempty"` // "generalize" or "tag"
	For Duration `json:"for,omitempty"`
}

// PortClosed takes the network away, as its adapter does when devices are
// enumerated again. Shells and what runs in them live on.
type PortClosed struct {
	From Moment   `json:"from,omitempty"` // "generalize" or "tag"
	For  Duration `json:"for,omitempty"`
}

// WinRM states that only the guest itself asks for.
const (
	winRMFrozen WinRMState = "frozen" // nothing is answered
	winRMThawed WinRMState = "thawed" // what was asked meanwhile is answered
	winRMOpen   WinRMState = "open"   // the port opens; what else holds, holds
)

func (s Scenario) checkUnkind() error {
	var errs []error
	switch s.NoNewShellsFrom {
	case "", AtLaunch, AtGeneralize, AtTag:
	default:
		errs = append(errs, fmt.Errorf("unknown no_new_shells_from %q", s.NoNewShellsFrom))
	}
	pause := func(field string, at Moment, d Duration) {
		if (at != "" || d != 0) && (at != AtGeneralize && at != AtTag || d <= 0) {
			errs = append(errs, fmt.Errorf("%s needs a moment (generalize, tag) and a duration, and has %q and %s", field, at, time.Duration(d)))
		}
	}
	pause("freeze", s.Freeze.At, s.Freeze.For)
	pause("port_closed", s.PortClosed.From, s.PortClosed.For)
	for field, d := range map[string]Duration{"late_first_line": s.LateFirstLine, "winrm_stops_first": s.WinRMStopsFirst, "powershell_starts": s.PowerShellStarts} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s is %s, less than nothing", field, time.Duration(d)))
		}
	}
	return errors.Join(errs...)
}

// reach lets begin what the scenario has for a moment of the run.
func (g *Guest) reach(m Moment) {
	s := g.scenario
	if s.NoNewShellsFrom == m {
		g.winRM(WinRMNoShells, 0, "")
	}
	if s.PortClosed.From == m {
		g.winRM(WinRMClosed, time.Duration(s.PortClosed.For), winRMOpen)
	}
	if s.Freeze.At == m {
		g.freeze(time.Duration(s.Freeze.For))
	}
}

// winRM changes how the service is reached, and changes it back after d if
// there is a state to go back to.
func (g *Guest) winRM(to WinRMState, d time.Duration, back WinRMState) {
	if g.opt.WinRM == nil {
		return
	}
	g.logf("WinRM: %s", to)
	// Another goroutine: the service may be waiting for this very command.
	session := g.session()
	g.goDo(func() {
		g.opt.WinRM(to)
		if d > 0 && g.sleep(session, d) && !g.winRMStopped() {
			g.logf("WinRM: %s", back)
			g.opt.WinRM(back)
		}
	})
}

// winRMStopped: the service has ended, because Windows shuts down.
func (g *Guest) winRMStopped() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shutdown != nil && g.shutdown.stopped
}

// freeze stops the machine for some time.
func (g *Guest) freeze(d time.Duration) {
	g.logf("everything stands still for %s", d)
	thawed := make(chan struct{})
	g.mu.Lock()
	g.frozen = thawed
	session := g.boot
	g.mu.Unlock()
	if g.opt.WinRM != nil {
		g.opt.WinRM(winRMFrozen)
	}
	g.goDo(func() {
		sleepFor(session, g.scaled(d))
		g.mu.Lock()
		g.frozen = nil
		g.mu.Unlock()
		close(thawed)
		g.logf("everything goes on")
		if g.opt.WinRM != nil {
			g.opt.WinRM(winRMThawed)
		}
	})
}

// thaw waits while the machine stands still.
func (g *Guest) thaw(ctx context.Context) {
	g.mu.Lock()
	frozen := g.frozen
	g.mu.Unlock()
	if frozen == nil {
		return
	}
	select {
	case <-frozen:
	case <-ctx.Done():
	}
}

// startsNothing: Windows shuts down, and no program starts any more.
func (g *Guest) startsNothing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.scenario.NoProcessesInShutdown && (g.down || g.shutdown != nil && g.shutdown.started)
}
