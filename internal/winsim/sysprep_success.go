package winsim

import (
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// markGeneralized writes what a generalized machine has in its registry.
func (p *preparation) markGeneralized() {
	g := p.g
	g.reg.SetDWord(keySysprep, "GeneralizationState", 4)
	g.reg.SetDWord(keySysprep, "CleanupState", 2)
	if !p.scenario.Unarmed {
		g.reg.SetDWord(keySetup, "SetupType", 2)
		g.reg.SetString(keySetup, "CmdLine", `oobe\windeploy.exe`)
	}
	if p.scenario.OOBEInProgress {
		g.reg.SetDWord(keySetup, "OOBEInProgress", 1)
	}
	g.reg.SetDWord(keyCompletion, "setup.exe", 0)
}

// finish writes the new state, the tag and the end of the log, and ends as
// the command line says.
func (p *preparation) finish() int {
	g := p.g
	state, auditBoot := imageSpecializedOOBE, uint32(0)
	if p.opt.audit {
		state, auditBoot = imageSpecializedAudit, 1
	}
	g.reg.SetDWord(keyStatus, "AuditBoot", auditBoot)
	if p.opt.generalize {
		p.markGeneralized()
		state = imageGeneralizedOOBE
		if p.opt.audit {
			state = imageGeneralizedAudit
		}
		if !p.opt.vm {
			g.reg.DeleteValue(keySysprepMode, "SysprepMode")
		}
		entries, _ := g.drive.ReadDir(folderEvents)
		for _, e := range entries {
			if err := g.clearEventLog(folderEvents + `\` + e.Name()); err != nil {
				g.logf("sysprep: clearing %s: %v", e.Name(), err)
			}
		}
	}
	err := g.setImageState(state)
	if err == nil {
		err = g.Flush()
	}
	if err == nil {
		err = g.drive.WriteFile(fileTag, nil)
	}
	if err != nil {
		g.logf("sysprep: %v", err)
		return 1
	}
	p.log(setuplog.TagCreated())
	p.reached(AtTag)
	event, down := PowerOff, !p.opt.quit
	if down {
		if p.opt.reboot || p.scenario.RestartsInstead {
			event = Reboot
		}
		p.log(setuplog.ShutdownCalled(p.opt.reboot))
	}
	p.log(setuplog.End(p.now())...)
	p.afterwards()
	if down && !p.past {
		if code := g.beginShutdown(event, 0); code != 0 {
			g.logf("sysprep: shutting down: error %d", code)
		}
	}
	return 0
}
