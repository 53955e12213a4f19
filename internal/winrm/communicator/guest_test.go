package communicator

import (
	"bytes"
	"context"
	"io"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

const password = "S3cret-Text"

// guest is a simulated Windows with a communicator to it.
type guest struct {
	*winsim.Running
	t    *testing.T
	root string
	comm *Communicator

	mu    sync.Mutex
	count map[string]int
	asked int // for where it is
}

// start serves a guest until the end of the test; nothing may be left then.
func start(t *testing.T, server winsim.ServerOptions, change func(*Options)) *guest {
	t.Helper()
	before := runtime.NumGoroutine()
	g := &guest{t: t, root: t.TempDir(), count: map[string]int{}}
	server.OnEvent = func(e wsman.Event) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.count[e.Action]++
	}
	var err error
	if g.Running, err = winsim.Start(context.WithoutCancel(t.Context()), winsim.Options{Root: g.root, User: "packer", Password: password, Speed: 50}, server); err != nil {
		t.Fatal(err)
	}
	o := Options{Silence: 3 * time.Second, Back: 2 * time.Second, Settings: func(context.Context) ([]winrm.Config, error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.asked++
		c := winrm.Config{Host: g.Host, Port: g.Port, User: "packer", Password: winrm.NewSecret(password), Auth: winrm.AuthNTLM,
			Limits: winrm.Limits{Connect: time.Second, Header: time.Second, Poll: time.Second, Cleanup: time.Second, OperationTimeout: time.Second}}
		basic := c
		basic.Auth, basic.AllowUnencrypted = winrm.AuthBasic, true
		return []winrm.Config{c, basic}, nil
	}}
	if change != nil {
		change(&o)
	}
	g.comm = New(o)
	t.Cleanup(func() {
		g.comm.Close(context.Background())
		if shells, operations := g.Server.Counts("packer"); shells+operations != 0 {
			t.Errorf("%d shells and %d operations are left", shells, operations)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		for _, u := range g.Guest.Unknown() {
			t.Errorf("the guest did not know: %s", u)
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

func (g *guest) requests(action string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.count[action]
}

// answers is how many requests there were in all.
func (g *guest) all() (n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.count {
		n += c
	}
	return n
}

func (g *guest) host(path string) string { return filepath.Join(g.root, "C", filepath.FromSlash(path)) }

func (g *guest) put(path, content string) {
	g.t.Helper()
	if err := os.MkdirAll(filepath.Dir(g.host(path)), 0o755); err != nil {
		g.t.Fatal(err)
	}
	if err := os.WriteFile(g.host(path), []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *guest) holds(path, content string) {
	g.t.Helper()
	if got, err := os.ReadFile(g.host(path)); err != nil || string(got) != content {
		g.t.Errorf("%s: %d bytes, %v; want %d", path, len(got), err, len(content))
	}
}

// clean fails the test where something of ours lies in the guest.
func (g *guest) clean() {
	g.t.Helper()
	if left, _ := filepath.Glob(g.host("Windows/Temp/packer-*")); len(left) > 0 {
		g.t.Errorf("%v are left", left)
	}
}

// output is a writer that may be read meanwhile.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// run runs a line to its end.
func (g *guest) run(ctx context.Context, line string) (code int, out, errs string, err error) {
	var stdout, stderr output
	cmd := &packersdk.RemoteCmd{Command: line, Stdout: &stdout, Stderr: &stderr}
	if err := g.comm.Start(ctx, cmd); err != nil {
		return 0, "", "", err
	}
	code = cmd.Wait()
	return code, stdout.String(), stderr.String(), nil
}

func (g *guest) alive() {
	g.t.Helper()
	if code, out, errs, err := g.run(g.t.Context(), "echo alive"); err != nil || code != 0 || strings.TrimSpace(out) != "alive" {
		g.t.Errorf("afterwards: %d, %q, %q, %v", code, out, errs, err)
	}
}

func text(n int) string {
	b := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(b) //nolint:gosec // test data
	return string(b)
}

// stream is a reader that cannot go back.
type stream struct{ io.Reader }
