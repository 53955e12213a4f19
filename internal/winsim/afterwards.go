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
	now := time.Now().Add(time.Duration(g.scenario.Clock))
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
		b.WriteString(l.Format(at))
	}
	return g.drive.WriteFile(fileActLog, []byte(b.String()))
}

// inUse refuses to move a log that another program holds open.
func (s Scenario) inUse(path string) error {
	if s.LogLocked && strings.EqualFold(path, fileActLog) {
		return fmt.Errorf("the process cannot access the file because it is being used by another process: %w", fs.ErrPermission)
	}
	return nil
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

// passFirstBoot ends the first boot of a generalized image without dialogs.
func (g *Guest) passFirstBoot() error {
	g.reg.SetDWord(keySetup, "SetupType", 0)
	g.reg.SetString(keySetup, "CmdLine", "")
	g.reg.SetDWord(keySetup, "OOBEInProgress", 0)
	g.reg.SetDWord(keyCompletion, "setup.exe", 3)
	if err := g.drive.Remove(fileTag); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return g.setImageState(imageComplete)
}
