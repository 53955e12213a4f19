package winrm

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// memory is a network whose connections obey the clock of a synctest bubble.
type memory struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
	dials atomic.Int32
}

func newMemory() *memory { return &memory{conns: make(chan net.Conn), ended: make(chan struct{})} }

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.ended:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.ended) })
	return nil
}

func (m *memory) Addr() net.Addr { return &net.TCPAddr{} }

func (m *memory) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	m.dials.Add(1)
	ours, its := net.Pipe()
	select {
	case m.conns <- its:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-m.ended:
		return nil, net.ErrClosed
	}
}

// bubble runs f with a guest in memory, on a clock that only waiting moves.
func bubble(t *testing.T, l wsman.Limits, f func(t *testing.T, g *guest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &guest{Server: honest(), t: t, port: 5985, memory: newMemory()}
		g.Limits = l
		g.serve(g.memory, nil)
		f(t, g)
	})
}

// TestWaitingIsPaced watches a silent command of a service that answers every
// Receive at once, and of one that waits as long as it was told.
func TestWaitingIsPaced(t *testing.T) {
	for name, test := range map[string]struct {
		most  time.Duration // that the service waits
		least int
		limit int // requests in two minutes
	}{
		"at once":       {time.Nanosecond, 200, 240},
		"in a while":    {400 * time.Millisecond, 200, 240},
		"in its time":   {time.Minute, 5, 6},
		"in half of it": {10 * time.Second, 11, 12},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, wsman.Limits{MaxTimeoutms: test.most}, func(t *testing.T, g *guest) {
				shell := g.shell(g.client(nil))
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute-time.Millisecond)
				defer cancel()
				_, err := shell.Run(ctx, Command{Line: "wait"})
				if outcome(err) != "given up?" {
					t.Errorf("got %v", err)
				}
				if n := g.count("Receive"); n > test.limit || n < test.least {
					t.Errorf("%d requests in two minutes, want %d to %d", n, test.least, test.limit)
				}
			})
		})
	}
}

// TestDeadlinesAreTheOnesSaid lets requests hang and looks at the clock.
func TestDeadlinesAreTheOnesSaid(t *testing.T) {
	hang := func(action string) func(*guest) {
		return func(g *guest) { g.Faults.Inject(wsman.Rule{Action: action, Do: wsman.Hang}) }
	}
	hole := func(g *guest) { g.Faults.BlackHole(true) }
	command := func(line, in string) func(context.Context, *Client, *Shell) error {
		return func(ctx context.Context, _ *Client, s *Shell) error {
			c := Command{Line: line}
			if in != "" {
				c.Stdin = strings.NewReader(in)
			}
			_, err := s.Run(ctx, c)
			return err
		}
	}
	open := func(ctx context.Context, c *Client, _ *Shell) error {
		_, err := c.OpenShell(ctx, ShellOptions{})
		return err
	}
	for name, test := range map[string]struct {
		fault func(*guest)
		what  func(context.Context, *Client, *Shell) error
		give  time.Duration // until the caller gives up, 0: never
		want  string
		after time.Duration
	}{
		"Create":                {hang("Create"), open, 0, "header deadline", 70 * time.Second},
		"Command":               {hang("Command"), command("echo x", ""), 0, "header deadline?", 70 * time.Second},
		"Receive":               {hang("Receive"), command("wait", ""), 0, "header deadline?", 30 * time.Second},
		"Send":                  {hang("Send"), command("cat", "x"), 0, "header deadline?", 70 * time.Second},
		"Signal":                {hang("Signal"), command("wait", ""), 10 * time.Second, "given up?", 15 * time.Second},
		"no Signal":             {hang("Signal"), command("echo x", ""), 0, "ok", 0},
		"Delete":                {hang("Delete"), func(ctx context.Context, _ *Client, s *Shell) error { return s.Close(ctx) }, 0, "given up", 5 * time.Second},
		"Identify":              {hole, func(ctx context.Context, c *Client, _ *Shell) error { _, err := c.Identify(ctx); return err }, 0, "header deadline", 10 * time.Second},
		"a hole":                {hole, command("wait", ""), 0, "header deadline?", 70 * time.Second},
		"giving up on Create":   {hang("Create"), open, 10 * time.Second, "given up", 15 * time.Second},
		"giving up on Command":  {hang("Command"), command("echo x", ""), 10 * time.Second, "given up?", 15 * time.Second},
		"giving up on Receive":  {hang("Receive"), command("wait", ""), 10 * time.Second, "given up?", 10 * time.Second},
		"giving up in a hole":   {hole, command("wait", ""), 10 * time.Second, "given up?", 15 * time.Second},
		"giving up all at once": {hole, command("wait", ""), time.Nanosecond, "given up?", 5*time.Second + time.Nanosecond},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, wsman.Limits{}, func(t *testing.T, g *guest) {
				c := g.client(nil)
				shell := g.shell(c)
				ctx := t.Context()
				if test.give > 0 {
					limited, cancel := context.WithTimeout(ctx, test.give)
					defer cancel()
					ctx = limited
				}
				test.fault(g)
				began := time.Now()
				err := test.what(ctx, c, shell)
				if got := outcome(err); got != test.want {
					t.Errorf("got %q, want %q: %v", got, test.want, err)
				}
				if took := time.Since(began).Round(time.Microsecond); took != test.after.Round(time.Microsecond) {
					t.Errorf("it took %s, want %s: %v", took, test.after, err)
				}
				if err := g.Faults.Clear(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestConnectionsThatDoNotComeAboutEnd(t *testing.T) {
	never := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	// silent accepts, and neither reads nor writes.
	silent := func(context.Context, string, string) (net.Conn, error) {
		ours, _ := net.Pipe()
		return ours, nil
	}
	for name, test := range map[string]struct {
		dial  func(context.Context, string, string) (net.Conn, error)
		tls   *TLS
		want  string
		after time.Duration
	}{
		"no connection":   {never, nil, "connect deadline", 15 * time.Second},
		"no handshake":    {silent, &TLS{}, "connect deadline", 15 * time.Second},
		"nothing is read": {silent, nil, "body deadline", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := New(Config{Host: "guest", User: "u", TLS: test.tls, Auth: AuthBasic, AllowUnencrypted: true, Dial: test.dial})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				began := time.Now()
				_, err = c.OpenShell(t.Context(), ShellOptions{})
				if got := outcome(err); got != test.want || !errors.Is(err, ErrDeadline) {
					t.Errorf("got %q, want %q: %v", got, test.want, err)
				}
				if took := time.Since(began); took != test.after {
					t.Errorf("it took %s, want %s", took, test.after)
				}
			})
		})
	}
}

func TestOldConnectionsAreNotUsed(t *testing.T) {
	for idle, want := range map[time.Duration]int32{0: 1, time.Second: 1, 80 * time.Second: 1, 100 * time.Second: 2} {
		bubble(t, wsman.Limits{}, func(t *testing.T, g *guest) {
			shell := g.shell(g.client(nil))
			time.Sleep(idle)
			if _, err := shell.Run(t.Context(), Command{Line: "exit 0"}); err != nil {
				t.Error(err)
			}
			if n := g.memory.dials.Load(); n != want {
				t.Errorf("idle for %s: %d connections, want %d", idle, n, want)
			}
		})
	}
}

// TestAProgramMayCloseItsInput lets Sends fail while the command goes on.
func TestAProgramMayCloseItsInput(t *testing.T) {
	for name, test := range map[string]struct {
		code uint32
		line string
		want string
	}{
		"closed":                       {109, "sleep 10m", "ok"},
		"closing":                      {232, "sleep 10m", "ok"},
		"it ends a moment later":       {4711, "sleep 2s", "ok"},
		"it goes on without its input": {4711, "sleep 10m", "fault 4711?"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, wsman.Limits{}, func(t *testing.T, g *guest) {
				shell := g.shell(g.client(nil))
				g.Faults.Inject(wsman.Rule{Action: "Send", Do: wsman.Fail, Code: test.code})
				_, _, code, err := say(t.Context(), shell, test.line, strings.NewReader("x"))
				if got := outcome(err); got != test.want || err == nil && code != 3 {
					t.Errorf("got %q, want %q: exit %d, %v", got, test.want, code, err)
				}
			})
		})
	}
}

func TestWhatCouldNotBeEndedIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		fault wsman.Rule
		left  bool
	}{
		"ended":         {wsman.Rule{Action: "Delete", Do: wsman.Hang}, false},
		"no answer":     {wsman.Rule{Action: "Signal", Do: wsman.Hang}, true},
		"refused":       {wsman.Rule{Action: "Signal", Do: wsman.Fail, Code: 5}, true},
		"with its home": {wsman.Rule{Action: "Signal", Do: wsman.Lose}, false},
	} {
		bubble(t, wsman.Limits{}, func(t *testing.T, g *guest) {
			shell := g.shell(g.client(nil))
			g.Faults.Inject(test.fault)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := shell.Run(ctx, Command{Line: "wait"})
			failed := new(CommandError)
			if !errors.As(err, &failed) || (failed.Left != nil) != test.left || strings.Contains(err.Error(), "may go on") != test.left {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// fragile is a connection whose third write fails after some bytes.
type fragile struct {
	net.Conn
	writes, after int
}

func (c *fragile) Write(p []byte) (int, error) {
	if c.writes++; c.writes == 3 {
		n, _ := c.Conn.Write(p[:c.after])
		c.Close()
		return n, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// TestWhatWasNotWrittenIsSentAgain breaks a kept connection under a Command.
func TestWhatWasNotWrittenIsSentAgain(t *testing.T) {
	for _, after := range []int{0, 1, 500} {
		bubble(t, wsman.Limits{}, func(t *testing.T, g *guest) {
			runs := counted(g.Server, "exit 3")
			c := g.client(func(c *Config) {
				c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := g.memory.dial(ctx, network, address)
					if g.memory.dials.Load() == 1 {
						conn = &fragile{Conn: conn, after: after}
					}
					return conn, err
				}
			})
			if _, err := c.Login(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, _, code, err := say(t.Context(), g.shell(c), "exit 3", nil)
			if code != 3 || err != nil || runs.Load() != 1 || g.memory.dials.Load() != 2 {
				t.Errorf("after %d bytes: exit %d, %v, ran %d times, %d connections", after, code, err, runs.Load(), g.memory.dials.Load())
			}
		})
	}
}
