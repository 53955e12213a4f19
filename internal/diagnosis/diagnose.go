package diagnosis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	above        = 25 // problem lines above the failure that may hold its cause
	aboveUnknown = 5  // of these, shown for a failure that the catalogue does not know
	maxEvidence  = 12
)

var (
	// launchModule is the line of the failed provider, in the forms of Windows 8
	// and later and of Windows 7.
	launchModule = regexp.MustCompile(`(?i)(?:Failure occurred while executing|Failure executing) '(?P<entry>[^']+)' from (?P<dll>[^;]+?)(?:; dwRet = (?P<code>\S+))?$`)
	launchDll    = regexp.MustCompile(`(?i)Failure occurred while executing '(?P<dll>[^',]+), ?(?P<entry>[^']+)', returned error code (?P<code>\S+)`)
	resultCode   = regexp.MustCompile(`(?i)(?:hr|dwRet) = (?P<code>-?\w+)`)
	anyPackage   = regexp.MustCompile(`(?i)Package (?P<package>\S+)` + notProvisioned)
	placeholder  = regexp.MustCompile(`\{([a-z]+)\}`)
)

// Diagnose names the cause of a failed run. It reports false where the run
// shows no failure. A failure unknown to the catalogue gets ID F00 with the
// module, the code and up to five error lines above it.
func Diagnose(run Run) (Diagnosis, bool) {
	if run.Facts.TagCreated && run.Facts.Failure == NoFailure {
		return Diagnosis{}, false // errors before the tag are warnings only
	}
	lines := problems(run.Lines)
	failed := slices.IndexFunc(lines, endsRun)
	order := searchOrder(len(lines), failed)
	for _, generic := range []bool{false, true} {
		for _, i := range order {
			if c, groups, ok := match(lines[i], generic); ok {
				return known(run, lines, failed, i, c, groups), true
			}
		}
	}
	if failed < 0 {
		return Diagnosis{}, false
	}
	return unknown(run, lines, failed), true
}

// problems are the lines that can hold a cause: errors, lines of which the
// level is not known, and the few Info lines that the catalogue wants.
func problems(all []Line) []Line {
	var out []Line
	for _, l := range all {
		switch {
		case noise.MatchString(l.Message):
		case l.Level == Error || l.Level == Fatal || l.Level == "" || endsRun(l):
			out = append(out, l)
		default:
			if slices.ContainsFunc(catalogue(), func(c compiled) bool { return c.anyLevel && c.re.MatchString(l.Message) }) {
				out = append(out, l)
			}
		}
	}
	return out
}

// endsRun says whether the line itself tells that the run failed.
func endsRun(l Line) bool {
	text := strings.ToLower(l.Message)
	for _, sign := range []string{textExecuted, "failure executing '", textHalting, textFailure, textInvalid, "malformed command line detected", textParse} {
		if strings.Contains(text, sign) {
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

func match(l Line, generic bool) (cause, map[string]string, bool) {
	for _, c := range catalogue() {
		if c.re == nil || c.generic != generic || c.phase == PhaseNoise {
			continue
		}
		if m := c.re.FindStringSubmatch(l.Message); m != nil {
			return c.cause, named(c.re, m), true
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
			groups[name] = m[i]
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

func known(run Run, lines []Line, failed, at int, c cause, groups map[string]string) Diagnosis {
	d := Diagnosis{ID: c.id, Name: c.name, Summary: fill(c.title, groups), Unconfirmed: c.unconfirmed}
	d.Phase = observedPhase(run, lines, c.phase)
	for _, r := range c.remedy {
		d.Remedy = append(d.Remedy, fill(r, groups))
	}
	evidence := []Line{lines[at]}
	if groups["package"] != "" {
		evidence = append(evidence, d.addPackages(lines, groups["package"])...)
	}
	if failed >= 0 {
		evidence = append(evidence, lines[failed])
	}
	d.Evidence = rawLines(evidence, run.Facts.FailureLine)
	return d
}

// addPackages lists all packages that the run names, not only the first, and
// returns their lines.
func (d *Diagnosis) addPackages(lines []Line, first string) []Line {
	packages := []string{first}
	var evidence []Line
	for _, l := range lines {
		m := anyPackage.FindStringSubmatch(l.Message)
		if m == nil || slices.Contains(packages, m[1]) || len(packages) >= maxEvidence {
			continue
		}
		packages = append(packages, m[1])
		evidence = append(evidence, l)
		if c, groups, ok := match(l, false); ok {
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

func unknown(run Run, lines []Line, failed int) Diagnosis {
	d := Diagnosis{ID: "F00", Name: "UNKNOWN", Phase: observedPhase(run, lines, PhaseProcess), Unconfirmed: true}
	l := lines[failed]
	switch re, groups := launched(l); {
	case re != nil && groups["code"] != "":
		d.Summary = fmt.Sprintf("'%s' of %s failed with %s", groups["entry"], groups["dll"], groups["code"])
	case re != nil:
		d.Summary = fmt.Sprintf("'%s' of %s failed", groups["entry"], groups["dll"])
	default:
		d.Summary = "sysprep stopped"
		if m := resultCode.FindStringSubmatch(run.Facts.FailureLine + " " + l.Message); m != nil {
			d.Summary += " with " + describeCode(m[1])
		}
	}
	d.Summary += "; this cause is not in the catalogue"
	if d.Phase == PhaseValidate {
		d.Remedy = []string{"Nothing was changed: correct what the lines above the failure name and run sysprep again."}
	} else {
		d.Remedy = []string{"Correct what the lines above the failure name, on a fresh machine."}
	}
	d.Remedy = append(d.Remedy, "Read the whole setupact.log and setuperr.log that were fetched.")
	d.Evidence = rawLines(lines[max(0, failed-aboveUnknown):failed+1], run.Facts.FailureLine)
	return d
}

func launched(l Line) (*regexp.Regexp, map[string]string) {
	for _, re := range []*regexp.Regexp{launchModule, launchDll} {
		if m := re.FindStringSubmatch(l.Message); m != nil {
			return re, named(re, m)
		}
	}
	return nil, nil
}

// observedPhase is what the log itself says, else whether the failed entry is
// a validating one, else what the catalogue says of the cause.
func observedPhase(run Run, lines []Line, listed Phase) Phase {
	if listed == PhaseFirstBoot || listed == PhaseLaunch {
		return listed
	}
	switch run.Facts.Failure {
	case ValidateFailure:
		return PhaseValidate
	case ProcessFailure:
		return PhaseProcess
	}
	for _, l := range lines {
		if _, groups := launched(l); groups != nil && strings.Contains(strings.ToLower(groups["entry"]), "validate") {
			return PhaseValidate
		}
	}
	return listed
}

func rawLines(lines []Line, last string) []string {
	var out []string
	for _, l := range lines {
		if !slices.Contains(out, l.Raw) && len(out) < maxEvidence {
			out = append(out, l.Raw)
		}
	}
	if last != "" && !slices.Contains(out, last) {
		out = append(out, last)
	}
	return out
}

// Known returns the catalogue's text for a cause that is found by other means
// than the log, e.g. Known("F51").
func Known(id string) (Diagnosis, bool) {
	for _, c := range catalogue() {
		if c.id != id {
			continue
		}
		d := Diagnosis{ID: c.id, Name: c.name, Phase: c.phase, Summary: fill(c.title, nil), Unconfirmed: c.unconfirmed}
		for _, r := range c.remedy {
			d.Remedy = append(d.Remedy, fill(r, nil))
		}
		return d, true
	}
	return Diagnosis{}, false
}
