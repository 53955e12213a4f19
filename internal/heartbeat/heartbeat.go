// Package heartbeat says once a minute that a wait goes on, and what is known of
// what is waited for. A wait that ends within a minute says nothing.
package heartbeat

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Every is the least time between two lines, and between the begin of a wait and
// its first.
const Every = time.Minute

// Facts are what is known of a wait. Those that are zero are left out of the line.
type Facts struct {
	Doing string // what is waited for or done: "validating", "waiting for WinRM"
	// Limit is when the wait is given up, counted from its begin, and Option the
	// option that says so.
	Limit  time.Duration
	Option string
	// Provider is the piece of work under way, and Since when it was seen first.
	Provider string
	Since    time.Time
	// Grown is when the log was seen to grow last; zero: no log is read.
	Grown   time.Time
	Percent int    // of the whole, 1 to 100
	Says    string // what the way to the guest, or its machine, shows
}

// Line is the line for a wait that began at begun.
func (f Facts) Line(begun, now time.Time) string {
	text := "still " + f.Doing + ": " + Short(now.Sub(begun))
	if f.Limit > 0 {
		text += " of " + Short(f.Limit)
		if f.Option != "" {
			text += " (" + f.Option + ")"
		}
	}
	var parts []string
	if f.Provider != "" {
		provider := "provider " + f.Provider
		if !f.Since.IsZero() {
			provider += " for " + Short(now.Sub(f.Since))
		}
		parts = append(parts, provider)
	}
	if !f.Grown.IsZero() {
		parts = append(parts, "log quiet for "+Short(now.Sub(f.Grown)))
	}
	if f.Percent > 0 {
		parts = append(parts, fmt.Sprintf("%d%%", min(f.Percent, 100)))
	}
	if f.Says != "" {
		parts = append(parts, f.Says)
	}
	return strings.Join(append([]string{text}, parts...), ", ")
}

// Short is a duration in whole seconds as a person writes it: 2m, 1h30m, 40s.
func Short(d time.Duration) string {
	text := max(d, 0).Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Clock is the time that a Heart goes by.
type Clock struct {
	Now func() time.Time
	// Tick calls beat about every so often until stop, which does not wait for a call
	// that is under way.
	Tick func(beat func()) (stop func())
}

// tick is how often it is looked whether a line is due.
const tick = time.Second

// Real is the clock of the host. real is how long a duration of now's time lasts;
// nil: as long as it is.
func Real(now func() time.Time, real func(time.Duration) time.Duration) Clock {
	if real == nil {
		real = func(d time.Duration) time.Duration { return d }
	}
	return Clock{now, func(beat func()) func() {
		ended := make(chan struct{})
		go func() {
			ticker := time.NewTicker(max(real(tick), time.Millisecond))
			defer ticker.Stop()
			for {
				select {
				case <-ended:
					return
				case <-ticker.C:
					beat()
				}
			}
		}()
		return func() { close(ended) }
	}}
}

// Heart is what all waits of one run share, so that two of them at once do not
// make two lines: the one that began last is spoken of.
type Heart struct {
	clock Clock
	say   func(string)

	// patience is how long End waits for a line that is being said.
	patience time.Duration

	mu    sync.Mutex // never held while something outside is called but the clock
	waits []*Wait
	said  time.Time
	stop  func()
	now   *beat // the one under way; nil: none is
}

// patience is that of New: a terminal that is scrolled back may hold a line for ever, and
// the run goes on without it.
const patience = 5 * time.Second

// New makes a Heart that says its lines with say, one at a time. While say does not
// return no other line is made, and nothing that a Heart or a Wait does waits for it but
// End, for a few seconds.
func New(clock Clock, say func(string)) *Heart {
	return &Heart{clock: clock, say: say, patience: patience}
}

// beat is one look whether a line is due that has found one to be.
type beat struct {
	of           *Wait
	looked, done chan struct{} // closed when that is over
}

// Wait is one wait. A nil Wait does nothing.
type Wait struct {
	heart *Heart
	begun time.Time
	facts Facts
	look  func() string
}

// Begin begins a wait, until End. A nil Heart has waits that say nothing.
func (h *Heart) Begin(f Facts) *Wait { return h.Looking(f, nil) }

// Looking is Begin with something to look at when a line is due: what look returns
// is in Says then. It is to come back soon, and End waits for it.
func (h *Heart) Looking(f Facts, look func() string) *Wait {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	w := &Wait{heart: h, begun: h.clock.Now(), facts: f, look: look}
	h.waits = append(h.waits, w)
	if h.stop == nil {
		h.stop = h.clock.Tick(h.beat)
	}
	return w
}

// Idle says that every wait has ended.
func (h *Heart) Idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.waits) == 0
}

// During does something that takes its time.
func (h *Heart) During(f Facts, do func() error) error {
	defer h.Begin(f).End()
	return do()
}

// Set says what is known by now.
func (w *Wait) Set(f Facts) {
	if w == nil {
		return
	}
	w.heart.mu.Lock()
	defer w.heart.mu.Unlock()
	w.facts = f
}

// Percent says how far it has come.
func (w *Wait) Percent(done, total int64) {
	if w == nil || total <= 0 {
		return
	}
	w.heart.mu.Lock()
	defer w.heart.mu.Unlock()
	w.facts.Percent = int(float64(done) / float64(total) * 100)
}

// End ends the wait. No line of it is begun when it has returned, and one that is being
// said has come to its end, unless whoever shows it has held it for seconds.
func (w *Wait) End() {
	if w == nil {
		return
	}
	h := w.heart
	h.mu.Lock()
	for i, other := range h.waits {
		if other == w {
			h.waits = append(h.waits[:i:i], h.waits[i+1:]...)
			break
		}
	}
	var stop func()
	if len(h.waits) == 0 {
		stop, h.stop = h.stop, nil
	}
	b := h.now
	h.mu.Unlock()
	if stop != nil {
		stop()
	}
	if b == nil || b.of != w {
		return
	}
	<-b.looked
	t := time.NewTimer(h.patience)
	defer t.Stop()
	select {
	case <-b.done:
	case <-t.C:
	}
}

// beat says a line where one is due.
func (h *Heart) beat() {
	b := h.begin()
	if b == nil {
		return
	}
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.now = nil
		close(b.done)
	}()
	if line, due := h.line(b); due {
		h.say(line)
	}
}

// begin is the beat that a line is due in; nil: none is, or the last is still being said.
func (h *Heart) begin() *beat {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waits) == 0 || h.now != nil {
		return nil
	}
	w, now := h.waits[len(h.waits)-1], h.clock.Now()
	if now.Sub(w.begun) < Every || !h.said.IsZero() && now.Sub(h.said) < Every {
		return nil
	}
	h.now = &beat{w, make(chan struct{}), make(chan struct{})}
	return h.now
}

// line looks, and makes the line unless the wait has ended meanwhile, or another has begun.
func (h *Heart) line(b *beat) (line string, due bool) {
	defer close(b.looked)
	w, seen := b.of, ""
	if w.look != nil {
		seen = w.look()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.waits) == 0 || h.waits[len(h.waits)-1] != w {
		return "", false
	}
	f := w.facts
	if seen != "" {
		f.Says = seen
	}
	now := h.clock.Now()
	h.said = now
	return "  " + f.Line(w.begun, now), true
}
