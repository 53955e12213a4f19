package sysprep

import (
	"context"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/packercomm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// hurry gives a run a guest whose clock runs that much faster, and a connection
// that rests no longer than that.
func (r *run) hurry(speed float64, longest time.Duration) {
	comm := packercomm.New(r.comm, longest)
	comm.Hurry(speed)
	r.open = func(t guest.Transport) *guest.Session {
		s := guest.New(t, r.id)
		s.Hurry(speed)
		return s
	}
	r.session = r.newSession(comm)
}

// shares lets run and guest live in the same time.
func (g *guestRun) shares(clock *winsim.Clock) {
	g.clock = clock
	adjust := g.adjust
	g.adjust = func(r *run) {
		r.now, r.real = clock.Now, clock.Real
		r.hurry(clock.Speed(), r.config.StallTimeout/4)
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
