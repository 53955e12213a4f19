package answerfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// treeRules judge the elements. Each stands alone; Lint sorts the findings.
var treeRules = []Rule{
	{rulePass, finding.Fail, "every <settings> names one of the seven configuration passes", lintPassUnknown},
	{"pass-duplicate", finding.Warn, "one <settings> for each pass", lintPassDuplicate},
	{"component-duplicate", finding.Fail, "a component appears once in a pass (0x8022001b)", lintComponentDuplicate},
	{"component-attributes", finding.Warn, "components carry name, publicKeyToken, language and versionScope as Windows expects", lintComponentAttributes},
	{"component-unknown", finding.Info, "components that this linter does not know are not checked", lintComponentUnknown},
	{"architecture", finding.Fail, "components are for the guest's architecture: Windows silently ignores others", lintArchitecture},
	{"setting-unknown", finding.Info, "settings of known components that this linter does not know are not checked", lintSettingUnknown},
	{"setting-duplicate", finding.Fail, "a setting appears once in its parent", lintSettingDuplicate},
	{"setting-pass", finding.Fail, "a setting is in a pass where it is valid", lintSettingPass},
	{"list-action", finding.Warn, `items of lists carry wcm:action="add"`, lintListAction},
	{"order-credentials", finding.Fail, "Credentials hold Domain, Password, Username in this order (0x8030000b)", lintCredentialsOrder},
	{"order-commands", finding.Warn, "commands of a list are numbered by Order, each number once", lintCommandOrder},
	{"text-between", finding.Fail, "no text appears beside settings", lintTextBetween},
	{"white-space", finding.Warn, "values are not surrounded by white space or line breaks, which count as part of them", lintWhiteSpace},
	{"template", finding.Warn, "no template placeholder is left in a value", lintTemplate},
	{"value", finding.Fail, "settings with a fixed set of values hold one of them", lintValue},
	{"length", finding.Fail, "texts are not longer than Windows reads", lintLength},
	{"computer-name", finding.Fail, "ComputerName is * or a valid name of at most 15 bytes", lintComputerName},
	{"product-key", finding.Fail, "ProductKey is five groups of five", lintProductKey},
	{"password-encoding", finding.Fail, "a password with PlainText=false is encoded as Windows does", lintPasswordEncoding},
	{"password-scrubbed", finding.Fail, "no password is the text Windows leaves in a used answer file", lintPasswordScrubbed},
	{"secret", finding.Warn, "passwords in the file stay readable in the image", lintSecret},
	{"generalize-setting", finding.Warn, "Deployment\\Generalize is an alternative to the sysprep command line, not a part of it", lintGeneralizeSetting},
	{"generalize-reseal", finding.Warn, "Generalize and Reseal are not combined", lintGeneralizeReseal},
	{"reseal", finding.Warn, "Reseal fits the command line", lintReseal},
	{"vm-mode", finding.Warn, "VMModeOptimizations go with /mode:vm", lintVMMode},
	{"device-cleanup", finding.Warn, "DoNotCleanUpNonPresentDevices goes with PersistAllDeviceInstalls", lintDeviceCleanup},
	{"auto-logon", finding.Warn, "AutoLogon has a LogonCount and ends", lintAutoLogon},
	{"nested-sysprep", finding.Warn, "no command of the file runs sysprep", lintNestedSysprep},
	{"deprecated", finding.Warn, "no setting is deprecated", lintDeprecated},
	{"pass-not-run", finding.Info, "passes that the command line does not run have no effect", lintPassNotRun},
	{"oobe-account", finding.Info, "the first boot needs an account or a password to pass OOBE unattended", lintOOBEAccount},
}

func lintPassUnknown(l *linter) {
	for _, p := range l.file.Passes() {
		if e := unknownPass(p); e != nil {
			l.add(e.finding(quotable(p.Name())))
		}
	}
}

func lintPassDuplicate(l *linter) {
	seen := map[string]bool{}
	for _, p := range l.file.Passes() {
		if seen[p.Name()] {
			l.add(remark(l.rule.ID, l.rule.Severity, p.Line, "a second <settings> for this pass", "move its components into the first", quotable(p.Name())))
		}
		seen[p.Name()] = true
	}
}

func lintComponentDuplicate(l *linter) {
	first := map[string]int{}
	l.eachComponent(func(p Pass, c Component) {
		key := strings.ToLower(strings.Join([]string{p.Name(), c.Name(), c.Architecture(), c.Attr("language"), c.Attr("versionScope")}, "\x00"))
		if line, ok := first[key]; ok {
			l.component(finding.Fail, p, c, fmt.Sprintf("the component already appears in this pass, on line %d; Windows refuses the file (0x8022001b)", line),
				"put all its settings into one <component>")
			return
		}
		first[key] = c.Line
	})
}

func lintComponentAttributes(l *linter) {
	expected := []struct{ name, value string }{
		{"publicKeyToken", publicKeyToken}, {"language", language}, {"versionScope", versionScope},
	}
	l.eachComponent(func(p Pass, c Component) {
		if c.Name() == "" {
			l.component(finding.Fail, p, c, "a component without name", `write name="Microsoft-Windows-..."`)
		}
		for _, x := range expected {
			if !strings.EqualFold(c.Attr(x.name), x.value) {
				l.component(l.rule.Severity, p, c, "unusual or missing attribute "+x.name, fmt.Sprintf("write %s=%q", x.name, x.value))
			}
		}
	})
}

func lintComponentUnknown(l *linter) {
	l.eachComponent(func(p Pass, c Component) {
		if c.Name() != "" && !componentIndex[strings.ToLower(c.Name())] {
			l.component(l.rule.Severity, p, c, "the settings of this component are not checked", "")
		}
	})
}

// architectures of components; wow64 is the 32-bit half of a 64-bit Windows.
var architectures = []string{"amd64", "x86", "arm64", "wow64", "ia64", "arm", "msil"}

func lintArchitecture(l *linter) {
	fits := func(arch string) bool {
		return strings.EqualFold(arch, l.ctx.Architecture) ||
			strings.EqualFold(arch, "wow64") && !strings.EqualFold(l.ctx.Architecture, "x86")
	}
	covered := map[string]bool{}
	key := func(p Pass, c Component) string { return p.Name() + "\x00" + strings.ToLower(c.Name()) }
	l.eachComponent(func(p Pass, c Component) { covered[key(p, c)] = covered[key(p, c)] || fits(c.Architecture()) })
	l.eachComponent(func(p Pass, c Component) {
		arch := c.Architecture()
		switch {
		case placeholder(arch): // reported by the rule on templates
		case !slices.Contains(architectures, strings.ToLower(arch)):
			l.component(finding.Fail, p, c, fmt.Sprintf("unknown or missing processorArchitecture %q", quotable(arch)), "write amd64, x86 or arm64")
		case l.ctx.Architecture == "" || fits(arch) || p.Name() == WindowsPE || p.Name() == OfflineServicing:
		case covered[key(p, c)]:
			l.component(finding.Info, p, c, fmt.Sprintf("for %s: ignored by the %s guest", arch, l.ctx.Architecture), "")
		default:
			l.component(finding.Fail, p, c, fmt.Sprintf("for %s only: the %s guest silently ignores all its settings", arch, l.ctx.Architecture),
				fmt.Sprintf("write processorArchitecture=%q", strings.ToLower(l.ctx.Architecture)))
		}
	})
}

func lintSettingUnknown(l *linter) {
	for _, n := range l.nodes {
		if n.def != nil || !componentIndex[strings.ToLower(n.comp.Name())] {
			continue
		}
		if def, _ := known(n.comp.Name(), n.path); def != nil {
			l.as(finding.Warn, n, "unknown setting; there is one that differs only in case", "write "+def.path)
		} else if !strings.Contains(n.path, `\`) {
			l.at(n, "this setting is not checked", "")
		}
	}
}

func lintSettingDuplicate(l *linter) {
	type place struct {
		parent *Element
		name   string
	}
	first := map[place]int{}
	for _, n := range l.nodes {
		if n.def != nil && n.def.list || n.el.attr(wcmNamespace, "action") != "" {
			continue
		}
		key := place{n.parent, n.el.Name.Local}
		line, seen := first[key]
		switch {
		case !seen:
			first[key] = n.el.Line
		case n.def != nil:
			l.at(n, fmt.Sprintf("the setting already appears on line %d", line), "keep one of the two")
		default:
			l.as(finding.Warn, n, fmt.Sprintf("the element already appears on line %d, and is not marked as an item of a list", line),
				`keep one, or write wcm:action="add" on each`)
		}
	}
}

func lintSettingPass(l *linter) {
	for _, n := range l.nodes {
		if n.def == nil || slices.Contains(n.def.passes, n.pass.Name()) || !slices.Contains(passNames, n.pass.Name()) {
			continue
		}
		// One finding for the outermost setting is enough.
		if up, _ := known(n.comp.Name(), parentPath(n.path)); up != nil && !slices.Contains(up.passes, n.pass.Name()) {
			continue
		}
		l.at(n, "the setting is not valid in pass "+n.pass.Name(), "move it to pass "+strings.Join(n.def.passes, " or "))
	}
}

func parentPath(path string) string {
	if i := strings.LastIndex(path, `\`); i >= 0 {
		return path[:i]
	}
	return ""
}

func lintListAction(l *linter) {
	for _, n := range l.nodes {
		if n.def != nil && n.def.list && n.el.attr(wcmNamespace, "action") == "" {
			l.at(n, "an item of a list without wcm:action", fmt.Sprintf(`write <%s wcm:action="add">`, n.el.Name.Local))
		}
	}
}

func lintCredentialsOrder(l *linter) {
	want := []string{"Domain", "Password", "Username"}
	for _, n := range l.nodes {
		if n.el.Name.Local != "Credentials" {
			continue
		}
		last := -1
		for _, c := range n.el.Children {
			i := slices.Index(want, c.Name.Local)
			if i >= 0 && i < last {
				// Deployment toolkits ship another order for joining a
				// domain, so only commands are known to fail.
				severity := l.rule.Severity
				if strings.EqualFold(n.comp.Name(), compJoin) {
					severity = finding.Warn
				}
				l.as(severity, n, "Domain, Password and Username are not in this order; Windows can refuse the pass (0x8030000b)",
					"put them in the order Domain, Password, Username")
				break
			}
			last = max(last, i)
		}
	}
}

func lintCommandOrder(l *linter) {
	seen := map[*Element]map[string]bool{}
	for _, n := range l.nodes {
		if n.def == nil || !n.def.list || n.path == `UserAccounts\LocalAccounts\LocalAccount` {
			continue
		}
		if seen[n.parent] == nil {
			seen[n.parent] = map[string]bool{}
		}
		order := strings.TrimSpace(n.el.Value("Order"))
		switch {
		case order == "" || strings.Trim(order, "0123456789") != "":
			l.at(n, "a command without a number in Order", "write <Order>1</Order> and so on")
		case seen[n.parent][order]:
			l.at(n, "another command of this list has the same Order", "give every command its own number")
		}
		seen[n.parent][order] = true
	}
}

func lintTextBetween(l *linter) {
	for _, n := range l.nodes {
		text := n.el.Tail
		if !n.leaf() {
			text += n.el.Text
		}
		if text == "" {
			continue
		}
		if placeholder(text) {
			l.as(finding.Warn, n, "template text appears beside settings", "render the template before using the file")
			continue
		}
		l.at(n, "text appears beside settings", "remove it, or put it into the setting it belongs to")
	}
}

func lintWhiteSpace(l *linter) {
	for _, n := range l.nodes {
		text := n.el.Text
		if !n.leaf() || isBlank(text) {
			continue
		}
		bad := strings.Trim(text, " \t\n") != text
		if n.def != nil && n.def.command || n.el.Name.Local == "CommandLine" || n.el.Name.Local == "Description" {
			// A blank at the end of a command does no harm.
			bad = strings.Contains(text, "\n")
		}
		if bad {
			l.at(n, "white space or a line break is part of the value", "write the value on one line, close to its tags")
		}
	}
}

func lintTemplate(l *linter) {
	l.eachComponent(func(p Pass, c Component) {
		if placeholder(c.Architecture()) {
			l.component(l.rule.Severity, p, c, "processorArchitecture is a template placeholder", "render the template before using the file")
		}
	})
	for _, n := range l.nodes {
		matches := placeholderText.MatchString
		if n.holdsSecret() {
			matches = placeholderOnly.MatchString
		}
		if n.leaf() && (n.def == nil || !n.def.command) && n.el.Name.Local != "CommandLine" && n.el.Name.Local != "Path" && matches(n.el.Text[:min(len(n.el.Text), maxPlaceholder)]) {
			l.at(n, "the value is a template placeholder", "render the template before using the file")
		}
	}
}
