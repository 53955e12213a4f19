package sysprep

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

func TestLinesRunRightBeforeThePowerOff(t *testing.T) {
	t.Parallel()
	lines := []string{`echo first>C:\a.txt`, `(type C:\a.txt & echo "a ^& b")>"C:\b.txt"`, `if not exist C:\none.txt echo third>>C:\a.txt`}
	over(t, winsim.Scenario{}, map[string]any{"action": "shutdown", "before_shutdown": lines, "shutdown_timeout": "10s"}, func(t *testing.T, g *guestRun) {
		if err := g.provision(); err != nil {
			t.Fatal(err)
		}
		<-g.sim.Off()
		want(t, g.ui.text(), "Running before_shutdown (lines: 3)", "the guest no longer answers: its port has been closed for", "Make sure in the hypervisor that the machine is off")
		if a, b := g.read("a.txt"), g.read("b.txt"); a != "first\r\nthird\r\n" || b != "first\r\n\"a ^& b\" \r\n" && b != "first\r\n\"a ^& b\"\r\n" {
			t.Errorf("the lines left %q and %q", a, b)
		}
		if starts := g.sim.Guest.Starts(); len(starts) != 1 || !strings.HasSuffix(starts[0], "/generalize /oobe /quit /quiet") {
			t.Errorf("sysprep was started as %q", starts)
		}
		wantNothingLeft(t, g)
	})
}

// The account goes, or what a new login needs: the shell that is open shuts
// Windows down all the same.
func TestALineMayTakeTheLoginAway(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"shutdown", "reboot"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			g := newOwnRun(t, winsim.Scenario{Unkind: winsim.Unkind{NoNewShellsFrom: winsim.AtTag}}, map[string]any{"action": action, "before_shutdown": []string{"ver"}, "shutdown_timeout": "10s"})
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "Windows is generalized", "SetupType 2, CmdLine ")
			if strings.Contains(g.ui.text(), "not read") {
				t.Error("what was read while sysprep ran is said not to be")
			}
		})
	}
}

// A login that a cancel ends says nothing of the next one.
func TestACancelAtTheLastLoginIsNoLostLogin(t *testing.T) {
	t.Parallel()
	over(t, winsim.Scenario{}, map[string]any{"action": "quit"}, func(t *testing.T, g *guestRun) {
		ctx, cancel := context.WithCancel(t.Context())
		g.ctx = ctx
		g.ui.onSay = func(line string) {
			if strings.Contains(line, "Shut the machine down and take the disk") {
				cancel()
			}
		}
		_ = g.provision()
		if want(t, g.ui.text(), "Shut the machine down"); strings.Contains(g.ui.text(), "will fail") {
			t.Error("the login is said to be lost")
		}
	})
}

func TestALineThatFailsLeavesWindowsUp(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"shutdown", "quit"} {
		options := map[string]any{"action": action, "before_shutdown": []string{"ver", `type "C:\none"`, "echo x>C:\\never.txt"}}
		over(t, winsim.Scenario{}, options, func(t *testing.T, g *guestRun) {
			err := g.provision()
			wantError(t, err, "[at-the-end] Windows is generalized, but before_shutdown[1] failed with exit code 1", "next: correct that line", "Windows stays up")
			select {
			case <-g.sim.Off():
				t.Error("the guest is off")
			default:
			}
			if _, statErr := os.Stat(g.file("never.txt")); statErr == nil || strings.Contains(err.Error(), "none") {
				t.Errorf("a later line ran, or the line is shown: %v", err)
			}
			wantNothingLeft(t, g)
		})
	}
}

func TestALineThatDoesNotEndIsEnded(t *testing.T) {
	t.Parallel()
	options := map[string]any{"action": "shutdown", "before_shutdown": []string{"ver", "timeout /t 900 /nobreak"}, "before_shutdown_timeout": "10s", "stall_timeout": "60s"}
	over(t, winsim.Scenario{}, options, func(t *testing.T, g *guestRun) {
		wantError(t, g.provision(), "[at-the-end] Windows is generalized, but whether before_shutdown[1] worked is not known", "(10s)")
	})
}

// A restart in place of the power-off is seen, whoever asked for it.
func TestAGuestThatRestartsAfterTheLinesIsNoSuccess(t *testing.T) {
	t.Parallel()
	s := winsim.Scenario{FirstBoot: winsim.FirstBootDone, BootTakes: seconds(10), ShutdownTakes: seconds(10)}
	options := map[string]any{"action": "shutdown", "before_shutdown": []string{"shutdown /r /t 0"}, "shutdown_timeout": "20s"}
	over(t, s, options, func(t *testing.T, g *guestRun) {
		err := g.provision()
		if err == nil {
			t.Fatal("it is taken for a power-off")
		}
		// Windows refuses the second order, or it is seen that it has started again.
		if text := err.Error(); !strings.Contains(text, "Windows did not take the order to end") && !strings.Contains(text, "restarted instead of powering off") {
			t.Errorf("got %v", err)
		}
	})
}

// behind puts the guest behind a port that never shows closed, as a bastion or a
// load balancer does.
func (g *guestRun) behind() {
	g.t.Helper()
	g.start()
	g.host, g.port = testutil.Forward(g.t, g.sim.Addr)
}

func TestAForwardedPortThatNeverCloses(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]map[string]any{"sysprep powers off": nil, "lines first": {"before_shutdown": []string{"ver"}}} {
		options := map[string]any{"action": "shutdown", "shutdown_timeout": "8s", "stall_timeout": "20s"}
		for k, v := range more {
			options[k] = v
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over(t, winsim.Scenario{}, options, func(t *testing.T, g *guestRun) {
				g.behind()
				if err := g.provision(); err != nil {
					t.Fatal(err)
				}
				want(t, g.ui.text(), "Warning: Windows is generalized: ", "whether it did could not be seen within 8s", "a builder that waits for the power-off does so")
			})
		})
	}
}

// What answers after the restart is not generalized any more.
func TestARestartBehindAPortThatNeverClosesIsNoSuccess(t *testing.T) {
	t.Parallel()
	s := winsim.Scenario{RestartsInstead: true, FirstBoot: winsim.FirstBootDone, BootTakes: seconds(20), ShutdownTakes: seconds(10)}
	over(t, s, map[string]any{"action": "shutdown", "shutdown_timeout": "60s", "stall_timeout": "60s"}, func(t *testing.T, g *guestRun) {
		g.behind()
		wantError(t, g.provision(), "[undone/RESTARTED] the guest restarted instead of powering off")
	})
}

func TestTheLoginIsLostAfterGeneralize(t *testing.T) {
	t.Parallel()
	s := winsim.Scenario{ShutdownTakes: seconds(9000), Unkind: winsim.Unkind{NoNewShellsFrom: winsim.AtTag}}
	g := newGuestRun(t, s, map[string]any{"action": "shutdown", "shutdown_timeout": "8s"})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "Warning: Windows is generalized: ", "whether it did could not be seen within 8s", "401")
}

func TestTheLoginIsLostBeforeTheBuildersShutdown(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"null": true, "qemu": true, "vmware-iso": true, "something-else": true, "azure-arm": false, "amazon-ebs": false, ownBuilder: false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over(t, winsim.Scenario{Unkind: winsim.Unkind{NoNewShellsFrom: winsim.AtTag}}, map[string]any{"action": "quit"}, func(t *testing.T, g *guestRun) {
				g.builder = name
				if err := g.provision(); err != nil {
					t.Fatal(err)
				}
				who := "the builder's shutdown_command"
				if name == "null" {
					who = "whoever logs in to shut Windows down"
				}
				said := strings.Count(g.ui.text(), "Warning: "+who+" will fail: ")
				if (said == 1) != want || said > 1 {
					t.Errorf("it is said %d times", said)
				}
			})
		})
	}
	t.Run("a login that works", func(t *testing.T) {
		t.Parallel()
		over(t, winsim.Scenario{}, map[string]any{"action": "quit"}, func(t *testing.T, g *guestRun) {
			if err := g.provision(); err != nil || strings.Contains(g.ui.text(), "will fail") {
				t.Errorf("%v, or it is said to be lost", err)
			}
		})
	})
}

func TestWhatTheLinesMayNotBe(t *testing.T) {
	for name, lines := range map[string][]string{"empty": {"ver", " "}, "two lines": {"ver\nver"}, "too long": {strings.Repeat("x", 9000)}} {
		if _, err := decode(t, map[string]any{"before_shutdown": lines}); err == nil || !strings.Contains(err.Error(), "before_shutdown") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := endFailed("Windows is generalized", nil, errors.New("why")); !strings.Contains(err.Error(), "before_shutdown could not be run: why") {
		t.Error(err)
	}
	if err := endFailed("Windows is generalized", nil, &guest.EndError{Code: 1115, Said: "in progress"}); !strings.Contains(err.Error(), `Windows did not take the order to end: exit code 1115: "in progress"`) || strings.Contains(err.Error(), "before_shutdown[") || strings.Contains(err.Error(), "stays up") {
		t.Error(err)
	}
	if err := endFailed("Windows is generalized", (&Config{BeforeShutdown: []string{"a", "b", "c"}}).lastLines(), &guest.UnsaidError{Index: 2, Err: guest.ErrNoAnswer}); !strings.Contains(err.Error(), "whether before_shutdown[2] worked is not known") {
		t.Error(err)
	}
}

// What was only resealed is not called generalized.
func TestAResealedWindowsIsNotCalledGeneralizedAtTheEnd(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"generalize": false, "action": "quit", "before_shutdown": []string{`type "C:\none"`}})
	wantError(t, g.provision(), "[at-the-end] Windows is resealed, but before_shutdown[0] failed with exit code 1")
}
