package files

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// guest is a simulated Windows behind a WinRM service over TCP.
type guest struct {
	t       testing.TB
	sim     *winsim.Guest
	server  *wsman.Server
	session *winrm.Session
	root    string

	mu     sync.Mutex
	events map[string]int
	notes  []string
	forget bool // what the guest does not know is expected
}

// start serves a guest until the end of the test; wrap may change how it runs
// commands.
func start(t testing.TB, scenario winsim.Scenario, wrap func(wsman.Handler) wsman.Handler) *guest {
	t.Helper()
	before := runtime.NumGoroutine()
	root := t.TempDir()
	sim, err := winsim.New(winsim.Options{Root: root, User: "packer", Password: "secret", Scenario: scenario, Speed: 100})
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{t: t, sim: sim, root: root, events: map[string]int{}}
	g.server = &wsman.Server{Users: map[string]string{"packer": "secret"}, Basic: true, AllowUnencrypted: true, Limits: sim.Limits(wsman.Limits{}), Version: sim.Version(),
		Handler: sim.Handler(), OnEvent: func(e wsman.Event) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.events[e.Action]++
		}}
	if wrap != nil {
		g.server.Handler = wrap(g.server.Handler)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.server.Serve(l) }()
	client, err := winrm.New(winrm.Config{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, User: "packer", Password: winrm.NewSecret("secret"), Auth: winrm.AuthBasic, AllowUnencrypted: true,
		Limits: winrm.Limits{Header: 5 * time.Second, Poll: time.Second, Cleanup: time.Second, OperationTimeout: 5 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	g.session = winrm.NewSession(client, winrm.ShellOptions{})
	t.Cleanup(func() {
		if err := g.session.Close(context.Background()); err != nil {
			t.Error(err)
		}
		client.Close()
		if shells, operations := g.server.Counts("packer"); shells+operations != 0 {
			t.Errorf("%d shells and %d operations are left", shells, operations)
		}
		if err := g.server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
		for _, u := range sim.Unknown() {
			if !g.forget {
				t.Errorf("the guest did not know: %s", u)
			}
		}
		for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				stacks := make([]byte, 1<<20)
				t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
			}
		}
	})
	return g
}

func (g *guest) transfer() *Transfer {
	return New(g.session, Options{Patience: 5 * time.Second, Stall: 10 * time.Second, Note: func(why string) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.notes = append(g.notes, why)
	}})
}

func (g *guest) noted() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.Join(g.notes, "; ")
}

func (g *guest) count(action string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.events[action]
}

// host is where a file of the guest lies here.
func (g *guest) host(path string) string {
	return filepath.Join(g.root, "C", filepath.FromSlash(path))
}

func (g *guest) put(path string, content []byte) {
	g.t.Helper()
	if err := os.MkdirAll(filepath.Dir(g.host(path)), 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(g.host(path), content, 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// holds fails the test unless a file of the guest is content, and alone.
func (g *guest) holds(path string, content []byte) {
	g.t.Helper()
	got, err := os.ReadFile(g.host(path))
	if err != nil {
		g.t.Error(err)
	} else if !bytes.Equal(got, content) {
		g.t.Errorf("%s has %d bytes that are not the %d sent", path, len(got), len(content))
	}
	if parts, _ := filepath.Glob(g.host(path) + ".*"); len(parts) > 0 {
		g.t.Errorf("%v are left", parts)
	}
}

// clean closes a transfer and fails the test where something of it is left.
func (g *guest) clean(tr *Transfer) {
	g.t.Helper()
	if err := tr.Close(g.t.Context()); err != nil {
		g.t.Error(err)
	}
	if left, _ := filepath.Glob(g.host("Windows/Temp/packer-*")); len(left) > 0 {
		g.t.Errorf("%v are left", left)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(b) //nolint:gosec // test data
	return b
}

// handler lets a function stand before the guest.
func handler(f func(ctx context.Context, p *wsman.Process, inner wsman.Handler) int) func(wsman.Handler) wsman.Handler {
	return func(inner wsman.Handler) wsman.Handler {
		return finding{wsman.HandlerFunc(func(ctx context.Context, p *wsman.Process) int { return f(ctx, p, inner) }), inner}
	}
}

// finding keeps what the guest knows about programs.
type finding struct {
	wsman.Handler
	inner wsman.Handler
}

func (f finding) Find(p *wsman.Process) error { return f.inner.(wsman.Finder).Find(p) }

// storing are the parameters of store.ps1, nil when the process is another.
func storing(p *wsman.Process) []byte {
	if !strings.HasSuffix(p.Line, scripts.Encoded(scripts.Store)) {
		return nil
	}
	in := bufio.NewReader(p.Stdin)
	first, _ := in.ReadString('\n')
	p.Stdin = io.MultiReader(strings.NewReader(first), in)
	b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(first))
	return b
}
