package sysprep

import (
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// The password stops being right while sysprep works, and open connections break. Who
// asks as often as the run does locks the account, unless he counts.
func TestAWatchDoesNotLockTheAccount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		own    bool
		most   int // login_attempts; 0: not set
		locked bool
	}{
		"Packer's communicator":            {},
		"our own connection":               {own: true},
		"our own connection, not counting": {own: true, most: 1000, locked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const speed = 60
			s := winsim.Scenario{Outcome: winsim.Hang, Lockout: winsim.Lockout{After: 5, Within: winsim.Duration(15 * time.Minute)}}
			g := newGuestRun(t, s, map[string]any{"action": "quit", "poll_interval": "5s", "stall_timeout": "4m"})
			if c.own {
				g = newOwnRun(t, s, g.options)
			}
			if c.most > 0 {
				g.options["winrm"] = map[string]any{"mode": winrmOwn, "login_attempts": c.most}
			}
			g.scenario.Validate, g.scenario.Generalize = 0, 0
			g.shares(winsim.NewClock(speed))
			g.ui.onSay = func(text string) {
				if strings.Contains(text, "working on servicing state") {
					g.ui.onSay = nil
					// In this order: a refusal whose answer is cut off is one that nobody can count.
					g.sim.Faults.ResetConnections()
					g.sim.Guest.ChangePasswords(true)
				}
			}
			wantError(t, g.provision(), "[lost")
			n, locked := g.sim.Guest.Wrong(simUser)
			if n == 0 || locked != c.locked {
				t.Errorf("%d wrong passwords, locked: %v", n, locked)
			}
		})
	}
}
