package winsim

import (
	"errors"
	"time"
)

// How far the first boot of a generalized image comes by itself.
const (
	FirstBootDialogs = ""
	FirstBootDone    = "complete" // an answer file passes the dialogs: a running Windows again
)

// armed: the next boot, or this one, is the first of a generalized image.
func (g *Guest) armed() bool {
	kind, _ := g.reg.GetDWord(keySetup, "SetupType")
	return kind == 2
}

// firstBoot is that of a generalized image. Without WinRM in it nobody sees how
// long it takes.
func (g *Guest) firstBoot(audit bool) error {
	g.logf("booting a generalized image: specialize, then the first-boot dialogs or audit mode")
	next := g.waitInDialogs
	switch {
	case audit:
		next = g.auditMode
	case g.settings("oobeSystem").toAudit():
		next = g.resealToAudit
	case g.scenario.walks():
		return g.walk()
	case g.scenario.FirstBoot == FirstBootDone && g.scenario.WinRMInSetup:
		next = g.passDialogs
	case g.scenario.FirstBoot == FirstBootDone:
		next = g.passFirstBoot
	}
	if g.scenario.WinRMInSetup {
		return g.specialize(next)
	}
	return next()
}

// specialize takes as long as Scenario.SetupFor; then comes next. The values are
// those from which Windows computes ImageState (OrchestrateUpdateImageState in
// setupact.log).
func (g *Guest) specialize(next func() error) error {
	g.reg.SetDWord(keySetup, "SystemSetupInProgress", 1)
	g.reg.SetDWord(keySetup, "OOBEInProgress", 1)
	g.reg.SetDWord(keyCompletion, "setup.exe", 1)
	err := errors.Join(g.setImageState(imageUndeployable), g.Flush())
	g.afterSetup(next)
	return err
}

// afterSetup does what comes after a part of the first boot.
func (g *Guest) afterSetup(next func() error) {
	session := g.session()
	g.goDo(func() {
		if !g.sleep(session, g.scenario.SetupFor.or(time.Minute)) {
			return
		}
		if err := next(); err != nil {
			g.logf("first boot: %v", err)
		}
	})
}

// waitInDialogs is a first boot that has come to OOBE and waits for a person.
func (g *Guest) waitInDialogs() error {
	g.logf("first boot: OOBE")
	g.mu.Lock()
	g.inDialogs = true
	g.mu.Unlock()
	g.reg.SetDWord(keySysprep, "GeneralizationState", 7)
	g.reg.SetDWord(keySetup, "OOBEInProgress", 1)
	g.reg.SetDWord(keyCompletion, "setup.exe", 3)
	g.reg.SetDWord(keyCompletion, "oobeldr.exe", 0)
	return errors.Join(g.setImageState(imageSpecializedOOBE), g.Flush())
}

// passDialogs is OOBE with an answer file, which takes time too.
func (g *Guest) passDialogs() error {
	err := g.waitInDialogs()
	g.afterSetup(g.passFirstBoot)
	return err
}

// passFirstBoot ends the first boot of a generalized image without dialogs.
func (g *Guest) passFirstBoot() error {
	g.endSetup()
	g.reg.SetDWord(keyCompletion, "oobeldr.exe", 3)
	return errors.Join(g.setImageState(imageComplete), g.Flush())
}

// auditMode is what Windows boots into after /audit: the built-in Administrator
// is logged on, which may take longer than WinRM, and sysprep's window opens.
func (g *Guest) auditMode() error {
	g.endSetup()
	switch takes := time.Duration(g.scenario.LogonTakes); {
	case g.audited(): // its answer file says what follows
	case takes > 0:
		session := g.session()
		g.goDo(func() {
			if g.sleep(session, takes) {
				g.openWindow()
			}
		})
	default:
		g.openWindow()
	}
	return errors.Join(g.setImageState(imageSpecializedAudit), g.Flush())
}

// endSetup is the end of specialize and of what follows it.
func (g *Guest) endSetup() {
	g.reg.SetDWord(keySysprep, "GeneralizationState", 7)
	g.reg.SetDWord(keySetup, "SetupType", 0)
	g.reg.SetString(keySetup, "CmdLine", "")
	g.reg.SetDWord(keySetup, "SystemSetupInProgress", 0)
	g.reg.SetDWord(keySetup, "OOBEInProgress", 0)
	g.reg.SetDWord(keyCompletion, "setup.exe", 3)
	g.mu.Lock()
	g.inDialogs = false
	g.mu.Unlock()
}
