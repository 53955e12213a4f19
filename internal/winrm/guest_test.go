package winrm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

const (
	testUser     = "vagrant"
	testPassword = "Pässw0rd!"
)

// programs is a guest that knows a few lines.
var programs = wsman.HandlerFunc(func(ctx context.Context, p *wsman.Process) int {
	word, rest, _ := strings.Cut(p.Line, " ")
	switch word {
	case "echo":
		fmt.Fprintf(p.Stdout, "%s\r\n", rest)
	case "complain":
		fmt.Fprintf(p.Stderr, "%s\r\n", rest)
		return 7
	case "exit":
		n, _ := strconv.Atoi(rest)
		return n
	case "cat":
		if _, err := io.Copy(p.Stdout, p.Stdin); err != nil {
			return 1
		}
	case "head":
		n, _ := strconv.Atoi(rest)
		_, _ = io.CopyN(p.Stdout, p.Stdin, int64(n))
	case "fill":
		n, _ := strconv.Atoi(rest)
		if _, err := p.Stdout.Write(bytes.Repeat([]byte("x"), n)); err != nil {
			return 1
		}
	case "env":
		fmt.Fprintf(p.Stdout, "%s %s %s", p.Env["a"], p.Dir, p.CodePage)
	case "how":
		fmt.Fprintf(p.Stdout, "console=%v skip=%v", p.ConsoleMode, p.SkipCmd)
	case "wait":
		<-ctx.Done()
		return 1
	case "sleep": // and read nothing
		d, _ := time.ParseDuration(rest)
		select {
		case <-time.After(d):
			return 3
		case <-ctx.Done():
			return 1
		}
	default:
		return 9009
	}
	return 0
})

// guest is a simulated guest, and what it was asked.
type guest struct {
	*wsman.Server
	t    testing.TB
	addr string
	port int

	memory *memory // nil over TCP

	mu     sync.Mutex
	events []wsman.Event
}

// honest allows everything.
func honest() *wsman.Server {
	return &wsman.Server{Users: map[string]string{testUser: testPassword}, Basic: true, NTLM: true, AllowUnencrypted: true, Handler: programs}
}

// goroutines fails the test when it leaves one behind. It has to come first.
func goroutines(t testing.TB) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
			}
		}
	})
}

// start serves s over TCP until the end of the test, over TLS with its.
func start(t testing.TB, s *wsman.Server, its *identity) *guest {
	t.Helper()
	goroutines(t)
	return begin(t, s, its)
}

// begin is start for tests that run side by side.
func begin(t testing.TB, s *wsman.Server, its *identity) *guest {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{Server: s, t: t, addr: l.Addr().String(), port: l.Addr().(*net.TCPAddr).Port}
	g.serve(l, its)
	return g
}

func (g *guest) serve(l net.Listener, its *identity) {
	g.OnEvent = func(e wsman.Event) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.events = append(g.events, e)
	}
	accepting := &announced{Listener: l, ready: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		if its != nil {
			ended <- g.ServeTLS(accepting, its.certificate)
		} else {
			ended <- g.Serve(accepting)
		}
	}()
	<-accepting.ready // its Faults have the port now
	g.t.Cleanup(func() {
		if err := g.Close(); err != nil {
			g.t.Errorf("Close: %v", err)
		}
		if err := <-ended; err != nil {
			g.t.Errorf("Serve: %v", err)
		}
	})
}

// announced tells when the first connection is waited for.
type announced struct {
	net.Listener
	once  sync.Once
	ready chan struct{}
}

func (a *announced) Accept() (net.Conn, error) {
	a.once.Do(func() { close(a.ready) })
	return a.Listener.Accept()
}

// count is how many requests had an action; empty: all.
func (g *guest) count(action string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, e := range g.events {
		if action == "" || e.Action == action {
			n++
		}
	}
	return n
}

// quick are limits for a guest on this machine.
var quick = Limits{Connect: 2 * time.Second, Header: 2 * time.Second, Body: 2 * time.Second, Cleanup: time.Second, OperationTimeout: time.Second, Poll: 500 * time.Millisecond}

// client connects to g; change may be nil.
func (g *guest) client(change func(*Config)) *Client {
	g.t.Helper()
	c := Config{Host: "127.0.0.1", Port: g.port, User: testUser, Password: NewSecret(testPassword), AllowUnencrypted: true, Auth: AuthBasic, Limits: quick}
	if g.memory != nil {
		c.Dial, c.Limits = g.memory.dial, Limits{}
	}
	if change != nil {
		change(&c)
	}
	client, err := New(c)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(client.Close)
	return client
}

func (g *guest) shell(c *Client) *Shell {
	g.t.Helper()
	s, err := c.OpenShell(g.t.Context(), ShellOptions{})
	if err != nil {
		g.t.Fatal(err)
	}
	return s
}

// runner is a Shell or a Session.
type runner interface {
	Run(context.Context, Command) (int, error)
}

// say runs a line and returns what it says, and its exit code.
func say(ctx context.Context, r runner, line string, in io.Reader) (stdout, stderr string, code int, err error) {
	var out, errs bytes.Buffer
	code, err = r.Run(ctx, Command{Line: line, Stdin: in, Stdout: &out, Stderr: &errs})
	return out.String(), errs.String(), code, err
}

// none fails the test where shells or operations are left in the guest.
func (g *guest) none() {
	g.t.Helper()
	if shells, operations := g.Counts(testUser); shells+operations != 0 {
		g.t.Errorf("%d shells and %d operations are left", shells, operations)
	}
}
