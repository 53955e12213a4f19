package sysprep

import (
	"strings"
	"sync"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// A run that meets nothing unusual opens no shell after the start, but for what
// is read and removed at the end where the guest stays; and needs no more requests
// than at commit 1c4ee8d, where a watch was a command of its own (69, 118, 52 and 72
// were counted there, without those that fetch output: they depend on the time).
func TestTheRequestsOfARun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		action         string
		shells, inAll  int // opened once sysprep was started, and requests of the run but Receive
		withAnswerFile bool
	}{
		{action: "quit", shells: 5, inAll: 69},
		{action: "quit", shells: 10, inAll: 118, withAnswerFile: true},
		{action: "shutdown", shells: 1, inAll: 52},
		{action: "shutdown", shells: 1, inAll: 72, withAnswerFile: true},
	} {
		name := c.action
		options := map[string]any{"action": c.action, "shutdown_timeout": "8s"}
		if c.withAnswerFile {
			name += ", answer file and logs"
			options["answer_file_content"], options["log_directory"] = testAnswer, t.TempDir()
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Generalize: seconds(60), ShutdownTakes: seconds(15)}, options)
			var mu sync.Mutex
			started, all, fetches, shells := false, 0, 0, 0

			g.server.OnEvent = func(e wsman.Event) {
				mu.Lock()
				defer mu.Unlock()
				if e.Action == "Receive" {
					fetches++
					return
				}
				all++
				if started && e.Action == "Create" {
					shells++
				}
			}
			g.ui.onSay = func(line string) {
				if strings.Contains(line, "sysprep started") {
					mu.Lock()
					started = true
					mu.Unlock()
				}
			}
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			t.Logf("%s: %d requests and %d that fetched output, %d shells opened after the start", name, all, fetches, shells)
			if shells > c.shells {
				t.Errorf("%d shells were opened after the start, want %d", shells, c.shells)
			}
			if all > c.inAll {
				t.Errorf("%d requests, want at most %d", all, c.inAll)
			}
		})
	}
}
