package sysprep

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/rpc"
	sdkwinrm "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/winrm"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/communicator"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// faultCell is one run with one fault.
type faultCell struct {
	t        *testing.T
	fault    fault
	own      bool // over a connection of our own
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
		Scenario: winsim.Scenario{Start: winsim.Generalized}}, winsim.ServerOptions{Addr: c.sim.Addr, OnEvent: c.event, NTLM: true})
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
	server := winsim.ServerOptions{OnEvent: c.event, NTLM: true}
	opt := winsim.Options{Root: c.root, User: simUser, Password: simPassword, Speed: faultSpeed,
		Scenario: winsim.Scenario{Validate: seconds(8), Generalize: seconds(30)}}
	sim, err := winsim.Start(context.Background(), opt, server)
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
	comm, err := sdkwinrm.New(config)
	if err != nil {
		t.Fatal(err)
	}
	mode, packers := winrmCommunicator, packersdk.Communicator(silentUploads{comm, c})
	if c.fault.builders {
		ours := communicator.New(communicator.Options{Settings: func(context.Context) ([]winrm.Config, error) {
			return []winrm.Config{{Host: sim.Host, Port: sim.Port, User: simUser, Password: winrm.NewSecret(simPassword), Auth: winrm.AuthNTLM}}, nil
		}})
		defer ours.Close(context.Background())
		packers = ours
	}
	if c.own {
		mode, packers = winrmOwn, brokenUpload{errors.New("Packer's communicator is not to be used")}
	}
	p := &Provisioner{}
	if err := p.Prepare(map[string]any{"packer_builder_type": "null", "packer_build_name": "t", "poll_interval": "200ms", "stall_timeout": "28s",
		"generalize_timeout": "70s", "shutdown_timeout": "8s", "answer_file_content": testAnswer, "log_directory": c.logs,
		"winrm": map[string]any{"mode": mode}}); err != nil {
		t.Fatal(err)
	}
	through, cut := overRPC(t, packers)
	c.cut = cut
	r := newRun(p.config, c.ui, through, map[string]any{"Host": sim.Host, "Port": int64(sim.Port), "User": simUser, "Password": simPassword, "ConnType": "winrm"})
	r.hurry(faultHurry, 15*time.Second)
	r.slack = 2 * time.Second
	r.limits = winrm.Limits{Connect: 15 * time.Second / faultHurry, Header: 10 * time.Second / faultHurry, Body: time.Minute / faultHurry,
		Cleanup: 5 * time.Second / faultHurry, OperationTimeout: time.Minute / faultHurry, Poll: 20 * time.Second / faultHurry}
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
		{"the guest was lost while", "l"}, {"success could not be confirmed", "l"}, {"sysprep was not started", "n"}, {"the answer file could not be", "n"},
		{"sysprep is not running, and the outcome", "n"}, {"another machine answers", "o"}, {"sysprep failed midway", "b"}, {"sysprep did not finish", "h"}, {"cancelled", "c"},
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
	if c.own && c.phase == 0 && c.outcome == "l" && strings.Contains(f.want[0], "n") {
		// Few requests lie between the look and the start, and the fault met that.
		f.want[0] += "l"
		f.left[0] = true
	}
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
	if c.own {
		f.hot = 0 // nothing loops
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
		if name != runlog.RunFile && !slices.ContainsFunc(windows.Logs(), func(log windows.Log) bool { return log.Name == name }) {
			t.Errorf("left on the host: %s", name)
		}
	}
}
