package runlog

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
)

// Limits of what is kept.
const (
	maxObservations = 2000
	maxLogText      = 4 << 20  // bytes of sysprep's log in observations
	maxPartial      = 64 << 10 // bytes of a line that does not end
	maxFailures     = 50       // commands that were not answered
	maxText         = 2 << 10  // bytes of one text
	maxPhases       = 200      // with those that repeat
	maxFindings     = 500      // of all kinds
	maxSize         = 32 << 20 // bytes of a file that Read takes
)

// Recorder takes down a run. Its methods may be called from several goroutines,
// and on nil, where they do nothing. Texts go through Hide before they are kept.
type Recorder struct {
	mu      sync.Mutex
	log     Log
	now     func() time.Time
	hide    func(string) string
	head    []Observation // the first half of what may be kept
	tail    []Observation // the last, oldest first
	last    Observation
	partial string                   // of sysprep's log: the line that has not ended
	text    struct{ head, tail int } // bytes of log in them
}

// New begins a log. now is the clock of the run, hide takes the secrets that are known out
// of a text. What looks like one is taken out of every text that is kept.
func New(l Log, now func() time.Time, hide func(string) string) *Recorder {
	safe := func(text string) string { return secrets.Scrub(hide(text)) }
	l.Schema, l.About, l.Host, l.Begun = Schema, abouts[l.Component], runtime.GOOS+"/"+runtime.GOARCH, now()
	return &Recorder{log: l, now: now, hide: safe}
}

// Change lets f set what has no method of its own. f must not keep the log.
func (r *Recorder) Change(f func(*Log)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.log)
}

// SetPreflight keeps what the checks before the run found.
func (r *Recorder) SetPreflight(document json.RawMessage) {
	r.Change(func(l *Log) { l.Preflight = document })
}

// At is the offset of a time.
func (r *Recorder) At(t time.Time) int64 {
	if r == nil {
		return 0
	}
	return t.Sub(r.log.Begun).Milliseconds() // Begun never changes
}

// Begin notes that a phase begins.
func (r *Recorder) Begin(name string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.log.Phases) < maxPhases {
		r.log.Phases = append(r.log.Phases, Phase{Name: name, BeginMS: r.At(r.now())})
	}
}

// End notes how the phase of that name ended which goes on.
func (r *Recorder) End(name, outcome string, err error) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.log.Phases) - 1; i >= 0; i-- {
		p := &r.log.Phases[i]
		if p.Name != name || p.EndMS != nil {
			continue
		}
		at := r.At(r.now())
		p.EndMS, p.Outcome = &at, outcome
		if err != nil {
			p.Error = r.shown(FirstLine(err.Error()))
		}
		return
	}
}

// FirstLine is the text up to its first line end.
func FirstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.TrimSuffix(line, "\r")
}

// shown is a text as it may be kept.
func (r *Recorder) shown(text string) string {
	return short(r.hide(text), maxText)
}

func short(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + fmt.Sprintf(" (and %d bytes more)", len(text)-limit)
}

// Launched notes a start of sysprep: what is observed from now on is after it.
func (r *Recorder) Launched(at time.Time, l Launch) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l.TookMS = r.At(r.now()) - r.At(at)
	l.AtMS, l.Error, l.Instead = r.At(at), r.shown(l.Error), r.shown(l.Instead)
	if l.Refusal != nil {
		l.Refusal.Message = r.shown(l.Refusal.Message)
	}
	if len(r.log.Launches) < maxPhases {
		r.log.Launches = append(r.log.Launches, l)
	}
}

// Observe keeps an observation that tells something new.
func (r *Recorder) Observe(at time.Time, o Observation) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.Observations.Given++
	o.AtMS, o.Launch = r.At(at), len(r.log.Launches)
	o.UntilMS = o.AtMS
	o.Why, o.Paused = r.shown(o.Why), r.shown(o.Paused)
	if o.Facts != nil {
		facts := *o.Facts
		facts.Programs = slices.Clone(facts.Programs)
		for i := range facts.Programs {
			facts.Programs[i].Arguments = r.shown(facts.Programs[i].Arguments)
		}
		o.Facts = &facts
	}
	if r.same(o) {
		n := r.newest()
		if n.UntilMS = o.AtMS; o.Why != n.Why {
			n.WhyLast = o.Why
		}
		return
	}
	r.last = o
	o.Log = r.wholeLines(o.Log, o.Rotated)
	if len(r.head) < maxObservations/2 && r.text.head+len(o.Log) <= maxLogText/2 && len(r.tail) == 0 {
		r.head, r.text.head = append(r.head, o), r.text.head+len(o.Log)
		return
	}
	if len(o.Log) > maxLogText/2 {
		r.log.Observations.LogDropped += len(o.Log) - maxLogText/2
		o.Log = strings.ToValidUTF8(o.Log[len(o.Log)-maxLogText/2:], "")
	}
	r.tail, r.text.tail = append(r.tail, o), r.text.tail+len(o.Log)
	for len(r.tail) > maxObservations/2 || r.text.tail > maxLogText/2 {
		r.log.Observations.Dropped++
		r.log.Observations.LogDropped += len(r.tail[0].Log)
		r.text.tail -= len(r.tail[0].Log)
		r.tail = r.tail[1:]
	}
}

// wholeLines is what of the log can be kept now, without what is secret: half a line
// waits for its other half, in which a secret may end.
func (r *Recorder) wholeLines(text string, rotated bool) string {
	if rotated {
		r.partial = ""
	}
	text = r.partial + strings.ReplaceAll(text, "\x00", "") // UTF-16 hides secrets
	end := strings.LastIndexByte(text, '\n') + 1
	if len(text)-end > maxPartial {
		end = len(text)
	}
	r.partial = text[end:]
	return r.hide(text[:end])
}

// newest is the observation that was kept last.
func (r *Recorder) newest() *Observation {
	if n := len(r.tail); n > 0 {
		return &r.tail[n-1]
	}
	return &r.head[len(r.head)-1]
}

// same: it tells nothing that the last one did not. What the port does is not news
// of each knock, and neither is how an error is worded.
func (r *Recorder) same(o Observation) bool {
	if o.Log != "" || o.Rotated || r.log.Observations.Given == 1 {
		return false
	}
	before := r.last
	before.AtMS, o.AtMS, before.UntilMS, o.UntilMS, before.Log, before.Rotated = 0, 0, 0, 0, "", false
	before.Why, o.Why = "", ""
	return reflect.DeepEqual(before, o)
}

// Failed notes a command that was not answered; outcome is lost, abandoned or not
// sent. Answered notes one that was.
func (r *Recorder) Failed(what, outcome string, err error) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &r.log.Transport
	switch outcome {
	case Lost:
		t.Lost++
	case Abandoned:
		t.Abandoned++
	default:
		t.NotSent++
	}
	if len(t.Failures) >= maxFailures {
		t.Dropped++
		return
	}
	t.Failures = append(t.Failures, Command{r.At(r.now()), what, outcome, r.shown(FirstLine(err.Error()))})
}

// Outcomes of a command that was not answered.
const (
	Lost      = "lost"
	Abandoned = "abandoned"
	NotSent   = "not sent"
)

// Run is a command that runs something; the others put files into the guest.
const Run = "run"

// Answered notes a command that was answered.
func (r *Recorder) Answered(what string) {
	r.Change(func(l *Log) {
		l.Transport.Answered++
		if what != Run {
			l.Transport.Placed++
		}
	})
}

// Found keeps findings.
func (r *Recorder) Found(list ...finding.Finding) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range list {
		if len(r.log.Findings) >= maxFindings {
			return
		}
		f.Summary, f.Found, f.Expected, f.Note = r.shown(f.Summary), r.shown(f.Found), r.shown(f.Expected), r.shown(f.Note)
		f.Evidence, f.Remedy = r.all(f.Evidence), r.all(f.Remedy)
		r.log.Findings = append(r.log.Findings, f)
	}
}

func (r *Recorder) all(texts []string) (safe []string) {
	for _, t := range texts {
		safe = append(safe, r.shown(t))
	}
	return safe
}

// Judged keeps how the run ended.
func (r *Recorder) Judged(v Verdict) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	v.FirstLine, v.Lines = r.shown(v.FirstLine), r.all(v.Lines)
	r.log.Verdict, r.log.Complete = &v, true
}

// Saved notes a file of the bundle. One that was written again is noted once.
func (r *Recorder) Saved(f File) {
	r.Change(func(l *Log) {
		l.Files = slices.DeleteFunc(l.Files, func(other File) bool { return other.Name == f.Name })
		l.Files = append(l.Files, f)
		slices.SortFunc(l.Files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	})
}

// Log is the log as it is now. It shares what it holds with the recorder: it is
// for reading.
func (r *Recorder) Log() Log {
	if r == nil {
		return Log{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.log
	l.TookMS = r.At(r.now())
	l.Observations.List = slices.Concat(r.head, r.tail)
	l.Observations.Kept = len(l.Observations.List)
	if l.Observations.Dropped > 0 || l.Observations.LogDropped > 0 {
		l.Observations.Capped = fmt.Sprintf("left out in the middle: %d observations and %d bytes of the log", l.Observations.Dropped, l.Observations.LogDropped)
	}
	l.Phases, l.Findings, l.Files, l.Launches = slices.Clone(l.Phases), slices.Clone(l.Findings), slices.Clone(l.Files), slices.Clone(l.Launches)
	return l
}

// Save writes the log as it is now, whole or not at all. Text of others in it is safe to be
// shown.
func (r *Recorder) Save(ctx context.Context, path string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // so that a search finds <sensitive>
	e.SetIndent("", " ")
	err := e.Encode(r.Log())
	if err == nil {
		err = hostfile.WriteFile(ctx, path, foreign.JSON(b.Bytes()))
	}
	if err != nil {
		return fmt.Errorf("writing what is known of the run: %w", err)
	}
	return nil
}

// Read reads a log that Save has written. A member that it does not know is
// ignored; a schema that it does not know is an error.
func Read(path string) (Log, error) {
	content, err := hostfile.ReadRegular(path, maxSize)
	if err != nil {
		return Log{}, fmt.Errorf("reading a run: %w", err)
	}
	return Parse(content)
}

// Parse reads a log from its text.
func Parse(content []byte) (Log, error) {
	var l Log
	if err := json.Unmarshal(content, &l); err != nil {
		return Log{}, fmt.Errorf("reading a run: this is no run.json: %w", err)
	}
	if l.Schema != Schema {
		return Log{}, fmt.Errorf("reading a run: its schema is %d, and this plugin knows %d: use the release that wrote it (plugin_version %q)", l.Schema, Schema, l.Version)
	}
	return l, nil
}
