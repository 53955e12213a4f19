package vhd

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

func TestSignsOfLife(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	const limit, stall = 2 * time.Hour, 15 * time.Minute
	for name, c := range map[string]struct {
		signs []lifeSign
		now   int // minutes
		over  string
		seen  string
	}{
		"nothing yet": {nil, 1, "", "restarts: 0"},
		"a driver that sees nothing waits to the end": {[]lifeSign{{at: at(60)}}, 119, "", "restarts: 0"},
		"and no longer": {[]lifeSign{{at: at(60)}}, 120, "it did not power itself off within 2h0m0s (shutdown_timeout)", "restarts: 0"},
		"it never moves": {[]lifeSign{{at: at(1), counted: true, screen: "a"}, {at: at(14), counted: true, screen: "a"}}, 15,
			"it has shown no sign of life for 15m0s (stall_timeout)", "nothing written to its disk; its screen has not changed; restarts: 0"},
		"it writes": {[]lifeSign{{at: at(1), counted: true}, {at: at(10), counted: true, written: 1 << 20}}, 24, "",
			"written to its disk: 1.0 MiB, last 0s before the last look; restarts: 0"},
		"and stops": {[]lifeSign{{at: at(10), counted: true, written: 1 << 20}, {at: at(24), counted: true, written: 1 << 20}}, 25,
			"no sign of life", "written to its disk: 1.0 MiB, last 14m0s before the last look"},
		"its screen changes":                 {[]lifeSign{{at: at(1), screen: "a"}, {at: at(10), screen: "b"}}, 24, "", "its screen changed last 0s before the last look"},
		"the first picture is no change":     {[]lifeSign{{at: at(1)}, {at: at(10), screen: "a"}}, 15, "no sign of life", "its screen has not changed"},
		"a cursor that blinks":               {[]lifeSign{{at: at(1), screen: "a"}, {at: at(2), screen: "b"}, {at: at(10), screen: "a"}, {at: at(14), screen: "b"}}, 17, "no sign of life", "its screen changed last 12m0s before the last look"},
		"it restarts":                        {[]lifeSign{{at: at(1), counted: true}, {at: at(10), counted: true, restarts: 1}}, 24, "", "restarts: 1"},
		"a look that fails is no look":       {[]lifeSign{{at: at(10), counted: true, written: 5, screen: "a"}, {at: at(20)}, {at: at(21), counted: true, written: 5, screen: "a"}}, 25, "no sign of life", "its screen has not changed"},
		"a paused machine is not held to it": {[]lifeSign{{at: at(1), counted: true}, {at: at(100), counted: true, paused: "by hand"}}, 110, "", "restarts: 0"},
		"but ends":                           {[]lifeSign{{at: at(119), counted: true, paused: "by hand"}}, 120, "it is paused (by hand), and was not off within 2h0m0s", "restarts: 0"},
		"life is no excuse at the end":       {[]lifeSign{{at: at(120), counted: true, written: 9}}, 120, "it did not power itself off within 2h0m0s", "restarts: 0"},
	} {
		v := beginVigil(start)
		for _, s := range c.signs {
			v = v.after(s)
		}
		over := v.over(at(c.now), limit, stall)
		if c.over == "" && over != "" || !strings.Contains(over, c.over) {
			t.Errorf("%s: over: %q, want %q", name, over, c.over)
		}
		if !strings.Contains(v.String(), c.seen) {
			t.Errorf("%s: seen: %s, want %s", name, v, c.seen)
		}
	}
}

// A restart may reset a machine more than once.
func TestRestartsAreCountedOnce(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var events []hypervisor.Event
	for _, second := range []int{0, 1, 4, 60, 61} {
		events = append(events, hypervisor.Event{Kind: hypervisor.EventRestart, When: start.Add(time.Duration(second) * time.Second)}, hypervisor.Event{Kind: hypervisor.EventResume})
	}
	if n := restartsIn(events); n != 2 {
		t.Errorf("%d restarts", n)
	}
	if n := restartsIn(nil); n != 0 {
		t.Errorf("%d restarts of none", n)
	}
}

func TestWhatKeepsAnAnswerFileFromGeneralizing(t *testing.T) {
	one := uint32(1)
	right := winimage.AnswerFile{ToAudit: true, Generalizes: "OOBE", PowersOff: true}
	const generalized = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"
	for name, c := range map[string]struct {
		state string
		audit *uint32
		files []winimage.AnswerFile
		want  []string
	}{
		"right":                   {generalized, nil, []winimage.AnswerFile{right}, nil},
		"in two files":            {generalized, nil, []winimage.AnswerFile{{ToAudit: true}, {Generalizes: "OOBE", PowersOff: true}}, nil},
		"in audit mode already":   {"IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT", &one, []winimage.AnswerFile{{Generalizes: "OOBE", PowersOff: true}}, nil},
		"no file":                 {generalized, nil, nil, []string{"no answer file on the source generalizes it"}},
		"a file for another boot": {generalized, nil, []winimage.AnswerFile{{}}, []string{"no answer file on the source generalizes it"}},
		"no way there":            {generalized, nil, []winimage.AnswerFile{{Generalizes: "OOBE", PowersOff: true}}, []string{"nothing leads there"}},
		"it restarts":             {generalized, nil, []winimage.AnswerFile{{ToAudit: true, Generalizes: "OOBE"}}, []string{"ForceShutdownNow = true"}},
		"both":                    {generalized, nil, []winimage.AnswerFile{{Generalizes: "OOBE"}}, []string{"nothing leads there", "ForceShutdownNow = true"}},
		"an ordinary Windows":     {"IMAGE_STATE_COMPLETE", nil, []winimage.AnswerFile{right}, []string{"the source is not generalized (IMAGE_STATE_COMPLETE)"}},
	} {
		w := winimage.Windows{AnswerFiles: c.files}
		w.Setup.ImageState, w.Setup.AuditBoot = c.state, c.audit
		got := routeWarnings(w)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q, want %q", name, got[i], want)
			}
		}
	}
	// The usual warning about such a source is none here.
	w := winimage.Windows{AnswerFiles: []winimage.AnswerFile{right}, Volume: winimage.Volume{LogClean: true}}
	w.Setup.ImageState = generalized
	count := func(alone bool) (n int) {
		for _, text := range factsOf(winimage.Facts{Windows: []winimage.Windows{w}}, alone).Warnings {
			if strings.Contains(text, "generalized") {
				n++
			}
		}
		return n
	}
	if count(true) != 0 || count(false) != 1 {
		t.Errorf("warnings: %d where nobody connects, %d else", count(true), count(false))
	}
}

// alone is a bench without a communicator, whose machine runs.
func alone(t *testing.T, changes map[string]any) *bench {
	options := map[string]any{"communicator": "none", "winrm_username": nil, "winrm_password": nil}
	for k, v := range changes {
		options[k] = v
	}
	b := started(t, options)
	b.run.disk.Path = filepath.Join(b.run.scratch, "disk")
	if err := os.WriteFile(b.run.disk.Path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.run.started = stampOf(b.run.disk.Path)
	return b
}

func (b *bench) saidText() string {
	var lines []string
	for _, m := range b.said.SayMessages {
		lines = append(lines, m.Message)
	}
	return strings.Join(lines, "\n")
}

func TestAGuestWithoutACommunicatorIsWaitedFor(t *testing.T) {
	quick := &stepWaitUnattended{every: time.Millisecond}
	t.Run("with a communicator others wait", func(t *testing.T) {
		b := started(t, nil)
		b.wantContinue(t, quick.Run(t.Context(), b))
	})
	t.Run("it powers itself off, after a restart", func(t *testing.T) {
		b := alone(t, nil)
		b.run.happens(hypervisor.Event{Kind: hypervisor.EventRestart})
		if err := os.WriteFile(b.run.disk.Path, []byte("more"), 0o600); err != nil {
			t.Fatal(err)
		}
		b.over(poweredOff)
		b.wantContinue(t, quick.Run(t.Context(), b))
		if text := b.saidText(); !strings.Contains(text, "restarts: 1") || strings.Contains(text, "Warning") {
			t.Error(text)
		}
		if strings.Contains(b.fake.called(), "expect-off") {
			t.Error("a restart was made its fate")
		}
	})
	t.Run("without a write that is said", func(t *testing.T) {
		b := alone(t, nil)
		b.over(poweredOff)
		b.wantContinue(t, quick.Run(t.Context(), b))
		if text := b.saidText(); !strings.Contains(text, "Warning: the guest powered itself off without having written anything") {
			t.Error(text)
		}
	})
	t.Run("no sign of life", func(t *testing.T) {
		b := alone(t, map[string]any{"stall_timeout": "50ms"})
		b.wantHalt(t, quick.Run(t.Context(), b), "it has shown no sign of life for 50ms (stall_timeout)", "nothing written to its disk", "ForceShutdownNow = true", "see the screenshot")
	})
	t.Run("its first write is told", func(t *testing.T) {
		b := alone(t, map[string]any{"stall_timeout": "200ms"})
		b.fake.written.Store(3 << 20)
		b.wantHalt(t, quick.Run(t.Context(), b), "no sign of life", "written to its disk: 3.0 MiB")
		if text := b.saidText(); strings.Count(text, "The guest is on for") != 1 {
			t.Error(text)
		}
	})
	t.Run("the limit", func(t *testing.T) {
		b := alone(t, map[string]any{"shutdown_timeout": "50ms", "stall_timeout": "1h"})
		b.wantHalt(t, quick.Run(t.Context(), b), "did not power itself off within 50ms (shutdown_timeout)")
	})
	t.Run("it dies", func(t *testing.T) {
		b := alone(t, nil)
		b.over(crashed)
		b.wantHalt(t, quick.Run(t.Context(), b), "waiting for the guest to power itself off: the machine crashed: its kernel fell over", "run the build again")
	})
	t.Run("cancel", func(t *testing.T) {
		b := alone(t, nil)
		b.wantQuietHalt(t, quick.Run(cancelled(), b))
	})
	t.Run("a driver that sees nothing", func(t *testing.T) {
		b := alone(t, nil)
		b.run.machine.able = resolve(b.fake)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if s := b.run.lifeSign(ctx); s.counted || s.screen != "" {
			t.Errorf("got %+v", s)
		}
	})
}
