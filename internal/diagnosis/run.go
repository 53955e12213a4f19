package diagnosis

import (
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

const (
	maxKept    = 4000 // lines of a run kept for Diagnose
	maxProblem = 500  // of these, first and last lines that are not Info
	maxOptions = 32
	// maxKeptBytes bounds the text of the lines kept; lines of a real run have
	// a hundred bytes.
	maxKeptBytes = 4 << 20
)

// Texts that tell how far a run is, lower case (reference: Sysprep Process
// Overview and logs of real runs).
const (
	textBanner   = "beginning of a new sysprep run"
	textTag      = "fcreatetagfile:successfully created tag file"
	textShutdown = "successfully called initiatesystemshutdownex"
	textClosed   = "shutting down sysprep log"
	textFailure  = "hit failure while"
	textHalting  = "halting sysprep execution"
	textInvalid  = "not running dlls; either the machine is in an invalid state"
	textExecuted = "failure occurred while executing"
	textParse    = "unable to parse command-line arguments"
	// What Windows Setup writes at the begin of a boot that is not over, and
	// where a pass ended well.
	textDeploy = "windeploy.exe launched with"
)

var textPassed = []string{"setup has completed phase", "--> [image_state_complete]", "--> [image_state_specialize_reseal"}

var optionText = lazyregexp.New(`(?i)Found supported command line option '(\w+)'`)

// HasOption says whether sysprep understood the switch, e.g. "GENERALIZE".
func (f Progress) HasOption(name string) bool {
	return slices.Contains(f.Options, strings.ToUpper(name))
}

// with returns the facts after one more line.
func (f Progress) with(l Line) Progress {
	text := l.lower()
	if strings.Trim(text, "= ") == "" {
		return f // the rule above and below the banner
	}
	if strings.Contains(text, textBanner) {
		f = Progress{Runs: f.Runs + 1}
	}
	if f.Lines == 0 {
		f.Start = l.Time
	}
	f.Lines++
	f.LastLine = l.Raw
	if !l.Time.IsZero() {
		f.Last = l.Time
	}
	working := f.Working.after(l, text)
	f.Blocks = f.Blocks.after(f.Working, working, text)
	f.Working = working
	if f.Runs == 0 {
		f.boot = f.boot.after(l)
	}
	f.reach(StageStarted)
	switch {
	case strings.Contains(text, "pre-validing '") || strings.Contains(text, "sysprepsession::validate: beginning"):
		f.reach(StageValidating)
	case strings.Contains(text, "winmain:processing '") || strings.Contains(text, "sysprepsession::execute: beginning"):
		f.reach(StageProcessing)
	case strings.Contains(text, "command line option"):
		if m := optionText.FindStringSubmatch(l.start()); m != nil && len(f.Options) < maxOptions {
			f.Options = append(slices.Clip(f.Options), strings.ToUpper(m[1]))
		}
	case strings.Contains(text, textTag):
		f.TagCreated = true
		f.reach(StageDone)
	case strings.Contains(text, textShutdown):
		f.ShutdownRequested = true
	case strings.Contains(text, textClosed):
		f.Closed = true
	case contains(text, textPassed):
		f.Passed = true
	case strings.Contains(text, textParse):
		f.fail(ParseFailure, l, false)
	case strings.Contains(text, textFailure):
		// The words after it name the phase, so this line beats the earlier ones.
		if strings.Contains(text, "pre-validate") {
			f.fail(ValidateFailure, l, true)
		} else {
			f.fail(ProcessFailure, l, true)
		}
	case strings.Contains(text, textHalting):
		switch f.Stage {
		case StageValidating:
			f.fail(ValidateFailure, l, false)
		case StageProcessing:
			f.fail(ProcessFailure, l, false)
		}
	case strings.Contains(text, textInvalid):
		// An earlier run failed midway: this machine cannot be generalized any more.
		f.fail(ProcessFailure, l, false)
	}
	return f
}

func (f *Progress) reach(s Stage) { f.Stage = max(f.Stage, s) }

func (f *Progress) fail(kind Failure, l Line, precise bool) {
	if f.Failure == NoFailure || precise && !strings.Contains(strings.ToLower(head(f.FailureLine, maxMatch)), textFailure) {
		f.Failure, f.FailureLine = kind, l.Raw
	}
}

// add takes a line of this run.
func (r *Run) add(l Line) {
	r.Progress = r.Progress.with(l)
	r.size += len(l.Raw)
	if n := len(r.Lines); n > 0 && r.Lines[n-1].continues(l) {
		r.Lines[n-1] = r.Lines[n-1].joined(l)
		return
	}
	r.Lines = append(r.Lines, l)
	if len(r.Lines) > maxKept || r.size > maxKeptBytes {
		r.trim()
	}
}

// continues says whether next belongs to the record of l, which is that of an
// answer file that Setup refused.
func (l Line) continues(next Line) bool {
	message, more := head(l.Message, maxHead), head(next.Message, maxHead)
	if !beginsRefusal(message) || !goesOnRefusal(more) || len(l.Raw)+len(next.Raw) >= maxLine {
		return false
	}
	if !strings.Contains(more, textSMI) || !strings.Contains(l.Message, textSMI) {
		return true
	}
	// Another setting, in the same record or in that of another attempt.
	gap := next.Time.Sub(l.Time).Abs()
	return !strings.Contains(l.Message, textInvalidFile) && !strings.Contains(l.Message, textPassFailed) && (l.Time.IsZero() || next.Time.IsZero() || gap <= recordTime || !strings.Contains(l.Message, "Description = "))
}

// recordTime is how far the lines of one record can be apart.
const recordTime = time.Minute

func (l Line) joined(next Line) Line {
	l.Message += " " + next.Message
	l.Raw += "\n" + next.Raw
	return l
}

// trim keeps the tail and, of what comes before it, the first and last lines
// that are not Info.
func (r *Run) trim() {
	cut := len(r.Lines) - fromEnd(r.Lines, maxKept/4, maxKeptBytes/4)
	var problems []Line
	for _, l := range r.Lines[:cut] {
		if l.Level != Info && l.Level != Perf {
			problems = append(problems, l)
		}
	}
	if len(problems) > 2*maxProblem || sizeOf(problems) > maxKeptBytes/2 {
		last := problems[len(problems)-fromEnd(problems, maxProblem, maxKeptBytes/4):]
		first, size := 0, 0
		for first < min(maxProblem, len(problems)-len(last)) && size+len(problems[first].Raw) <= maxKeptBytes/4 {
			size += len(problems[first].Raw)
			first++
		}
		problems = slices.Concat(problems[:first], last)
	}
	r.Lines = append(problems, r.Lines[cut:]...)
	r.size = sizeOf(r.Lines)
}

// fromEnd is how many of the last lines are within both bounds.
func fromEnd(lines []Line, most, bytes int) int {
	n := 0
	for n < min(most, len(lines)) {
		if bytes -= len(lines[len(lines)-1-n].Raw); bytes < 0 {
			break
		}
		n++
	}
	return n
}

func sizeOf(lines []Line) (size int) {
	for _, l := range lines {
		size += len(l.Raw)
	}
	return size
}

// endsBefore says whether the line begins a run after r.
func (r *Run) endsBefore(l Line) bool {
	if strings.Contains(l.lower(), textBanner) {
		return r.Progress.Lines > 0
	}
	if strings.Contains(l.lower(), textDeploy) && r.Progress.Runs == 0 {
		return r.Progress.Lines > 0 // the logs of Windows Setup have a part for each boot
	}
	if r.Progress.Runs == 0 && beginsRefusal(head(l.Message, maxHead)) && r.refusedBefore(l.Time) {
		return true // setuperr.log of two boots that were refused
	}
	// setuperr.log has no banners: the next error after the end of a failure
	// chain belongs to another run, unless good runs have it as well.
	if r.Progress.Runs > 0 || l.Level != Error && (l.Level != "" || contains(l.lower(), textGood)) {
		return false
	}
	failed := strings.ToLower(head(r.Progress.FailureLine, maxMatch))
	return contains(failed, []string{textFailure, textParse}) && !harmless(l) && (!l.tellsOfEnd() || !r.soon(l))
}

// tellsOfEnd says whether Windows Setup says with a line that what it ran failed.
func (l Line) tellsOfEnd() bool {
	low := l.lower()
	return strings.HasPrefix(l.Component, "IBS") && !strings.Contains(low, "unattend") || strings.HasPrefix(low, "callback_specialize") || strings.HasPrefix(low, "[windeploy.exe]")
}

// soon says whether a line was written right after the last one, as far as the
// log says.
func (r *Run) soon(l Line) bool {
	last := r.Progress.Last
	return last.IsZero() || l.Time.IsZero() || l.Time.Sub(last).Abs() <= recordTime
}

// refusedBefore says whether an answer file was refused well before a time.
func (r *Run) refusedBefore(at time.Time) bool {
	for i := len(r.Lines) - 1; i >= 0; i-- {
		if l := r.Lines[i]; beginsRefusal(head(l.Message, maxHead)) {
			return !at.IsZero() && !l.Time.IsZero() && at.Sub(l.Time) > recordTime
		}
	}
	return false
}

// next is the run that follows r in a log. It remembers the last run that broke
// off for a reason of its own: what follows from that one fails as well.
func (r *Run) next() Run {
	n := Run{Progress: Progress{Runs: r.Progress.Runs}, earlier: r.earlier, failures: r.failures}
	if line := failureOfRun(*r); line != "" {
		n.failures = append(slices.Clone(r.failures[max(0, len(r.failures)-maxFailures+1):]), line)
	}
	unfinished := r.Progress.Runs == 0 && r.Progress.Failure == NoFailure && !r.Progress.Passed && isFirstBoot(*r, failure{end: -1})
	killed := r.Progress.Runs > 0 && r.Progress.Failure == NoFailure && r.Progress.Stage == StageProcessing && !r.Progress.Closed
	if r.Progress.Failure == ProcessFailure && !r.followsOn() || unfinished || killed {
		broken := *r
		broken.earlier, broken.failures = nil, nil
		n.earlier = &broken
	}
	return n
}

// maxFailures is how many failures of earlier runs are remembered.
const maxFailures = 32

// failureOfRun is the line with which a run failed, cut.
func failureOfRun(r Run) string { return budget.Cut(r.Progress.FailureLine, maxMatch) }

// followsOn says whether the run did no more than find the machine broken.
func (r *Run) followsOn() bool {
	for _, l := range r.Lines {
		if strings.Contains(l.lower(), textInvalid) {
			return true
		}
	}
	return false
}

// Split cuts a log into its runs, oldest first. A log without banners (such as
// setuperr.log) is cut after each `Hit failure while`.
func Split(lines []Line) []Run {
	var runs []Run
	for _, l := range lines {
		if n := len(runs); n == 0 || runs[n-1].endsBefore(l) {
			var next Run
			if n > 0 {
				next = runs[n-1].next()
			}
			runs = append(runs, next)
		}
		runs[len(runs)-1].add(l)
	}
	return runs
}

// How much of a log is searched for its last run, from its end.
const (
	maxLog      = 16 << 20
	maxLogLines = 300_000
)

// LastRun is the last run in a log, as Tracker keeps it, looked for in the end of
// the log only; without a line in it there is none.
func LastRun(log []byte) Run {
	var t Tracker
	if end := lastOf(log, maxLog, maxLogLines); len(end) < len(log) {
		t.Feed(log[:4]) // they tell the encoding
		log = end
	}
	if !isWide(log[:min(len(log), sniff)]) {
		t.parser.page = pageOf(log).Number
	}
	for piece := range slices.Chunk(log, 64<<10) {
		t.Feed(piece)
	}
	t.Flush()
	return t.Run()
}

// lastOf cuts a log, in whatever encoding, to about its last bytes and lines.
func lastOf(log []byte, size, lines int) []byte {
	end := log[max(0, len(log)-size)&^1:]
	at := len(end)
	for n := 0; n <= lines && at > 0; n++ {
		at = max(0, bytes.LastIndexByte(end[:at], '\n'))
	}
	return end[at&^1:]
}

// Parse reads a whole log.
func Parse(b []byte) []Line {
	var p Parser
	lines := p.Feed(b)
	return append(lines, p.Flush()...)
}

type tracker struct {
	parser Parser
	run    Run
}

func (t *tracker) take(lines []Line) []Line {
	for _, l := range lines {
		if t.run.endsBefore(l) {
			t.run = t.run.next()
		}
		t.run.add(l)
	}
	return lines
}

// Feed takes the next bytes of the log and returns the lines they finish, for
// Milestone.
func (t *Tracker) Feed(b []byte) []Line { return t.take(t.parser.Feed(b)) }

// Flush returns the lines held back, at the end of watching.
func (t *Tracker) Flush() []Line { return t.take(t.parser.Flush()) }

// Progress answers for the last run so far; a complete line that may still be
// continued counts.
func (t *Tracker) Progress() Progress {
	p := &t.parser.parser
	if !p.open {
		return t.run.Progress
	}
	last := p.held()
	if t.run.endsBefore(last) {
		return Progress{Runs: t.run.Progress.Runs}.with(last)
	}
	return t.run.Progress.with(last)
}

// Run returns the last run so far, for Diagnose.
func (t *Tracker) Run() Run {
	p := &t.parser.parser
	run := Run{Progress: t.run.Progress, Lines: slices.Clone(t.run.Lines), size: t.run.size, torn: p.torn, earlier: t.run.earlier, failures: t.run.failures}
	if p.open {
		last := p.held()
		if run.endsBefore(last) {
			run = run.next()
		}
		run.add(last)
	}
	return run
}
