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
