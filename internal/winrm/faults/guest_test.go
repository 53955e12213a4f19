package faults

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

const (
	user     = "vagrant"
	password = "Pässw0rd!"
)

// content is what is carried: two pieces of a download, several Sends of an upload.
var content = func() []byte {
	b := make([]byte, 2_000_000)
	rand.New(rand.NewSource(1)).Read(b) //nolint:gosec // test data
	return b
}()

// midway is after how many bytes of base64 a fault comes to a download: in its second
// piece.
const midway = 1_500_000

// small is how much is uploaded where it has to go the classic way: two Sends.
const small = 600_000

// guest is a simulated Windows behind a WinRM service, here or in a process of its
// own.
type guest struct {
	t    *testing.T
	addr string
	root string // folder of its drive

	*wsman.Server // nil in a process of its own
	programs      *programs
	process       *child
	begun, inside atomic.Int32 // requests, and those that are being answered
	bare          atomic.Int32 // HTTP status without a body for every request
	leaf          atomic.Pointer[tls.Certificate]
	closing       atomic.Bool // each connection ends with its answer

	work  sync.WaitGroup
	ended chan struct{}
}

// programs is what the guest runs: what winsim knows, and a line that goes on for a
// while. Something may be done when a command is under way.
type programs struct {
	wsman.Handler // winsim's
	under         func()
	part          int // bytes of base64 of an upload after which that is

	once   sync.Once
	begun  sync.Mutex
	starts map[string]int // of scripts, other than to probe
}

func (p *programs) Find(c *wsman.Process) error { return p.Handler.(wsman.Finder).Find(c) }

// underWay does what there is to be done, once.
func (p *programs) underWay() { p.once.Do(p.under) }

func (p *programs) count(script string) int {
	p.begun.Lock()
	defer p.begun.Unlock()
	return p.starts[script]
}

// ticks are the lines of a watched command, one every tick.
const (
	ticks = 12
	tick  = 100 * time.Millisecond
)

// Run is part of wsman.Handler.
func (p *programs) Run(ctx context.Context, c *wsman.Process) int {
	if c.Line == "watch" {
		for i := range ticks {
			if fmt.Fprintf(c.Stdout, "tick %d\r\n", i); i == 3 {
				p.underWay()
			}
			select {
			case <-time.After(tick):
			case <-ctx.Done():
				return 1
			}
		}
		return 0
	}
	if strings.HasSuffix(c.Line, scripts.Encoded(scripts.Store)) {
		p.store(c)
	}
	if strings.Contains(c.Line, `\`+scripts.Read+".ps1") {
		if p.began(scripts.Read) > 1 {
			c.Stdout = &tripwire{p: p, Writer: c.Stdout, passed: 1 << 20}
		}
	}
	return p.Handler.Run(ctx, c)
}

// store looks at what store.ps1 is given, when it is not to probe.
func (p *programs) store(c *wsman.Process) {
	in := bufio.NewReader(c.Stdin)
	first, _ := in.ReadString('\n')
	c.Stdin = io.MultiReader(strings.NewReader(first), in)
	if b, _ := base64.StdEncoding.DecodeString(strings.TrimSpace(first)); bytes.Contains(b, []byte(`"probe":true`)) {
		return
	}
	p.began(scripts.Store)
	c.Stdin = &tripwire{p: p, Reader: c.Stdin}
}

// began counts the starts of a script.
func (p *programs) began(script string) int {
	p.begun.Lock()
	defer p.begun.Unlock()
	p.starts[script]++
	return p.starts[script]
}

// tripwire notices when midway has passed.
type tripwire struct {
	io.Reader
	io.Writer
	p      *programs
	passed int
}

func (w *tripwire) Read(b []byte) (int, error) {
	n, err := w.Reader.Read(b)
	if w.passed += n; w.passed > w.p.part {
		w.p.underWay()
	}
	return n, err
}

func (w *tripwire) Write(b []byte) (int, error) {
	room := min(max(0, midway-w.passed), len(b))
	w.passed += room
	n, err := w.Writer.Write(b[:room])
	if err != nil || room == len(b) {
		return n, err
	}
	w.p.underWay()
	more, err := w.Writer.Write(b[room:])
	return n + more, err
}

// simulate makes a Windows in a folder.
func simulate(root string, under func()) (*winsim.Guest, *programs, *wsman.Server, error) {
	sim, err := winsim.New(winsim.Options{Root: root, User: user, Password: password, Speed: 100})
	if err != nil {
		return nil, nil, nil, err
	}
	p := &programs{Handler: sim.Handler(), under: under, part: len(content) / 3, starts: map[string]int{}}
	return sim, p, &wsman.Server{Users: map[string]string{user: password}, NTLM: true, Limits: sim.Limits(wsman.Limits{}), Version: sim.Version(), Handler: p}, nil
}

// start serves a guest until the end of the test; under is called when what is
// tested is under way.
func start(t *testing.T, its *tls.Certificate, under func(*guest)) *guest {
	t.Helper()
	g := &guest{t: t, root: t.TempDir(), ended: make(chan struct{})}
	sim, p, server, err := simulate(g.root, func() { under(g) })
	if err != nil {
		t.Fatal(err)
	}
	g.programs, g.Server = p, server
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.addr = l.Addr().String()
	service := server.HTTPServer()
	service.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.begun.Add(1)
		g.inside.Add(1)
		defer g.inside.Add(-1)
		if status := g.bare.Load(); status != 0 {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(int(status))
			return
		}
		server.ServeHTTP(closing{w, g}, r)
	})
	l = server.Listener(l)
	if its != nil {
		g.leaf.Store(its)
		l = tls.NewListener(l, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return g.leaf.Load(), nil }})
	}
	g.work.Go(func() { _ = service.Serve(l) }) // ends with the server
	t.Cleanup(func() {
		close(g.ended)
		if err := g.Faults.Clear(); err != nil {
			t.Error(err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		g.work.Wait()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
		for _, u := range sim.Unknown() {
			t.Errorf("the guest did not know: %s", u)
		}
	})
	return g
}

// asked waits until a request for output has just come: no other is under way for
// long.
func (g *guest) asked() {
	const look = 40 * time.Millisecond
	for seen, fresh := g.begun.Load(), false; g.Server != nil; {
		select {
		case <-time.After(look):
		case <-g.ended:
			return
		}
		begun := g.begun.Load()
		if fresh && begun == seen && g.inside.Load() > 0 {
			return
		}
		fresh, seen = begun != seen, begun
	}
}

// later does something in a while.
func (g *guest) later(d time.Duration, f func()) {
	g.work.Go(func() {
		pprof.SetGoroutineLabels(context.Background()) // it is none of the client's
		select {
		case <-time.After(d):
			f()
		case <-g.ended:
		}
	})
}

// put writes the file that is downloaded.
func (g *guest) put() error {
	return os.WriteFile(filepath.Join(g.root, "C", "down.bin"), content, 0o600)
}

// has says whether an upload has arrived.
func (g *guest) has(content []byte) error {
	got, err := os.ReadFile(filepath.Join(g.root, "C", "up.bin"))
	if err == nil && !bytes.Equal(got, content) {
		err = fmt.Errorf("the guest has %d bytes that are not the %d sent", len(got), len(content))
	}
	return err
}

// closing ends a connection with the answer, when the guest closes them.
type closing struct {
	http.ResponseWriter
	g *guest
}

// WriteHeader is part of http.ResponseWriter.
func (c closing) WriteHeader(code int) {
	if c.g.closing.Load() {
		c.Header().Set("Connection", "close")
	}
	c.ResponseWriter.WriteHeader(code)
}
