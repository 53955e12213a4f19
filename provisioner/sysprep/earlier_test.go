package sysprep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

func TestARefusalBeforeTheLaunchNamesTheCauseOfTheEarlierRun(t *testing.T) {
	t.Parallel()
	for start, class := range map[winsim.StartState]string{winsim.SysprepOpen: "F22", winsim.Unfinished: "F35"} {
		t.Run(string(start), func(t *testing.T) {
			t.Parallel()
			logs := t.TempDir()
			g := newGuestRun(t, winsim.Scenario{Start: start}, map[string]any{"log_directory": logs})
			failure, _ := setuplog.Find(class)
			text := setuplog.BOM
			at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
			for _, l := range append(setuplog.Run{Options: []string{"GENERALIZE"}, Privileged: true}.Begin(at), failure.Lines(nil)...) {
				text += l.Format(at)
			}
			g.start()
			g.write(text, "Windows", "System32", "Sysprep", "Panther", "setupact.log")
			err := g.provision()
			wantError(t, err, "sysprep was not started: ", "earlier run, cause: "+class+" ", "earlier run, log: ", "earlier run, next: ")
			if start == winsim.SysprepOpen && (strings.Contains(err.Error(), "<pid>") || !strings.Contains(err.Error(), "Stop-Process -Id 4")) {
				t.Error("the process id is not named")
			}
			if _, err := os.Stat(filepath.Join(logs, "sysprep", "setupact.log")); err != nil {
				t.Error(err)
			}
			wantNothingLeft(t, g)
		})
	}
}

// OOBE may finish in the background behind a WinRM that answers.
func TestAFirstBootThatIsNotOverIsWaitedFor(t *testing.T) {
	t.Parallel()
	const set = `reg add HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State /v ImageState /t REG_SZ /f /d IMAGE_STATE_`
	for _, state := range []string{"SPECIALIZE_RESEAL_TO_OOBE", "UNDEPLOYABLE"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{}, nil)
			g.start()
			g.inGuest(set + state)
			waits := false
			g.ui.onSay = func(line string) {
				if strings.HasPrefix(line, "Waiting: ImageState is IMAGE_STATE_"+state) && !waits {
					waits = true
					g.inGuest(set + "COMPLETE")
				}
			}
			if err := g.provision(); err != nil || !waits {
				t.Errorf("%v, it waited: %v", err, waits)
			}
		})
	}
}

// A first boot that never ends is explained by the log, as far as that goes.
func TestAStateThatDoesNotPassIsExplainedByTheLog(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"log_directory": logs, "stall_timeout": "1s", "generalize_timeout": "60s"})
	g.start()
	g.inGuest(`reg add HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State /v ImageState /t REG_SZ /f /d IMAGE_STATE_UNDEPLOYABLE`)
	failure, _ := setuplog.Find("F35")
	text, at := setuplog.BOM, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, l := range append(setuplog.Run{Options: []string{"GENERALIZE"}, Privileged: true}.Begin(at), failure.Lines(nil)...) {
		text += l.Format(at)
	}
	g.write(text, "Windows", "System32", "Sysprep", "Panther", "setupact.log")
	wantError(t, g.provision(), "[not-started] sysprep was not started: ImageState is IMAGE_STATE_UNDEPLOYABLE", "(waited up to 1s, see stall_timeout)", "earlier run, cause: F35 ")
	if _, err := os.Stat(filepath.Join(logs, "sysprep", "setupact.log")); err != nil {
		t.Error(err)
	}
	wantNothingLeft(t, g)
}
