package vhd

import (
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
)

func TestWhatTheMachineShowsWhileItIsWaitedFor(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	sign := func(written uint64, screen string, restarts int, paused string) lifeSign {
		return lifeSign{at: at, written: written << 20, counted: written > 0, screen: screen, restarts: restarts, paused: paused}
	}
	for _, c := range []struct {
		before, now lifeSign
		want        string
	}{
		{lifeSign{}, sign(0, "", 0, ""), ""},
		{lifeSign{}, sign(12, "a", 0, ""), "written to its disk: 12.0 MiB"},
		{sign(12, "a", 0, ""), sign(12, "a", 0, ""), "written to its disk: 12.0 MiB, nothing since the last look; its screen has not changed since the last look"},
		{sign(12, "a", 0, ""), sign(13, "b", 2, ""), "written to its disk: 13.0 MiB; its screen changes; restarts: 2"},
		{sign(12, "a", 0, ""), sign(0, "", 0, "io-error"), "the machine is paused (io-error)"},
	} {
		if got := shows(c.before, c.now); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// A line of a wait has what the step knows and what the machine shows.
func TestAWaitOfTheBuilderLooksAtTheMachine(t *testing.T) {
	b := started(t, nil)
	b.fake.written.Store(5 << 20)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var beat func()
	var said []string
	b.run.heart = heartbeat.New(heartbeat.Clock{Now: func() time.Time { return now }, Tick: func(f func()) func() { beat = f; return func() {} }}, func(text string) { said = append(said, text) })
	w := b.run.awaits(t.Context(), heartbeat.Facts{Doing: "waiting for WinRM", Limit: time.Hour, Option: "winrm_timeout"})
	w.tell("the port is closed")
	for range 2 {
		now = now.Add(time.Minute)
		beat()
	}
	w.end()
	now = now.Add(time.Hour)
	beat()
	want := []string{"  still waiting for WinRM: 1m of 1h (winrm_timeout), the port is closed; written to its disk: 5.0 MiB",
		"  still waiting for WinRM: 2m of 1h (winrm_timeout), the port is closed; written to its disk: 5.0 MiB, nothing since the last look; its screen has not changed since the last look"}
	if len(said) != 2 || said[0] != want[0] || said[1] != want[1] {
		t.Errorf("said %q, want %q", said, want)
	}
}
