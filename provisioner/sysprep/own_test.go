package sysprep

import (
	"bytes"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// newOwnRun is a run over a connection of our own, as Windows allows it without
// being told: NTLM over HTTP, sealed.
func newOwnRun(t *testing.T, s winsim.Scenario, options map[string]any) *guestRun {
	t.Helper()
	g := newGuestRun(t, s, options)
	g.own, g.server = true, winsim.ServerOptions{NTLM: true, NoBasic: true, Encrypted: true}
	if g.options["winrm"] == nil {
		g.options["winrm"] = map[string]any{"mode": winrmOwn}
	}
	return g
}

func TestSuccessOverAConnectionOfOurOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server winsim.ServerOptions
		winrm  map[string]any
	}{
		"NTLM, sealed":   {winsim.ServerOptions{NTLM: true, NoBasic: true, Encrypted: true}, nil},
		"Basic in HTTP":  {winsim.ServerOptions{}, map[string]any{"use_ntlm": false}},
		"TLS":            {winsim.ServerOptions{TLS: true}, map[string]any{"insecure": true}},
		"TLS and NTLM":   {winsim.ServerOptions{TLS: true, NTLM: true, NoBasic: true}, map[string]any{"insecure": true, "use_ssl": true}},
		"account in HCL": {winsim.ServerOptions{NTLM: true, Encrypted: true}, map[string]any{"username": simUser, "password": simPassword, "use_ntlm": true, "use_ssl": false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := t.TempDir()
			options := map[string]any{"mode": winrmOwn}
			for k, v := range c.winrm {
				options[k] = v
			}
			g := newOwnRun(t, winsim.Scenario{StaleTag: true}, map[string]any{"answer_file_content": testAnswer, "log_directory": logs, "winrm": options})
			g.server = c.server
			g.builder = "amazon-ebs" // which logs in no more, so that no other login is tried
			requests := g.count()
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "Deleted the tag of an earlier run", "validating", "tag created", "Windows is generalized", "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")
			wantNothingLeft(t, g)
			if cached, err := os.ReadFile(g.file("Windows", "Panther", "unattend.xml")); err != nil || string(cached) != testAnswer {
				t.Errorf("sysprep did not take the answer file: %v, %q", err, cached)
			}
			if saved, err := os.ReadFile(filepath.Join(logs, "sysprep", "setupact.log")); err != nil || !strings.Contains(string(saved), "Successfully created tag file") {
				t.Errorf("the log was not saved: %v, %d bytes", err, len(saved))
			}
			if requests.by["Create"] != 1 {
				t.Errorf("%d shells were opened, want the one that is kept", requests.by["Create"])
			}
			if open, _ := g.sim.Server.Counts(simUser); open != 0 {
				t.Errorf("%d shells are open at the end", open)
			}
		})
	}
}

func TestShutdownOverAConnectionOfOurOwn(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	g := newOwnRun(t, winsim.Scenario{ShutdownTakes: seconds(60)}, map[string]any{
		"action": "shutdown", "answer_file_content": testAnswer, "shutdown_timeout": "10s", "log_directory": logs})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "shutdown requested", "the guest no longer answers: its port has been closed for")
	wantNothingLeft(t, g)
	if _, err := os.Stat(filepath.Join(logs, "sysprep", "setupact.log")); err != nil {
		t.Error(err)
	}
}

func TestARefusalOverAConnectionOfOurOwn(t *testing.T) {
	t.Parallel()
	const app = "Contoso.App_1.2.3.4_x64__8wekyb3d8bbwe"
	g := newOwnRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{app}}, map[string]any{"answer_file_content": testAnswer})
	err := wantExplained(t, g, "sysprep refused, the machine is untouched: ", "cause: F01", "IMAGE_STATE_COMPLETE")
	want(t, err.Error(), app)
	wantNothingLeft(t, g)
}

// The shell that is open goes on, and ours is open to the end: also where the
// network goes for a while, which costs Packer's communicator its own.
func TestNoNewShellsDoNotEndAConnectionOfOurOwn(t *testing.T) {
	t.Parallel()
	for name, scenario := range map[string]winsim.Scenario{
		"from generalize on": {WinRMDies: winsim.WinRMNoShells},
		"and the network goes for a while": {Generalize: seconds(30), Unkind: winsim.Unkind{NoNewShellsFrom: winsim.AtGeneralize,
			PortClosed: winsim.PortClosed{From: winsim.AtGeneralize, For: seconds(15)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := t.TempDir()
			g := newOwnRun(t, scenario, map[string]any{"answer_file_content": testAnswer, "log_directory": logs, "stall_timeout": "30s"})
			g.builder = "amazon-ebs" // which logs in no more, so that no other login is tried
			requests := g.count()
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "Windows is generalized")
			wantNothingLeft(t, g)
			if _, err := os.Stat(filepath.Join(logs, "sysprep", "setupact.log")); err != nil {
				t.Error(err)
			}
			if requests.by["Create"] != 1 {
				t.Errorf("%d shells were opened", requests.by["Create"])
			}
		})
	}
}

// During generalize, and where it says so at the tag.
func TestFaultsOnAConnectionOfOurOwn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at    string
		fault func(*guestRun)
		gone  bool // the guest is not reached again: it counts as lost unless all was seen before
	}{
		"lost shells": {"working on", func(g *guestRun) { g.sim.Faults.LoseShells() }, false},
		"RST":         {"working on", func(g *guestRun) { g.sim.Faults.ResetConnections() }, false},
		"a freeze": {"working on", func(g *guestRun) {
			g.sim.Faults.Freeze(true)
			time.AfterFunc(2*time.Second, func() { g.sim.Faults.Freeze(false) })
		}, false},
		"the network is gone at the tag": {"tag created", func(g *guestRun) { g.sim.Faults.BlackHole(true) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := map[string]any{"stall_timeout": "20s"}
			if c.gone {
				options = map[string]any{"action": "shutdown", "stall_timeout": "3s", "shutdown_timeout": "2s"}
			}
			g := newOwnRun(t, winsim.Scenario{Generalize: seconds(30), ShutdownTakes: seconds(60)}, options)
			var once sync.Once
			g.ui.onSay = func(line string) {
				if strings.Contains(line, c.at) {
					once.Do(func() { c.fault(g) })
				}
			}
			err := g.provision()
			once.Do(func() { t.Error("the fault never came") })
			if err != nil && (!c.gone || !strings.Contains(err.Error(), "the guest was lost while sysprep worked")) {
				t.Fatal(err)
			}
			if !c.gone {
				wantNothingLeft(t, g)
			}
			wantOneStart(t, g)
		})
	}
}

// What a login cannot do is said with what helps; Packer's communicator is used
// in its place.
func TestAutoSaysWhyItUsesPackersCommunicator(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server winsim.ServerOptions
		winrm  map[string]any
		parts  []string
	}{
		"wrong password": {winsim.ServerOptions{NTLM: true}, map[string]any{"username": simUser, "password": "not-the-One"}, []string{"the login is refused", "set username and password in the block winrm"}},
		"unknown CA":     {winsim.ServerOptions{TLS: true}, nil, []string{"signed by an unknown authority", "set ca_file, pin or insecure in the block winrm"}},
		"only NTLM":      {winsim.ServerOptions{NTLM: true, NoBasic: true}, map[string]any{"use_ntlm": false}, []string{"it offers Negotiate", "remove use_ntlm = false"}},
		"only Basic":     {winsim.ServerOptions{}, nil, []string{"it offers Basic", "use_ntlm = false"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, mode := range []string{winrmAuto, winrmOwn} {
				options := map[string]any{"mode": mode}
				for k, v := range c.winrm {
					options[k] = v
				}
				g := newOwnRun(t, winsim.Scenario{}, map[string]any{"winrm": options})
				g.server = c.server
				err := g.provision()
				said := g.ui.text()
				if mode == winrmOwn {
					wantError(t, err, append(c.parts, "sysprep was not started", "; next: ")...)
					said += err.Error()
				} else {
					if err != nil {
						t.Fatal(err)
					}
					want(t, said, append(c.parts, "Using Packer's communicator, not the provisioner's own WinRM connection: ")...)
				}
				for _, secret := range []string{"not-the-One", simPassword} {
					if strings.Contains(said, secret) {
						t.Errorf("a password was shown: %s", said)
					}
				}
			}
		})
	}
}

func TestNoPasswordOfAConnectionOfOurOwnIsShownOrLogged(t *testing.T) {
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(&logged)
	defer log.SetOutput(before)
	for name, server := range map[string]winsim.ServerOptions{"works": {NTLM: true}, "is refused": {}} {
		g := newOwnRun(t, winsim.Scenario{}, map[string]any{"winrm": map[string]any{"mode": winrmOwn, "username": simUser, "password": simPassword}})
		g.server = server
		if err := g.provision(); (err == nil) != (name == "works") || err != nil && strings.Contains(err.Error(), "Corr3ct") {
			t.Fatalf("a login that %s: %v", name, err)
		}
		want(t, logged.String(), "sysprep: phase connect took")
		if strings.Contains(logged.String()+g.ui.text(), "Corr3ct") {
			t.Errorf("a login that %s shows the password", name)
		}
	}
}
