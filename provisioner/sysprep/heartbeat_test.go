package sysprep

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

func TestAWatchedRunSaysWhereItIs(t *testing.T) {
	begun := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(after time.Duration) time.Time { return begun.Add(after) }
	foo := diagnosis.Step{Entry: "Foo", Module: `C:\Windows\System32\Foo.dll`}
	log := func(lines int, stage diagnosis.Stage, work diagnosis.Step) diagnosis.Progress {
		p := diagnosis.Progress{Lines: lines, Stage: stage, Working: work}
		if p.Blocks.Pass = diagnosis.PassCheckGeneralize; stage > diagnosis.StageValidating {
			p.Blocks = diagnosis.Blocks{Pass: diagnosis.PassGeneralize, Form: diagnosis.FormExecuting}
			p.Blocks.Ended[diagnosis.PassGeneralize] = lines
		}
		return p
	}
	w := watchFacts{limit: 30 * time.Minute}
	asked := log(91, diagnosis.StageDone, foo)
	asked.ShutdownRequested = true
	for _, c := range []struct {
		after  time.Duration
		log    diagnosis.Progress
		change func(*watchFacts)
		want   string
	}{
		{time.Minute, diagnosis.Progress{}, nil, "still waiting for the first line of sysprep's log: 1m of 30m (generalize_timeout)"},
		{time.Minute, diagnosis.Progress{}, func(w *watchFacts) { w.starter = "EC2Launch v2" }, "still waiting for EC2Launch v2 to start sysprep: 1m of 30m (generalize_timeout)"},
		{80 * time.Second, log(20, diagnosis.StageValidating, foo), nil, "still validating: 1m20s of 30m (generalize_timeout), provider foo.dll (Foo) for 0s, log quiet for 0s, 5%"},
		{2 * time.Minute, log(20, diagnosis.StageValidating, foo), nil,
			"still validating: 2m of 30m (generalize_timeout), provider foo.dll (Foo) for 40s, log quiet for 40s, 5%"},
		{3 * time.Minute, log(15, diagnosis.StageProcessing, foo), func(w *watchFacts) { w.silent = at(150 * time.Second) },
			"still generalizing: 3m of 30m (generalize_timeout), provider foo.dll (Foo) for 1m40s, log quiet for 0s, 53%, the guest has not answered for 30s"},
		{4 * time.Minute, log(16, diagnosis.StageProcessing, diagnosis.Step{Action: "Generalize.xml"}), func(w *watchFacts) { w.machine = verdict.Machine{Paused: "io-error"} },
			"still generalizing: 4m of 30m (generalize_timeout), log quiet for 0s, 56%, the machine is paused (io-error)"},
		{10 * time.Minute, log(90, diagnosis.StageDone, foo), func(w *watchFacts) { w.machine, w.silent = verdict.Machine{}, time.Time{} },
			"still waiting for the end of sysprep: 10m of 30m (generalize_timeout), log quiet for 0s"},
		{11 * time.Minute, asked, func(w *watchFacts) { w.silent = at(630 * time.Second) },
			"still waiting for Windows to shut down, as sysprep has asked it to: 11m, log quiet for 0s, the guest has not answered for 30s"},
	} {
		if w = w.at(at(c.after), c.log); c.change != nil {
			c.change(&w)
		}
		if got := w.facts(at(c.after)).Line(begun, at(c.after)); got != c.want {
			t.Errorf("after %s: %q, want %q", c.after, got, c.want)
		}
	}
}

func TestLinesOfProgressAreBounded(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var p pace
	say := func(lines int) (said, left int) {
		for range lines {
			var ok bool
			var n int
			if p, ok, n = p.next(now); ok {
				said, left = said+1, left+n
			}
		}
		return said, left
	}
	for _, c := range []struct {
		after            time.Duration
		lines, said, out int
	}{
		{0, 90, 90, 0}, // a whole run at once
		{0, 1000, 10, 0},
		{500 * time.Millisecond, 1, 0, 0},
		{1500 * time.Millisecond, 5, 2, 991},
		{time.Hour, 100, 100, 3},
		{0, 1, 0, 0},
	} {
		now = now.Add(c.after)
		if said, left := say(c.lines); said != c.said || left != c.out {
			t.Errorf("after %s: %d lines of %d, %d left out; want %d, %d", c.after, said, c.lines, left, c.said, c.out)
		}
	}
}

func TestALogFullOfProvidersDoesNotFloodTheOutput(t *testing.T) {
	c, err := decode(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	ui := &recordUI{}
	r := newRun(c, ui, brokenUpload{}, nil)
	r.launched.OldLines = 1 // no line of it is another run's
	var log strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&log, "2026-07-31 10:24:00, Info       [0x0f0080] SYSPRP LaunchDll:Found 'C:\\x\\agent%d.dll,Generalize'; executing it\r\n", i)
	}
	r.progress(diagnosis.Parse([]byte(log.String())))
	if n := strings.Count(ui.text(), "working on other software"); n < paceBurst || n > 2*paceBurst {
		t.Errorf("%d lines", n)
	}
}
