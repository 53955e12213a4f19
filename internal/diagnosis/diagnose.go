package diagnosis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

const (
	above        = 25 // problem lines above the failure that may hold its cause
	aboveUnknown = 5  // of these, shown for a failure that the catalogue does not know
	maxEvidence  = 12
	maxShown     = 2 << 10 // bytes of a line of evidence
	maxName      = 256     // bytes of a name in a title or remedy
	unknownID    = "F00"   // of a failure that the catalogue does not know
)

var (
	// launchModule is the line of the failed provider, in the forms of Windows 8
	// and later and of Windows 7.
	launchModule = compile(`(?:Failure occurred while executing|Failure executing) '(?P<entry>[^']+)' from (?:DLL )?'?(?P<dll>[^;']+?)'?(?:[;.]? dwRet ?= ?(?P<code>\S+))?$`)
	launchDll    = compile(`Failure occurred while executing '(?P<dll>[^',]+), ?(?P<entry>[^']+)', returned error code (?P<code>\S+)`)
	anyPackage   = compile(`Package (?P<package>[^\s._<]*[._<]\S*)` + notProvisioned)
	placeholder  = lazyregexp.New(`\{([a-z]+)\}`)
)

// Diagnose names the cause of a failed run. It reports false where the run
// shows no failure. A cause must agree with what failed (accepts); what only
// follows from another failure is looked for in the run before as well. A
// failure unknown to the catalogue gets ID F00 with component, operation,
// module, code and the error lines of its own block.
//
// A diagnosis of severity warn is of a run that did not fail by its log, and is
// worth to be known.
func Diagnose(run Run) (Diagnosis, bool) {
	d, _, ok := diagnose(run)
	return d, ok
}

// diagnose also reports whether what was found only follows from another failure,
// of which this log says nothing.
func diagnose(run Run) (d Diagnosis, follows, found bool) {
	if run.Progress.TagCreated && run.Progress.Failure == NoFailure {
		return Diagnosis{}, false, false // errors before the tag are warnings only
	}
	a := analyse(run)
	if t, ok := a.find(); ok {
		return a.known(t), false, true
	}
	if a.failure.named() {
		return a.unknown(), false, true
	}
	if t, ok := a.findWeak(weak); ok {
		if d, earlier := a.before(); earlier {
			return d, false, true
		}
		return a.known(t), true, true
	}
	if a.failure.at >= 0 {
		return a.unknown(), true, true
	}
	if e := run.earlier; e != nil && run.Progress.Runs == 0 && !run.Progress.Passed && e.Progress.Runs == 0 {
		// A boot after one that failed says nothing of the cause.
		if d, ok := Diagnose(*e); ok && d.Severity == finding.Fail {
			return d, false, true
		}
	}
	for _, k := range []kind{notice, vagueNotice} {
		if t, ok := a.findWeak(k); ok {
			return a.known(t), false, true
		}
	}
	return Diagnosis{}, false, false
}

// FirstBoot names the cause of a first boot that failed, from the logs of
// Windows Setup in the order of their worth. It reports false where none of them
// tells of a failure. A setting that was not applied is none by itself: Windows
// goes on after most of them.
func FirstBoot(logs ...Run) (Diagnosis, bool) {
	for _, run := range logs {
		if d, ok := Diagnose(run); ok && d.Severity == finding.Fail && d.Phase == PhaseFirstBoot && d.ID != notApplied {
			return d, true
		}
	}
	return Diagnosis{}, false
}

// FirstBootHang says in what a first boot stands, from the same logs. It reports false
// where none of them has a step that has begun and not ended.
func FirstBootHang(logs ...Run) (Diagnosis, bool) {
	d, _, ok := FirstBootStands(logs...)
	return d, ok
}

// before is the diagnosis of the earlier run from which this failure follows.
func (a *analysis) before() (Diagnosis, bool) {
	if a.run.earlier == nil || !a.run.followsOn() {
		return Diagnosis{}, false
	}
	head := "an earlier sysprep run broke off midway, and its cause stays: "
	d, ok := Diagnose(*a.run.earlier)
	if !ok {
		head = "an earlier sysprep run was ended before it was done, and its cause stays: "
		d, ok = Hang(a.run.earlier.Progress)
	}
	if !ok {
		return Diagnosis{}, false
	}
	d.Summary = head + d.Summary
	d.Note = "The last run failed only because of the earlier one: this installation cannot be generalized any more."
	if at := a.failure.at; at >= 0 {
		d.Evidence = appendShown(d.Evidence, a.run.Lines[at].Raw)
	}
	d.Evidence = appendShown(d.Evidence, a.run.Progress.FailureLine)
	return d, true
}

// packageName is what Windows allows (Identity/@Name of an app manifest). A user
// pastes the remedy into an administrator's PowerShell: no other text may get
// into it from a log.
var packageName = lazyregexp.New(`^[A-Za-z0-9.-]{1,50}$`)

// named returns what the named groups of a match caught.
func named(re *lazyregexp.Regexp, m []string) map[string]string {
	groups := map[string]string{}
	for i, name := range re.Compiled().SubexpNames() {
		if name = strings.TrimRight(name, "0123456789"); name != "" && (groups[name] == "" || m[i] != "") {
			groups[name] = budget.Cut(secrets.Scrub(m[i]), maxName)
		}
	}
	if p := groups["package"]; p != "" {
		if name, _, _ := strings.Cut(p, "_"); packageName.MatchString(name) {
			groups["name"] = name
		}
	}
	if c := groups["code"]; c != "" {
		groups["code"] = describeCode(c)
	}
	if c := groups["exit"]; c != "" {
		groups["ended"] = describeExit(c)
	}
	return groups
}

// aside is a part of a text that is left out where its name is not known.
var aside = lazyregexp.New(` \([^()]*\{[a-z]+\}[^()]*\)`)

// fill puts caught names into a text; an unknown one stays as <name>, and is
// left out with what stands in brackets around it.
func fill(text string, groups map[string]string) string {
	text = aside.ReplaceAllStringFunc(text, func(part string) string {
		for _, m := range placeholder.FindAllStringSubmatch(part, -1) {
			if groups[m[1]] == "" {
				return ""
			}
		}
		return part
	})
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		key := p[1 : len(p)-1]
		if value, ok := groups[key]; ok {
			return value
		}
		return "<" + key + ">"
	})
}

func (a *analysis) known(t told) Diagnosis {
	if t.groups["setting"] != "" {
		t.groups = settingNames(t.groups)
	}
	d := t.diagnosis(finding.Log, t.groups)
	d.Phase = a.observedPhase(t.phase)
	if t.anyLevel {
		d.Severity = finding.Warn
	}
	if d.Phase == PhaseProcess && len(d.Remedy) > 0 {
		if rest, ok := strings.CutPrefix(d.Remedy[0], inPowerShell); ok {
			d.Remedy[0] = onFresh + rest
		} else if t.phase == PhaseValidate && !strings.HasPrefix(d.Remedy[0], "Build from ") {
			d.Remedy[0] = onFresh + d.Remedy[0]
		}
	}
	if l := a.problems[t.at].Line; t.groups["setting"] != "" {
		d.alsoRefused(refusalOf(l.Message))
	}
	f := a.failure
	if f.module != "" && t.pattern != "" && a.problems[t.at].at == f.at && !strings.Contains(t.title, "{entry}") && !strings.Contains(t.title, "{dll}") {
		d.Summary += fmt.Sprintf(" ('%s' of %s failed", f.entry, f.module)
		if f.code != "" && !strings.Contains(t.title, "{code}") {
			d.Summary += " with " + describeCode(f.code)
		}
		d.Summary += ")"
	}
	evidence := []problem{a.problems[t.at]}
	if t.groups["package"] != "" {
		evidence = append(evidence, d.addPackages(a.search, a.problems, t.groups["package"])...)
	}
	if s, ok := a.cutShort(t.cause); ok {
		d.Summary += "; at the boot before, Windows Setup was at " + s.String() + " when the machine restarted"
		d.Remedy = append([]string{"Let nothing restart the machine by itself there, a command or an agent: Windows Setup takes that for a failure. (cloudbase-init in pass specialize: allow_reboot = false; a RunSynchronousCommand: WillReboot.)"}, d.Remedy...)
		evidence = append(evidence, newProblem(Line{Raw: s.line}))
	}
	if own := a.ownLines(); t.id == commandLine && len(own) > 0 && own[len(own)-1].at < a.problems[t.at].at {
		last := own[len(own)-1]
		d.Summary += ": " + strconv.Quote(budget.Cut(secrets.Scrub(last.Message), maxName))
		evidence = append(evidence, last)
	}
	if t.weak != "" && f.at < 0 && t.at > 0 {
		first := a.problems[0]
		d.Summary += ": the first error is " + strconv.Quote(budget.Cut(secrets.Scrub(first.Message), maxName))
		evidence = slices.Concat(a.problems[:1], a.problems[max(1, t.at-aboveUnknown):t.at], evidence)
	}
	for _, l := range t.also {
		if l.at != evidence[0].at {
			evidence = append(evidence, l)
		}
	}
	if f.at >= 0 {
		evidence = append(evidence, newProblem(a.run.Lines[f.at]))
	}
	d.Evidence = rawLines(evidence, a.run.Progress.FailureLine)
	return d
}

// cutShort is the step of the boot before that was at work when the machine restarted,
// for a cause that says no more than that Windows Setup failed.
func (a *analysis) cutShort(c cause) (bootStep, bool) {
	if c.id != restarted || a.run.earlier == nil {
		return bootStep{}, false
	}
	s, ok := a.run.earlier.Progress.boot.top()
	return s, ok && s.String() != ""
}

// commandLine is sysprep's refusal of its command line.
const commandLine = "F50"

// restarted is a first boot that found itself started again.
const restarted = "F84"

// addPackages lists all packages that the run names, not only the first, and
// returns their lines.
func (d *Diagnosis) addPackages(s *search, lines []problem, first string) []problem {
	packages := []string{first}
	var evidence []problem
	for _, l := range lines {
		if len(packages) >= maxEvidence {
			break
		}
		m := s.find(anyPackage, l)
		if m == nil || slices.Contains(packages, budget.Cut(m[1], maxName)) {
			continue
		}
		packages = append(packages, budget.Cut(m[1], maxName))
		evidence = append(evidence, l)
		for _, c := range catalogue() {
			caught := []string(nil)
			if p := c.of(specific); p != nil {
				caught = s.find(*p, l)
			}
			if caught == nil {
				continue
			}
			for _, r := range c.remedy {
				if text := fill(r, named(c.re.Regexp, caught)); !slices.Contains(d.Remedy, text) {
					d.Remedy = append(d.Remedy, text)
				}
			}
			break
		}
	}
	if len(packages) > 1 {
		d.Summary = fmt.Sprintf("%d app packages are installed for a user but not provisioned for all users: %s", len(packages), strings.Join(packages, ", "))
	}
	return evidence
}

func (a *analysis) unknown() Diagnosis {
	f := a.failure
	at := newProblem(a.run.Lines[f.at])
	d := cause{id: unknownID, name: "UNKNOWN", unconfirmed: true}.diagnosis(finding.Log, nil)
	d.Phase = a.observedPhase(PhaseProcess)
	d.Summary = a.whatFailed()
	if d.Phase == PhaseFirstBoot {
		d.Summary += " at first boot"
		if strings.Contains(strings.ToLower(f.entry), "specialize") {
			d.Summary += " (specialize)"
		}
	}
	d.Summary += "; this cause is not in the catalogue"
	if a.short {
		d.Summary += " (the log has so many long lines that not all of them were examined)"
	}
	what := "what the lines above the failure name"
	if advice := byCode(f.code, f.dll()); advice != "" {
		what = advice
	} else if name := services[f.dll()]; name != "" {
		what += " (first see whether the service " + name + " is disabled or cannot start)"
	}
	switch d.Phase {
	case PhaseValidate:
		d.Remedy = []string{"Nothing was changed: correct " + what + " and run sysprep again."}
	case PhaseFirstBoot:
		d.Remedy = []string{"The image was generalized, and this machine did not get through its first boot: correct " + what + " in the source machine or the answer file, and build the image again."}
	default:
		d.Remedy = []string{"Correct " + what + ", on a fresh machine."}
	}
	d.Remedy = append(d.Remedy, fmt.Sprintf("Read the complete %s and %s.", windows.ActLog, windows.ErrLog))
	d.Evidence = rawLines(append(a.ownLines(), at), a.run.Progress.FailureLine)
	return d
}

// whatFailed is a failure in words, with all names that the log has for it.
func (a *analysis) whatFailed() string {
	f := a.failure
	text := "sysprep stopped"
	switch {
	case a.firstBoot && f.module == "":
		text = "Windows Setup stopped"
	case f.module != "":
		text = fmt.Sprintf("'%s' of %s", f.entry, f.module)
	case f.operation != "" && f.component != "":
		text = fmt.Sprintf("the %s action of component %s", f.operation, f.component)
	case f.operation != "":
		text = fmt.Sprintf("a %s action", f.operation)
	case f.component != "":
		text = "the action of component " + f.component
	}
	if what := providers[f.dll()]; what != "" {
		text += " (" + what + ")"
	}
	if f.module != "" && f.component != "" {
		text += " (component " + f.component + ")"
	}
	if f.named() {
		text += " failed"
	}
	if f.code != "" {
		text += " with " + describeCode(f.code)
	}
	return text
}

// ownLines are the error lines of the failed block, or the last ones above the
// failure that are not about another provider.
func (a *analysis) ownLines() []problem {
	var own []problem
	for _, p := range a.problems {
		if p.at < a.failure.at && (a.failure.begin < 0 || p.at > a.failure.begin) && !a.ofOthers(p) {
			own = append(own, p)
		}
	}
	return own[max(0, len(own)-aboveUnknown):]
}

// ofOthers says whether a line tells a cause that cannot have made the run fail.
func (a *analysis) ofOthers(p problem) bool {
	for _, c := range catalogue() {
		if c.module != "" && c.tells(a.search, p) != nil && !a.accepts(c.cause, p) {
			return true
		}
	}
	return false
}

func (s *search) launched(l problem) map[string]string {
	for _, p := range []pattern{launchModule, launchDll} {
		if m := s.find(p, l); m != nil {
			groups := map[string]string{}
			for i, name := range p.Compiled().SubexpNames() {
				if name != "" {
					groups[name] = budget.Cut(strings.TrimSpace(m[i]), maxName)
				}
			}
			return groups
		}
	}
	return nil
}

// observedPhase is what the log itself says, else whether the failed entry is
// a validating one, else what the catalogue says of the cause.
func (a *analysis) observedPhase(listed Phase) Phase {
	switch {
	case a.firstBoot && listed != PhaseSilent:
		return PhaseFirstBoot
	case listed == PhaseFirstBoot && a.run.Progress.Failure == ParseFailure:
		return PhaseLaunch // sysprep reads the answer file before anything else
	case listed == PhaseFirstBoot || listed == PhaseLaunch:
		return listed
	}
	switch a.run.Progress.Failure {
	case ValidateFailure:
		return PhaseValidate
	case ProcessFailure:
		return PhaseProcess
	}
	if strings.Contains(strings.ToLower(a.failure.entry), "validate") {
		return PhaseValidate
	}
	return listed
}

func rawLines(lines []problem, last string) []string {
	var out []string
	for _, l := range lines {
		if len(out) < maxEvidence {
			out = appendShown(out, l.Raw)
		}
	}
	return appendShown(out, last)
}

// appendShown adds the lines of a record of evidence, each once.
func appendShown(evidence []string, raw string) []string {
	for _, line := range strings.Split(raw, "\n") {
		if text := budget.Cut(secrets.Scrub(line), maxShown); line != "" && !slices.Contains(evidence, text) && len(evidence) < 2*maxEvidence {
			evidence = append(evidence, text)
		}
	}
	return evidence
}

// ByID returns the catalogue's text for a cause that is found by other means
// than the log, e.g. ByID("F51").
func ByID(id string) (Diagnosis, bool) {
	for _, c := range catalogue() {
		if c.id == id {
			return c.diagnosis(finding.Guest, nil), true
		}
	}
	return Diagnosis{}, false
}

// diagnosis is the cause as it was found, with the names that were caught.
func (c cause) diagnosis(subject finding.Subject, groups map[string]string) Diagnosis {
	d := Diagnosis{finding.Finding{ID: c.id, Name: c.name, Severity: finding.Fail, Subject: subject,
		Summary: fill(c.title, groups), Source: c.source, Unconfirmed: c.unconfirmed}, c.phase}
	if c.phase == PhaseSilent {
		d.Severity = finding.Warn
	}
	for _, r := range c.remedy {
		d.Remedy = append(d.Remedy, fill(r, groups))
	}
	return d
}
