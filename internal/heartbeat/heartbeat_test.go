package heartbeat

import (
	"slices"
	"sync"
	"testing"
	"time"
)

var begun = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func at(after time.Duration) time.Time { return begun.Add(after) }

func TestALineSaysWhatIsKnown(t *testing.T) {
	for _, c := range []struct {
		facts Facts
		after time.Duration
		want  string
	}{
		{Facts{Doing: "validating", Limit: 30 * time.Minute, Provider: "Foo of foo.dll", Since: at(30 * time.Second), Grown: at(80 * time.Second), Percent: 35}, 2 * time.Minute,
			"still validating: 2m of 30m, provider Foo of foo.dll for 1m30s, log quiet for 40s, 35%"},
		{Facts{Doing: "waiting for WinRM", Limit: 90 * time.Minute, Option: "winrm_timeout", Says: "the port is closed"}, 61 * time.Second,
			"still waiting for WinRM: 1m1s of 1h30m (winrm_timeout), the port is closed"},
		{Facts{Doing: "proving the disk"}, time.Hour, "still proving the disk: 1h"},
		{Facts{Doing: "uploading", Percent: 250}, 10 * time.Minute, "still uploading: 10m, 100%"},
		{Facts{Doing: "x", Provider: "y", Grown: at(time.Minute)}, 0, "still x: 0s, provider y, log quiet for 0s"}, // a clock that was set back
	} {
		if got := c.facts.Line(begun, at(c.after)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// hand is a clock that is moved by hand.
type hand struct {
	mu   sync.Mutex
	now  time.Time
	beat func()
}

func (h *hand) clock() Clock {
	return Clock{func() time.Time {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.now
	}, func(beat func()) func() {
		h.beat = beat
		return func() { h.beat = nil }
	}}
}

// to moves it on, a second at a time.
func (h *hand) to(after time.Duration) {
	for h.now.Before(at(after)) {
		h.mu.Lock()
		h.now = h.now.Add(time.Second)
		h.mu.Unlock()
		if h.beat != nil {
			h.beat()
		}
	}
}

func TestALineAMinuteAndNoneInTheFirstNorAfterTheEnd(t *testing.T) {
	h := &hand{now: begun}
	var said []string
	heart := New(h.clock(), func(text string) { said = append(said, text) })
	lines := func(when string, want ...string) {
		t.Helper()
		if !slices.Equal(said, want) {
			t.Fatalf("%s: %q, want %q", when, said, want)
		}
		said = nil
	}
	first := heart.Begin(Facts{Doing: "looking"})
	if heart.Idle() {
		t.Error("nothing is waited for")
	}
	h.to(59 * time.Second)
	lines("the first minute")
	h.to(119 * time.Second)
	lines("the second", "  still looking: 1m")
	first.Set(Facts{Doing: "looking", Limit: time.Hour, Says: "no answer"})
	first.Percent(1, 4)
	h.to(120 * time.Second)
	lines("what is known changes", "  still looking: 2m of 1h, 25%, no answer")
	inner := heart.Looking(Facts{Doing: "uploading", Says: "before"}, func() string { return "seen now" })
	h.to(179 * time.Second)
	lines("a wait within the wait has a first minute of its own")
	h.to(239 * time.Second)
	lines("only the inner one speaks", "  still uploading: 1m, seen now")
	inner.End()
	h.to(240 * time.Second)
	lines("the outer one goes on", "  still looking: 4m of 1h, 25%, no answer")
	first.End()
	if h.beat != nil || !heart.Idle() {
		t.Error("the clock ticks though nothing is waited for")
	}
	second := heart.Begin(Facts{Doing: "ending"})
	h.to(299 * time.Second)
	lines("a new wait")
	h.to(300 * time.Second)
	lines("a minute after it began", "  still ending: 1m")
	second.End()
	second.End()
	h.to(20 * time.Minute)
	lines("after the end")
}

func TestAWaitThatEndsWhileItIsLookedAtSaysNothing(t *testing.T) {
	h := &hand{now: begun}
	var said []string
	heart := New(h.clock(), func(text string) { said = append(said, text) })
	outer := heart.Begin(Facts{Doing: "outer"})
	var w *Wait
	w = heart.Looking(Facts{Doing: "inner"}, func() string { w.End(); return "late" })
	h.to(time.Minute)
	if len(said) != 0 {
		t.Errorf("said %q", said)
	}
	outer.End()
}

func TestWithoutAHeartNothingIsSaid(t *testing.T) {
	var h *Heart
	w := h.Begin(Facts{})
	w.Set(Facts{})
	w.Percent(1, 2)
	w.End()
	if err := h.During(Facts{}, func() error { return nil }); err != nil {
		t.Error(err)
	}
}

// The clock of the host, at a speed that makes an hour of it short.
func TestTheRealClockTicksUntilTheEnd(t *testing.T) {
	said := make(chan string, 1)
	heart := New(Real(func() time.Time { return begun.Add(time.Since(epoch) * 100_000) }, func(d time.Duration) time.Duration { return d / 100_000 }), func(text string) {
		select {
		case said <- text:
		default:
		}
	})
	w := heart.Begin(Facts{Doing: "waiting"})
	select {
	case <-said:
	case <-time.After(time.Minute):
		t.Error("no line came")
	}
	w.End()
	heart.mu.Lock()
	defer heart.mu.Unlock()
	if heart.stop != nil {
		t.Error("it still ticks")
	}
}

var epoch = time.Now()
