package winsim

import (
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
	if g.inSetup() || r.GetString(keyStart, "Start") == id {
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
		host, err := g.drive.Path(fileTag)
		if err != nil {
			return err
		}
		if err := g.drive.WriteFile(fileTag, nil); err != nil {
			return err
		}
		old := time.Now().AddDate(-1, 0, 0)
		if err := os.Chtimes(host, old, old); err != nil {
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
		g.markGeneralized(false)
		if err := g.drive.WriteFile(fileTag, nil); err != nil {
			return err
		}
		return g.setImageState(imageGeneralizedOOBE)
	case SetupRunning:
		r.SetDWord(keySetup, "SystemSetupInProgress", 1)
		r.SetDWord(keySetup, "OOBEInProgress", 1)
		r.SetDWord(keyCompletion, "setup.exe", 1)
		ctx := g.session()
		g.goDo(func() {
			if !g.sleep(ctx, orElse(g.scenario.SetupFor, time.Minute)) {
				return
			}
			r.SetDWord(keySetup, "SystemSetupInProgress", 0)
			r.SetDWord(keySetup, "OOBEInProgress", 0)
			r.SetDWord(keyCompletion, "setup.exe", 3)
			if err := g.setImageState(imageComplete); err != nil {
				g.logf("ending first boot: %v", err)
			}
		})
		return g.setImageState(imageUndeployable)
	case Audit:
		r.SetDWord(keyStatus, "AuditBoot", 1)
		g.addProcess("sysprep.exe", `"`+g.full(folderSysprep)+`\sysprep.exe"`, "Administrator", 1)
		return g.setImageState(imageSpecializedAudit)
	case SysprepOpen:
		g.addProcess("sysprep.exe", `"`+g.full(folderSysprep)+`\sysprep.exe"`, "Administrator", 1)
	case Unfinished:
		r.SetDWord(keySysprep, "GeneralizationState", 3)
	case Undeployable:
		r.SetDWord(keySysprep, "GeneralizationState", 3)
		return g.setImageState(imageUndeployable)
	case NoSysprep:
		return g.drive.Remove(folderSysprep + `\sysprep.exe`)
	case RunningUpdate:
		r.Create(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`)
		r.Create(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`)
	}
	return nil
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
