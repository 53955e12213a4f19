package winsim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
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
	// PortClosed takes the network away for a while, Freeze lets the whole machine
	// stand still.
	PortClosed PortClosed `json:"port_closed,omitzero"`
	Freeze     Freeze     `json:"freeze,omitzero"`
	// PowerButtonPresses is how many presses of the power button it takes, 20 s
	// apart or more; 0 and 1 are one. A display that is off wakes at the first.
	PowerButtonPresses int `json:"power_button_presses,omitempty"`
	// LateFirstLine is how long sysprep takes before it writes to its log.
	LateFirstLine Duration `json:"late_first_line,omitempty"`
	// BlockedScripts are scripts that PowerShell does not run, by name; an
	// antivirus program, or AppLocker, says so.
	BlockedScripts []string `json:"blocked_scripts,omitempty"`
	// PowerShellStarts is how long powershell.exe takes before it does anything.
	PowerShellStarts Duration `json:"powershell_starts,omitempty"`
	// CreateError is the error that Win32_Process.Create raises, as a rule against
	// it does; Scenario.CreateReturn is one that it returns.
	CreateError string `json:"create_error,omitempty"`
	// PowerShellVersion is 2, 4 or 5.1, where it is not that of Windows; 2 knows
	// too little for any script. ConstrainedLanguage lets no script call a method.
	PowerShellVersion   string `json:"powershell_version,omitempty"`
	ConstrainedLanguage bool   `json:"constrained_language,omitempty"`
	// Windows is 2008r2, 2012r2, 2016, 2019, 2022 (the default), 2025, 10, 11-24h2
	// or 11-25h2; Language, de or fr, is what its programs speak, in the code page
	// that a client asks for.
	Windows  string `json:"windows,omitempty"`
	Language string `json:"language,omitempty"`
	// MoreFails: more.com says "Not enough memory." under code page 65001, on any
	// Windows.
	MoreFails bool `json:"more_fails,omitempty"`
	// FilteredToken: WinRM gives its user a token that UAC has filtered.
	FilteredToken bool `json:"filtered_token,omitempty"`
	// OOBEInProgress: generalize leaves HKLM\SYSTEM\Setup, OOBEInProgress at 1.
	OOBEInProgress bool `json:"oobe_in_progress,omitempty"`
	// WinRMInSetup lets WinRM answer in the first boot of a generalized image, in
	// specialize and in OOBE, each of which takes Scenario.SetupFor.
	WinRMInSetup bool `json:"winrm_in_setup,omitempty"`
	// LogonTakes is how long after a boot into audit mode the Administrator is
	// logged on, and sysprep's window opens.
	LogonTakes Duration `json:"logon_takes,omitempty"`
	// SystemDrive is the letter of the drive that Windows is on, the only one there
	// is; empty is C.
	SystemDrive string `json:"system_drive,omitempty"`
}

// Freeze stops everything in the machine, as a snapshot or a migration does:
// connections stay open, nothing answers, and all goes on where it was.
type Freeze struct {
	At  Stage    `json:"at,omitempty"` // generalize or tag
	For Duration `json:"for,omitempty"`
}

// PortClosed takes the network away, as its adapter does when devices are
// enumerated again. Shells and what runs in them live on.
type PortClosed struct {
	From Stage    `json:"from,omitempty"` // generalize or tag
	For  Duration `json:"for,omitempty"`
}

// States of WinRM that only the guest itself asks for.
const (
	winRMFrozen WinRMState = "frozen" // nothing is answered
	winRMThawed WinRMState = "thawed" // what was asked meanwhile is answered
	winRMOpen   WinRMState = "open"   // the port opens; what else holds, holds
)

var driveLetter = regexp.MustCompile(`\A[A-Za-z]\z`)

func (u Unkind) systemDrive() string { return strings.ToUpper(cmp.Or(u.SystemDrive, "C")) }

func (u Unkind) check() error {
	var errs []error
	switch u.NoNewShellsFrom {
	case "", AtLaunch, AtGeneralize, AtTag:
	default:
		errs = append(errs, fmt.Errorf("unknown no_new_shells_from %q", u.NoNewShellsFrom))
	}
	if u.SystemDrive != "" && !driveLetter.MatchString(u.SystemDrive) {
		errs = append(errs, fmt.Errorf("system_drive %q is no drive letter, such as D", u.SystemDrive))
	}
	if u.PowerButtonPresses < 0 {
		errs = append(errs, fmt.Errorf("power_button_presses is %d", u.PowerButtonPresses))
	}
	pause := func(field string, at Stage, d Duration) {
		if (at != "" || d != 0) && (at != AtGeneralize && at != AtTag || d <= 0) {
			errs = append(errs, fmt.Errorf("%s needs a stage (generalize, tag) and a duration, and has %q and %s", field, at, time.Duration(d)))
		}
	}
	pause("freeze", u.Freeze.At, u.Freeze.For)
	pause("port_closed", u.PortClosed.From, u.PortClosed.For)
	for field, d := range map[string]Duration{"late_first_line": u.LateFirstLine, "winrm_stops_first": u.WinRMStopsFirst, "powershell_starts": u.PowerShellStarts, "logon_takes": u.LogonTakes} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s is %s, less than nothing", field, time.Duration(d)))
		}
	}
	for _, name := range u.BlockedScripts {
		if !slices.Contains(scripts.Names(), name) {
			errs = append(errs, fmt.Errorf("blocked_scripts: there is no script %q", name))
		}
	}
	return errors.Join(append(errs, u.checkVersion()...)...)
}

// startsNothing: no program is started any more.
func (g *Guest) startsNothing() bool {
	if !g.scenario.NoProcessesInShutdown {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.down || g.shutdown != nil && g.shutdown.started
}

// reached is called at each stage of a run.
func (g *Guest) reached(stage Stage) {
	u := g.scenario.Unkind
	if u.NoNewShellsFrom == stage {
		g.winRM(WinRMNoShells, 0, "")
	}
	if u.PortClosed.From == stage {
		g.winRM(WinRMClosed, time.Duration(u.PortClosed.For), winRMOpen)
	}
	if u.Freeze.At == stage {
		g.freeze(time.Duration(u.Freeze.For))
	}
}

// winRM changes how the service is reached, and to another state after d.
func (g *Guest) winRM(to WinRMState, d time.Duration, then WinRMState) {
	if g.opt.WinRM == nil {
		return
	}
	g.logf("WinRM: %s", to)
	session := g.session()
	g.goDo(func() { // the service may be waiting for this very command
		g.opt.WinRM(to)
		if d > 0 && g.sleep(session, d) && !g.winRMStopped() {
			g.logf("WinRM: %s", cmp.Or(then, "up"))
			g.opt.WinRM(then)
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
	thawed := make(chan struct{})
	g.mu.Lock()
	g.frozen = thawed
	session := g.boot
	g.mu.Unlock()
	if g.opt.WinRM != nil {
		g.opt.WinRM(winRMFrozen)
	}
	g.logf("everything stands still for %s", d)
	g.goDo(func() {
		g.rest(session, g.scaled(d))
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
