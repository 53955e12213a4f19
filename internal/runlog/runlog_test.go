package runlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
)

// ticking is a clock that a test moves.
type ticking struct{ at time.Time }

func (c *ticking) now() time.Time { return c.at }

func begin() (*Recorder, *ticking) {
	c := &ticking{time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	return New(Log{Component: Provisioner, Version: "1.2.3"}, c.now, func(s string) string { return strings.ReplaceAll(s, "hush", secrets.Redacted) }), c
}

// seen records an observation a second later than the last.
func seen(r *Recorder, c *ticking, o Observation) {
	c.at = c.at.Add(time.Second)
	r.Observe(c.at, o)
}

func TestALogComesBack(t *testing.T) {
	r, c := begin()
	r.Begin("look")
	seen(r, c, Observation{Reached: true, Facts: &Facts{ImageState: "A"}})
	r.End("look", OK, nil)
	r.Begin("sysprep")
	r.Launched(c.at, Launch{Started: true})
	seen(r, c, Observation{Reached: true, Facts: &Facts{ImageState: "B"}, Log: "one\r\n"})
	r.Found(finding.Finding{ID: "F01", Summary: "of hush"})
	r.Answered(Run)
	r.Answered("upload")
	r.Failed(Run, Lost, errors.New("gone with hush\nmore"))
	r.Saved(File{Name: "b", Size: 1})
	r.Saved(File{Name: "a", Size: 1})
	r.Saved(File{Name: "b", Size: 2})
	path := filepath.Join(t.TempDir(), "new", RunFile)
	if err := r.Save(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	l, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if l.Complete || l.Verdict != nil {
		t.Error("a run that goes on is said to be complete")
	}
	if l.Schema != Schema || len(l.Phases) != 2 || l.Phases[0].EndMS == nil || *l.Phases[0].EndMS != 1000 || l.Phases[1].EndMS != nil || l.Phases[1].BeginMS != 1000 {
		t.Errorf("phases: %+v", l.Phases)
	}
	if o := l.Observations; o.Given != 2 || o.Kept != 2 || o.Dropped != 0 || o.List[0].Launch != 0 || o.List[1].Launch != 1 || o.List[1].AtMS != 2000 || o.List[1].ImageState != "B" {
		t.Errorf("observations: %+v", o)
	}
	if tr := l.Transport; tr.Answered != 2 || tr.Placed != 1 || tr.Lost != 1 || len(tr.Failures) != 1 || tr.Failures[0].Error != "gone with <sensitive>" {
		t.Errorf("transport: %+v", tr)
	}
	if !slices.Equal(l.Files, []File{{Name: "a", Size: 1}, {Name: "b", Size: 2}}) {
		t.Errorf("files: %+v", l.Files)
	}
	if l.Findings[0].Summary != "of <sensitive>" {
		t.Errorf("findings: %+v", l.Findings)
	}
	r.Judged(Verdict{Class: "refused", FirstLine: "with hush", Lines: []string{"hush"}})
	if l = r.Log(); !l.Complete || l.Verdict.FirstLine != "with <sensitive>" || l.Verdict.Lines[0] != secrets.Redacted {
		t.Errorf("verdict: %+v", l.Verdict)
	}
}

func TestOnlyWhatIsNewIsKept(t *testing.T) {
	r, c := begin()
	state := Observation{Reached: true, Port: "open", Facts: &Facts{ImageState: "A"}}
	for range 10 {
		seen(r, c, state)
	}
	for i := range 5 {
		seen(r, c, Observation{Why: fmt.Sprint("error ", i), Port: "closed"})
	}
	seen(r, c, Observation{Why: "error", Port: "open"})
	seen(r, c, state)
	o := r.Log().Observations
	if o.Given != 17 || o.Kept != 4 {
		t.Fatalf("%d given, %d kept: %+v", o.Given, o.Kept, o.List)
	}
	if first := o.List[0]; first.AtMS != 1000 || first.UntilMS != 10000 {
		t.Errorf("the first was from %d to %d", first.AtMS, first.UntilMS)
	}
	if lost := o.List[1]; lost.Why != "error 0" || lost.WhyLast != "error 4" || lost.UntilMS != 15000 {
		t.Errorf("%+v", lost)
	}
}

func TestTheMiddleIsLeftOutAndThatIsSaid(t *testing.T) {
	r, c := begin()
	const n = maxObservations + 500
	for i := range n {
		seen(r, c, Observation{Reached: true, Facts: &Facts{ImageState: fmt.Sprint(i)}})
	}
	o := r.Log().Observations
	if o.Kept != maxObservations || o.Dropped != 500 || len(o.List) != maxObservations || !strings.Contains(o.Capped, "500 observations") {
		t.Errorf("%d kept, %d dropped, %q", o.Kept, o.Dropped, o.Capped)
	}
	if o.List[0].ImageState != "0" || o.List[len(o.List)-1].ImageState != fmt.Sprint(n-1) {
		t.Error("the first or the last is not there")
	}
	r, c = begin()
	line := strings.Repeat("x", 1<<20) + "\n"
	for range 8 {
		seen(r, c, Observation{Reached: true, Log: line})
	}
	o = r.Log().Observations
	size := 0
	for _, k := range o.List {
		size += len(k.Log)
	}
	if size > maxLogText || o.LogDropped == 0 || !strings.Contains(o.Capped, "bytes of the log") {
		t.Errorf("%d bytes of the log, %d dropped, %q", size, o.LogDropped, o.Capped)
	}
	for range 3 * maxFailures {
		r.Failed(Run, Abandoned, errors.New("x"))
	}
	if tr := r.Log().Transport; tr.Abandoned != 3*maxFailures || len(tr.Failures) != maxFailures || tr.Dropped != 2*maxFailures {
		t.Errorf("%d, %d, %d", tr.Abandoned, len(tr.Failures), tr.Dropped)
	}
	for range 2 * maxPhases {
		r.Begin("again")
		r.End("again", OK, nil)
	}
	if n := len(r.Log().Phases); n != maxPhases {
		t.Errorf("%d phases", n)
	}
}

// A secret may end in the next piece of the log, and UTF-16 may hide one.
func TestALineOfTheLogWaitsForItsEnd(t *testing.T) {
	r, c := begin()
	for _, piece := range []string{"a\r\nb pass", "word=swordfish", "\r\nh\x00u\x00s\x00h\x00\n\x00", "hu", "sh\r\nrest"} {
		seen(r, c, Observation{Reached: true, Log: piece})
	}
	var all strings.Builder
	for _, o := range r.Log().Observations.List {
		all.WriteString(o.Log)
	}
	if got, want := all.String(), "a\r\nb password=<sensitive>\r\n<sensitive>\n<sensitive>\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	seen(r, c, Observation{Reached: true, Log: "another\r\n", Rotated: true})
	list := r.Log().Observations.List
	if last := list[len(list)-1]; last.Log != "another\r\n" || !last.Rotated {
		t.Errorf("%+v", last)
	}
}

func TestWhatIsNoLogIsAnError(t *testing.T) {
	for name, text := range map[string]string{"empty": "", "cut": `{"schema":1`, "another schema": `{"schema":2}`, "another file": `[]`} {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(path); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNobodyHasToRecord(t *testing.T) {
	var r *Recorder
	r.Begin("x")
	r.End("x", OK, nil)
	r.Launched(time.Time{}, Launch{})
	r.Observe(time.Time{}, Observation{})
	r.Failed(Run, Lost, errors.New("x"))
	r.Answered(Run)
	r.Found(finding.Finding{})
	r.Judged(Verdict{})
	r.Saved(File{})
	r.SetPreflight(nil)
	if l := r.Log(); l.Schema != 0 {
		t.Errorf("%+v", l)
	}
}

func TestALogOfABundleFits(t *testing.T) {
	plain := func(s string) string { return s }
	var b Budget
	text, f := b.Fit(`sysprep\setupact.log`, []byte("short\r\n"), plain)
	if string(text) != "short\r\n" || f != (File{Name: "sysprep/setupact.log", Size: 7}) {
		t.Errorf("%q, %+v", text, f)
	}
	const file, total = 10000, 50000
	b = Budget{file: file, total: total}
	long := []byte(strings.Repeat("a line of no secret\r\n", file/20) + strings.Repeat("password=swordfish\r\n", 200) + "the end\r\n")
	text, f = b.Fit("long", long, plain)
	if len(text) > file+100 || f.Cut == 0 || f.Size != len(text) || !strings.HasPrefix(string(text), "(") || !strings.HasSuffix(string(text), "the end\r\n") || strings.Contains(string(text), "swordfish") {
		t.Errorf("%d bytes, %+v, %.60q", len(text), f, text)
	}
	if line, _, _ := strings.Cut(string(text), "\r\n"); line != fmt.Sprintf("(%d bytes before this were left out)", f.Cut) {
		t.Errorf("the first line is %q", line)
	}
	kept := 0
	for range total/file + 3 {
		text, _ = b.Fit("long", long, plain)
		kept += len(text)
	}
	if kept > total+1000 || kept < total/2 {
		t.Errorf("%d bytes in total", kept)
	}
	for name, content := range map[string][]byte{
		"little endian": {0xff, 0xfe, 'h', 0, 'u', 0, 's', 0, 'h', 0, 0xe4, 0},
		"big endian":    {0xfe, 0xff, 0, 'h', 0, 'u', 0, 's', 0, 'h', 0, 0xe4},
		"no mark":       []byte("h\x00u\x00s\x00h\x00\xe4\x00"),
	} {
		var b Budget
		if text, _ := b.Fit(name, content, func(s string) string { return strings.ReplaceAll(s, "hush", "-") }); string(text) != "-ä" {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// What looks like a secret is taken out of whatever text is kept.
func TestNoTextThatIsKeptHasTheFormOfASecret(t *testing.T) {
	r, c := begin()
	const text = "net user joe Canary-9731 /add"
	r.Begin("look")
	r.End("look", Failed, errors.New(text))
	r.Launched(c.at, Launch{Error: text, Instead: text, Refusal: &Refusal{Message: text}})
	seen(r, c, Observation{Reached: true, Facts: &Facts{Programs: []Program{{Arguments: text}}}})
	seen(r, c, Observation{Why: text, Paused: text})
	seen(r, c, Observation{Why: text + "2", Paused: text})
	seen(r, c, Observation{Reached: true, Facts: &Facts{}, Log: text + "\r\n"})
	r.Failed(Run, Lost, errors.New(text))
	r.Found(finding.Finding{Summary: text, Found: text, Expected: text, Note: text, Evidence: []string{text}, Remedy: []string{text}})
	// A text is cut where its secrets are gone: half of one may have no form.
	r.Found(finding.Finding{Summary: strings.Repeat("x", maxText-20) + ` password="Canary-9731 and more of it"`})
	r.Judged(Verdict{FirstLine: text, Lines: []string{text}})
	path := filepath.Join(t.TempDir(), RunFile)
	if err := r.Save(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(content), "Canary") || strings.Count(string(content), "sensitive") < 15 {
		t.Errorf("%v: %s", err, content)
	}
}

// The file is shown on terminals and in CI logs, and searched.
func TestTheFileIsSafeToShowAndCanBeSearched(t *testing.T) {
	r, c := begin()
	text := foreigntest.Hostile + "\n::error::x\n<hush> & more"
	seen(r, c, Observation{Reached: true, Log: text + "\n"})
	path := filepath.Join(t.TempDir(), RunFile)
	if err := r.Save(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil || foreigntest.Harm(string(content)) != "" || !strings.Contains(string(content), "<<sensitive>> & more") {
		t.Errorf("%v, %s: %s", err, foreigntest.Harm(string(content)), content)
	}
	l, err := Read(path)
	if err != nil || !strings.Contains(l.Observations.List[0].Log, "::error::x") {
		t.Errorf("%v: %+v", err, l.Observations)
	}
}
