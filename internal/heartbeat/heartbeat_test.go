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
	ended, looked := make(chan struct{}), false
	w = heart.Looking(Facts{Doing: "inner"}, func() string {
		go func() { w.End(); looked = true; close(ended) }()
		for end, last := time.Now().Add(10*time.Second), false; !last && time.Now().Before(end); time.Sleep(time.Millisecond) {
			heart.mu.Lock()
			last = len(heart.waits) == 1
			heart.mu.Unlock()
		}
		if looked {
			t.Error("End does not wait for the look")
		}
		return "late"
	})
	h.to(time.Minute)
	<-ended
	if len(said) != 0 {
		t.Errorf("said %q", said)
	}
	outer.End()
}

// A terminal that holds a line holds nothing but the next lines.
func TestAScreenThatBlocksStopsNoWait(t *testing.T) {
	h := &hand{now: begun}
	var mu sync.Mutex
	var said []string
	showing, release, shown := make(chan struct{}), make(chan struct{}), make(chan struct{})
	heart := New(h.clock(), func(text string) {
		close(showing) // a second line would close it again
		<-release
		mu.Lock()
		defer mu.Unlock()
		said = append(said, text)
	})
	heart.patience = 20 * time.Millisecond
	w := heart.Begin(Facts{Doing: "watching"})
	go func() { h.to(time.Minute); close(shown) }()
	within := func(what string, do func()) {
		t.Helper()
		done := make(chan struct{})
		go func() { do(); close(done) }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s waits for the screen", what)
		}
	}
	<-showing
	within("Begin, Set, Percent, End of another wait, or Idle", func() {
		inner := heart.Begin(Facts{Doing: "uploading"})
		inner.Percent(1, 2)
		inner.End()
		w.Set(Facts{Doing: "watching", Says: "more"})
		if heart.Idle() {
			t.Error("nothing is waited for")
		}
	})
	h.mu.Lock()
	h.now = at(10 * time.Minute)
	h.mu.Unlock()
	within("the next beat", heart.beat)
	within("End", w.End)
	close(release)
	<-shown
	within("a beat after the end", heart.beat)
	if want := []string{"  still watching: 1m"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}

func TestEndWaitsForALineThatIsBeingSaid(t *testing.T) {
	h := &hand{now: begun}
	showing, release, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	heart := New(h.clock(), func(string) { close(showing); <-release })
	w := heart.Begin(Facts{Doing: "watching"})
	go func() { h.to(time.Minute) }()
	<-showing
	go func() { w.End(); close(over) }()
	select {
	case <-over:
		t.Error("it did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	close(release)
	<-over
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
