package answerfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

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

func lintProcessed(l *linter) {
	for _, p := range l.file.Passes() {
		if isTrue(p.Attr("wasPassProcessed")) {
			l.add(remark(l.rule.ID, l.mild(p, l.rule.Severity), p.Line,
				"wasPassProcessed is set: the file is a used copy that Windows made, and Windows leaves out a pass marked so",
				"start from the original answer file, or remove the attribute", quotable(p.Name())))
		}
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
	all := l.architectures()
	l.eachComponent(func(p Pass, c Component) {
		arch := c.Architecture()
		switch {
		case placeholder(arch): // reported by the rule on templates
		case !slices.Contains(architectures, strings.ToLower(arch)):
			l.component(finding.Fail, p, c, fmt.Sprintf("unknown or missing processorArchitecture %q", quotable(arch)), "write amd64, x86 or arm64")
		case l.ctx.Architecture == "":
			if only := all.onlyFor(p, c); only != "" {
				l.component(finding.Warn, p, c, fmt.Sprintf("for %s only, while other components are for %s: one of the two Windows silently ignores", strings.ToLower(arch), only),
					fmt.Sprintf("write processorArchitecture=%q, or add the component for both", only))
			}
		case fits(arch) || never(p):
		case covered[key(p, c)]:
			l.component(finding.Info, p, c, fmt.Sprintf("for %s: ignored by the %s guest", arch, l.ctx.Architecture), "")
		default:
			l.component(finding.Fail, p, c, fmt.Sprintf("for %s only: the %s guest silently ignores all its settings", arch, l.ctx.Architecture),
				fmt.Sprintf("write processorArchitecture=%q", strings.ToLower(l.ctx.Architecture)))
		}
	})
}

// mixture says which architectures the components of a file are for.
type mixture struct {
	count map[string]int
	// has holds the components of passes with their architectures.
	has map[[3]string]bool
}

func (l *linter) architectures() mixture {
	m := mixture{map[string]int{}, map[[3]string]bool{}}
	l.eachComponent(func(p Pass, c Component) {
		if !never(p) {
			m.count[strings.ToLower(c.Architecture())]++
			m.has[m.key(p, c, c.Architecture())] = true
		}
	})
	return m
}

func (m mixture) key(p Pass, c Component, arch string) [3]string {
	return [3]string{p.Name(), strings.ToLower(c.Name()), strings.ToLower(arch)}
}

// onlyFor returns the architecture that other components of the file are for,
// where c is for another one and has no twin for that; "" otherwise.
func (m mixture) onlyFor(p Pass, c Component) string {
	real, arch := []string{"amd64", "x86", "arm64"}, strings.ToLower(c.Architecture())
	if !slices.Contains(real, arch) || never(p) {
		return ""
	}
	for _, other := range real {
		// The smaller half is the mistake, and of two equal ones that for x86.
		if other != arch && !m.has[m.key(p, c, other)] && (m.count[other] > m.count[arch] || m.count[other] == m.count[arch] && arch == "x86") {
			return other
		}
	}
	return ""
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

func lintListAction(l *linter) {
	for _, n := range l.nodes {
		if n.def != nil && n.def.list && n.el.attr(wcmNamespace, "action") == "" {
			l.at(n, "an item of a list without wcm:action", fmt.Sprintf(`write <%s wcm:action="add">`, n.el.Name.Local))
		}
	}
}

// lintListKey looks for two items of a list with the same key, of which Windows
// takes one. Commands have a rule of their own, and so have accounts.
func lintListKey(l *linter) {
	first := map[*Element]map[string]int{}
	for _, n := range l.nodes {
		if n.def == nil || !n.def.list || n.def.key == "" || n.def.key == "Order" {
			continue
		}
		key := strings.TrimSpace(n.el.attr(wcmNamespace, "keyValue"))
		if key == "" {
			key = strings.TrimSpace(n.el.Value(n.def.key))
		}
		if key == "" || placeholder(key) {
			continue
		}
		if first[n.parent] == nil {
			first[n.parent] = map[string]int{}
		}
		key = n.el.Name.Local + "\x00" + strings.ToLower(key)
		if line, seen := first[n.parent][key]; seen {
			l.at(n, fmt.Sprintf("an item of the list with the same key stands on line %d", line), "give every item its own "+n.def.key)
			continue
		}
		first[n.parent][key] = n.el.Line
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

// numberedTo500 are commands whose Order is from 1 to 500 (Windows Unattend
// reference, Order of each).
var numberedTo500 = []string{"SynchronousCommand", "RunSynchronousCommand", "RunAsynchronousCommand"}

func lintCommandOrder(l *linter) {
	seen := map[*Element]map[string]bool{}
	for _, n := range l.nodes {
		if n.def == nil || !n.def.list || n.def.key != "Order" {
			continue
		}
		if seen[n.parent] == nil {
			seen[n.parent] = map[string]bool{}
		}
		order := strings.TrimSpace(n.el.Value("Order"))
		number, err := strconv.Atoi(order)
		if err == nil {
			order = strconv.Itoa(number) // 01 is 1
		}
		switch {
		case placeholder(order):
			continue
		case order == "" || strings.Trim(order, "0123456789") != "":
			l.at(n, "an item of the list without a number in Order", "write <Order>1</Order> and so on")
		case slices.Contains(numberedTo500, n.def.name()) && (err != nil || number < 1 || number > 500):
			l.at(n, "Order is not between 1 and 500, as Windows numbers commands", "write a number from 1 to 500")
		case seen[n.parent][order]:
			l.at(n, "another item of this list has the same Order", "give every item its own number")
		}
		seen[n.parent][order] = true
	}
}

func lintTextBetween(l *linter) {
	for _, n := range l.nodes {
		text := n.el.Tail
		// Items of lists with a key, such as IpAddress, hold a text.
		if n.leaf() && n.def.container() && !n.def.list && !isBlank(n.el.Text) && !placeholder(n.el.Text) {
			l.at(n, "a text in an element that holds settings", "write the settings that Microsoft's reference has for "+n.def.name())
			continue
		}
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
		matches := placeholder
		if n.holdsSecret() {
			matches = placeholderOnly.MatchString
		}
		if n.leaf() && (n.def == nil || !n.def.command) && n.el.Name.Local != "CommandLine" && n.el.Name.Local != "Path" && matches(n.el.Text[:min(len(n.el.Text), maxPlaceholder)]) {
			l.at(n, "the value is a template placeholder", "render the template before using the file")
		}
	}
}
