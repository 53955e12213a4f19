package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
)

// phases, and the request of each that a rule is about.
var phases = []struct{ name, action string }{{"connect", "Create"}, {"command", "Command"}, {"upload", "Send"}, {"download", "Receive"}, {"watch", "Receive"}}

// scale makes room for the race detector.
var scale = map[bool]time.Duration{false: 1, true: 3}[testutil.Race]

// hurried are limits that a fault runs into soon.
var hurried = winrm.Limits{Connect: scale * 5 * time.Second, Header: scale * 3 * time.Second, Body: scale * 10 * time.Second, Cleanup: scale * time.Second,
	OperationTimeout: scale * time.Second, Poll: scale * 700 * time.Millisecond}

// What a transfer and a command are given.
var (
	patience = scale * 10 * time.Second // a transfer that does not get on
	stall    = scale * 30 * time.Second // a guest that says nothing
	enough   = scale * 15 * time.Second // a command or watch
	work     = scale * 40 * time.Second
)

// deadline is by when a phase has to have ended so.
func deadline(phase, want string) time.Duration {
	answer := hurried.Header + hurried.OperationTimeout + 2*hurried.Cleanup
	transfer := phase == "upload" || phase == "download"
	name := strings.TrimSuffix(want, "?")
	switch {
	case strings.HasPrefix(want, "ok"), name == "TooMuch":
		return work
	case name == "Stalled":
		return stall + 2*answer
	case name == "Cancelled":
		return enough + 2*hurried.Cleanup
	case transfer && passing[name]: // the last try begins when patience ends
		return patience + 3*answer
	case strings.HasSuffix(name, "Deadline"):
		return hurried.Connect + answer
	}
	return scale * 5 * time.Second
}

// passing are the failures after which a transfer is tried again.
var passing = map[string]bool{"EOF": true, "Reset": true, "Refused": true, "HeaderDeadline": true, "ConnectDeadline": true, "BodyDeadline": true, "ShellLost": true, "Unavailable": true, "OperationTimedOut": true}

// Requests that a fault may cause at once: a login has two, ending a command and a
// shell two, and a transfer goes on twice with thirteen before it takes its time.
const (
	burst         = 8
	burstTransfer = 26
	mostASecond   = 2
)

// carrying are the requests that bring something and wait for nothing.
func carrying(phase, want string) int {
	switch {
	case phase == "watch" && want == "ok":
		return ticks
	case want == "ok, classic way":
		return 3 * small / 5900 // a command for what a line holds
	case want == "TooMuch":
		return 4 << 20 / (32 << 10) // until an answer is too long
	}
	return 0
}

// result is what a cell ended as.
type result struct {
	outcome      string
	took         time.Duration // since the fault
	asked        int           // requests since then
	before, left int           // goroutines of the client
	err          error
}

// cell is one phase of a client with one fault.
type cell struct {
	t      *testing.T
	row    row
	phase  string
	action string
	label  string

	g      *guest
	client *winrm.Client
	wire   *counter

	mu    sync.Mutex
	since time.Time // the fault
	asked int       // requests until then
	note  string

	struck chan struct{} // the fault has come
}

// gated is content, of which a half is sent before the fault.
type gated struct {
	*bytes.Reader
	c      *cell
	hashed bool // it was read once, for its hash
}

// ReadAt is part of io.ReaderAt.
func (g *gated) ReadAt(p []byte, at int64) (int, error) {
	if g.hashed && at >= g.Size()/2 && g.c.row.fault != nil {
		select {
		case <-g.c.struck:
		case <-g.c.t.Context().Done():
		}
	}
	g.hashed = g.hashed || at+int64(len(p)) >= g.Size()
	return g.Reader.ReadAt(p, at)
}

// run lets a fault happen in a phase.
func run(t *testing.T, r row, phase, action string) (res result) {
	c := &cell{t: t, row: r, phase: phase, action: action, label: r.name + "/" + phase, struck: make(chan struct{})}
	c.serve()
	pprof.Do(t.Context(), pprof.Labels("cell", c.label), func(ctx context.Context) {
		res.before = c.goroutines()
		res.err = c.phaseOf(ctx)
		c.mu.Lock()
		res.took, res.asked = time.Since(c.since), int(c.wire.asked.Load())-c.asked
		c.mu.Unlock()
		for end := time.Now().Add(2 * time.Second); ; time.Sleep(time.Millisecond) {
			if res.left = c.goroutines(); res.left <= res.before || time.Now().After(end) {
				break
			}
		}
		c.client.Close()
	})
	res.outcome = c.outcome(res.err)
	return res
}

// serve makes the guest, the way to it and a client.
func (c *cell) serve() {
	settings := winrm.Config{Host: "127.0.0.1", User: user, Password: winrm.NewSecret(password), Auth: winrm.AuthNTLM, Limits: hurried}
	c.wire = &counter{tls: c.row.certificate != nil}
	under := func(*guest) {
		if c.phase != "connect" && c.phase != "command" {
			c.strike()
		}
	}
	switch {
	case c.row.alone:
		c.g = startAlone(c.t, under)
	case c.row.certificate != nil:
		good := issue(c.t, nil)
		settings.TLS = &winrm.TLS{CA: good.ca}
		c.g = start(c.t, &good.certificate, under)
	default:
		c.g = start(c.t, nil, under)
	}
	if c.g.programs != nil {
		c.g.programs.part = c.row.size() / 3
	}
	addr := c.g.addr
	if c.row.link != (link{}) {
		addr = c.row.link.serve(c.t, addr)
	}
	_, port, _ := net.SplitHostPort(addr)
	settings.Port, _ = strconv.Atoi(port)
	settings.Dial = c.wire.dial
	client, err := winrm.New(settings)
	if err != nil {
		c.t.Fatal(err)
	}
	c.client = client
	if err := c.g.put(); err != nil {
		c.t.Fatal(err)
	}
	c.since = time.Now()
}

// strike lets the fault happen, and counts from here.
func (c *cell) strike() {
	if c.phase != "connect" && c.phase != "command" {
		c.g.asked()
	}
	c.mu.Lock()
	c.since, c.asked = time.Now(), int(c.wire.asked.Load())
	c.mu.Unlock()
	if c.row.fault != nil {
		c.row.fault(c)
	}
	close(c.struck)
}

// phaseOf does what the phase is, and returns its error.
func (c *cell) phaseOf(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	switch c.phase {
	case "connect":
		c.strike()
		shell, err := c.client.OpenShell(limited, winrm.ShellOptions{})
		if err == nil {
			err = shell.Close(limited)
		}
		return err
	case "upload", "download":
		return c.transfer(ctx)
	}
	shell, err := c.client.OpenShell(limited, winrm.ShellOptions{})
	if err != nil {
		c.t.Error(err)
		return err
	}
	var said bytes.Buffer
	line, want := "echo x", "x\r\n"
	if c.phase == "watch" {
		line, want = "watch", ""
		for i := range ticks {
			want += fmt.Sprintf("tick %d\r\n", i)
		}
	} else {
		time.Sleep(60 * time.Millisecond) // long enough for a look whether the connection lives
		c.strike()
		if c.row.certificate != nil {
			time.Sleep(60 * time.Millisecond) // for the end of the old connections to arrive
		}
	}
	code, err := shell.Run(limited, winrm.Command{Line: line, Stdout: bounded{&said, 1000}})
	if err == nil && (code != 0 || said.String() != want) {
		err = fmt.Errorf("exit code %d, output %q", code, said.String())
	}
	return err
}

// transfer carries content, and checks it.
func (c *cell) transfer(ctx context.Context) error {
	session := winrm.NewSession(c.client, winrm.ShellOptions{})
	tr := files.New(session, files.Options{Patience: patience, Stall: stall, Note: func(why string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.note = why
	}})
	if c.phase == "upload" {
		err := tr.Upload(ctx, `C:\up.bin`, &gated{Reader: bytes.NewReader(content[:c.row.size()]), c: c}, nil)
		if err == nil {
			err = c.g.has(content[:c.row.size()])
		}
		return err
	}
	var back bytes.Buffer
	_, err := tr.Download(ctx, `C:\down.bin`, &back, files.Bounds{}, nil)
	if err == nil && !bytes.Equal(back.Bytes(), content) {
		err = fmt.Errorf("%d bytes came that are not the %d sent", back.Len(), len(content))
	}
	return err
}

// outcome adds how a transfer got to its end.
func (c *cell) outcome(err error) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil, c.g.process != nil, c.row.link != (link{}): // it cannot be seen, or either is right
	case c.note != "":
		return "ok, classic way"
	case c.phase == "upload" && c.g.programs.count(scripts.Store) > 1, c.phase == "download" && c.g.programs.count(scripts.Read) > 2:
		return "ok, resumed"
	}
	name := outcome(err)
	if c.phase == "upload" || c.phase == "download" {
		name = strings.TrimSuffix(name, "?") // it can be done again, whatever has run
	}
	return name
}

// goroutines are those that this cell's client has started and not ended, with the
// cell's own: goroutines inherit labels.
func (c *cell) goroutines() int {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		c.t.Fatal(err)
	}
	n := 0
	_, text, _ := strings.Cut(profile.String(), "\n") // the total
	for block := range strings.SplitSeq(text, "\n\n") {
		if strings.Contains(block, fmt.Sprintf(`"cell":%q`, c.label)) {
			var more int
			_, _ = fmt.Sscan(block, &more)
			n += more
		}
	}
	return n
}

// check says what is wrong with a result.
func (r result) check(phase, want string) error {
	var errs []error
	// Wine may hand a reset on as an end.
	if ended := runtime.GOOS == "windows" && strings.TrimSuffix(want, "?") == "Reset" && strings.TrimSuffix(r.outcome, "?") == "EOF"; r.outcome != want && !ended {
		errs = append(errs, fmt.Errorf("it ended as %q, want %q: %w", r.outcome, want, r.err))
	}
	if most := deadline(phase, want); r.took > most {
		errs = append(errs, fmt.Errorf("it took %s, more than %s", r.took, most))
	}
	first := burst
	if phase == "upload" || phase == "download" {
		first = burstTransfer
	}
	if most := first + carrying(phase, want) + int(mostASecond*r.took.Seconds()); r.asked > most {
		errs = append(errs, fmt.Errorf("%d requests in %s, more than %d", r.asked, r.took, most))
	}
	if r.left != r.before || r.before != 1 {
		errs = append(errs, fmt.Errorf("%d goroutines before, %d after", r.before, r.left))
	}
	if text := fmt.Sprintf("%v %+v %#v", r.err, r.err, r.err); strings.Contains(text, password) {
		errs = append(errs, errors.New("the error has the password"))
	}
	return errors.Join(errs...)
}

// bounded takes so many bytes.
type bounded struct {
	io.Writer
	most int
}

func (b bounded) Write(p []byte) (int, error) {
	if len(p) > b.most {
		return 0, errFull
	}
	return b.Writer.Write(p)
}

// none fails the test where goroutines are left.
func none(t *testing.T, before int) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}
