package sysprep

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// What goes wrong once the command that brings the answer file has begun: the run
// goes on, or ends with advice about the connection, and nothing stays in a guest
// that can be reached.
func TestFaultsWhileTheAnswerFileIsBrought(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  func(g *guestRun, cancel func())
		ends   string // of the run; empty: it succeeds
		remain bool
	}{
		"the answer is lost": {fault: func(g *guestRun, _ func()) {
			g.sim.Faults.Inject(wsman.Rule{Action: "Receive", Do: wsman.Close, Times: 1})
		}},
		"RST":        {fault: func(g *guestRun, _ func()) { g.sim.Faults.ResetConnections() }},
		"lost shell": {fault: func(g *guestRun, _ func()) { g.sim.Faults.LoseShells() }},
		"a fault that has no name": {ends: "fault 4711", fault: func(g *guestRun, _ func()) {
			g.sim.Faults.Inject(wsman.Rule{Action: "Receive", Do: wsman.Fail, Code: 4711, Times: 1})
		}},
		"401":      {ends: "the login is refused", remain: true, fault: func(g *guestRun, _ func()) { g.sim.Faults.RejectCredentials(true, false) }},
		"a cancel": {ends: "cancelled: sysprep was not started", fault: func(_ *guestRun, cancel func()) { cancel() }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newOwnRun(t, winsim.Scenario{}, map[string]any{"answer_file_content": testAnswer})
			ctx, cancel := context.WithCancel(g.ctx)
			defer cancel()
			g.ctx = ctx
			var once sync.Once
			g.server.OnEvent = func(e wsman.Event) {
				if e.Action == "Command" && strings.Contains(e.Detail, "-EncodedCommand") {
					once.Do(func() { c.fault(g, cancel) })
				}
			}
			err := g.provision()
			once.Do(func() { t.Error("the fault never came") })
			switch {
			case c.ends == "" && err != nil:
				t.Fatal(err)
			case c.ends != "":
				wantError(t, err, c.ends)
				if first, _, _ := strings.Cut(err.Error(), "\n"); strings.Contains(err.Error(), "elevated token") || !strings.Contains(c.ends, "cancelled") && !strings.Contains(first, "; next: ") {
					t.Errorf("the advice is not about the connection: %v", err)
				}
			}
			if c.remain {
				want(t, g.ui.text(), "Could not clean up in the guest", `packer-unattend-`)
				return
			}
			wantNothingLeft(t, g)
		})
	}
}
