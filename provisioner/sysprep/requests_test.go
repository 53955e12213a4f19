package sysprep

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// counted is what a guest was asked.
type counted struct {
	mu      sync.Mutex
	by      map[string]int // requests by their action
	all     int
	bytes   int // sent to the guest, without the headers
	started bool
	shells  int // opened once sysprep was started
	polls   int // Receives since then
	ofPolls int // bytes of those
}

// count makes a run tell what it asks.
func (g *guestRun) count() *counted {
	c := &counted{by: map[string]int{}}
	g.server.OnEvent = func(e wsman.Event) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.all++
		c.by[e.Action]++
		c.bytes += e.Bytes
		switch {
		case c.started && e.Action == "Create":
			c.shells++
		case c.started && e.Action == "Receive":
			c.polls++
			c.ofPolls += e.Bytes
		}
	}
	g.ui.onSay = func(line string) {
		if strings.Contains(line, "sysprep started") {
			c.mu.Lock()
			c.started = true
			c.mu.Unlock()
		}
	}
	return c
}

// A run that meets nothing unusual opens no shell after the start, but for what
// is read and removed at the end where the guest stays; and needs no more requests
// than at commit 1c4ee8d, where a watch was a command of its own (69, 118, 52 and 72
// were counted there, without those that fetch output: they depend on the time).
// Over a connection of our own it opens one shell, and needs far fewer.
func TestTheRequestsOfARun(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	table := []string{"run; over; requests, of them polls of the watch; bytes, of them of those polls; shells"}
	t.Cleanup(func() {
		slices.Sort(table[1:])
		t.Logf("\n%s", strings.Join(table, "\n"))
	})
	for _, c := range []struct {
		action         string
		shells, inAll  int // opened once sysprep was started, and requests of the run but Receive
		own            int // the same requests over a connection of our own
		withAnswerFile bool
	}{
		{action: "quit", shells: 5, inAll: 69, own: 35},
		{action: "quit", shells: 10, inAll: 118, own: 53, withAnswerFile: true},
		{action: "shutdown", shells: 1, inAll: 52, own: 28},
		{action: "shutdown", shells: 1, inAll: 72, own: 36, withAnswerFile: true},
	} {
		name := c.action
		options := map[string]any{"action": c.action, "shutdown_timeout": "8s"}
		if c.withAnswerFile {
			name += ", answer file and logs"
			options["answer_file_content"], options["log_directory"] = testAnswer, t.TempDir()
		}
		run := func(t *testing.T, g *guestRun, over string) *counted {
			n := g.count()
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			n.mu.Lock()
			defer n.mu.Unlock()
			table = append(table, fmt.Sprintf("%s; %s; %d, %d; %d, %d; %d", name, over, n.all, n.polls, n.bytes, n.ofPolls, n.by["Create"]))
			return n
		}
		scenario := winsim.Scenario{Generalize: seconds(60), ShutdownTakes: seconds(15)}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := run(t, newGuestRun(t, scenario, options), "Packer's communicator")
			if n.shells > c.shells {
				t.Errorf("%d shells were opened after the start, want %d", n.shells, c.shells)
			}
			if all := n.all - n.by["Receive"]; all > c.inAll {
				t.Errorf("%d requests, want at most %d", all, c.inAll)
			}
		})
		t.Run(name+", own", func(t *testing.T) {
			t.Parallel()
			n := run(t, newOwnRun(t, scenario, options), "a connection of our own")
			if n.by["Create"] != 1 {
				t.Errorf("%d shells were opened, want one", n.by["Create"])
			}
			if all := n.all - n.by["Receive"]; all > c.own {
				t.Errorf("%d requests, want at most %d", all, c.own)
			}
		})
	}
}
