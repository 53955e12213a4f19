package answerfile

import (
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// runs reports whether a pass is run by this command line and what follows of
// the file: Reseal and Generalize lead the machine on.
func (l *linter) runs(pass string) bool {
	c := l.ctx.CommandLine
	if c == nil || c.runs(pass) {
		return true
	}
	toAudit := c.OOBE && l.resealsTo(OOBESystem, "Audit")
	if pass == AuditSystem || pass == AuditUser {
		return toAudit
	}
	if !c.Audit && !toAudit {
		return false
	}
	generalizes := l.file.Find(AuditUser, compDeployment, "Generalize") != nil
	leaves := l.resealsTo(AuditSystem, "OOBE") || l.resealsTo(AuditUser, "OOBE")
	switch pass {
	case Generalize, Specialize:
		return generalizes
	case OOBESystem:
		return leaves || generalizes && !strings.EqualFold(l.value(AuditUser, compDeployment, "Generalize", "Mode"), "Audit")
	}
	return false
}

// value is the text of a setting, "" where there is none.
func (l *linter) value(pass, component string, path ...string) string {
	if e := l.file.Find(pass, component, path...); e != nil {
		return strings.TrimSpace(e.Text)
	}
	return ""
}

// resealsTo reports whether Reseal leads from a pass to a mode.
func (l *linter) resealsTo(pass, mode string) bool {
	e := l.file.Find(pass, compDeployment, "Reseal")
	return e != nil && strings.EqualFold(resealMode(pass, e), mode)
}

// resealMode is the mode of a Reseal in a pass, with its default (Windows
// Unattend reference, Reseal\Mode).
func resealMode(pass string, e *Element) string {
	mode := strings.TrimSpace(e.Value("Mode"))
	switch {
	case mode != "":
		return mode
	case pass == AuditSystem:
		return "Audit"
	case pass == OOBESystem:
		return "OOBE"
	}
	return ""
}

// loops reports whether Reseal with ForceShutdownNow makes the machine restart
// for ever (Windows Unattend reference, Reseal\ForceShutdownNow).
func loops(pass, mode string) bool {
	return pass == AuditSystem && strings.EqualFold(mode, "Audit") || pass == OOBESystem && strings.EqualFold(mode, "OOBE")
}

func lintRebootLoop(l *linter) {
	for _, n := range l.nodes {
		if !n.is(compDeployment, "Reseal") || !isTrue(n.el.Value("ForceShutdownNow")) || !l.runs(n.pass.Name()) {
			continue
		}
		mode := resealMode(n.pass.Name(), n.el)
		if loops(n.pass.Name(), mode) {
			l.at(n, "Reseal with Mode="+mode+" and ForceShutdownNow in pass "+n.pass.Name()+" makes the machine restart for ever", "remove ForceShutdownNow, or Reseal")
		}
	}
}

func lintReseal(l *linter) {
	c := l.ctx.CommandLine
	for _, n := range l.nodes {
		if !n.is(compDeployment, "Reseal") || !l.runs(n.pass.Name()) {
			continue
		}
		severity := l.rule.Severity
		if c == nil {
			severity = finding.Info
		}
		mode, pass := resealMode(n.pass.Name(), n.el), n.pass.Name()
		if pass == OOBESystem && strings.EqualFold(mode, "Audit") {
			l.as(severity, n, "machines deployed with /oobe restart into audit mode, where passes auditSystem and auditUser are run", "remove Reseal unless that is meant")
		}
		if pass != OOBESystem && strings.EqualFold(mode, "OOBE") {
			l.as(severity, n, "the machine leaves audit mode by itself", "remove Reseal unless that is meant")
		}
		if pass == AuditUser && mode == "" {
			l.as(severity, n, "Reseal without a Mode shows the window of sysprep, which waits for a person", "write <Mode>OOBE</Mode> or <Mode>Audit</Mode>")
		}
		loop := loops(pass, mode) // the rule reboot-loop says it
		if isTrue(n.el.Value("ForceShutdownNow")) && !loop {
			l.as(severity, n, "the machine powers off at the end of pass "+pass, "remove ForceShutdownNow unless that is meant")
		}
	}
}

func lintGeneralizeSetting(l *linter) {
	for _, n := range l.nodes {
		if !n.is(compDeployment, "Generalize") || n.pass.Name() != AuditUser {
			continue
		}
		const fix = `remove it: the command line of sysprep decides, this setting is for machines that generalize themselves in audit mode`
		switch c := l.ctx.CommandLine; {
		case c == nil:
			l.as(finding.Info, n, "does not change what sysprep does when it is started by hand", "")
		case c.Audit:
			l.at(n, "with /audit the machine generalizes itself at the next boot", fix)
		case l.runs(AuditUser):
			l.as(finding.Info, n, "Reseal leads into audit mode, where the machine generalizes itself", "")
		default:
			l.as(finding.Info, n, "has no effect on this run: pass auditUser is not run", fix)
		}
	}
}

func lintGeneralizeReseal(l *linter) {
	for _, n := range l.nodes {
		if n.is(compDeployment, "Reseal") && n.parent.Child("Generalize") != nil {
			l.at(n, "Windows ignores Reseal beside Generalize", "keep one of the two")
		}
	}
}

func lintVMMode(l *linter) {
	for _, n := range l.nodes {
		switch c := l.ctx.CommandLine; {
		case n.def == nil || !n.def.vmMode:
		case c == nil:
			l.as(finding.Info, n, "takes full effect only with /mode:vm", "")
		case !c.VMMode:
			l.at(n, "takes full effect only with /mode:vm, which is not on the command line", "set vm_mode, or remove the setting")
		}
	}
}

func lintSkipRearm(l *linter) {
	for _, n := range l.nodes {
		if (n.is(compSPP, "SkipRearm") || n.is(compSLC, "SkipRearm")) && n.pass.Name() == Generalize && isTrue(n.el.Text) {
			l.at(n, "the licence is not reset: all clones of the image have the same activation state and the same client machine id, which a KMS host counts once",
				"remove it for an image that is deployed more than once; it saves one of the rearms that older Windows counts")
		}
	}
}

func lintNestedSysprep(l *linter) {
	for _, n := range l.nodes {
		if n.command() && strings.Contains(strings.ToLower(n.el.Text), windows.Process) {
			l.at(n, "the command runs sysprep, which Microsoft does not support here", "run sysprep once, from the build")
		}
	}
}

func lintPassNotRun(l *linter) {
	if l.ctx.CommandLine == nil {
		return
	}
	for _, p := range l.file.Passes() {
		if slices.Contains(passNames, p.Name()) && len(p.Components()) > 0 && !l.runs(p.Name()) {
			l.add(remark(l.rule.ID, l.rule.Severity, p.Line, "this command line of sysprep does not run the pass", "remove it if that is not meant", p.Name()))
		}
	}
}

// toOOBE reports whether the first boot of the image shows OOBE, and the file
// is to answer it.
func (l *linter) toOOBE() bool {
	c := l.ctx.CommandLine
	return c != nil && c.OOBE && !l.resealsTo(OOBESystem, "Audit")
}

// attended reports whether the file holds nothing for OOBE: one finding says so
// then, in place of one for each page.
func (l *linter) attended() bool {
	for _, path := range [][]string{{"OOBE"}, {"UserAccounts"}, {"AutoLogon"}} {
		if l.file.Find(OOBESystem, compShell, path...) != nil {
			return false
		}
	}
	return l.file.Find(OOBESystem, compInternational) == nil
}

func lintOOBEAttended(l *linter) {
	if l.toOOBE() && l.attended() {
		l.add(remark(l.rule.ID, l.rule.Severity, 0, "no setting for the first boot: it asks for the region, the licence and an account, and waits for a person",
			"add International-Core, OOBE and UserAccounts to pass oobeSystem, unless another answer file or the cloud's agent does it", OOBESystem))
	}
}

func lintOOBERegion(l *linter) {
	if l.toOOBE() && !l.attended() && l.file.Find(OOBESystem, compInternational) == nil && !isTrue(l.value(OOBESystem, compShell, "OOBE", "SkipMachineOOBE")) {
		l.add(remark(l.rule.ID, l.rule.Severity, 0, "no "+compInternational+" in oobeSystem: the first boot waits at the region and keyboard page, on every edition",
			"add InputLocale, SystemLocale, UILanguage and UserLocale; no setting hides the page otherwise", OOBESystem))
	}
}

func lintOOBELicence(l *linter) {
	if l.toOOBE() && !l.attended() && !isTrue(l.value(OOBESystem, compShell, "OOBE", "HideEULAPage")) && !isTrue(l.value(OOBESystem, compShell, "OOBE", "SkipMachineOOBE")) {
		l.add(remark(l.rule.ID, l.rule.Severity, 0, "HideEULAPage is not true: the first boot waits at the licence terms, on every edition",
			"write <HideEULAPage>true</HideEULAPage>", OOBESystem, compShell))
	}
}

func lintOOBEAccount(l *linter) {
	if !l.toOOBE() || l.attended() {
		return
	}
	for _, path := range [][]string{{"UserAccounts", "AdministratorPassword"}, {"UserAccounts", "LocalAccounts"}, {"UserAccounts", "DomainAccounts"}, {"AutoLogon"}} {
		if l.file.Find(OOBESystem, compShell, path...) != nil {
			return
		}
	}
	l.add(remark(l.rule.ID, l.rule.Severity, 0, "no account and no administrator password: the first boot waits for someone to enter one",
		"add AdministratorPassword (Windows Server) or a LocalAccount (Windows client), unless the cloud's agent does it", OOBESystem, compShell))
}

func lintOOBEPages(l *linter) {
	if !l.toOOBE() || l.attended() || isTrue(l.value(OOBESystem, compShell, "OOBE", "SkipMachineOOBE")) {
		return
	}
	var shown []string
	for _, page := range []struct{ setting, shows string }{
		{"HideOnlineAccountScreens", "an online account"}, {"HideWirelessSetupInOOBE", "the network"},
	} {
		if !isTrue(l.value(OOBESystem, compShell, "OOBE", page.setting)) {
			shown = append(shown, page.shows+" ("+page.setting+")")
		}
	}
	if l.value(OOBESystem, compShell, "OOBE", "ProtectYourPC") == "" {
		shown = append(shown, "privacy (ProtectYourPC)")
	}
	if shown != nil {
		l.add(remark(l.rule.ID, l.rule.Severity, 0, "the first boot of a Windows client can show pages on "+strings.Join(shown, ", ")+"; Windows Server has none of them",
			"set these settings for a Windows client", OOBESystem, compShell))
	}
}
