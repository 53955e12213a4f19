package sysprep

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/packercomm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/winrmguest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// asked is what a pre-flight asked of a guest: bringing are the requests before
// the first command that runs preflight.ps1.
type asked struct {
	requests, bringing, commands, bytes int
	more                                int // Receives for output that came in pieces
}

// preflightOver asks a guest for the facts of a pre-flight, over Packer's
// communicator or a connection of our own.
func preflightOver(t *testing.T, own bool, scenario winsim.Scenario) (guest.PreflightAnswer, asked, time.Duration) {
	t.Helper()
	var n asked
	g := newGuestRun(t, scenario, nil)
	if own {
		g = newOwnRun(t, scenario, nil)
	}
	counts := g.count()
	onEvent := g.server.OnEvent
	commands := 0
	g.server.OnEvent = func(e wsman.Event) {
		onEvent(e)
		counts.mu.Lock()
		defer counts.mu.Unlock()
		if e.Action == "Command" && (strings.Contains(e.Detail, "preflight.ps1 ") || strings.Contains(e.Detail, "packer-^part")) {
			if commands++; commands == 1 {
				n.bringing = counts.all - counts.more - 1
				if !own {
					n.bringing-- // the shell of the command
				}
			}
		}
	}
	sim := g.start()
	var transport guest.Transport
	if own {
		client, err := winrm.New(winrm.Config{Host: sim.Host, Port: sim.Port, User: simUser, Password: winrm.NewSecret(simPassword), Auth: winrm.AuthNTLM})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		w := winrmguest.New(winrm.NewSession(client, winrm.ShellOptions{}), files.Options{Folder: `%SystemRoot%\Temp\packer-sysprep-id`, Note: func(string) {}})
		defer func() { _ = w.Close(context.WithoutCancel(t.Context())) }()
		transport = w
	} else {
		transport = packercomm.New(g.communicator(), time.Minute)
	}
	session := guest.New(transport, "id")
	if _, err := session.Look(t.Context()); err != nil { // as every run begins
		t.Fatal(err)
	}
	counts.mu.Lock()
	counts.all, counts.bytes, counts.more, counts.ofMore, commands = 0, 0, 0, 0, 0
	counts.mu.Unlock()
	begun := time.Now()
	answer, err := session.Preflight(t.Context(), guest.DefaultGroups())
	took := time.Since(begun)
	if err != nil {
		t.Fatal(err)
	}
	counts.mu.Lock()
	defer counts.mu.Unlock()
	n.requests, n.bytes, n.commands, n.more = counts.all-counts.more, counts.bytes-counts.ofMore, commands, counts.more
	return answer, n, took
}

// The pre-flight is four commands in the guest, of 20 requests at most, beside
// the first look of every run. Over a connection of our own that is with what brings
// the script. Packer's communicator
// opens a shell for every command, and uploads 6 kB by a command.
func TestTheRequestsOfAPreflight(t *testing.T) {
	t.Parallel()
	scenario := winsim.Scenario{Condition: winsim.Condition{Apps: 300}}
	for name, c := range map[string]struct {
		own             bool
		most, bytes     int
		withoutBringing bool
	}{
		"a connection of our own": {own: true, most: 20, bytes: 40 << 10},
		"Packer's communicator":   {most: 20, bytes: 120 << 10, withoutBringing: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, n, took := preflightOver(t, c.own, scenario)
			facts := answer.Facts()
			for name, raw := range facts {
				if f := (struct{ Error *string }{}); json.Unmarshal(raw, &f) != nil || f.Error != nil {
					t.Errorf("%s: %s", name, raw)
				}
			}
			if apps := len(facts["appx"]); apps < 150_000 {
				t.Errorf("the packages are %d bytes, less than 300 are", apps)
			}
			t.Logf("%d commands; %d requests, %d of them to bring the script, and %d for output in pieces; %d bytes; %s", n.commands, n.requests, n.bringing, n.more, n.bytes, took.Round(time.Millisecond))
			if c.withoutBringing {
				n.requests -= n.bringing
			}
			if n.commands != 4 || n.requests > c.most || n.bytes > c.bytes {
				t.Errorf("%+v, want 4 commands, at most %d requests and %d bytes", n, c.most, c.bytes)
			}
		})
	}
}
