package diagnosis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

const (
	above        = 25 // problem lines above the failure that may hold its cause
	aboveUnknown = 5  // of these, shown for a failure that the catalogue does not know
	maxEvidence  = 12
	maxShown     = 2 << 10 // bytes of a line of evidence
	maxName      = 256     // bytes of a name in a title or remedy
)

var (
	// launchModule is the line of the failed provider, in the forms of Windows 8
	// and later and of Windows 7.
	launchModule = compile(`(?:Failure occurred while executing|Failure executing) '(?P<entry>[^']+)' from (?P<dll>[^;]+?)(?:; dwRet = (?P<code>\S+))?$`)
	launchDll    = compile(`Failure occurred while executing '(?P<dll>[^',]+), ?(?P<entry>[^']+)', returned error code (?P<code>\S+)`)
	resultCode   = regexp.MustCompile(`(?i)(?:hr|dwRet) = (?P<code>-?\w+)`)
	anyPackage   = compile(`Package (?P<package>\S+)` + notProvisioned)
	placeholder  = regexp.MustCompile(`\{([a-z]+)\}`)
)

// Diagnose names the cause of a failed run. It reports false where the run
// shows no failure. A failure unknown to the catalogue gets ID F00 with the
// module, the code and up to five error lines above it.
func Diagnose(run Run) (Diagnosis, bool) {
	if run.Progress.TagCreated && run.Progress.Failure == NoFailure {
		return Diagnosis{}, false // errors before the tag are warnings only
	}
	s := &search{left: maxSearched}
	lines := s.problems(run.Lines)
	failed := slices.IndexFunc(lines, problem.endsRun)
	order := searchOrder(len(lines), failed)
	for _, generic := range []bool{false, true} {
		for _, i := range order {
			if c, groups, ok := s.match(lines[i], generic); ok {
				return s.known(run, lines, failed, i, c, groups), true
			}
		}
	}
	if failed < 0 {
		return Diagnosis{}, false
	}
	return s.unknown(run, lines, failed), true
}

// problems are the lines that can hold a cause: errors, lines of which the
// level is not known, and the few Info lines that the catalogue wants.
func (s *search) problems(all []Line) []problem {
	var out []problem
	for _, line := range all {
		l := newProblem(line)
		switch {
		case s.find(noise, l) != nil:
		case l.Level == Error || l.Level == Fatal || l.Level == "" || l.endsRun():
			out = append(out, l)
		default:
			if slices.ContainsFunc(catalogue(), func(c compiled) bool { return c.anyLevel && s.find(*c.re, l) != nil }) {
				out = append(out, l)
			}
		}
	}
	return out
}

// endsRun says whether the line itself tells that the run failed.
func (l problem) endsRun() bool {
	for _, sign := range []string{textExecuted, "failure executing '", textHalting, textFailure, textInvalid, "malformed command line detected", textParse} {
		if strings.Contains(l.low, sign) {
			return true
		}
	}
	return false
}

// searchOrder is where to look for the cause: in the failing line, then
// upwards from it, then below it.
func searchOrder(n, failed int) []int {
	var order []int
	for i := failed; i >= max(0, failed-above); i-- {
		order = append(order, i)
	}
	for i := failed + 1; i < n; i++ {
		order = append(order, i)
	}
	return order
}

func (s *search) match(l problem, generic bool) (cause, map[string]string, bool) {
	for _, c := range catalogue() {
		if c.re == nil || c.generic != generic {
			continue
		}
		if m := s.find(*c.re, l); m != nil {
			return c.cause, named(c.re.Regexp, m), true
		}
	}
	return cause{}, nil, false
}

// packageName is what Windows allows (Identity/@Name of an app manifest). A user
// pastes the remedy into an administrator's PowerShell: no other text may get
// into it from a log.
var packageName = regexp.MustCompile(`^[A-Za-z0-9.-]{1,50}$`)

// named returns what the named groups of a match caught.
func named(re *regexp.Regexp, m []string) map[string]string {
	groups := map[string]string{}
	for i, name := range re.SubexpNames() {
		if name = strings.TrimRight(name, "0123456789"); name != "" && (groups[name] == "" || m[i] != "") {
			groups[name] = budget.Cut(m[i], maxName)
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
	return groups
}

// fill puts caught names into a text; an unknown one stays as <name>.
func fill(text string, groups map[string]string) string {
	text = placeholder.ReplaceAllStringFunc(text, func(p string) string {
		key := p[1 : len(p)-1]
		if value, ok := groups[key]; ok {
			return value
		}
		return "<" + key + ">"
	})
	return strings.ReplaceAll(text, " ()", "")
}

func (s *search) known(run Run, lines []problem, failed, at int, c cause, groups map[string]string) Diagnosis {
	d := c.diagnosis(finding.Log, groups)
	d.Phase = s.observedPhase(run, lines, c.phase)
	evidence := []problem{lines[at]}
	if groups["package"] != "" {
		evidence = append(evidence, d.addPackages(s, lines, groups["package"])...)
	}
	if failed >= 0 {
		evidence = append(evidence, lines[failed])
	}
	d.Evidence = rawLines(evidence, run.Progress.FailureLine)
	return d
}

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
		if c, groups, ok := s.match(l, false); ok {
			for _, r := range c.remedy {
				if text := fill(r, groups); !slices.Contains(d.Remedy, text) {
					d.Remedy = append(d.Remedy, text)
				}
			}
		}
	}
	if len(packages) > 1 {
		d.Summary = fmt.Sprintf("%d app packages are installed for a user but not provisioned for all users: %s", len(packages), strings.Join(packages, ", "))
	}
	return evidence
}

func (s *search) unknown(run Run, lines []problem, failed int) Diagnosis {
	unknown := cause{id: "F00", name: "UNKNOWN", phase: s.observedPhase(run, lines, PhaseProcess), unconfirmed: true}
	d := unknown.diagnosis(finding.Log, nil)
	l := lines[failed]
	switch re, groups := s.launched(l); {
	case re != nil && groups["code"] != "":
		d.Summary = fmt.Sprintf("'%s' of %s failed with %s", groups["entry"], groups["dll"], groups["code"])
	case re != nil:
		d.Summary = fmt.Sprintf("'%s' of %s failed", groups["entry"], groups["dll"])
	default:
		d.Summary = "sysprep stopped"
		if m := resultCode.FindStringSubmatch(head(run.Progress.FailureLine, maxMatch) + " " + l.text); m != nil {
			d.Summary += " with " + describeCode(m[1])
		}
	}
	d.Summary += "; this cause is not in the catalogue"
	if s.short {
		d.Summary += " (the log has so many long lines that not all of them were examined)"
	}
	if d.Phase == PhaseValidate {
		d.Remedy = []string{"Nothing was changed: correct what the lines above the failure name and run sysprep again."}
	} else {
		d.Remedy = []string{"Correct what the lines above the failure name, on a fresh machine."}
	}
	d.Remedy = append(d.Remedy, fmt.Sprintf("Read the complete %s and %s that were fetched.", windows.ActLog, windows.ErrLog))
	d.Evidence = rawLines(lines[max(0, failed-aboveUnknown):failed+1], run.Progress.FailureLine)
	return d
}

func (s *search) launched(l problem) (*regexp.Regexp, map[string]string) {
	for _, p := range []pattern{launchModule, launchDll} {
		if m := s.find(p, l); m != nil {
			return p.Regexp, named(p.Regexp, m)
		}
	}
	return nil, nil
}

// observedPhase is what the log itself says, else whether the failed entry is
// a validating one, else what the catalogue says of the cause.
func (s *search) observedPhase(run Run, lines []problem, listed Phase) Phase {
	if listed == PhaseFirstBoot || listed == PhaseLaunch {
		return listed
	}
	switch run.Progress.Failure {
	case ValidateFailure:
		return PhaseValidate
	case ProcessFailure:
		return PhaseProcess
	}
	for _, l := range lines {
		if _, groups := s.launched(l); groups != nil && strings.Contains(strings.ToLower(groups["entry"]), "validate") {
			return PhaseValidate
		}
	}
	return listed
}

func rawLines(lines []problem, last string) []string {
	var out []string
	for _, l := range lines {
		if text := budget.Cut(l.Raw, maxShown); !slices.Contains(out, text) && len(out) < maxEvidence {
			out = append(out, text)
		}
	}
	if text := budget.Cut(last, maxShown); last != "" && !slices.Contains(out, text) {
		out = append(out, text)
	}
	return out
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
