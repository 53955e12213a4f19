package sysprep

import (
	"context"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// eitherWay runs a test with PowerShell and without.
func eitherWay(t *testing.T, test func(t *testing.T, wrap func(packersdk.Communicator) packersdk.Communicator)) {
	for name, wrap := range map[string]func(packersdk.Communicator) packersdk.Communicator{
		"PowerShell": nil,
		"cmd":        func(c packersdk.Communicator) packersdk.Communicator { return lockedDown{c} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, wrap)
		})
	}
}

func TestSuccessThatIsContradictedIsNone(t *testing.T) {
	t.Parallel()
	for then, test := range map[winsim.Afterwards]struct {
		headline string
		parts    []string
	}{
		// The tag goes first: a look may come before ImageState has changed too.
		winsim.BecomesUndone:   {"the guest contradicts the success that was seen", []string{"no tag", "Do not use the disk"}},
		winsim.BecomesFailed:   {"sysprep failed midway", []string{"failed after it had begun to change the machine"}},
		winsim.BecomesComplete: {"the guest contradicts the success that was seen", []string{"seen: ImageState IMAGE_STATE_COMPLETE", "sysprep.exe is running"}},
	} {
		t.Run(string(then), func(t *testing.T) {
			eitherWay(t, func(t *testing.T, wrap func(packersdk.Communicator) packersdk.Communicator) {
				for _, action := range []string{"quit", "shutdown"} {
					t.Run(action, func(t *testing.T) {
						t.Parallel()
						// A look has to fit before the change and after it, however slow the machine is.
						g := newGuestRun(t, winsim.Scenario{Afterwards: then, Lingers: seconds(600)}, map[string]any{"action": action})
						g.wrap = wrap
						wantExplained(t, g, test.headline, test.parts...)
						if strings.Contains(g.ui.text(), "Windows is generalized") {
							t.Error("it is called generalized")
						}
					})
				}
			})
		})
	}
}

func TestARestartInsteadOfThePowerOffIsNamed(t *testing.T) {
	t.Parallel()
	eitherWay(t, func(t *testing.T, wrap func(packersdk.Communicator) packersdk.Communicator) {
		g := newGuestRun(t, winsim.Scenario{RestartsInstead: true, FirstBoot: winsim.FirstBootDone, BootTakes: seconds(10)}, map[string]any{"action": "shutdown", "shutdown_timeout": "60s"})
		g.wrap = wrap
		wantExplained(t, g, "the guest restarted instead of powering off: it is not generalized any more", "seen: ImageState IMAGE_STATE_COMPLETE", "do not use its disk")
	})
}

func TestAnImageThatIsNotArmedIsNotGeneralized(t *testing.T) {
	t.Parallel()
	eitherWay(t, func(t *testing.T, wrap func(packersdk.Communicator) packersdk.Communicator) {
		for _, action := range []string{"quit", "shutdown"} {
			g := newGuestRun(t, winsim.Scenario{Unarmed: true, ShutdownTakes: seconds(600)}, map[string]any{"action": action})
			g.wrap = wrap
			logs := t.TempDir()
			g.options["log_directory"] = logs
			wantExplained(t, g, "sysprep reports success, but the image is not armed for its first boot", "SetupType 0, CmdLine empty", "0x8007001f")
			wantNothingLeft(t, g)
		}
	})
	g := newGuestRun(t, winsim.Scenario{Start: winsim.Generalized, Unarmed: true}, nil)
	wantError(t, g.provision(), "sysprep was not started", "not armed for its first boot", "SetupType 0, CmdLine empty")
}

// becomes puts another machine at the guest's address when a line is shown.
func (g *guestRun) becomes(s winsim.Scenario, at string) {
	g.t.Helper()
	first, done := g.start(), make(chan struct{})
	swapped := false
	g.ui.onSay = func(line string) {
		if swapped || !strings.Contains(line, at) {
			return
		}
		swapped = true
		go func() {
			defer close(done)
			if err := first.Close(); err != nil {
				g.t.Error(err)
			}
			other, err := winsim.Start(context.WithoutCancel(g.ctx), winsim.Options{Root: g.t.TempDir(), User: simUser, Password: simPassword, Scenario: s, Speed: 10, Log: g.t.Logf},
				winsim.ServerOptions{Addr: first.Addr})
			if err != nil {
				g.t.Error(err)
				return
			}
			g.t.Cleanup(func() {
				<-done
				if err := other.Close(); err != nil {
					g.t.Error(err)
				}
				for _, u := range other.Guest.Unknown() {
					g.t.Errorf("the other guest was sent what it does not know: %s", u)
				}
			})
		}()
	}
}

func TestAnotherMachineAtTheAddressIsNotTheGuest(t *testing.T) {
	t.Parallel()
	for at, start := range map[string]winsim.StartState{"validating: cleanup": winsim.Clean, "working on app packages": winsim.Generalized} {
		t.Run(string(start), func(t *testing.T) {
			eitherWay(t, func(t *testing.T, wrap func(packersdk.Communicator) packersdk.Communicator) {
				g := newGuestRun(t, winsim.Scenario{Generalize: seconds(60)}, map[string]any{"stall_timeout": "30s"})
				g.wrap = wrap
				g.becomes(winsim.Scenario{Start: start, StaleTag: true, StaleLog: true}, at)
				wantExplained(t, g, "another machine answers at this address, or the guest was reverted to an older state", "checkpoint", "Nothing was changed")
				if strings.Contains(g.ui.text(), "tag created") {
					t.Error("the log of the other machine was shown as ours")
				}
			})
		})
	}
}

// The clocks of guest and host need not agree, and no zone may matter: a log of
// 2019 that cannot be moved, and an old tag, say nothing about this run.
func TestTheGuestsOwnClockTellsItsRunFromOlderOnes(t *testing.T) {
	t.Parallel()
	for name, clock := range map[string]winsim.Scenario{
		"the host's clock":             {},
		"west of Greenwich, slow":      {Zone: seconds(-8 * 3600), Clock: seconds(-26 * 3600)},
		"east of Greenwich, fast":      {Zone: seconds(9*3600 + 1800), Clock: seconds(400 * 86400)},
		"a host clock of local time":   {Zone: seconds(-8 * 3600), Clock: seconds(8 * 3600)},
		"a clock before the build was": {Zone: seconds(5*3600 + 45*60), Clock: seconds(-3 * 365 * 86400)},
	} {
		t.Run(name, func(t *testing.T) {
			eitherWay(t, func(t *testing.T, wrap func(packersdk.Communicator) packersdk.Communicator) {
				s := clock
				s.StaleTag, s.StaleLog, s.LogLocked = true, true, true
				g := newGuestRun(t, s, nil)
				g.wrap = wrap
				if err := g.provision(); err != nil {
					t.Fatal(err)
				}
				if n := strings.Count(g.ui.text(), "tag created"); n != 1 {
					t.Errorf("a tag was announced %d times", n)
				}
				s.Outcome, s.Class = winsim.Refused, "F22"
				g = newGuestRun(t, s, nil)
				g.wrap = wrap
				wantExplained(t, g, "sysprep refused, the machine is untouched")
			})
		})
	}
}
