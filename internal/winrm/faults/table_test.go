package faults

import (
	"cmp"
	"crypto/x509"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

var update = flag.Bool("update", false, "write the table in docs/winrm.md anew")

// row is a fault, and what each phase ends as.
type row struct {
	name  string
	fault func(*cell)
	want  [5]string // in the order of phases

	alone       bool                    // the guest is a process of its own
	link        link                    // between client and guest
	certificate func(*x509.Certificate) // TLS, and what becomes of its certificate
}

// size is how much is uploaded.
func (r row) size() int {
	if r.want[2] == "ok, classic way" {
		return small
	}
	return len(content)
}

// rule makes a fault of the requests of a phase, when it names no other.
func rule(r wsman.Rule) func(*cell) {
	return func(c *cell) {
		own := r
		own.Action = cmp.Or(r.Action, c.action)
		c.g.Faults.Inject(own)
	}
}

func once(e wsman.Effect) func(*cell) { return rule(wsman.Rule{Do: e, Times: 1}) }
func each(e wsman.Effect) func(*cell) { return rule(wsman.Rule{Do: e}) }
func fail(code uint32) func(*cell)    { return rule(wsman.Rule{Do: wsman.Fail, Code: code}) }

func do(f func(*wsman.Faults)) func(*cell) { return func(c *cell) { f(&c.g.Faults) } }

// bare answers every request with a status and nothing else.
func bare(status int32) func(*cell) { return func(c *cell) { c.g.bare.Store(status) } }

// awhile is an outage that ends.
var awhile = scale * 1200 * time.Millisecond

// off takes the machine away, for a while or for good.
func off(d time.Duration) func(*cell) {
	return func(c *cell) {
		_ = c.g.Faults.ClosePort(true) // only opening fails
		c.g.Faults.LoseShells()
		if d > 0 {
			c.g.later(d, func() {
				if err := c.g.Faults.ClosePort(false); err != nil {
					c.t.Error(err)
				}
			})
		}
	}
}

func hole(d time.Duration) func(*cell) {
	return func(c *cell) {
		c.g.Faults.BlackHole(true)
		if d > 0 {
			c.g.later(d, func() { c.g.Faults.BlackHole(false) })
		}
	}
}

func freeze(d time.Duration) func(*cell) {
	return func(c *cell) {
		c.g.Faults.Freeze(true)
		if d > 0 {
			c.g.later(d, func() { c.g.Faults.Freeze(false) })
		}
	}
}

// endless is output without an end, from the next request for it on: the one that
// is under way has time to end.
func endless(c *cell) {
	rule(wsman.Rule{Action: "Receive", Do: wsman.Endless})(c)
	if c.phase != "connect" && c.phase != "command" {
		time.Sleep(2 * hurried.Poll)
	}
}

func halt(d time.Duration) func(*cell) { return func(c *cell) { c.g.halt(d) } }

// exchange gives the guest another certificate, and lets it close each connection
// after its answer, so that the client has to look at it.
func exchange(c *cell) {
	bad := issue(c.t, c.row.certificate)
	c.g.leaf.Store(&bad.certificate)
	if c.g.closing.Store(true); c.phase == "command" {
		c.g.Faults.CloseConnections()
	}
}

func expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
func renamed(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} }

// TestEveryFaultHasItsName is the table.
func TestEveryFaultHasItsName(t *testing.T) {
	before := runtime.NumGoroutine()
	results := make([][5]result, len(table))
	var all sync.WaitGroup
	turn := make(chan struct{}, 16/scale) // they mostly wait
	for i, r := range table {
		if testutil.Race && i%3 != 0 { // five times as slow, and the code is the same
			t.Logf("%s is not run under the race detector", r.name)
			continue
		}
		if r.alone && noStop != "" {
			t.Logf("%s is not run: %s", r.name, noStop)
			continue
		}
		for j, p := range phases {
			all.Go(func() {
				turn <- struct{}{}
				defer func() { <-turn }()
				t.Run(r.name+"/"+p.name, func(t *testing.T) {
					results[i][j] = run(t, r, p.name, p.action)
					if err := results[i][j].check(p.name, r.want[j]); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
	all.Wait()
	none(t, before)
	t.Log("outcome | within | took | requests since the fault | a second | goroutines before and after")
	for i, r := range table {
		for j, p := range phases {
			got := results[i][j]
			if got.outcome == "" {
				continue
			}
			t.Logf("%-28s | %-8s | %-20s | %5.1f s | %5.2f s | %2d | %4.1f | %d %d", r.name, p.name, got.outcome, deadline(p.name, r.want[j]).Seconds(), got.took.Seconds(),
				got.asked, float64(got.asked)/max(got.took.Seconds(), 1), got.before, got.left)
		}
	}
}

// begin and end are around the table in the documentation.
const begin, end = "<!-- faults: written by TestTheTableIsDocumented -update -->\n", "<!-- end of faults -->"

func TestTheTableIsDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("| fault | connect | command | upload | download | watch |\n|---|---|---|---|---|---|\n")
	for _, r := range table {
		fmt.Fprintf(&b, "| %s |", r.name)
		for j, p := range phases {
			fmt.Fprintf(&b, " %s, %g s |", r.want[j], (deadline(p.name, r.want[j]) / scale).Seconds())
		}
		b.WriteString("\n")
	}
	path := filepath.Join(testutil.Root(), "docs", "winrm.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(strings.ReplaceAll(string(text), "\r\n", "\n"), begin)
	old, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+b.String()+end+tail), 0o644); err != nil { //nolint:gosec // documentation
			t.Fatal(err)
		}
		return
	}
	if old != b.String() {
		t.Errorf("the table in %s is old: run go test -run %s -update", path, t.Name())
	}
}
