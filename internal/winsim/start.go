package winsim

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// keyStart remembers which state a machine was brought into, so that a reboot
// does not do it again.
const keyStart = `HKLM\SOFTWARE\Simulated guest`

// setStart brings a machine into the state the scenario begins with. One that
// has been generalized meanwhile stays as it is.
func (g *Guest) setStart() error {
	r := g.reg
	id := fmt.Sprintf("%s %v %v %s %s", g.scenario.Start, g.scenario.StaleTag, g.scenario.StaleLog, g.scenario.Windows, g.drive.Name())
	if g.armed() || r.GetString(keyStart, "Start") == id {
		return nil
	}
	r.SetString(keyStart, "Start", id)
	if g.scenario.Windows != "" { // the disk was made before it was known which
		g.seedVersion()
	}
	if g.scenario.SystemDrive != "" { // or where
		g.seedFolders()
	}
	if g.scenario.StaleTag {
		if err := errors.Join(g.drive.WriteFile(fileTag, nil), g.dateTag(time.Now().AddDate(-1, 0, 0))); err != nil {
			return err
		}
	}
	if g.scenario.StaleLog {
		if err := g.staleLog(); err != nil {
			return err
		}
	}
	switch g.scenario.Start {
	case Generalized:
		return g.ran(Scenario{}, "/generalize", "/oobe", "/quit", "/quiet")
	case SetupRunning:
		if err := g.ran(Scenario{}, "/generalize", "/oobe", "/reboot", "/quiet"); err != nil {
			return err
		}
		return g.specialize(g.passFirstBoot)
	case Audit:
		if err := g.ran(Scenario{}, "/audit", "/reboot", "/quiet"); err != nil {
			return err
		}
		return g.auditMode()
	case SysprepOpen:
		g.openWindow()
	case Unfinished:
		return errors.Join(g.ran(brokeOff, "/generalize", "/oobe", "/quit", "/quiet"), g.setImageState(imageComplete))
	case Undeployable:
		return g.ran(brokeOff, "/generalize", "/oobe", "/quit", "/quiet")
	case NoSysprep:
		return g.drive.Remove(folderSysprep + `\sysprep.exe`)
	case RebootPending:
		r.Create(keyRebootPending)
		r.Create(keyRebootRequired)
	}
	return nil
}

// brokeOff is the run of a machine that is found in the middle of generalize.
var brokeOff = Scenario{Outcome: Broken, Class: "F38"}

// before is how long ago a run of the past was: clocks differ by less.
const before = 48 * time.Hour

// dateTag sets the time of the tag.
func (g *Guest) dateTag(at time.Time) error {
	host, err := g.drive.Path(fileTag)
	if err != nil {
		return err
	}
	return os.Chtimes(host, at, at)
}

// ran lets sysprep have run before the guest was found, whatever its scenario says
// of the runs to come.
func (g *Guest) ran(how Scenario, arguments ...string) error {
	how.Unarmed, how.OOBEInProgress = g.scenario.Unarmed, g.scenario.OOBEInProgress
	opt := parseSysprep(arguments)
	p := &preparation{g: g, ctx: g.session(), opt: opt, scenario: how, past: true, run: setuplog.Run{Options: opt.names, Privileged: true}}
	if code := p.main(""); (code == 0) != (how.Outcome == "") {
		return errors.Join(fmt.Errorf("the start %q: sysprep %q ends with %d", g.scenario.Start, arguments, code), p.err)
	}
	if how.Outcome == "" {
		p.err = errors.Join(p.err, g.dateTag(p.now()))
	}
	return p.err
}

// openWindow is the person at the console, or audit mode, who opens sysprep's
// window.
func (g *Guest) openWindow() {
	p := g.addProcess("sysprep.exe", `"`+g.full(folderSysprep)+`\sysprep.exe"`, "Administrator", 1)
	g.logf("%s opens the System Preparation Tool window (process %d)", p.user, p.pid)
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
