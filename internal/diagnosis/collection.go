package diagnosis

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// Outcome is what the logs of a machine say of sysprep or the first boot.
type Outcome string

// Outcomes.
const (
	Failed    Outcome = "failed"
	Hanging   Outcome = "hanging"   // begun and not ended: it hangs, or the log was taken before its end
	Succeeded Outcome = "succeeded" // the tag was created, and nothing failed later
	Unfailed  Outcome = "no failure"
	Undecided Outcome = "undecided" // errors that the catalogue does not know, and no word of how it ended
	NoLog     Outcome = "no log"    // none that is known
)

// Found is what a collection of logs says.
type Found struct {
	Outcome Outcome
	// Diagnosis is the cause, or what is worth to be known; nil without one.
	Diagnosis *Diagnosis
	// Log is the one that says it.
	Log Log
	// Errors are those of a log that is Undecided, the first ones, and ErrorCount
	// how many there are.
	Errors     []string
	ErrorCount int
	// Says is what a text means that is NoLog, where that is known.
	Says string
	// follows: the cause only follows from another failure.
	follows bool
	// unsaid: the whole log names no failure, and the run has no tag.
	unsaid bool
	// stopped: the run has not ended, and did no more than begin.
	stopped bool
}

// Collect judges the logs of one machine together. What failed last counts: a
// first boot after a run that succeeded, else the last run of sysprep. Logs of
// servicing and of app deployment are asked where the cause points to them.
func Collect(logs []Log) Found {
	sysprep := judge(logs, OfSysprep)
	setup := judge(logs, OfSetup)
	f := sysprep
	switch {
	case sysprep.Outcome == NoLog:
		f = setup
	case setup.Outcome == Failed && (later(setup, sysprep) || sysprep.Outcome != Failed && setup.Log.whole() && setup.Diagnosis.ID != notApplied):
		f = setup
	case setup.Diagnosis != nil && sysprep.Outcome == Succeeded && later(setup, sysprep):
		if setup.Outcome == Unfailed || setup.Outcome == Undecided {
			setup.Outcome = sysprep.Outcome
		}
		f = setup
	}
	if f.Outcome == NoLog {
		for _, l := range logs {
			f.Says = cmp.Or(f.Says, l.Says)
		}
	}
	if d := f.Diagnosis; d != nil {
		if f.Outcome == Hanging && f.Log.Run.torn {
			d.Note = joined(d.Note, "the log ends in the middle of a line: it is a copy that was cut off there, or the machine lost its power")
		}
		d.Where.File = f.Log.Name
		d.Consult(f.Log.Run.Progress, logs...)
	}
	return f
}

// later says whether a ends after b, by the clock of the guest, and both say when.
func later(a, b Found) bool {
	return !b.Log.Run.Progress.Last.IsZero() && a.Log.Run.Progress.Last.After(b.Log.Run.Progress.Last)
}

// whole says whether a log has more than errors. The last part of one of Windows
// Setup that failed was not followed by another: Windows never got to sysprep.
func (l Log) whole() bool {
	return slices.ContainsFunc(l.Run.Lines, func(l Line) bool { return l.Level == Info })
}

// judge looks for the failure in the logs of one source. setupact.log has
// everything, setuperr.log the errors only, and of a longer time: the first is
// believed where it says that the newest run succeeded or names no failure of it,
// in whatever order they are.
func judge(logs []Log, of Source) Found {
	var list []Found
	for _, l := range logs {
		if l.Of == of && l.Run.Progress.Lines > 0 {
			list = append(list, judgeOne(l))
		}
	}
	if len(list) == 0 {
		return Found{Outcome: NoLog}
	}
	slices.SortStableFunc(list, func(a, b Found) int {
		switch whole := a.Log.whole(); {
		case whole == b.Log.whole():
			return 0
		case whole:
			return -1
		}
		return 1
	})
	if of == OfSetup {
		list = standing(list)
	}
	best := list[0]
	for _, next := range list[1:] {
		newest := (best.Outcome == Succeeded || best.unsaid) && !newer(next, best)
		if !newest && rank(next) < rank(best) {
			best = next
		}
	}
	return best
}

// standing leaves of the logs of a first boot, where some say that it stands in a step
// and others that Windows Setup ended its part, those that say what was last. At the same
// second the end counts.
func standing(list []Found) []Found {
	ended, stands := time.Time{}, time.Time{}
	for _, f := range list {
		switch at := f.Log.Run.Progress.Last; {
		case f.Outcome == Succeeded && at.After(ended):
			ended = at
		case f.Outcome == Hanging && !f.stopped && at.After(stands):
			stands = at
		}
	}
	return slices.DeleteFunc(list, func(f Found) bool {
		at := f.Log.Run.Progress.Last
		return f.Outcome == Hanging && !ended.IsZero() && !at.After(ended) || f.Outcome == Hanging && !f.stopped && at.Before(stands) || f.Outcome == Succeeded && at.Before(stands)
	})
}

// newer says whether a tells of what came after all that b knows. Clocks jump: a
// failure that b has in an earlier run is older whatever its time.
func newer(a, b Found) bool {
	start := b.Log.Run.Progress.Last
	return !start.IsZero() && a.Log.Run.Progress.Start.After(start.Add(time.Minute)) && !slices.Contains(b.Log.Run.failures, failureOfRun(a.Log.Run))
}

func rank(f Found) int {
	switch {
	case f.Outcome == Failed && f.Diagnosis.ID != unknownID && !f.follows && !f.unsaid:
		return 0
	case f.Outcome == Failed && !f.follows:
		return 1
	case f.Outcome == Failed:
		return 2
	case f.Outcome == Hanging && !f.stopped:
		return 3
	case f.Diagnosis != nil && !f.stopped:
		return 4
	case f.Outcome == Succeeded:
		return 5
	case f.Outcome == Undecided:
		return 6
	case f.stopped:
		return 7
	}
	return 8
}

func judgeOne(l Log) Found {
	f := Found{Outcome: Unfailed, Log: l}
	p := l.Run.Progress
	if d, follows, ok := diagnose(l.Run); ok {
		f.Diagnosis, f.follows = &d, follows
		if d.ID == notApplied && p.Passed {
			d.Severity = finding.Warn // Windows went on to the end
		}
		hang, hangs := hangOf(l)
		switch {
		case d.Severity == finding.Fail && (d.ID != notApplied || l.Of != OfSetup || !hangs): // a step after it: Windows went on
			f.Outcome = Failed
		case l.Of == OfSetup && hangs && hang.ID != HangsInOOBE: // a notice may say why OOBE waits
			hang.Note = joined(hang.Note, "also worth to be known: "+d.Summary)
			f.Outcome, f.Diagnosis = Hanging, &hang
		default:
			f.undecided()
		}
		return f
	}
	if d, ok := hangOf(l); ok {
		f.Outcome, f.Diagnosis = Hanging, &d
	} else if p.TagCreated || p.Passed && l.Of == OfSetup {
		f.Outcome = Succeeded
	} else if d, ok := unsaid(l.Run); ok && l.Of == OfSysprep {
		f.Outcome, f.Diagnosis, f.unsaid = Failed, &d, true
	} else {
		f.undecided()
		stops := stopped
		if l.Of == OfSetup {
			stops = stoppedBoot
		}
		if d, ok := stops(l.Run); ok && f.Outcome == Unfailed && (l.Of == OfSysprep || l.whole()) {
			f.Outcome, f.Diagnosis, f.stopped = Hanging, &d, true
		}
	}
	return f
}

// undecided is for a log in which nothing failed that is known: where it has errors,
// and its run is not known to have ended well, that is not known of it either.
func (f *Found) undecided() {
	run := f.Log.Run
	if run.Progress.TagCreated || run.Progress.Passed && f.Log.Of == OfSetup {
		return
	}
	for _, l := range run.Lines {
		if l.Level != Error && l.Level != Fatal || harmless(l) {
			continue
		}
		f.Outcome = Undecided
		if f.ErrorCount++; f.ErrorCount <= maxConsulted {
			f.Errors = appendShown(f.Errors, l.Raw)
		}
	}
}

// unsaid is what is to be said of a run of sysprep that closed its log without
// its tag and names no failure in it. A window that a person closed is none, and
// respecialize makes no tag.
func unsaid(r Run) (Diagnosis, bool) {
	p := r.Progress
	says := func(text string) bool {
		return slices.ContainsFunc(r.Lines, func(l Line) bool { return strings.Contains(l.lower(), text) })
	}
	if p.Runs == 0 || !p.Closed || p.TagCreated || p.HasOption("RESPECIALIZE") || says("the sysprep dialog box returned false") {
		return Diagnosis{}, false
	}
	c := cause{id: unknownID, name: "UNKNOWN", phase: PhaseProcess, title: "sysprep ended without its tag, and its log does not say why",
		remedy: []string{"On a fresh machine: run sysprep again, and look in the events of Windows (Application, System) for what ended it."}}
	if p.Stage < StageProcessing {
		c.phase = PhaseValidate
		c.remedy = []string{"Nothing was changed: run sysprep again from an elevated command prompt, and look whether it shows a window."}
	}
	d := c.diagnosis(finding.Log, nil)
	if p.Stage == StageStarted && len(p.Options) == 0 && !says("user has required privileges") {
		d, _ = ByID("F53") // sysprep looks for its rights before it reads its options
		d.Subject = finding.Log
	}
	d.Unconfirmed = true
	d.Evidence = appendShown(nil, p.LastLine)
	return d, true
}

func hangOf(l Log) (Diagnosis, bool) {
	if l.Of == OfSetup {
		return firstBootHang(l.Run.Progress)
	}
	return Hang(l.Run.Progress)
}

const (
	maxConsulted = 3 // lines of another log
	// consulted is how long before the run what another log says may have been
	// written.
	consulted = 24 * time.Hour
)

// Asks says which other logs can say more of the cause: those that its entry in
// the catalogue names, or those of the provider that it is about.
func (d Diagnosis) Asks() []Source {
	for _, c := range catalogue() {
		switch {
		case c.id != d.ID:
		case c.asks != OfNothing:
			return []Source{c.asks}
		case c.module == "spopk.dll":
			return []Source{OfServicing}
		case c.module == appxDLL:
			return []Source{OfApps}
		}
	}
	return nil
}

// Consult adds what other logs of the guest say of the cause of a run, and names
// what they name.
func (d *Diagnosis) Consult(run Progress, logs ...Log) {
	asked := d.Asks()
	for _, l := range logs {
		if !slices.Contains(asked, l.Of) {
			continue
		}
		name := appName(d.Summary)
		recent := func(l Line) bool {
			return l.Time.IsZero() || run.Start.IsZero() || !l.Time.Before(run.Start.Add(-consulted))
		}
		lines := l.Run.last(func(line Line) bool {
			if l.Of == OfServicing {
				return (line.Level == Error || line.Level == Fatal) && !harmless(line) && recent(line)
			}
			low := line.lower()
			return (name == "" || strings.Contains(low, name)) && contains(low, []string{"error", "fail", "0x8"})
		})
		if len(lines) == 0 {
			continue
		}
		note := "the last errors of servicing are those of " + l.Name
		if l.Of == OfApps {
			note = "what app deployment says of it is in " + l.Name
		}
		if said := saidBy(lines); said != "" {
			note += ": " + said
		}
		if d.Note != "" {
			d.Note += "; "
		}
		d.Note += note
		for _, line := range lines {
			d.Evidence = appendShown(d.Evidence, line)
		}
	}
}

var (
	updateName = lazyregexp.New(`\bKB\d{6,7}\b|\b[A-Za-z][\w.-]*~[0-9a-f]{16}~[\w.~-]*`)
	errorCode  = lazyregexp.New(`\b0x[89a-fA-F][0-9a-fA-F]{7}\b`)
)

// saidBy names the updates and packages of servicing in some lines, and their
// last code in words.
func saidBy(lines []string) string {
	var names []string
	code := ""
	for _, l := range lines {
		for _, name := range updateName.FindAllString(l, maxConsulted) {
			if name = budget.Cut(name, maxName); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if found := errorCode.FindAllString(l, -1); len(found) > 0 {
			code = describeCode(strings.ToLower(found[len(found)-1]))
		}
	}
	if code != "" {
		names = append(names, code)
	}
	return strings.Join(names, ", ")
}

// appName is the first name of a package in a text, in lower case and without
// its version.
func appName(text string) string {
	for _, word := range strings.Fields(text) {
		if name, version, ok := strings.Cut(word, "_"); ok && version != "" && packageName.MatchString(name) && strings.Contains(version, ".") {
			return strings.ToLower(name)
		}
	}
	return ""
}

// last are the last lines of a kind.
func (r Run) last(wanted func(Line) bool) []string {
	var out []string
	for i := len(r.Lines) - 1; i >= 0 && len(out) < maxConsulted; i-- {
		if wanted(r.Lines[i]) {
			out = append(out, r.Lines[i].Raw)
		}
	}
	slices.Reverse(out)
	return out
}
