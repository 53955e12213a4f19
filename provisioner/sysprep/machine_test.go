package sysprep

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// inOurBuilder gives the run the events of a machine, and a port that accepts
// whether its guest lives or not, as a forwarded one does.
func (g *guestRun) inOurBuilder(at string, e hypervisor.Event) {
	g.t.Helper()
	g.builder = ownBuilder
	path := filepath.Join(g.t.TempDir(), "events")
	events := new(hypervisor.EventLog)
	add := func(e hypervisor.Event) {
		if err := events.Add(e); err != nil {
			g.t.Error(err)
		}
	}
	if err := events.Write(path); err != nil {
		g.t.Fatal(err)
	}
	add(hypervisor.Event{Kind: hypervisor.EventRestart}) // of before the launch
	g.adjust = func(r *run) {
		r.machine.path = path
		r.probe = func(context.Context, string, int) (winrm.Reach, error) { return winrm.Silent, nil }
	}
	g.ui.onSay = func(line string) {
		if strings.Contains(line, at) {
			add(e)
		}
	}
}

func TestWhatTheHypervisorReportsEndsTheWait(t *testing.T) {
	t.Parallel()
	const asked = "shutdown requested"
	for name, test := range map[string]struct {
		event    hypervisor.Event
		at       string
		headline string // empty: success
		parts    []string
	}{
		"a restart":           {hypervisor.Event{Kind: hypervisor.EventRestart}, asked, "the guest restarted instead of powering off: it is not generalized any more", []string{"run the build again"}},
		"a restart midway":    {hypervisor.Event{Kind: hypervisor.EventRestart}, "working on app packages", "sysprep failed midway", []string{"the machine was restarted while sysprep was changing the machine"}},
		"the power-off":       {hypervisor.Event{Kind: hypervisor.EventOff}, asked, "", []string{"the machine has powered itself off"}},
		"a crash midway":      {hypervisor.Event{Kind: hypervisor.EventCrash, Detail: "the machine crashed: killed"}, "working on app packages", "the guest was lost while sysprep worked: the machine crashed: killed", []string{"Look on the host for what ended the machine"}},
		"a crash at the end":  {hypervisor.Event{Kind: hypervisor.EventCrash, Detail: "the machine crashed: killed"}, asked, "success could not be confirmed in the guest: the machine crashed: killed", []string{"do not use the disk of this run"}},
		"a pause that stays":  {hypervisor.Event{Kind: hypervisor.EventPause, Detail: "somebody stopped it"}, asked, "the machine is paused: somebody stopped it", []string{"Resume the machine"}},
		"a pause in the work": {hypervisor.Event{Kind: hypervisor.EventPause, Detail: "somebody stopped it"}, "working on app packages", "the machine is paused: somebody stopped it", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			paused := test.event.Kind == hypervisor.EventPause
			options := map[string]any{"action": "shutdown", "shutdown_timeout": "60s"}
			switch {
			case paused && test.at == asked:
				options["shutdown_timeout"] = "3s"
			case paused:
				options["stall_timeout"] = "10s"
			}
			g := newGuestRun(t, winsim.Scenario{WinRMDies: winsim.WinRMUp, ShutdownTakes: seconds(3600)}, options)
			g.inOurBuilder(test.at, test.event)
			if paused {
				// Nothing in a paused machine answers.
				say := g.ui.onSay
				g.ui.onSay = func(line string) {
					say(line)
					if strings.Contains(line, test.at) {
						g.sim.Faults.BlackHole(true)
					}
				}
			}
			began := time.Now()
			if test.headline != "" {
				wantExplained(t, g, test.headline, test.parts...)
			} else if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), test.parts...)
			if took := time.Since(began); !paused && took > 45*time.Second {
				t.Errorf("it took %s", took)
			}
			if paused && strings.Contains(g.ui.text(), "powered off, as its hypervisor") {
				t.Error("a paused machine is called off")
			}
		})
	}
}
