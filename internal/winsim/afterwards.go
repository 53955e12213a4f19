package winsim

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// Afterwards is what becomes of a machine after sysprep has reported success,
// while sysprep.exe still runs.
type Afterwards string

// What may come after success.
const (
	Stays           Afterwards = ""
	BecomesUndone   Afterwards = "undone"   // the tag goes, and ImageState is UNDEPLOYABLE
	BecomesFailed   Afterwards = "failed"   // the log ends with a failure
	BecomesComplete Afterwards = "complete" // ImageState is COMPLETE again
)

// How far the first boot of a generalized image comes by itself.
const (
	FirstBootDialogs = ""
	FirstBootDone    = "complete" // an answer file passes the dialogs: a running Windows again
)

const keyTimeZone = `HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation`

func (s Scenario) checkAfterwards() error {
	var errs []error
	switch s.Afterwards {
	case Stays, BecomesUndone, BecomesFailed, BecomesComplete:
	default:
		errs = append(errs, fmt.Errorf("unknown afterwards %q", s.Afterwards))
	}
	if s.FirstBoot != FirstBootDialogs && s.FirstBoot != FirstBootDone {
		errs = append(errs, fmt.Errorf("unknown first_boot %q", s.FirstBoot))
	}
	if zone := time.Duration(s.Zone); zone.Abs() > 15*time.Hour || zone%time.Minute != 0 {
		errs = append(errs, fmt.Errorf("no zone is %s from UTC", zone))
	}
	return errors.Join(errs...)
}

// now is the guest's clock, in its zone.
func (g *Guest) now() time.Time {
	now := g.clock.Now().Add(time.Duration(g.scenario.Clock))
	if zone := time.Duration(g.scenario.Zone); zone != 0 {
		return now.In(time.FixedZone("", int(zone/time.Second)))
	}
	return now
}

// setTimeZone tells the offset of the clock that the logs are written by.
func (g *Guest) setTimeZone() {
	_, offset := g.now().Zone()
	g.reg.SetDWord(keyTimeZone, "ActiveTimeBias", uint32(int32(-offset/60)))
}

// staleLog leaves the log of a good run of 2019.
func (g *Guest) staleLog() error {
	at := time.Date(2019, 2, 26, 2, 7, 16, 0, time.Local)
	run := setuplog.Run{Options: []string{"GENERALIZE", "OOBE", "QUIT", "QUIET"}, Privileged: true}
	lines := run.Begin(at)
	lines = append(lines, run.Tag())
	lines = append(lines, run.CommandLine()...)
	lines = append(lines, setuplog.TagCreated())
	lines = append(lines, setuplog.End(at)...)
	var b strings.Builder
	b.WriteString(setuplog.BOM)
	for _, l := range lines {
		b.WriteString(g.logText(l, at))
	}
	return g.drive.WriteFile(fileActLog, []byte(b.String()))
}

// inUse: another program holds the log open, which keeps the folder above it in
// its place too.
func (s Scenario) inUse(path string) bool {
	return s.LogLocked && strings.HasPrefix(strings.ToLower(fileActLog)+`\`, strings.ToLower(path[2:])+`\`)
}

// afterwards plays what comes after success.
func (p *preparation) afterwards() {
	g := p.g
	if g.scenario.Afterwards == Stays {
		return
	}
	third := orElse(g.scenario.Lingers, 6*time.Second) / 3
	if !g.sleep(p.ctx, third) {
		return
	}
	g.logf("after success: %s", g.scenario.Afterwards)
	switch g.scenario.Afterwards {
	case BecomesUndone:
		p.err = errors.Join(p.err, g.drive.Remove(fileTag), g.setImageState(imageUndeployable))
	case BecomesFailed:
		f, _ := setuplog.Find("F35")
		p.log(f.Lines(nil)...)
	case BecomesComplete:
		p.err = errors.Join(p.err, g.setImageState(imageComplete))
	}
	g.sleep(p.ctx, 2*third)
}

func (g *Guest) inSetup() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.atOOBE
}

func (g *Guest) setInSetup(on bool) {
	g.mu.Lock()
	g.atOOBE = on
	g.mu.Unlock()
}

// waitInDialogs is a first boot that has come to OOBE and waits for a person.
func (g *Guest) waitInDialogs() error {
	g.setInSetup(true)
	g.reg.SetDWord(keySysprep, "GeneralizationState", 7)
	g.reg.SetDWord(keySetup, "OOBEInProgress", 1)
	g.reg.SetDWord(keyCompletion, "setup.exe", 3)
	g.reg.SetDWord(keyCompletion, "oobeldr.exe", 0)
	state := imageSpecializedOOBE
	if audit, _ := g.reg.GetDWord(keyStatus, "AuditBoot"); audit != 0 {
		state = imageSpecializedAudit
	}
	return errors.Join(g.setImageState(state), g.Flush())
}

// slowFirstBoot is a first boot in which WinRM answers: specialize, then OOBE,
// each for as long as Scenario.SetupFor. The values are those from which Windows
// computes ImageState (OrchestrateUpdateImageState in setupact.log).
func (g *Guest) slowFirstBoot() error {
	g.setInSetup(true)
	g.reg.SetDWord(keySetup, "SystemSetupInProgress", 1)
	g.reg.SetDWord(keySetup, "OOBEInProgress", 1)
	g.reg.SetDWord(keyCompletion, "setup.exe", 1)
	session, takes := g.session(), orElse(g.scenario.SetupFor, time.Minute)
	g.goDo(func() {
		if !g.sleep(session, takes) {
			return
		}
		g.logf("first boot: OOBE")
		if err := g.waitInDialogs(); err != nil {
			g.logf("first boot: %v", err)
		}
		if g.scenario.FirstBoot != FirstBootDone || !g.sleep(session, takes) {
			return
		}
		g.reg.SetDWord(keySetup, "SystemSetupInProgress", 0)
		if err := errors.Join(g.passFirstBoot(), g.Flush()); err != nil {
			g.logf("first boot: %v", err)
		}
		g.setInSetup(false)
	})
	return errors.Join(g.setImageState(imageUndeployable), g.Flush())
}

// passFirstBoot ends the first boot of a generalized image without dialogs.
func (g *Guest) passFirstBoot() error {
	g.reg.SetDWord(keySetup, "SetupType", 0)
	g.reg.SetString(keySetup, "CmdLine", "")
	g.reg.SetDWord(keySetup, "OOBEInProgress", 0)
	g.reg.SetDWord(keyCompletion, "setup.exe", 3)
	g.reg.SetDWord(keyCompletion, "oobeldr.exe", 3)
	if err := g.drive.Remove(fileTag); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return g.setImageState(imageComplete)
}
