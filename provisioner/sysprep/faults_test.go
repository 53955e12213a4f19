package sysprep

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// The phases in which a fault sets in, by what is in the guest's log.
var faultPhases = []struct{ name, log string }{
	{"look", ""}, {"validate", "Pre-validing 'generalize'"}, {"generalize", "Executing method 'SceSysPrep'"}, {"tag", "Successfully created tag"},
}

// What the table is measured with: a guest ten times as fast as a real one, and
// limits on the way to it six times as short as a user's.
const (
	faultSpeed, faultHurry = 10, 6
	faultLimit             = 150 * time.Second // of one cell, on a machine that does much else
	coldRate               = 250               // requests a second that no loop makes
	hotLoop                = 200               // refused Receives of one shell: its client loops
)

// fault is one way to fail.
type fault struct {
	name string
	set  func(*faultCell)
	// want are the outcomes in the four phases: g generalized, l lost, n not
	// started, o another machine, h hung, a generalized before, b broken.
	want [4]string
	// left: what this run brought into the guest may stay there in that phase.
	left [4]bool
	// builders: the communicator is the one of our own builder.
	builders bool
	// hot: Packer's client may loop, on so many shells.
	hot int
	// rate is how many requests a second there may be, where it is not coldRate.
	rate int
}

var faults = []fault{
	{name: "FIN", want: [4]string{"gn", "g", "g", "g"}, set: func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Close, Times: 2}); c.sim.Faults.CloseConnections() }},
	{name: "RST", want: [4]string{"gn", "g", "g", "g"}, set: func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Reset, Times: 2}); c.sim.Faults.ResetConnections() }},
	{name: "black hole", want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{true, true, true, true}, set: func(c *faultCell) { c.sim.Faults.BlackHole(true) }},
	{name: "accepts, never answers", want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{true, true, true, true}, set: func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Hang}) }},
	{name: "freeze, then thaw", want: [4]string{"g", "g", "g", "g"}, set: func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Hang, Times: 4, For: 2 * time.Second}) }},
	{name: "lost shells (2150858843)", want: [4]string{"gn", "g", "g", "g"}, hot: 1, set: func(c *faultCell) { c.sim.Faults.LoseShells() }},
	{name: "lost shells, sysprep-vhd's communicator", want: [4]string{"gn", "g", "g", "g"}, builders: true, set: func(c *faultCell) { c.sim.Faults.LoseShells() }},
	{name: "HTTP 500 faults", want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{true, true, true, true}, hot: 2, set: func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Fail, Code: 2150859173}) }},
	{name: "quota for new shells", want: [4]string{"gn", "gl", "gl", "gl"}, left: [4]bool{true, true, true, true}, set: func(c *faultCell) { c.inject(wsman.Rule{Action: "Create", Do: wsman.Fail, Code: 2150859173}) }},
	{name: "401 from now on", want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{true, true, true, true}, set: func(c *faultCell) { c.sim.Faults.RejectCredentials(true, false) }},
	{name: "an answer without an end", rate: 1500, want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{true, true, true, true}, set: func(c *faultCell) { c.inject(wsman.Rule{Action: "Receive", Do: wsman.Endless}) }},
	{name: "WinRM restarts", want: [4]string{"gn", "g", "g", "g"}, hot: 1, set: (*faultCell).restartService},
	{name: "Packer is gone", want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{true, true, true, true}, set: func(c *faultCell) { c.cut() }},
	{name: "another machine answers", hot: 1, want: [4]string{"abno", "o", "o", "og"}, left: [4]bool{true, true, true, true}, set: (*faultCell).replace},
}

var outcomes = map[string]string{"g": "generalized", "l": "lost", "n": "not started", "o": "another machine", "h": "hung", "c": "cancelled", "a": "generalized before", "b": "broken"}

// TestEveryFaultInEveryPhase runs each fault in each phase over real WinRM, with
// Packer's communicator behind the plugin protocol, and prints what came of it:
// `make faults`.
func TestEveryFaultInEveryPhase(t *testing.T) {
	if testutil.Race {
		t.Skip("skipped: the table measures times, which the race detector stretches; it runs without -race")
	}
	if runtime.GOOS == "windows" {
		t.Skip("skipped: the table measures times, which Wine stretches; it runs on Linux")
	}
	// The library behind Packer's uploads shows what the guest says, without an end.
	quiet, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	shown := os.Stdout
	os.Stdout = quiet
	defer func() {
		os.Stdout = shown
		_ = quiet.Close() // who still writes there is cut off
	}()
	var cells []*faultCell
	slots := make(chan struct{}, 20)
	var all sync.WaitGroup
	for _, own := range []bool{false, true} {
		for _, f := range faults {
			if own && (f.builders || f.name == "Packer is gone") {
				continue // these are about Packer's communicator
			}
			if own {
				f.name += ", own"
			}
			for phase := range faultPhases {
				cells = append(cells, &faultCell{fault: f, own: own, phase: phase})
			}
		}
	}
	for _, c := range cells {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(c.fault.name+"/"+faultPhases[c.phase].name, func(t *testing.T) {
				c.t = t
				c.run()
				c.check()
			})
		})
	}
	all.Wait()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintln(w, "fault\t phase\t outcome\t the guest is\t time\t peak/s\t mean/s\t loops\t starts\t left in the guest\t on the host")
	for _, c := range cells {
		is := "not generalized"
		if c.generalize {
			is = "generalized"
		}
		left := "nothing"
		if len(c.inGuest) > 0 {
			left = fmt.Sprintf("%d", len(c.inGuest))
			if c.secret() {
				left += ", answer file"
			}
		}
		fmt.Fprintf(w, "%s\t %s\t %s\t %s\t %s\t %d\t %.0f\t %d\t %d\t %s\t %d logs\n", c.fault.name, faultPhases[c.phase].name, outcomes[c.outcome], is, c.took, c.peak, c.mean, c.loops, c.starts, left, len(c.onHost))
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", table.String())
}

// TestAGuestMayStandStillAtAnyMomentBeforeTheStart: longer than the limit of one
// command. A start that was sent is never sent again.
func TestAGuestMayStandStillAtAnyMomentBeforeTheStart(t *testing.T) {
	freeze := faults[slices.IndexFunc(faults, func(f fault) bool { return f.name == "freeze, then thaw" })]
	freeze.set = func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Hang, Times: 5, For: 4 * time.Second}) }
	var waited atomic.Int32
	t.Run("all", func(t *testing.T) {
		for after := 0; after <= 48; after += 2 {
			t.Run(fmt.Sprint(after), func(t *testing.T) {
				t.Parallel()
				c := &faultCell{t: t, fault: freeze, after: after}
				c.run()
				c.check()
				if strings.Contains(c.ui.text(), "Waiting: the guest does not answer (") {
					waited.Add(1)
				}
			})
		}
	})
	t.Logf("runs that waited: %d", waited.Load())
	// Which requests are hit depends on the machine's load; one at least outlasts a limit.
	if n := waited.Load(); n == 0 {
		t.Error("no run waited for the guest after the first look")
	}
}

// TestTheOutputFolderMayGoWhileSysprepWorks: what happens to a folder of the
// host says nothing about the guest.
func TestTheOutputFolderMayGoWhileSysprepWorks(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]func(t *testing.T, folder string){
		"removed": func(t *testing.T, folder string) {
			if err := os.RemoveAll(folder); err != nil {
				t.Error(err)
			}
		},
		"a file instead": func(t *testing.T, folder string) {
			if err := os.RemoveAll(folder); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(folder, []byte("mine"), 0o600); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "logs")
			if err := os.Mkdir(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			g := newGuestRun(t, winsim.Scenario{}, map[string]any{"log_directory": folder})
			g.ui.onSay = func(line string) {
				if strings.Contains(line, "working on app packages") {
					after(t, folder)
				}
			}
			if err := g.provision(); err != nil {
				t.Error(err)
			}
			if name != "removed" {
				want(t, g.ui.text(), "Could not save a log")
				if text, err := os.ReadFile(folder); err != nil || string(text) != "mine" {
					t.Errorf("the file is %q, %v", text, err)
				}
			}
			wantNothingLeft(t, g)
		})
	}
}

// A host's clock that is set while a build runs must not end it: every wait is
// measured on the monotonic one.
func TestWaitsAreMeasuredOnTheMonotonicClock(t *testing.T) {
	if now := newRun(Config{}, &recordUI{}, nil, nil).now().String(); !strings.Contains(now, " m=") {
		t.Errorf("the clock of a run is %s", now)
	}
}
