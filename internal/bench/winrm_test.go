package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/packer-community/winrmcp/winrmcp"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// largeUpload lets winrmcp send 100 MB, too, which takes it 10 to 40 minutes.
const largeUpload = "SYSPREP_BENCH_100MB"

// The model of what Windows and the network cost, the same for both sides: a start
// of cmd.exe takes 20 ms and one of powershell.exe 300 ms more, a round trip as long
// as is said, and what programs do, bandwidth and the service nothing but what the
// simulation of them takes. It flatters neither: winrmcp has a start of cmd.exe for
// 6 kB, ours one of PowerShell for a file.
const (
	startOfCmd        = 20 * time.Millisecond
	startOfPowerShell = 300 * time.Millisecond
)

// BenchmarkUpload sends a file with winrmcp as Packer uses it, and twice with ours:
// from nothing, with its login, its shell and its end, and once more in the session
// that is there then. The ratios are winrmcp's time over ours. Targets at 5 ms: 20
// at 1 MB, 50 at 10 MB. At 100 MB winrmcp's time is ten times that of 10 MB
// (ratio-extrapolated), unless largeUpload is set.
func BenchmarkUpload(b *testing.B) {
	log.SetOutput(io.Discard) // the SDK's communicator is talkative
	b.Cleanup(func() { log.SetOutput(os.Stderr) })
	for _, rtt := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 40 * time.Millisecond} {
		measured := 0.0 // winrmcp's seconds for 10 MB
		for _, size := range []int{10_000, 1_000_000, 10_000_000, 100_000_000} {
			b.Run(fmt.Sprintf("%s/%dkB", rtt, size/1000), func(b *testing.B) {
				g := serveGuest(b, rtt)
				content := make([]byte, size)
				rand.New(rand.NewSource(1)).Read(content) //nolint:gosec // test data
				for b.Loop() {
					b.ReportMetric(0, "ns/op")
					first, again, asked := g.ours(b, content)
					b.ReportMetric(first, "s-first")
					b.ReportMetric(again, "s-again")
					b.ReportMetric(float64(asked), "requests-both")
					if size > 10_000_000 && os.Getenv(largeUpload) == "" {
						if measured > 0 {
							b.ReportMetric(10*measured/first, "ratio-extrapolated")
						}
						continue
					}
					theirs, asked := g.slow(b, content)
					if size == 10_000_000 {
						measured = theirs
					}
					b.ReportMetric(theirs, "s-winrmcp")
					b.ReportMetric(theirs/first, "ratio-first")
					b.ReportMetric(theirs/again, "ratio-again")
					b.ReportMetric(float64(asked), "requests-winrmcp")
				}
			})
		}
	}
}

type served struct {
	addr string // of the proxy
	root string

	mu       sync.Mutex
	requests int
}

func (g *served) asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.requests
}

// serveGuest is a simulated guest behind a network of that round trip.
func serveGuest(b *testing.B, rtt time.Duration) *served {
	b.Helper()
	g := &served{root: b.TempDir()}
	sim, err := winsim.New(winsim.Options{Root: g.root, User: "packer", Password: "secret", Scenario: winsim.Scenario{Unkind: winsim.Unkind{PowerShellStarts: winsim.Duration(startOfPowerShell)}}})
	if err != nil {
		b.Fatal(err)
	}
	run := wsman.HandlerFunc(func(ctx context.Context, p *wsman.Process) int {
		time.Sleep(startOfCmd)
		return sim.Handler().Run(ctx, p)
	})
	server := &wsman.Server{Users: map[string]string{"packer": "secret"}, Basic: true, AllowUnencrypted: true, Version: sim.Version(), Limits: sim.Limits(wsman.Limits{}), Handler: run, OnEvent: func(wsman.Event) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.requests++
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	g.addr = delayed(b, l.Addr().String(), rtt/2)
	b.Cleanup(func() {
		if err := server.Close(); err != nil {
			b.Error(err)
		}
		<-ended
		if err := sim.Close(); err != nil {
			b.Error(err)
		}
		for _, u := range sim.Unknown() {
			b.Errorf("the guest did not know: %s", u)
		}
	})
	return g
}

// slow is an upload with winrmcp. It says how long it took, and how many requests.
func (g *served) slow(b *testing.B, content []byte) (seconds float64, requests int) {
	b.Helper()
	before, begin := g.asked(), time.Now()
	c, err := winrmcp.New(g.addr, &winrmcp.Config{Auth: winrmcp.Auth{User: "packer", Password: "secret"}, OperationTimeout: 30 * time.Minute, MaxOperationsPerShell: 15})
	if err == nil {
		err = c.Write(`C:\theirs.bin`, bytes.NewReader(content))
	}
	if err != nil {
		b.Fatal(err)
	}
	seconds = time.Since(begin).Seconds()
	g.arrived(b, "theirs.bin", content)
	return seconds, g.asked() - before
}

// ours are two uploads with our client: how long the first took, with what comes
// before and after, and the second, and how many requests they had.
func (g *served) ours(b *testing.B, content []byte) (first, again float64, requests int) {
	b.Helper()
	before, begin := g.asked(), time.Now()
	host, text, err := net.SplitHostPort(g.addr)
	if err != nil {
		b.Fatal(err)
	}
	var port int
	if _, err := fmt.Sscan(text, &port); err != nil {
		b.Fatal(err)
	}
	client, err := winrm.New(winrm.Config{Host: host, Port: port, User: "packer", Password: winrm.NewSecret("secret"), Auth: winrm.AuthBasic, AllowUnencrypted: true})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	session := winrm.NewSession(client, winrm.ShellOptions{})
	transfer := files.New(session, files.Options{Note: func(why string) { b.Error(why) }})
	upload := func(name string) {
		if err := transfer.Upload(b.Context(), `C:\`+name, bytes.NewReader(content), nil); err != nil {
			b.Fatal(err)
		}
	}
	upload("first.bin")
	middle := time.Now()
	upload("again.bin")
	end := time.Now()
	if err := transfer.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := session.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	first = (middle.Sub(begin) + time.Since(end)).Seconds()
	g.arrived(b, "first.bin", content)
	g.arrived(b, "again.bin", content)
	return first, end.Sub(middle).Seconds(), g.asked() - before
}

// arrived fails the benchmark unless the file is in the guest.
func (g *served) arrived(b *testing.B, name string, content []byte) {
	b.Helper()
	got, err := os.ReadFile(filepath.Join(g.root, "C", name))
	if err != nil || !bytes.Equal(got, content) {
		b.Fatalf("%s: %d bytes, %v", name, len(got), err)
	}
}

// delayed passes connections on, everything d later.
func delayed(b *testing.B, to string, d time.Duration) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			all.Go(func() { pass(in, out, d) })
			all.Go(func() { pass(out, in, d) })
		}
	})
	b.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// parcel is what was read, and when it is to be there.
type parcel struct {
	data []byte
	due  time.Time
}

// pass copies one direction of a connection, and ends both with it.
func pass(from, to net.Conn, d time.Duration) {
	parcels := make(chan parcel, 1024)
	go func() {
		defer close(parcels)
		for {
			data := make([]byte, 64*1024)
			n, err := from.Read(data)
			if n > 0 {
				parcels <- parcel{data[:n], time.Now().Add(d)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range parcels {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	from.Close()
	to.Close()
	for range parcels { // what was on its way is lost
		continue
	}
}
