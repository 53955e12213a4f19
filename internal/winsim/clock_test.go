package winsim

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// faked is a guest whose real time passes only while it rests.
func faked(t *testing.T, speed float64, s Scenario) (g *Guest, passed func() time.Duration) {
	begun := time.Now()
	now := begun
	clock := &Clock{begun, speed, func() time.Time { return now }}
	g = newGuest(t, Options{Clock: clock, Scenario: s})
	g.rest = func(_ context.Context, d time.Duration) { now = now.Add(d) }
	return g, func() time.Duration { return now.Sub(begun) }
}

func TestEveryPeriodOfTheWatchIsInTheSharedTime(t *testing.T) {
	const speed = 50 // divides every period without a rest
	for name, tt := range map[string]struct {
		p        m
		scenario Scenario
		samples  []int64 // milliseconds of the shared time
		reason   string
		end      int64
	}{
		"deadlineSec and heartbeatSec": {m{"intervalMs": 2000, "heartbeatSec": 10, "deadlineSec": 30}, Scenario{}, []int64{0, 10000, 20000, 30000}, "deadline", 30000},
		"intervalMs":                   {m{"intervalMs": 7000, "heartbeatSec": 10, "deadlineSec": 20}, Scenario{}, []int64{0, 14000}, "deadline", 21000},
		"forSec":                       {m{"intervalMs": 1000, "heartbeatSec": 60, "deadlineSec": 90, "stopWhen": []m{{"process": false, "forSec": 42}}}, Scenario{}, []int64{0}, "condition", 42000},
	} {
		g, passed := faked(t, speed, tt.scenario)
		before := passed()
		out, _ := runScript(t, g, "watch", tt.p, "")
		var samples []int64
		for line := range strings.Lines(out) {
			var doc struct {
				Type, Reason string
				Ms           int64
			}
			if err := json.Unmarshal([]byte(line), &doc); err != nil {
				t.Fatal(err)
			}
			if doc.Type == "sample" {
				samples = append(samples, doc.Ms)
			} else if doc.Reason != tt.reason || doc.Ms != tt.end {
				t.Errorf("%s: ends by %s at %d ms", name, doc.Reason, doc.Ms)
			}
		}
		if !slices.Equal(samples, tt.samples) {
			t.Errorf("%s: samples at %d ms", name, samples)
		}
		if real, want := passed()-before, time.Duration(tt.end)*time.Millisecond/speed; (real - want).Abs() > time.Millisecond {
			t.Errorf("%s: took %s of real time, want %s", name, real, want)
		}
	}
}

func TestTheSharedTimeRulesWhatWindowsTakes(t *testing.T) {
	const speed = 50
	g, passed := faked(t, speed, Scenario{})
	before := passed()
	do(g, sysprepExe+" /generalize /oobe /quit /quiet")
	if took, want := passed()-before, (usual.validate+usual.generalize)/speed; (took - want).Abs() > time.Millisecond {
		t.Errorf("sysprep took %s of real time, want %s", took, want)
	}
	if l := g.Limits(wsman.Limits{}); l.MaxTimeoutms != time.Minute/speed || l.IdleTimeout != 2*time.Hour/speed {
		t.Errorf("time-outs of WinRM: %s, %s", l.MaxTimeoutms, l.IdleTimeout)
	}
	log := text(t, g, fileActLog)
	first, last := log[3:22], ""
	for line := range strings.Lines(log) {
		if len(line) > 19 && line[4] == '-' {
			last = line[:19]
		}
	}
	from, err1 := time.Parse(time.DateTime, first)
	to, err2 := time.Parse(time.DateTime, last)
	if took := to.Sub(from); err1 != nil || err2 != nil || (took-usual.validate-usual.generalize).Abs() > 2*time.Second {
		t.Errorf("by its log it took %s (%v, %v)", took, err1, err2)
	}
	if files := g.clock.At(g.clock.begun.Add(time.Second)); !files.Equal(g.clock.begun.Add(speed * time.Second)) {
		t.Errorf("a file of the first second is of %s", files)
	}
	if old := g.clock.begun.AddDate(-1, 0, 0); !g.clock.At(old).Equal(old) {
		t.Error("what is older than the clock has another time")
	}
}

// Speed alone leaves a client its time: the limits of clients in tests are real.
func TestSpeedAloneLeavesAClientItsTime(t *testing.T) {
	g := newGuest(t, Options{Speed: 1000})
	var rested time.Duration
	g.rest = func(_ context.Context, d time.Duration) { rested += d }
	g.pause(t.Context(), time.Second)
	if rested != time.Second || g.durations() != quick || g.Limits(wsman.Limits{}) != (wsman.Limits{}) {
		t.Errorf("rested %s", rested)
	}
}
