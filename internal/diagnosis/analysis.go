package diagnosis

import (
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
)

// analysis is one run as it is held against the catalogue.
type analysis struct {
	*search
	run     Run
	failure failure
	// problems are the lines that can hold a cause, without noise.
	problems []problem
	// firstBoot: the log is that of a first boot, not of sysprep.
	firstBoot bool
	// levels: the log says of its lines what they are, so that one without is
	// something else.
	levels bool
}

func analyse(run Run) *analysis {
	a := &analysis{search: &search{left: maxSearched}, run: run}
	a.failure = a.failureOf(run.Lines)
	a.firstBoot = isFirstBoot(run, a.failure)
	a.levels = slices.ContainsFunc(run.Lines, func(l Line) bool { return l.Level != "" })
	var step Step
	for i, line := range run.Lines {
		l := newProblem(line)
		l.at = i
		step = step.after(line, l.low)
		l.owner = step.DLL()
		if a.isProblem(l) {
			a.problems = append(a.problems, l)
		}
	}
	return a
}

// isProblem says whether a line can hold a cause: errors, lines of which the
// level is not known, and the few Info lines that the catalogue wants.
func (a *analysis) isProblem(l problem) bool {
	switch {
	case a.isNoise(l, a.failure.dll()):
		return false
	case l.Level == Error || l.Level == Fatal || l.endsRun():
		return true
	case l.Level == "" && !contains(l.low, textGood) && strings.Trim(l.low, "= ") != "" && (!a.levels || l.Component != "" || programLine.MatchString(l.text)):
		return true
	}
	for _, c := range catalogue() {
		if (c.anyLevel || c.warns && l.Level == Warning) && c.tells(a.search, l) != nil {
			return true
		}
	}
	return false
}

// textGood are lines that tell no failure where a log viewer left the levels out.
var textGood = []string{"executing method '", "; executing it", "successfully", "found supported command line option", "beginning action execution", "beginning of a new sysprep run",
	"the time is now", "user has required privileges", "already exist, no need to delete", "successfully deleted tag", "createxpathforselection", "sysprep mode", "initialized sysprep log", "shutting down sysprep log", "running platform actions", "pre-validing '", "winmain:processing '"}

// endsRun says whether the line itself tells that the run failed.
func (l problem) endsRun() bool {
	return contains(l.low, []string{textExecuted, "failure executing '", textHalting, textFailure, textInvalid, "malformed command line detected", textParse})
}

// programsOfFirstBoot write into the logs of Windows Setup.
var programsOfFirstBoot = []string{"[windeploy.exe]", "[setup.exe]", "[audit.exe]", "[oobeldr.exe]", "[msoobe.exe]", "[shell unattend]", "[djoin.exe]", "[netiougc.exe]", "[setup]"}

// isFirstBoot says whether a log is one of Windows Setup on a deployed machine.
func isFirstBoot(run Run, f failure) bool {
	if strings.Contains(strings.ToLower(f.entry), "specialize") || f.end >= 0 && strings.Contains(run.Lines[f.end].lower(), "specialize ") {
		return true
	}
	if run.Progress.Runs > 0 || len(run.Progress.Options) > 0 {
		return false
	}
	for _, l := range run.Lines {
		low := l.lower()
		for _, program := range programsOfFirstBoot {
			if strings.HasPrefix(low, program) {
				return true
			}
		}
		if l.Component == "IBS" || l.Component == "IBSLIB" || strings.Contains(low, `actionfiles\specialize.xml`) || strings.Contains(low, "sysprep_specialize_") {
			return true
		}
	}
	return false
}

// order is where to look for the cause: above the chain and in the failed block,
// nearest first; then in the chain; then below it.
func (a *analysis) order() (above, chain, below []int) {
	for i, p := range a.problems {
		switch {
		case a.failure.at < 0:
			above = append(above, i) // from the top: what is first made the rest fail
		case p.at < a.failure.at:
			above = append(above, i)
		case p.at <= a.failure.end:
			chain = append(chain, i)
		default:
			below = append(below, i)
		}
	}
	if a.failure.at >= 0 {
		slices.Reverse(above)
	}
	return above, chain, below
}

// told is a cause and the line that tells it.
type told struct {
	cause
	at     int // index of problems
	groups map[string]string
	// also are lines near it that name more.
	also []problem
}

// find returns the best cause: one in words before one that is told by the
// provider's failure alone, a specific one before a general one.
func (a *analysis) find() (told, bool) {
	above, chain, below := a.order()
	for _, places := range [][]int{above, chain, below} {
		if t, ok := a.first(places, specific); ok {
			return t, true
		}
	}
	// Of general words the first ones say the most.
	slices.Sort(above)
	for _, places := range [][]int{above, chain, below} {
		if t, ok := a.first(places, generic); ok {
			return t, true
		}
	}
	return told{}, false
}

// findWeak returns what only follows from a cause, or is worth to be known.
func (a *analysis) findWeak(want kind) (told, bool) {
	above, chain, below := a.order()
	for _, places := range [][]int{chain, above, below} {
		if t, ok := a.first(places, want); ok {
			return t, true
		}
	}
	return told{}, false
}

func (a *analysis) first(places []int, want kind) (told, bool) {
	for _, i := range places {
		for _, c := range catalogue() {
			p := c.of(want)
			if p == nil {
				continue
			}
			if m := a.search.find(*p, a.problems[i]); m != nil && a.accepts(c.cause, a.problems[i]) {
				t := told{c.cause, i, a.fillIn(c.cause, a.problems[i], named(p.Regexp, m)), nil}
				if c.others != nil {
					t.also = a.alsoNear(*c.others, a.problems[i].at, t.groups)
				}
				return t, true
			}
		}
	}
	return told{}, false
}

// fillIn adds what the chain and the lines around say to what a line says.
func (a *analysis) fillIn(c cause, l problem, groups map[string]string) map[string]string {
	if groups["pass"] == "" && strings.Contains(c.title, "{pass}") {
		groups["pass"] = a.passAt(l.at)
	}
	c.advice(l.text, groups)
	f := a.failure
	for name, text := range map[string]string{"entry": f.entry, "dll": f.module, "component": f.component, "operation": f.operation, "key": f.key} {
		if groups[name] == "" && text != "" {
			groups[name] = text
		}
	}
	if groups["code"] == "" && f.code != "" {
		groups["code"] = describeCode(f.code)
	}
	return groups
}

// around are the lines near a place of the run, the nearest first, where names
// are looked for that the line of a cause lacks.
func (a *analysis) around(at int) (lines []Line) {
	const most = 60
	for d := 0; d <= most; d++ {
		if at+d < len(a.run.Lines) {
			lines = append(lines, a.run.Lines[at+d])
		}
		if d > 0 && at-d >= 0 {
			lines = append(lines, a.run.Lines[at-d])
		}
	}
	return lines
}

// passAt is the pass of the answer file that was at work.
func (a *analysis) passAt(at int) string {
	for _, l := range a.around(at) {
		if text := l.start(); goesOnRefusal(text) || strings.Contains(text, "unattend pass [") || strings.Contains(text, "answer file for pass [") {
			if m := passName.FindStringSubmatch(text); m != nil {
				return budget.Cut(m[1]+m[2], maxName)
			}
		}
	}
	return ""
}

// alsoNear adds to the groups of a cause what lines near it name, each once and in
// the order of the log, and returns the lines.
func (a *analysis) alsoNear(p pattern, at int, groups map[string]string) (lines []problem) {
	const most = 200
	found := map[string][]string{}
	for i := max(0, at-most); i < min(len(a.run.Lines), at+most) && len(lines) < maxConsulted; i++ {
		l := newProblem(a.run.Lines[i])
		l.at = i
		m := a.search.find(p, l)
		if m == nil {
			continue
		}
		lines = append(lines, l)
		for name, text := range named(p.Regexp, m) {
			if text != "" && !slices.Contains(found[name], text) {
				found[name] = append(found[name], text)
			}
		}
	}
	for name, texts := range found {
		if groups[name] == "" || len(texts) > 1 {
			groups[name] = budget.Cut(strings.Join(texts, ", "), maxName)
		}
	}
	return lines
}
