package vhd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestWhenThePowerButtonIsPressed(t *testing.T) {
	const s = time.Second
	paused, off := hypervisor.Standing{Paused: "a snapshot"}, hypervisor.Standing{Off: true}
	once, twice := hypervisor.Standing{Restarts: 1}, hypervisor.Standing{Restarts: 2}
	for _, c := range []struct {
		name  string
		at    pressing
		press bool
		again time.Duration
	}{
		{"at first", pressing{left: 300 * s}, true, pressEvery},
		{"a moment after a press", pressing{tried: 1, since: s, left: 299 * s}, false, pressEvery - s},
		{"just before the time", pressing{tried: 1, since: pressEvery - 1, left: 299 * s}, false, 1},
		{"when it is time", pressing{tried: 1, since: pressEvery, left: 275 * s}, true, pressEvery},
		{"long after a press", pressing{tried: 3, since: time.Hour, left: 275 * s}, true, pressEvery},
		{"in less time than two presses need", pressing{left: 10 * s}, true, 10 * s},
		{"with little time left after a press", pressing{tried: 1, since: s, left: 2 * s}, false, 2 * s},
		{"without time", pressing{}, false, 0},
		{"after the time", pressing{tried: 2, since: time.Hour, left: -s}, false, 0},
		{"a paused machine", pressing{left: 300 * s, machine: paused}, false, pressEvery},
		{"a paused machine, near the end", pressing{tried: 1, since: time.Hour, left: s, machine: paused}, false, s},
		{"a machine that is off", pressing{left: 300 * s, machine: off}, false, 0},
		{"one that had restarted before", pressing{left: 300 * s, machine: once, restarts: 1}, true, pressEvery},
		{"one that has restarted since", pressing{tried: 1, since: time.Hour, left: 300 * s, machine: twice, restarts: 1}, false, 0},
	} {
		if press, again := c.at.next(); press != c.press || again != c.again {
			t.Errorf("%s: press %t, again in %s; want %t, %s", c.name, press, again, c.press, c.again)
		}
	}
}

// sleeper is a Windows whose display is off: of its presses, those count that
// come 20 s after the one before, and the last of them shuts it down.
type sleeper struct {
	needs int           // presses; 0: deaf
	takes time.Duration // to shut down
	at    []time.Duration
}

// on makes the fake machine of b behave as this one.
func (w *sleeper) on(b *bench) {
	began, counted, last := time.Now(), 0, time.Time{}
	b.fake.powerDown = func() error {
		now := time.Now()
		w.at = append(w.at, now.Sub(began))
		if counted == 0 || now.Sub(last) >= 20*time.Second {
			counted, last = counted+1, now
			if counted == w.needs {
				time.AfterFunc(w.takes, func() { b.fake.end(hypervisor.Fate{Cause: hypervisor.CauseHostRequest}) })
			}
		}
		return nil
	}
}

// wantSpacing checks that the button was pressed at least twice, and no two
// presses were less than 20 s or more than 30 s apart.
func (w *sleeper) wantSpacing(t *testing.T) {
	t.Helper()
	if len(w.at) < 2 {
		t.Errorf("pressed at %v", w.at)
	}
	for i := 1; i < len(w.at); i++ {
		if gap := w.at[i] - w.at[i-1]; gap < 20*time.Second || gap > 30*time.Second {
			t.Errorf("pressed at %v", w.at)
		}
	}
}

// saidLines leaves out that a wait goes on.
func (b *bench) saidLines() (lines []string) {
	for _, m := range b.said.SayMessages {
		if !strings.HasPrefix(m.Message, "  still ") {
			lines = append(lines, m.Message)
		}
	}
	return lines
}

func TestAWindowsWhoseDisplayIsOffIsAskedAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		guest sleeper
		said  string
	}{
		{"one press", sleeper{needs: 1, takes: 10 * time.Second}, "its power button was pressed once"},
		{"two presses", sleeper{needs: 2, takes: 10 * time.Second}, "its power button was pressed 2 times"},
		{"three presses and a slow shutdown", sleeper{needs: 3, takes: 3 * time.Minute}, "its power button was pressed 10 times"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := started(t, nil)
				c.guest.on(b)
				b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
				lines := b.saidLines()
				if c.guest.needs > 1 {
					c.guest.wantSpacing(t)
				}
				if last := lines[len(lines)-1]; len(lines) != 3 || !strings.Contains(last, "The machine is off: the guest powered off when asked") || !strings.Contains(last, c.said) {
					t.Errorf("said %q", lines)
				}
			})
		})
	}
}

func TestADeafGuestIsAskedUntilItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, guest := started(t, nil), &sleeper{}
		guest.on(b)
		began := time.Now()
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "did not power off within 5m0s (shutdown_timeout)", "its power button was pressed 12 times", "its disk cannot be used as an image")
		guest.wantSpacing(t)
		if took := time.Since(began); took != 10*time.Minute || len(b.saidLines()) != 2 {
			t.Errorf("after %s, said %q", took, b.saidLines())
		}
	})
}

func TestAButtonThatCannotBePressedIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := started(t, nil)
		b.fake.powerDown = func() error { return errors.New("the monitor is busy") }
		b.wantHalt(t, new(stepWaitForPowerOff).Run(t.Context(), b), "could not be asked over ACPI (the monitor is busy) and was forced off")
		if n := strings.Count(strings.Join(b.saidLines(), "\n"), "the monitor is busy"); n != 1 || strings.Count(b.fake.called(), "power-down") != 12 {
			t.Errorf("said %d times: %q; %s", n, b.saidLines(), b.fake.called())
		}
	})
}

func TestTheButtonIsLeftAloneWhenTheMachineChanges(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []hypervisor.Event // from half a second after the first press, 60 s apart
		ends   time.Duration      // after the first press
		at     string             // presses
	}{
		{"paused and resumed", []hypervisor.Event{{Kind: hypervisor.EventPause, Detail: "a snapshot"}, {Kind: hypervisor.EventResume}}, 90 * time.Second, "[5m0s 6m1s 6m26s]"},
		{"off, while QEMU still writes", []hypervisor.Event{{Kind: hypervisor.EventOff}}, 7 * time.Minute, "[5m0s]"},
		{"restarted, which the driver ends", []hypervisor.Event{{Kind: hypervisor.EventRestart}}, 12 * time.Second, "[5m0s]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, guest := started(t, nil), &sleeper{}
				guest.on(b)
				for i, e := range c.events {
					time.AfterFunc(5*time.Minute+500*time.Millisecond+time.Duration(i)*time.Minute, func() { b.run.happens(e) })
				}
				time.AfterFunc(5*time.Minute+c.ends, func() { b.fake.end(poweredOff) })
				b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
				if got := fmt.Sprint(guest.at); got != c.at {
					t.Errorf("pressed at %s, want %s", got, c.at)
				}
			})
		})
	}
}

func TestAGuestThatIsOffIsNotAskedThoughItsMachineStillWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := started(t, nil)
		time.AfterFunc(4*time.Minute+50*time.Second, func() { b.run.happens(hypervisor.Event{Kind: hypervisor.EventOff}) })
		time.AfterFunc(6*time.Minute, func() { b.fake.end(poweredOff) })
		b.wantContinue(t, new(stepWaitForPowerOff).Run(t.Context(), b))
		if strings.ReplaceAll(b.fake.called(), " screenshot", "") != "expect-off" { // it is looked at once a minute
			t.Error(b.fake.called())
		}
		if line := "still waiting for the guest to power off: 1m of 5m (shutdown_timeout)"; !said(b, line) {
			t.Errorf("%q is not said: %v", line, b.said.SayMessages)
		}
	})
}

// hungRun is a bench whose run failed without a known cause, with the step
// that ends its machine.
func hungRun(ctx context.Context, t *testing.T, changes map[string]any) (*bench, *stepStartMachine) {
	t.Helper()
	b, s := newBench(t, changes), new(stepStartMachine)
	b.wantContinue(t, s.Run(ctx, b))
	b.run.windows, b.run.provisioning = sourceFacts{Windows: "Windows"}, time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)
	b.Put("error", errors.New("sysprep did not finish"))
	t.Cleanup(func() { b.fake.Close(); <-b.run.machine.ended })
	return b, s
}

func TestAFailedRunWaitsForWindowsToWriteItsLogs(t *testing.T) {
	for _, c := range []struct {
		name    string
		changes map[string]any
		guest   sleeper
		setup   func(*bench)
		took    time.Duration
		calls   string // after start
		said    []string
	}{
		{name: "Windows shuts down", guest: sleeper{needs: 1, takes: 70 * time.Second}, took: 70 * time.Second, calls: "power-down power-down power-down close",
			said: []string{"Waiting up to 4m0s for Windows to shut down and write its logs", "The machine has ended: the guest powered off when asked; its power button was pressed 3 times"}},
		{name: "at the second press", guest: sleeper{needs: 2, takes: 20 * time.Second}, took: 45 * time.Second, calls: "power-down power-down close",
			said: []string{"pressed 2 times"}},
		{name: "never", took: 4 * time.Minute, calls: strings.Repeat("power-down ", 10) + "close",
			said: []string{"The guest did not power off within 4m0s; its power button was pressed 10 times; it is forced off", "Stopping the machine"}},
		{name: "not within the user's own limit", changes: map[string]any{"shutdown_timeout": "40s"}, took: 40 * time.Second, calls: "power-down power-down close",
			said: []string{"Waiting up to 40s", "did not power off within 40s"}},
		{name: "Windows restarts", setup: func(b *bench) {
			time.AfterFunc(8500*time.Millisecond, func() { b.run.happens(hypervisor.Event{Kind: hypervisor.EventRestart}) })
		}, took: 9*time.Second + restartGrace, calls: "power-down close", said: []string{"The guest restarted instead of powering off", "Stopping the machine"}},
		{name: "the cause is known", setup: func(b *bench) {
			b.Put("error", errors.New("[refused/APPX_NOT_PROVISIONED] sysprep refused: remove the app"))
		}, calls: "close", said: []string{"Stopping the machine"}},
		{name: "a restart undid the run", setup: func(b *bench) {
			b.Put("error", errors.New("[undone/RESTARTED] the guest restarted instead of powering off: the machine was restarted"))
		}, calls: "close", said: []string{"Stopping the machine"}},
		{name: "sysprep runs again", guest: sleeper{needs: 1, takes: 20 * time.Second}, setup: func(b *bench) {
			b.Put("error", errors.New("[undone] the guest contradicts the success that was seen: success was seen, but the tag is gone"))
		}, took: 20 * time.Second, calls: "power-down close"},
		{name: "the machine is paused", setup: func(b *bench) { b.run.happens(hypervisor.Event{Kind: hypervisor.EventPause}) }, calls: "close", said: []string{"Stopping the machine"}},
		{name: "cancelled before", setup: func(b *bench) { b.Put(multistep.StateCancelled, true) }, calls: "close", said: []string{"Stopping the machine"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, s := hungRun(t.Context(), t, c.changes)
				c.guest.on(b)
				if c.setup != nil {
					c.setup(b)
				}
				began := time.Now()
				s.Cleanup(b)
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %s, want %s", took, c.took)
				}
				looks := strings.NewReplacer(" screenshot", "") // of each minute
				if got := b.fake.called(); looks.Replace(got) != looks.Replace("start "+c.calls) {
					t.Error(got)
				}
				said := strings.Join(b.saidLines(), "\n")
				for _, want := range c.said {
					if !strings.Contains(said, want) {
						t.Errorf("%q is missing in:\n%s", want, said)
					}
				}
			})
		})
	}
}

func TestACancelEndsTheWaitForTheLogsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b, s := hungRun(ctx, t, nil)
		time.AfterFunc(7*time.Second, cancel)
		began := time.Now()
		s.Cleanup(b)
		if took := time.Since(began); took != 7*time.Second || b.fake.called() != "start power-down close" {
			t.Errorf("after %s: %s", took, b.fake.called())
		}
	})
}
