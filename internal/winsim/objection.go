package winsim

import (
	"regexp"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// skipsRearm is an answer file that leaves the licensing state as it is.
var skipsRearm = regexp.MustCompile(`<SkipRearm>\s*1\s*</SkipRearm>`)

// meet lets the state of the machine decide how a run goes, where the scenario does
// not. Sysprep stops at its first objection.
func (p *preparation) meet(dir string) {
	if p.scenario.Outcome != "" && p.scenario.Outcome != Success {
		return
	}
	answers, _ := p.answerFile(dir)
	class, packages := p.g.objection(p.opt.generalize, skipsRearm.Match(answers))
	if f, ok := setuplog.Find(class); ok {
		p.scenario.Outcome, p.scenario.Class, p.scenario.Packages = Refused, class, packages
		if f.Phase == setuplog.Provider {
			p.scenario.Outcome = Broken
		}
		return
	}
	switch {
	case p.opt.generalize && p.g.disabled("wuauserv"): // in GeneralizeForImaging
		p.scenario.Outcome = Hang
	case p.opt.generalize && p.g.disabled("dmwappushservice"):
		p.scenario.Outcome = Slow
	}
}

// disabled says whether a service cannot be started.
func (g *Guest) disabled(service string) bool { return g.startMode(service) == "Disabled" }

// startMode is what the service control manager goes by.
func (g *Guest) startMode(service string) string {
	start, ok := g.reg.GetDWord(keyServices+`\`+service, "Start")
	g.machine.View(func(s *machinestate.State) {
		if contains(s.Unread, service) {
			start = 4
		}
	})
	if modes := []string{"Boot", "System", "Automatic", "Manual", "Disabled"}; ok && int(start) < len(modes) {
		return modes[start]
	}
	return ""
}

// startType is that of Get-Service, which has it from PowerShell 5 on.
func (g *Guest) startType(service string) any {
	if mode := g.startMode(service); mode != "" && g.scenario.release().powershell >= "5" {
		return mode
	}
	return nil
}

// objection is the failure class that sysprep meets first: in the validation of
// cleanup, in that of generalize, in cleanup, in generalize. Empty: none.
func (g *Guest) objection(generalize, skipRearm bool) (class string, packages []string) {
	var s machinestate.State
	g.machine.View(func(m *machinestate.State) { s = m.At(g.now()) })
	active, _ := g.reg.GetDWord(keyReserve, "ActiveScenario")
	switch {
	case g.reg.Has(keyRebootPending) || g.reg.Has(keyRebootRequired):
		return "F21", nil
	case g.reg.Has(keyCBS+`\PackagesPending`) || g.drive.IsFile(filePending):
		return "F24", nil
	case active != 0:
		return "F22", nil
	case g.disabled("TrustedInstaller"):
		return "F23", nil
	}
	if generalize {
		if class, packages := g.objectionInValidation(s); class != "" {
			return class, packages
		}
	}
	_, agent := g.reg.Get(keyDSC, "AgentId")
	switch {
	case g.eventLogElsewhere():
		return "F41", nil
	case g.drive.IsFile(folderDSC+`\Current.mof`) && !agent:
		return "F37", nil
	case !generalize:
		return "", nil
	}
	skip, _ := g.reg.GetDWord(keyLicensing, "SkipRearm")
	sense := g.reg.GetString(keySense, "senseGuid")
	switch {
	case g.disabled("sppsvc"):
		return "F31", nil
	case s.Rearm == 0 && skip != 1 && !skipRearm:
		return "F30", nil
	case s.Running["WMPNetworkSvc"]:
		return "F35", nil
	case sense != "" && s.Running["Sense"]:
		return "F38", nil
	case g.providerMissing():
		return "F43", nil
	}
	return "", nil
}

func (g *Guest) objectionInValidation(s machinestate.State) (class string, packages []string) {
	if g.disabled("AppXSvc") {
		return "F17", nil
	}
	for _, p := range s.Packages {
		if ofOneUser(s, p) {
			switch p.Name {
			case "Microsoft.SecHealthUI":
				return "F18", []string{p.FullName}
			case "Microsoft.DesktopAppInstaller":
				return "F04", []string{p.FullName}
			}
			return "F01", []string{p.FullName}
		}
	}
	for _, v := range s.Volumes {
		if v.Drive == g.drive.Name() && v.Conversion != 0 {
			return "F20", nil
		}
	}
	return "", nil
}

// ofOneUser says whether a package is installed for a user and not provisioned for
// all: no package of its name, or an older one of two that are installed.
func ofOneUser(s machinestate.State, p machinestate.Package) bool {
	if p.Framework || p.Resource || p.SignatureKind == "System" {
		return false
	}
	installed, versions := false, 0
	for _, u := range p.Users {
		installed = installed || u.State == "Installed"
	}
	for _, q := range s.Packages {
		if q.Name == p.Name {
			versions++
		}
	}
	for _, q := range s.Provisioned {
		if q.DisplayName == p.Name && (versions < 2 || q.Version == p.Version) {
			return false
		}
	}
	return installed
}

// eventLogElsewhere says whether an event log was moved to a folder that is not there.
func (g *Guest) eventLogElsewhere() bool {
	root := keyServices + `\EventLog`
	_, keys, _ := g.reg.List(root)
	for _, name := range keys {
		file := g.reg.GetString(root+`\`+name, "File")
		if i := strings.LastIndexByte(file, '\\'); i > 0 && file[0] != '%' && !g.drive.IsDir(file[:i]) {
			return true
		}
	}
	return false
}

// providerMissing says whether a provider of generalize is registered whose DLL is
// not there.
func (g *Guest) providerMissing() bool {
	for _, phase := range []string{"Cleanup", "Generalize"} {
		values, _, _ := g.reg.List(keyExternal + `\` + phase)
		for _, v := range values {
			dll, _, _ := strings.Cut(v.Text(), ",")
			if dll = strings.Trim(dll, `" `); !strings.ContainsAny(dll, `\:`) {
				dll = folderSystem32 + `\` + dll
			}
			if dll != folderSystem32+`\` && !g.drive.IsFile(dll) {
				return true
			}
		}
	}
	return false
}
