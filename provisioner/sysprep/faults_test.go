package sysprep

import (
	"context"
	"fmt"
	"io"
	"net"
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

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/rpc"
	sdkwinrm "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/winrm"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
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
	// attentive: the communicator is the one that our own builder makes.
	attentive bool
	// hot: Packer's client may loop, on so many shells.
	hot int
	// rate is how many requests a second there may be, where it is not coldRate.
	rate int
}

var faults = []fault{
	{name: "FIN", want: [4]string{"gn", "g", "g", "g"}, set: func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Close, Times: 2}); c.sim.Faults.CloseConnections() }},
	{name: "RST", want: [4]string{"gn", "g", "g", "g"}, set: func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Reset, Times: 2}); c.sim.Faults.ResetConnections() }},
	{name: "black hole", want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{false, true, true, true}, set: func(c *faultCell) { c.sim.Faults.BlackHole(true) }},
	{name: "accepts, never answers", want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{false, true, true, true}, set: func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Hang}) }},
	{name: "freeze, then thaw", want: [4]string{"g", "g", "g", "g"}, set: func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Hang, Times: 4, For: 2 * time.Second}) }},
	{name: "lost shells (2150858843)", want: [4]string{"gn", "g", "g", "g"}, hot: 1, set: func(c *faultCell) { c.sim.Faults.LoseShells() }},
	{name: "lost shells, sysprep-vhd's client", want: [4]string{"gn", "g", "g", "g"}, attentive: true, set: func(c *faultCell) { c.sim.Faults.LoseShells() }},
	{name: "HTTP 500 faults", want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{true, true, true, true}, hot: 2, set: func(c *faultCell) { c.inject(wsman.Rule{Do: wsman.Fail, Code: 2150859173}) }},
	{name: "quota for new shells", want: [4]string{"n", "gl", "gl", "gl"}, left: [4]bool{true, true, true, true}, set: func(c *faultCell) { c.inject(wsman.Rule{Action: "Create", Do: wsman.Fail, Code: 2150859173}) }},
	{name: "401 from now on", want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{true, true, true, true}, set: func(c *faultCell) { c.sim.Faults.RejectCredentials(true, false) }},
	{name: "an answer without an end", rate: 1500, want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{true, true, true, true}, set: func(c *faultCell) { c.inject(wsman.Rule{Action: "Receive", Do: wsman.Endless}) }},
	{name: "WinRM restarts", want: [4]string{"gn", "g", "g", "g"}, hot: 1, set: (*faultCell).restartService},
	{name: "Packer is gone", want: [4]string{"n", "l", "l", "lg"}, left: [4]bool{true, true, true, true}, set: func(c *faultCell) { c.cut() }},
	{name: "another machine answers", hot: 1, want: [4]string{"abno", "o", "o", "og"}, left: [4]bool{true, true, true, true}, set: (*faultCell).replace},
}

// faultCell is one run with one fault.
type faultCell struct {
	t        *testing.T
	fault    fault
	phase    int
	after    int // in phase look: so many requests after its first
	sim      *winsim.Running
	other    *winsim.Running
	root     string
	logs     string
	mu       sync.Mutex
	events   []wsman.Event
	began    time.Time
	ui       *recordUI
	finished chan struct{}
	cut      func() // ends the plugin protocol

	outcome    string
	took       time.Duration
	peak       int
	mean       float64
	loops      int
	starts     int
	inGuest    []string
	onHost     []string
	generalize bool // what is true of the guest at the end
}

func (c *faultCell) inject(r wsman.Rule) { c.sim.Faults.Inject(r) }

func (c *faultCell) restartService() {
	if err := c.sim.Faults.ClosePort(true); err != nil {
		c.t.Error(err)
	}
	c.sim.Faults.LoseShells()
	time.AfterFunc(time.Second, func() {
		if err := c.sim.Faults.ClosePort(false); err != nil {
			c.t.Error(err)
		}
	})
}

// replace puts a machine at the address that was generalized before.
func (c *faultCell) replace() {
	if err := c.sim.Faults.ClosePort(true); err != nil {
		c.t.Error(err)
	}
	other, err := winsim.Start(context.Background(), winsim.Options{Root: c.t.TempDir(), User: simUser, Password: simPassword, Speed: faultSpeed,
		Scenario: winsim.Scenario{Start: winsim.Generalized}}, winsim.ServerOptions{Addr: c.sim.Addr, OnEvent: c.event})
	if err != nil {
		c.t.Error(err)
		return
	}
	c.other = other
}

func (c *faultCell) event(e wsman.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
}

// silentUploads never ends an upload once answers have no end: what Packer's
// client does, which shows the output of uploads on its own standard output.
type silentUploads struct {
	packersdk.Communicator
	c *faultCell
}

func (s silentUploads) Upload(path string, r io.Reader, info *os.FileInfo) error {
	s.c.mu.Lock()
	begun := !s.c.began.IsZero()
	s.c.mu.Unlock()
	if begun && s.c.fault.rate > 0 {
		<-s.c.finished
		return io.ErrUnexpectedEOF
	}
	return s.Communicator.Upload(path, r, info)
}

// overRPC puts the communicator behind Packer's plugin protocol: no context
// reaches it, and what it never answers is never given up.
func overRPC(t *testing.T, comm packersdk.Communicator) (_ packersdk.Communicator, cut func()) {
	t.Helper()
	near, far := net.Pipe()
	server, err := rpc.NewServer(far)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.RegisterCommunicator(comm); err != nil {
		t.Fatal(err)
	}
	go server.Serve()
	client, err := rpc.NewClient(near)
	if err != nil {
		t.Fatal(err)
	}
	cut = func() {
		_ = near.Close() // ends both sides
		_ = far.Close()
	}
	t.Cleanup(cut)
	return client.Communicator(), cut
}

// await calls the fault when its phase has come.
func (c *faultCell) await() {
	path := filepath.Join(c.root, "C", "Windows", "System32", "Sysprep", "Panther", "setupact.log")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		text, _ := os.ReadFile(path)
		if strings.Contains(string(text), faultPhases[c.phase].log) && c.phase > 0 {
			break
		}
		c.mu.Lock()
		seen := len(c.events)
		c.mu.Unlock()
		if c.phase == 0 && seen > 3+c.after { // after the communicator's own two
			break
		}
		select {
		case <-tick.C:
		case <-c.finished:
			return
		}
	}
	c.mu.Lock()
	c.began = time.Now()
	c.mu.Unlock()
	c.fault.set(c)
}

func (c *faultCell) run() {
	t := c.t
	c.root, c.logs, c.ui, c.finished = t.TempDir(), t.TempDir(), &recordUI{}, make(chan struct{})
	opt := winsim.Options{Root: c.root, User: simUser, Password: simPassword, Speed: faultSpeed,
		Scenario: winsim.Scenario{Validate: seconds(8), Generalize: seconds(30)}}
	sim, err := winsim.Start(context.Background(), opt, winsim.ServerOptions{OnEvent: c.event})
	if err != nil {
		t.Fatal(err)
	}
	c.sim = sim
	defer func() {
		for _, s := range []*winsim.Running{c.other, c.sim} {
			if s == nil {
				continue
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			for _, u := range s.Guest.Unknown() {
				t.Errorf("the guest was sent what it does not know: %s", u)
			}
		}
	}()
	config := &sdkwinrm.Config{Host: sim.Host, Port: sim.Port, Username: simUser, Password: simPassword, Timeout: 30 * time.Minute}
	if c.fault.attentive {
		config.TransportDecorator = winrm.Attentive(nil)
	}
	comm, err := sdkwinrm.New(config)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provisioner{}
	if err := p.Prepare(map[string]any{"packer_builder_type": "null", "packer_build_name": "t", "poll_interval": "200ms", "stall_timeout": "28s",
		"generalize_timeout": "70s", "shutdown_timeout": "8s", "answer_file_content": testAnswer, "log_directory": c.logs}); err != nil {
		t.Fatal(err)
	}
	through, cut := overRPC(t, silentUploads{comm, c})
	c.cut = cut
	r := newRun(p.config, c.ui, through, map[string]any{"Host": sim.Host, "Port": int64(sim.Port), "User": simUser})
	r.session.Hurry(faultHurry)
	r.session.RestAtMost(15 * time.Second)
	r.slack = 2 * time.Second
	probe := r.probe
	r.probe = func(ctx context.Context, host string, port int) (winrm.Reach, error) {
		ctx, cancel := context.WithTimeout(ctx, winrm.ProbeLimit/faultHurry)
		defer cancel()
		return probe(ctx, host, port)
	}
	ctx, cancel := context.WithTimeout(context.Background(), faultLimit)
	defer cancel()
	var injector sync.WaitGroup
	injector.Go(c.await)
	start := time.Now()
	err = r.provision(ctx)
	end := time.Now()
	close(c.finished)
	injector.Wait()
	c.took = end.Sub(start).Round(100 * time.Millisecond)
	c.classify(err)
	c.count(end)
	c.starts = len(sim.Guest.Starts())
	if c.other != nil {
		c.starts += len(c.other.Guest.Starts())
	}
	c.leftovers()
	c.truth()
	if err != nil {
		t.Log(err)
	}
	if c.took > faultLimit/3 {
		t.Logf("%s:\n%s", c.took, c.ui.text())
	}
}

func (c *faultCell) classify(err error) {
	for _, known := range []struct{ text, letter string }{
		{"the guest was lost while", "l"}, {"success could not be confirmed", "l"}, {"sysprep was not started", "n"}, {"the answer file could not be put", "n"},
		{"sysprep is not running, and what", "n"}, {"another machine answers", "o"}, {"sysprep broke off midway", "b"}, {"sysprep did not come to its end", "h"}, {"cancelled", "c"},
	} {
		if err != nil && strings.Contains(err.Error(), known.text) {
			c.outcome = known.letter
			return
		}
	}
	switch {
	case err != nil:
		c.outcome = err.Error()
	case strings.Contains(c.ui.text(), "Not running sysprep"):
		c.outcome = "a"
	default:
		c.outcome = "g"
	}
}

// count makes the figures: requests from the fault to the end of the run.
func (c *faultCell) count(end time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from := c.began
	seconds, refused := map[int]int{}, map[string]int{}
	n := 0
	for _, e := range c.events {
		if from.IsZero() || e.When.Before(from) || e.When.After(end) {
			continue
		}
		n++
		seconds[int(e.When.Sub(from)/time.Second)]++
		if e.Action == "Receive" && strings.Contains(e.Detail, "fault") && !strings.Contains(e.Detail, "2150858793") {
			refused[e.Shell]++
		}
	}
	for _, count := range seconds {
		c.peak = max(c.peak, count)
	}
	if d := end.Sub(from).Seconds(); n > 0 {
		c.mean = float64(n) / max(d, 1)
	}
	for _, count := range refused {
		if count > hotLoop {
			c.loops++
		}
	}
}

func (c *faultCell) leftovers() {
	_ = filepath.WalkDir(filepath.Join(c.root, "C"), func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.Contains(strings.ToLower(d.Name()), "packer-") {
			c.inGuest = append(c.inGuest, d.Name())
			if d.IsDir() {
				return filepath.SkipDir
			}
		}
		return err
	})
	_ = filepath.WalkDir(c.logs, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			c.onHost = append(c.onHost, d.Name())
		}
		return err
	})
}

// truth waits until sysprep is done in the guest, and says what it left.
func (c *faultCell) truth() {
	state := filepath.Join(c.root, "C", "Windows", "Setup", "State", "State.ini")
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		text, _ := os.ReadFile(state)
		if c.generalize = strings.Contains(string(text), "GENERALIZE_RESEAL_TO_OOBE"); c.generalize || c.starts == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// secret reports whether the answer file lies in the guest.
func (c *faultCell) secret() bool {
	return slices.ContainsFunc(c.inGuest, func(name string) bool { return strings.HasPrefix(name, "packer-unattend-") })
}

func (c *faultCell) check() {
	t, f := c.t, c.fault
	if !strings.Contains(f.want[c.phase], c.outcome) || c.outcome == "" {
		t.Errorf("the outcome is %q, want one of %q\n%s", c.outcome, f.want[c.phase], c.ui.text())
	}
	if c.outcome == "g" && !c.generalize {
		t.Error("success was said of a guest that is not generalized")
	}
	if c.starts > 1 || c.outcome == "g" && c.starts != 1 {
		t.Errorf("sysprep was started %d times", c.starts)
	}
	if c.took >= faultLimit {
		t.Errorf("it took %s", c.took)
	}
	if c.loops > f.hot {
		t.Errorf("%d loops", c.loops)
	}
	if f.hot == 0 && c.peak > max(f.rate, coldRate) {
		t.Errorf("%d requests a second", c.peak)
	}
	if len(c.inGuest) > 0 && !f.left[c.phase] {
		t.Errorf("left in the guest: %q\n%s", c.inGuest, c.ui.text())
	}
	for _, name := range c.onHost {
		if !slices.Contains(logNames, name) {
			t.Errorf("left on the host: %s", name)
		}
	}
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
	cells := make([]*faultCell, 0, len(faults)*len(faultPhases))
	slots := make(chan struct{}, 20)
	var all sync.WaitGroup
	for _, f := range faults {
		for phase := range faultPhases {
			c := &faultCell{fault: f, phase: phase}
			cells = append(cells, c)
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				t.Run(f.name+"/"+faultPhases[phase].name, func(t *testing.T) {
					c.t = t
					c.run()
					c.check()
				})
			})
		}
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
