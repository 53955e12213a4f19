package answerfile

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Constant attributes of every component.
const (
	publicKeyToken = "31bf3856ad364e35"
	language       = "neutral"
	versionScope   = "nonSxS"
)

func lintValue(l *linter) {
	for _, n := range l.nodes {
		if n.def == nil || n.def.values == nil || !n.leaf() || placeholder(n.el.Text) {
			continue
		}
		text := strings.TrimSpace(n.el.Text)
		fits := func(v string) bool { return strings.EqualFold(v, text) }
		// 0 and 1 are booleans of XML Schema too.
		if slices.ContainsFunc(n.def.values, fits) || n.def.values[0] == "true" && (text == "0" || text == "1") {
			continue
		}
		l.at(n, "not one of the values of this setting", "write "+strings.Join(n.def.values, " or "))
	}
}

func lintLength(l *linter) {
	for _, n := range l.nodes {
		if n.def == nil || n.def.longest == 0 {
			continue
		}
		if have := units(n.el.Text); have > n.def.longest {
			fix := "shorten it"
			if n.def.command {
				fix = "put the steps into a script in the image and run the script"
			}
			l.at(n, fmt.Sprintf("%d characters, Windows allows %d", have, n.def.longest), fix)
		}
	}
}

// ComputerName, Windows Unattend reference: at most 15 bytes, not only
// digits, none of these characters, no blanks.
const nameForbidden = "{|}~[\\]^':;<=>?@!\"#$%`()+/.,*& \t\n\r"

func lintComputerName(l *linter) {
	for _, n := range l.nodes {
		if !n.is(compShell, "ComputerName") || placeholder(n.el.Text) {
			continue
		}
		if problem := computerNameProblem(n.el.Text); problem != "" {
			l.at(n, problem, "write * for a random name, or at most 15 letters, digits and hyphens")
		}
	}
}

func computerNameProblem(name string) string {
	switch {
	case name == "" || name == "*":
		return ""
	case len(name) > 15:
		return fmt.Sprintf("the computer name has %d bytes, Windows allows 15", len(name))
	case strings.Trim(name, "0123456789") == "":
		return "the computer name has only digits"
	case strings.ContainsAny(name, nameForbidden):
		return "the computer name has a character that is not allowed"
	}
	return ""
}

var productKeyShape = regexp.MustCompile(`^[A-Z0-9]{5}(-[A-Z0-9]{5}){4}$`)

func lintProductKey(l *linter) {
	for _, n := range l.nodes {
		switch {
		case !n.is(compShell, "ProductKey") || placeholder(n.el.Text):
		case isBlank(n.el.Text):
			l.at(n, "an empty product key makes Windows Setup fail", "remove the element or fill it in")
		case !productKeyShape.MatchString(strings.ToUpper(strings.TrimSpace(n.el.Text))):
			l.at(n, "not in the form of a product key", "write five groups of five letters and digits with hyphens, 29 characters")
		}
	}
}

func lintPasswordEncoding(l *linter) {
	for _, n := range l.nodes {
		if n.secret().kind == brokenSecret && !placeholder(n.el.Value("Value")) {
			l.at(n, "PlainText is false but Value is not a password encoded for this element: the account would get another password",
				fmt.Sprintf("write base64 of UTF-16LE of the password followed by %q, or PlainText=true", n.el.Name.Local))
		}
	}
}

func lintPasswordScrubbed(l *linter) {
	for _, n := range l.nodes {
		if n.secret().kind == lostSecret {
			l.at(n, "Windows has deleted this password: the file is a used copy", "start from the original answer file")
		}
	}
}

func lintSecret(l *linter) {
	for _, n := range l.nodes {
		stays := fmt.Sprintf("the image keeps it in %s until pass %s has run", windows.CachedAnswerFile.OnVolume(), quotable(n.pass.Name()))
		switch n.secret().kind {
		case plainSecret:
			l.at(n, "a password in plain text: "+stays, "use an account that is removed or changed after deployment")
		case encodedSecret:
			l.as(finding.Info, n, "a password that is encoded but not encrypted: "+stays, "")
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

func lintReseal(l *linter) {
	c := l.ctx.CommandLine
	for _, n := range l.nodes {
		if !n.is(compDeployment, "Reseal") || c != nil && !c.runs(n.pass.Name()) {
			continue
		}
		severity := l.rule.Severity
		if c == nil {
			severity = finding.Info
		}
		mode := strings.TrimSpace(n.el.Value("Mode"))
		if n.pass.Name() == OOBESystem && strings.EqualFold(mode, "Audit") {
			l.as(severity, n, "machines deployed with /oobe restart into audit mode", "remove Reseal unless that is meant")
		}
		if n.pass.Name() != OOBESystem && strings.EqualFold(mode, "OOBE") {
			l.as(severity, n, "the machine leaves audit mode by itself", "remove Reseal unless that is meant")
		}
		if strings.EqualFold(strings.TrimSpace(n.el.Value("ForceShutdownNow")), "true") {
			l.as(severity, n, "the machine powers off at the end of pass "+n.pass.Name(), "remove ForceShutdownNow unless that is meant")
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

func lintDeviceCleanup(l *linter) {
	for _, n := range l.nodes {
		if n.is(compPnp, "DoNotCleanUpNonPresentDevices") && isTrue(n.el.Text) && !isTrue(n.parent.Value("PersistAllDeviceInstalls")) {
			l.at(n, "has no effect without PersistAllDeviceInstalls", "set PersistAllDeviceInstalls to true as well")
		}
	}
}

func isTrue(s string) bool {
	s = strings.TrimSpace(s)
	return s == "1" || strings.EqualFold(s, "true")
}

func lintAutoLogon(l *linter) {
	resets := slices.ContainsFunc(l.nodes, func(n node) bool {
		return n.def != nil && n.def.command && strings.Contains(strings.ToLower(n.el.Text), "autologoncount")
	})
	for _, n := range l.nodes {
		if !n.is(compShell, "AutoLogon") || !isTrue(n.el.Value("Enabled")) {
			continue
		}
		count := strings.TrimSpace(n.el.Value("LogonCount"))
		if count == "" {
			l.at(n, "AutoLogon without LogonCount", "write <LogonCount>1</LogonCount>")
			continue
		}
		if !resets && n.pass.Name() == OOBESystem {
			l.as(finding.Info, n, "Windows logs on once more than LogonCount says",
				`for exactly LogonCount logons, set the registry value Winlogon\AutoLogonCount to 0 in a FirstLogonCommand`)
		}
	}
}

func lintNestedSysprep(l *linter) {
	for _, n := range l.nodes {
		if n.def != nil && n.def.command && strings.Contains(strings.ToLower(n.el.Text), windows.Process) {
			l.at(n, "the command runs sysprep, which Microsoft does not support here", "run sysprep once, from the build")
		}
	}
}

func lintDeprecated(l *linter) {
	for _, n := range l.nodes {
		if n.def != nil && n.def.deprecated != "" {
			l.at(n, "deprecated setting", n.def.deprecated)
		}
	}
}

func lintPassNotRun(l *linter) {
	if l.ctx.CommandLine == nil {
		return
	}
	for _, p := range l.file.Passes() {
		if slices.Contains(passNames, p.Name()) && len(p.Components()) > 0 && !l.ctx.CommandLine.runs(p.Name()) {
			l.add(remark(l.rule.ID, l.rule.Severity, p.Line, "this command line of sysprep does not run the pass", "remove it if that is not meant", p.Name()))
		}
	}
}

func lintOOBEAccount(l *linter) {
	if l.ctx.CommandLine == nil || !l.ctx.CommandLine.OOBE {
		return
	}
	for _, path := range [][]string{{"UserAccounts", "AdministratorPassword"}, {"UserAccounts", "LocalAccounts"}, {"AutoLogon"}} {
		if l.file.Find(OOBESystem, compShell, path...) != nil {
			return
		}
	}
	l.add(remark(l.rule.ID, l.rule.Severity, 0, "no account and no administrator password: the first boot waits for someone to enter one",
		"add AdministratorPassword (Windows Server) or a LocalAccount (Windows client), unless the cloud's agent does it", OOBESystem, compShell))
}
