package sysprep

import (
	"context"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// shares lets run and guest live in the same time.
func (g *guestRun) shares(clock *winsim.Clock) {
	g.clock = clock
	adjust := g.adjust
	g.adjust = func(r *run) {
		r.now, r.real = clock.Now, clock.Real
		r.session.Hurry(clock.Speed())
		probe := r.probe
		r.probe = func(ctx context.Context, host string, port int) (winrm.Reach, error) {
			ctx, cancel := context.WithTimeout(ctx, clock.Real(winrm.ProbeLimit))
			defer cancel()
			return probe(ctx, host, port)
		}
		if adjust != nil {
			adjust(r)
		}
	}
}

// With the options of a user and the durations of a Windows: generalize outlasts
// every period of the watch.
func TestARunWithTheDurationsOfAWindows(t *testing.T) {
	t.Parallel()
	for _, action := range []string{"quit", "shutdown", "reboot"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{}, map[string]any{"action": action, "answer_file_content": testAnswer, "poll_interval": "2s"})
			g.scenario.Validate, g.scenario.Generalize = 0, 0 // as long as they are
			g.shares(winsim.NewClock(25))
			begun := g.clock.Now()
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "Windows is generalized")
			if took := g.clock.Now().Sub(begun); took < 4*time.Minute {
				t.Errorf("took %s", took)
			}
		})
	}
}
