package winsim

import (
	"errors"
	"io/fs"
	"time"
)

// How far the first boot of a generalized image comes by itself.
const (
	FirstBootDialogs = ""
	FirstBootDone    = "complete" // an answer file passes the dialogs: a running Windows again
)

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
