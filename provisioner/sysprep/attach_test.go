package sysprep

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// second is a run of another Packer against the same guest.
func (g *guestRun) second(t *testing.T, options map[string]any) *guestRun {
	t.Helper()
	s := *g
	s.t, s.ui, s.options, s.adjust = t, &recordUI{}, map[string]any{"poll_interval": "100ms"}, nil
	for _, name := range []string{"winrm", "preflight"} {
		if block, ok := g.options[name]; ok {
			s.options[name] = block
		}
	}
	for k, v := range options {
		s.options[k] = v
	}
	return &s
}

// saying closes a channel when the user is told a text.
func (g *guestRun) saying(text string) <-chan struct{} {
	said := make(chan struct{})
	var once sync.Once
	g.ui.onSay = func(line string) {
		if strings.Contains(line, text) {
			once.Do(func() { close(said) })
		}
	}
	return said
}

func TestASecondRunWatchesTheSysprepOfTheFirst(t *testing.T) {
	notOnWindows(t, "a folder that is held open cannot be removed, and the test looks for it")
	t.Parallel()
	for name, c := range map[string]struct{ first, second map[string]any }{
		"quit":             {map[string]any{"action": "quit"}, map[string]any{"action": "quit"}},
		"shutdown":         {map[string]any{"action": "shutdown", "shutdown_timeout": "10s"}, map[string]any{"action": "shutdown", "shutdown_timeout": "10s"}},
		"an answer file":   {map[string]any{"answer_file_content": testAnswer}, map[string]any{"answer_file_content": strings.Replace(testAnswer, "Tops3cret", "Oth3r", 1), "delete_cached_answer_file": true}},
		"a scheduled task": {map[string]any{"elevated_user": simUser}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over(t, winsim.Scenario{Generalize: seconds(200), ShutdownTakes: seconds(60)}, c.first, func(t *testing.T, g *guestRun) {
				g.start()
				works := g.saying("working on app packages")
				first := make(chan error, 1)
				go func() { first <- g.provision() }()
				select {
				case <-works:
				case err := <-first:
					t.Fatalf("the first has ended: %v", err)
				}
				s := g.second(t, c.second)
				s.options["preflight"] = on()
				if err := s.provision(); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(s.ui.text(), "(pre-flight)") {
					t.Error("a machine in which sysprep runs is asked for what speaks against that")
				}
				want(t, s.ui.text(), "Not starting sysprep: sysprep.exe is already running as this run would start it (process id ", "Windows is generalized", "was left to it")
				if answered := strings.Contains(s.ui.text(), "the answer file of this run is not in the image"); answered != (name == "an answer file") {
					t.Errorf("the answer file is said not to be in the image: %v", answered)
				}
				if told := strings.Contains(s.ui.text(), "delete_cached_answer_file of this run was not done"); told != (name == "an answer file") {
					t.Errorf("an option that was not done is told: %v", told)
				}
				if err := <-first; err != nil {
					t.Fatal(err)
				}
				if starts := g.sim.Guest.Starts(); len(starts) != 1 {
					t.Errorf("sysprep was started as %q", starts)
				}
				wantNothingLeft(t, g)
			})
		})
	}
}

// Somebody else's folder is not ours to remove, and nothing of ours stays.
func TestARunThatWasLeftIsWatchedAndNotTidied(t *testing.T) {
	t.Parallel()
	over(t, winsim.Scenario{Generalize: seconds(200)}, map[string]any{"action": "quit"}, func(t *testing.T, g *guestRun) {
		g.start()
		works := g.saying("working on app packages")
		ctx, kill := context.WithCancel(t.Context())
		g.ctx = ctx
		first := make(chan error, 1)
		go func() { first <- g.provision() }()
		<-works
		kill() // it tidies up; sysprep goes on, because it changes the machine
		<-first
		other := filepath.Join("Windows", "Temp", "packer-sysprep-0123456789ab")
		g.write("x", other, "launch.ps1")
		s := g.second(t, nil)
		s.ctx = t.Context()
		if err := s.provision(); err != nil {
			t.Fatal(err)
		}
		want(t, s.ui.text(), "Not starting sysprep", "Windows is generalized")
		if _, err := os.Stat(g.file(other)); err != nil {
			t.Error(err)
		}
		for _, left := range g.ours() {
			if !strings.Contains(left, "0123456789ab") {
				t.Errorf("left in the guest: %s", left)
			}
		}
	})
}

// Another run than this one is not taken for it.
func TestARunWithOtherOptionsIsNotWatched(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Generalize: seconds(200)}, map[string]any{"action": "quit"})
	g.start()
	works := g.saying("working on app packages")
	first := make(chan error, 1)
	go func() { first <- g.provision() }()
	<-works
	s := g.second(t, map[string]any{"action": "shutdown"})
	wantError(t, s.provision(), "[not-started/ALREADY_RUNNING] sysprep was not started: sysprep.exe is already running (process id ",
		"another run of this provisioner started it, as sysprep /generalize /oobe /quit /quiet; this run would start sysprep /generalize /oobe /shutdown /quiet")
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	wantNothingLeft(t, g)
}

func TestAWatcherThatIsCancelledEndsNothing(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{Validate: seconds(60), Generalize: seconds(20)}, map[string]any{"action": "quit"})
	g.start()
	works := g.saying("validating: cleanup")
	first := make(chan error, 1)
	go func() { first <- g.provision() }()
	<-works
	s := g.second(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s.ctx = ctx
	s.ui.onSay = func(line string) {
		if strings.Contains(line, "validating: cleanup") {
			cancel()
		}
	}
	wantError(t, s.provision(), "[cancelled]")
	if err := <-first; err != nil {
		t.Fatal(err)
	}
}
