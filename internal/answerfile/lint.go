package answerfile

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// Context is what is known about the run that will use the file. The zero
// value knows nothing: rules that need to know become notes or stay silent.
type Context struct {
	// CommandLine is the sysprep command line; nil when not known.
	CommandLine *CommandLine
	// Architecture is the guest's: amd64, x86 or arm64; empty when not known.
	Architecture string
	// Severities replace those of the rules, by their ids.
	Severities finding.Overrides
}

// CommandLine is the part of the sysprep command line that decides which
// settings take effect.
type CommandLine struct {
	Generalize, OOBE, Audit, VMMode bool
}

// runs reports whether a pass is applied by this run or on the machines
// deployed from its image (sysprep command-line options; Windows Setup
// configuration passes).
func (c *CommandLine) runs(pass string) bool {
	switch pass {
	case Generalize, Specialize:
		return c.Generalize
	case OOBESystem:
		return c.OOBE
	case AuditSystem, AuditUser:
		return c.Audit
	}
	return false
}

// Rule is one thing that Lint looks for.
type Rule struct {
	ID string
	// Severity is the usual one; a finding can be milder. Fail: Windows refuses
	// or ignores what the file asks for; warn: it does so under circumstances;
	// info: good to know.
	Severity finding.Severity
	// Summary says what the rule asks for, Source where that is documented.
	Summary, Source string
	// check is nil for a rule that is judged while the text is read.
	check func(*linter)
}

// Rules returns the table of all rules.
func Rules() []Rule { return slices.Clone(rules) }

// RuleIDs returns the ids of all rules, in the order of the table.
func RuleIDs() []string {
	ids := make([]string, len(rules))
	for i, r := range rules {
		ids[i] = r.ID
	}
	return ids
}

// Lint judges an answer file by the table of rules, in the order of lines. A
// text that cannot be read gives exactly one finding. No finding holds a value
// of the file.
func Lint(data []byte, ctx Context) []finding.Finding {
	file, err := Parse(data)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Rule: ruleWellFormed, Problem: err.Error()}
		}
		return ctx.Severities.Apply([]finding.Finding{e.finding()})
	}
	return LintFile(file, ctx)
}

// LintFile is Lint for a file that has been read, merged or built already.
// Findings on what was built have no line.
func LintFile(file *File, ctx Context) []finding.Finding {
	l := &linter{file: file, ctx: ctx, off: file.directives()}
	for _, p := range file.Passes() {
		for _, c := range p.Components() {
			l.walk(p, c, c.Element, known().component(c.Name()), "", "")
		}
	}
	for i := range rules {
		if l.rule = &rules[i]; l.rule.check != nil {
			l.rule.check(l)
		}
	}
	finding.ByLine(l.findings)
	if l.unlisted != "" {
		l.findings = append(l.findings, remark(ruleLimits, l.unlisted, 0,
			fmt.Sprintf("more than %d findings; the rest are not listed", maxFindings), "correct these first"))
	}
	return ctx.Severities.Apply(l.findings)
}

type linter struct {
	file     *File
	ctx      Context
	nodes    []node
	rule     *Rule
	findings []finding.Finding
	// guesses counts the unknown names that were compared with others.
	guesses int
	// off says where directives of the file turn rules off.
	off []directive
	// unlisted is the worst severity beyond maxFindings, "" where there is none.
	unlisted finding.Severity
}

// maxFindings bounds a report: nobody reads more.
const maxFindings = 1000

func (l *linter) add(f finding.Finding) {
	f.Source = l.rule.Source
	switch {
	case l.turnedOff(f):
	case len(l.findings) < maxFindings:
		l.findings = append(l.findings, f)
	case f.Severity.Worse(l.unlisted):
		l.unlisted = f.Severity
	}
}

// remark makes a finding on a line, 0 for none. The path is that of the place:
// pass, component and setting, each as far as it is known. A setting is a path
// such as OOBE\ProtectYourPC, items of lists are counted from 1 in brackets.
func remark(rule string, s finding.Severity, line int, summary, remedy string, path ...string) finding.Finding {
	f := finding.Finding{ID: rule, Severity: s, Subject: finding.AnswerFile, Summary: summary, Where: finding.Place{Line: line}}
	for _, step := range path {
		if step != "" {
			f.Where.Path = append(f.Where.Path, step)
		}
	}
	if remedy != "" {
		f.Remedy = []string{remedy}
	}
	return f
}

// node is one setting with its surroundings.
type node struct {
	pass Pass
	comp Component
	el   *Element
	// parent is the element around, at the top the component itself.
	parent *Element
	// path is for the table, where also counts items of lists.
	path, where string
	// def is nil for a setting that the reference does not hold, around for one
	// in a container or component that it does not hold.
	def, around *setting
}

func (n node) leaf() bool { return len(n.el.Children) == 0 }

// is reports whether the node is a given setting of a given component.
func (n node) is(component, path string) bool {
	return n.path == path && strings.EqualFold(n.comp.Name(), component)
}

// secret judges the setting as a carrier of a password or key.
func (n node) secret() secret { return secretOf(n.el, n.parent.Name.Local) }

// holdsSecret reports whether the text of the node itself is a secret.
func (n node) holdsSecret() bool {
	return n.secret().kind != notSecret || strings.HasSuffix(n.parent.Name.Local, "Password")
}

// maxPath bounds the path of a setting, in bytes.
const maxPath = 512

func (l *linter) walk(p Pass, c Component, e *Element, around *setting, path, where string) {
	count, total := map[string]int{}, map[string]int{}
	for _, child := range e.Children {
		total[child.Name.Local]++
	}
	for _, child := range e.Children {
		name := child.Name.Local
		count[name]++
		n := node{pass: p, comp: c, el: child, parent: e, path: name, where: quotable(name), around: around}
		if total[name] > 1 {
			n.where += fmt.Sprintf("[%d]", count[name])
		}
		if len(path) > maxPath {
			path, where = "...", "..." // no setting lies as deep
		}
		if path != "" {
			n.path, n.where = path+`\`+n.path, where+`\`+n.where
		}
		n.def = around.child(name)
		l.nodes = append(l.nodes, n)
		l.walk(p, c, child, n.def, n.path, n.where)
	}
}

// at reports a finding on a setting with the rule's severity.
func (l *linter) at(n node, message, fix string) { l.as(l.rule.Severity, n, message, fix) }

func (l *linter) as(s finding.Severity, n node, message, fix string) {
	l.add(remark(l.rule.ID, l.mild(n.pass, s), n.el.Line, message, fix, quotable(n.pass.Name()), quotable(n.comp.Name()), n.where))
}

// mild makes a note of what is found in a pass that sysprep never runs. Windows
// Setup has read it when the machine was installed, so it did no harm.
func (l *linter) mild(p Pass, s finding.Severity) finding.Severity {
	if never(p) && s != finding.Off {
		return finding.Info
	}
	return s
}

// never reports whether sysprep and the first boot of an image leave a pass out.
func never(p Pass) bool { return p.Name() == WindowsPE || p.Name() == OfflineServicing }

// component reports a finding on a component as a whole.
func (l *linter) component(s finding.Severity, p Pass, c Component, message, fix string) {
	l.add(remark(l.rule.ID, l.mild(p, s), c.Line, message, fix, quotable(p.Name()), quotable(c.Name())))
}

// eachComponent visits all components of all passes.
func (l *linter) eachComponent(visit func(Pass, Component)) {
	for _, p := range l.file.Passes() {
		for _, c := range p.Components() {
			visit(p, c)
		}
	}
}

// placeholderText matches what a template engine should have replaced:
// ${name}, {{ name }}, and as a whole text {name}, %name%, $name.
var (
	placeholderText = lazyregexp.New(`\$\{[A-Za-z_][\w.]*\}|%\{|\{\{.*\}\}|^\{\w+\}$|^%\w+%$|^\$\w+$`)
	placeholderOnly = lazyregexp.New(`^\$\{[A-Za-z_][\w.]*\}$|^\{\{.*\}\}$`)
)

// placeholder reports whether a value is still to be filled in, so that rules
// on its form would be wrong about it.
func placeholder(s string) bool {
	return strings.ContainsAny(s, "${%") && placeholderText.MatchString(s[:min(len(s), maxPlaceholder)])
}

// maxPlaceholder is how much of a value is searched for a placeholder, in bytes.
const maxPlaceholder = 64 << 10

// units is a length as Windows counts it.
func units(s string) int { return len(utf16.Encode([]rune(s))) }

// ParseSeverities reads the words of a user for rules, by their ids: error,
// warning, note and off, or those of the other options (fail, warn, info).
// Each error begins with the name of the option.
func ParseSeverities(option string, words map[string]string) (finding.Overrides, []error) {
	plain := map[string]string{"error": string(finding.Fail), "warning": string(finding.Warn), "note": string(finding.Info)}
	translated := make(map[string]string, len(words))
	var errs []error
	for _, id := range slices.Sorted(maps.Keys(words)) {
		word := cmp.Or(plain[words[id]], words[id])
		if !slices.Contains(finding.Severities(), finding.Severity(word)) {
			errs = append(errs, fmt.Errorf("%s: %s = %q is not one of error, warning, note, off", option, quotable(id), quotable(words[id])))
			continue
		}
		translated[id] = word
	}
	overrides, more := finding.ParseOverrides(option, "rule", translated, RuleIDs())
	return overrides, append(errs, more...)
}
