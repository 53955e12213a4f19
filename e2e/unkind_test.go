//go:build e2e

package e2e

import (
	"os"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// unkindEnv makes every simulated guest of the suite as hard on its users as
// Windows can be, all at once. What a test asks for itself stays. With "network"
// the network goes for a while, with any other text no new shell is given. Both
// together leave Packer's client blind: it cannot return to a shell that it lost.
const unkindEnv = "SYSPREP_E2E_UNKIND"

// longest is how long a build may take.
func longest() time.Duration {
	if os.Getenv(unkindEnv) == "" {
		return buildLimit
	}
	return 10 * time.Minute
}

// unkind is the scenario that a guest gets.
func unkind(s winsim.Scenario) winsim.Scenario {
	if os.Getenv(unkindEnv) == "" {
		return s
	}
	duration := func(d *winsim.Duration, value time.Duration) {
		if *d == 0 {
			*d = winsim.Duration(value)
		}
	}
	duration(&s.Generalize, 100*time.Second) // longer than a stretch of the watch
	duration(&s.ShutdownTakes, 30*time.Second)
	duration(&s.WinRMStopsFirst, 20*time.Second)
	duration(&s.LateFirstLine, 5*time.Second)
	duration(&s.PowerShellStarts, 3*time.Second)
	if s.WinRMDies == winsim.WinRMUp {
		if os.Getenv(unkindEnv) == "network" {
			s.PortClosed = winsim.PortClosed{From: winsim.AtGeneralize, For: winsim.Duration(30 * time.Second)}
		} else if s.NoNewShellsFrom == "" {
			s.NoNewShellsFrom = winsim.AtGeneralize
		}
		s.Freeze = winsim.Freeze{At: winsim.AtTag, For: winsim.Duration(10 * time.Second)}
	}
	if s.Start == winsim.Clean {
		s.StaleLog, s.StaleTag, s.LogLocked = true, true, true
	}
	if s.CreateReturn == 0 {
		s.CreateReturn = 2 // access denied
	}
	if s.AutoRun == "" {
		s.AutoRun = "Aktive Codepage: 65001.\r\n"
	}
	if s.Windows == "" && s.Language == "" {
		s.Language = "de"
	}
	s.PowerButtonPresses = max(s.PowerButtonPresses, 2)
	s.NoProcessesInShutdown, s.MoreFails, s.OOBEInProgress, s.WinRMInSetup = true, true, true, true
	return s
}
