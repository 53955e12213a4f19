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
	polls   int // Receives of the command that watches
	ofPolls int // bytes of those
	// watching: the command that was sent last starts sysprep and watches.
	watching bool
	// Of commands that do not watch, the Receives beyond the first: how many pieces
	// an output comes in depends on the time.
	more, ofMore int
	received     bool
}

// beside returns the requests and bytes beside the polls.
func (c *counted) beside() (requests, bytes int) {
	return c.all - c.polls - c.more, c.bytes - c.ofPolls - c.ofMore
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
		case e.Action == "Command":
			c.watching, c.received = strings.Contains(e.Detail, "launch.ps1 "), false
		case e.Action == "Receive" && c.watching:
			c.polls++
			c.ofPolls += e.Bytes
		case e.Action == "Receive" && c.received:
			c.more++
			c.ofMore += e.Bytes
		case e.Action == "Receive":
			c.received = true
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
// Over a connection of our own it opens one shell, and needs at most 20 requests and
// 40 kB beside the polls of its watch. The pre-flight is left out here, and counted by
// TestTheRequestsOfAPreflight and TestTwelveFaultsAtOnce.
func TestTheRequestsOfARun(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	table := []string{"run; over; requests, of them polls of the watch; bytes, of them of those polls; shells; beside polls, with one Receive a command: requests, bytes"}
	t.Cleanup(func() {
		slices.Sort(table[1:])
		t.Logf("\n%s", strings.Join(table, "\n"))
	})
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
		options := map[string]any{"action": c.action, "shutdown_timeout": "24s"}
		if c.withAnswerFile {
			name += ", answer file and logs"
			options["answer_file_content"], options["log_directory"] = testAnswer, t.TempDir()
		}
		run := func(t *testing.T, g *guestRun, over string) *counted {
			g.builder = "amazon-ebs" // which logs in no more, so that no other login is tried
			n := g.count()
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			defer mu.Unlock()
			n.mu.Lock()
			defer n.mu.Unlock()
			requests, bytes := n.beside()
			table = append(table, fmt.Sprintf("%s; %s; %d, %d; %d, %d; %d; %d, %d", name, over, n.all, n.polls, n.bytes, n.ofPolls, n.by["Create"], requests, bytes))
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
			if requests, bytes := n.beside(); requests > 20 || bytes > 40<<10 {
				t.Errorf("%d requests and %d bytes beside the polls, want at most 20 and 40960", requests, bytes)
			}
		})
	}
}
