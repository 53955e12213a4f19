package winsim

import (
	"errors"
	"fmt"
	"time"
)

// Stage is a moment of a sysprep run from which something holds.
type Stage string

// The stages.
const (
	AtLaunch     Stage = "launch"     // sysprep.exe was started
	AtGeneralize Stage = "generalize" // it begins to change the machine
	AtTag        Stage = "tag"        // it has created its tag
)

// Unkind are ways in which Windows is harder on its users than a simulation
// needs to be. The zero value is kind.
type Unkind struct {
	// NoNewShellsFrom is from when WinRM refuses whatever opens a shell; open
	// ones live on (field reports: Server 2019 and 2022, Windows 11).
	NoNewShellsFrom Stage `json:"no_new_shells_from,omitempty"`
	// NoProcessesInShutdown: once Windows shuts down no program starts, cmd.exe
	// of a new command included: 0xC0000142 (field reports).
	NoProcessesInShutdown bool `json:"no_processes_in_shutdown,omitempty"`
	// WinRMStopsFirst is how long before the power-off the service is stopped,
	// while Windows still works and writes.
	WinRMStopsFirst Duration `json:"winrm_stops_first,omitempty"`
	// PowerButtonPresses is how many presses of the power button it takes, 20 s
	// apart or more; 0 and 1 are one. A display that is off wakes at the first.
	PowerButtonPresses int `json:"power_button_presses,omitempty"`
	// LateFirstLine is how long sysprep takes before it writes to its log.
	LateFirstLine Duration `json:"late_first_line,omitempty"`
	// BlockedScripts are scripts that PowerShell does not run, by name; an
	// antivirus program, or AppLocker, says so.
	BlockedScripts []string `json:"blocked_scripts,omitempty"`
}

func (u Unkind) check() error {
	var errs []error
	switch u.NoNewShellsFrom {
	case "", AtLaunch, AtGeneralize, AtTag:
	default:
		errs = append(errs, fmt.Errorf("unknown no_new_shells_from %q", u.NoNewShellsFrom))
	}
	if u.PowerButtonPresses < 0 {
		errs = append(errs, fmt.Errorf("power_button_presses is %d", u.PowerButtonPresses))
	}
	return errors.Join(errs...)
}

// dllInitFailed is STATUS_DLL_INIT_FAILED, the exit code of a program that
// Windows starts while it shuts down.
const dllInitFailed = -1073741502

// startsNothing: no program is started any more.
func (g *Guest) startsNothing() bool {
	if !g.scenario.NoProcessesInShutdown {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shutdown != nil && g.shutdown.started
}

// reached is called at each stage of a run.
func (g *Guest) reached(stage Stage) {
	if g.scenario.NoNewShellsFrom != stage || g.opt.WinRM == nil {
		return
	}
	g.logf("WinRM opens no new shell from now on")
	g.goDo(func() { g.opt.WinRM(WinRMNoShells) }) // the service may be waiting for this very command
}

// pressGap is the least time between two presses that count as two.
const pressGap = 20 * time.Second

// wakes counts a press of the power button, and says whether it only woke the
// display.
func (g *Guest) wakes() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if g.pressed == 0 || now.Sub(g.lastPress) >= g.scaled(pressGap) {
		g.pressed++
		g.lastPress = now
	}
	return g.pressed < g.scenario.PowerButtonPresses
}
