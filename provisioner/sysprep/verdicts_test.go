package sysprep

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// A verdict under each way in which Windows can be hard: right, in time, no
// success on a bad image, no loss of a good one.
func TestVerdictsUnderAWindowsThatIsNotKind(t *testing.T) {
	t.Parallel()
	const (
		inTime       = 2 * time.Minute
		ways         = 5 // of each scenario one with -short
		networkAtTag = "the network goes at the tag"
		noShellLeft  = "the network goes, no new shells"
		filtered     = "a filtered token"
	)
	unkind := func(u winsim.Unkind) winsim.Scenario { return winsim.Scenario{Unkind: u} }
	var mu sync.Mutex
	var table []string
	t.Cleanup(func() {
		sort.Strings(table)
		t.Logf("verdicts:\n%s", strings.Join(table, "\n"))
	})
	for name, scenario := range map[string]winsim.Scenario{
		"kind":                              {},
		"no new shells from the launch":     unkind(winsim.Unkind{NoNewShellsFrom: winsim.AtLaunch}),
		"no new shells from generalize":     unkind(winsim.Unkind{NoNewShellsFrom: winsim.AtGeneralize}),
		"no new shells from the tag":        unkind(winsim.Unkind{NoNewShellsFrom: winsim.AtTag}),
		"no processes in the shutdown":      unkind(winsim.Unkind{NoProcessesInShutdown: true}),
		"WinRM stops 40 s before power-off": {ShutdownTakes: seconds(50), Unkind: winsim.Unkind{WinRMStopsFirst: seconds(40)}},
		"late first line":                   unkind(winsim.Unkind{LateFirstLine: seconds(60)}),
		"the watch is blocked":              unkind(winsim.Unkind{BlockedScripts: []string{"watch"}}),
		"an old log that is held":           {StaleLog: true, LogLocked: true, Unkind: winsim.Unkind{LateFirstLine: seconds(30)}},
		"WMI may start nothing":             {CreateReturn: 2},
		"AutoRun":                           {AutoRun: "Aktive Codepage: 65001.\r\n"},
		"the network goes at generalize":    {Generalize: seconds(90), Unkind: winsim.Unkind{PortClosed: winsim.PortClosed{From: winsim.AtGeneralize, For: seconds(30)}}},
		networkAtTag:                        unkind(winsim.Unkind{PortClosed: winsim.PortClosed{From: winsim.AtTag, For: seconds(20)}}),
		"stands still at generalize":        {Generalize: seconds(90), Unkind: winsim.Unkind{Freeze: winsim.Freeze{At: winsim.AtGeneralize, For: seconds(60)}}},
		"stands still at the tag":           unkind(winsim.Unkind{Freeze: winsim.Freeze{At: winsim.AtTag, For: seconds(60)}}),
		"PowerShell takes 20 s to start":    unkind(winsim.Unkind{PowerShellStarts: seconds(20)}),
		"every script is blocked":           unkind(winsim.Unkind{BlockedScripts: scripts.Names()}),
		"WMI raises an error":               unkind(winsim.Unkind{CreateError: "0x80041003"}),
		"PowerShell 2":                      unkind(winsim.Unkind{PowerShellVersion: "2"}),
		"Constrained Language":              unkind(winsim.Unkind{ConstrainedLanguage: true}),
		"2008 R2 in German":                 unkind(winsim.Unkind{Windows: "2008r2", Language: "de"}),
		"2012 R2 in French":                 unkind(winsim.Unkind{Windows: "2012r2", Language: "fr"}),
		"Windows 11 25H2":                   unkind(winsim.Unkind{Windows: "11-25h2", MoreFails: true}),
		"OOBEInProgress stays 1":            unkind(winsim.Unkind{OOBEInProgress: true}),
		"Windows on D:":                     unkind(winsim.Unkind{SystemDrive: "D"}),
		filtered:                            unkind(winsim.Unkind{FilteredToken: true}),
		"restarts instead":                  {RestartsInstead: true, FirstBoot: winsim.FirstBootDone, BootTakes: seconds(30)},
		"restarts instead, WinRM answers":   {RestartsInstead: true, FirstBoot: winsim.FirstBootDone, BootTakes: seconds(30), SetupFor: seconds(30), Unkind: winsim.Unkind{WinRMInSetup: true}},
		"everything but the restart": {StaleLog: true, StaleTag: true, LogLocked: true, CreateReturn: 2, AutoRun: "Aktive Codepage: 65001.\r\n", ShutdownTakes: seconds(50),
			Unkind: winsim.Unkind{NoNewShellsFrom: winsim.AtGeneralize, NoProcessesInShutdown: true, WinRMStopsFirst: seconds(20), LateFirstLine: seconds(20),
				Freeze: winsim.Freeze{At: winsim.AtTag, For: seconds(20)}, PowerShellStarts: seconds(5), Language: "de", MoreFails: true, OOBEInProgress: true}},
		// The client has lost its shell, and gets no other.
		noShellLeft: unkind(winsim.Unkind{NoNewShellsFrom: winsim.AtGeneralize, PortClosed: winsim.PortClosed{From: winsim.AtGeneralize, For: seconds(15)}}),
	} {
		way := 0
		for _, builder := range []string{"null", ownBuilder} {
			for _, action := range []string{"quit", "shutdown", "reboot"} {
				if builder == ownBuilder && action == "reboot" {
					continue // Prepare refuses it
				}
				if way++; testing.Short() && way%ways != len(name)%ways {
					continue
				}
				t.Run(name+", "+builder+", "+action, func(t *testing.T) {
					t.Parallel()
					s := scenario
					if s.ShutdownTakes == 0 {
						s.ShutdownTakes = seconds(50) // time to clean up in, on a slow machine
					}
					if s.Generalize == 0 {
						s.Generalize = seconds(30)
					}
					g := newGuestRun(t, s, map[string]any{"action": action, "answer_file_content": testAnswer, "stall_timeout": "30s", "shutdown_timeout": "15s"})
					g.builder = builder
					if s.Freeze.For > 0 || s.PortClosed.For > 0 {
						// The guest is ten times as fast as a real one, and what is left
						// of the run after the pause is short.
						g.adjust = func(r *run) { r.hurry(faultHurry, r.config.StallTimeout/4) }
					}
					begun := time.Now()
					err := g.provision()
					took := time.Since(begun)
					verdict := "generalized"
					if err != nil {
						verdict, _, _ = strings.Cut(err.Error(), "\n")
					}
					left := g.ours()
					mu.Lock()
					table = append(table, fmt.Sprintf("%-34s %-12s %-9s %5.1f s  %s, %d left", name, builder, action, took.Seconds(), verdict, len(left)))
					mu.Unlock()
					if took > inTime {
						t.Errorf("it took %s", took)
					}
					// The last answer may be quicker than the network goes: then all facts of
					// success were read in the guest.
					heard := err == nil && name == networkAtTag && strings.Contains(g.ui.text(), `tag present, SetupType 2, CmdLine oobe\windeploy.exe`)
					switch {
					case name == filtered:
						if err == nil || !strings.Contains(err.Error(), "connect as an administrator with the elevated token") {
							t.Errorf("it does not say what is missing: %v", err)
						}
					case builder == "null" && (name == noShellLeft || name == networkAtTag && action != "quit" && !heard):
						// Nothing could be seen of the end, and nobody proves the disk.
						if err == nil || !strings.Contains(err.Error(), "the guest was lost") || len(left) > 0 && name == networkAtTag {
							t.Errorf("what nobody saw is told: %v, %q left", err, left)
						}
					case s.RestartsInstead && action == "shutdown" && builder == ownBuilder:
						// The builder hears of the restart from QEMU, and proves the disk.
					case s.RestartsInstead && action == "shutdown":
						if err == nil || !strings.Contains(err.Error(), "restarted instead of powering off") {
							t.Errorf("a bad image is taken: %v", err)
						}
					case err != nil:
						t.Errorf("a good image is lost: %v", err)
					case len(left) > 0:
						t.Errorf("left in the image: %q", left)
					}
				})
			}
		}
	}
}
