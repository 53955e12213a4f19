package winrm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// ran counts how often each line was run.
type ran struct {
	mu    sync.Mutex
	lines map[string]int
}

func (r *ran) Run(ctx context.Context, p *wsman.Process) int {
	r.mu.Lock()
	r.lines[p.Line]++
	r.mu.Unlock()
	if strings.HasPrefix(p.Line, "sleep") {
		select {
		case <-time.After(30 * time.Second):
		case <-ctx.Done():
		}
	}
	fmt.Fprint(p.Stdout, p.Line)
	return 5
}

// deaf is a network that loses an answer now and then, of what was done.
type deaf struct {
	*memory
	mu     sync.Mutex
	random *rand.Rand
}

func (d *deaf) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.memory.dial(ctx, network, address)
	return &deafened{Conn: c, to: d}, err
}

type deafened struct {
	net.Conn
	to   *deaf
	lost bool // the answer to come
}

func (c *deafened) Write(p []byte) (int, error) {
	c.to.mu.Lock()
	c.lost = c.to.random.Intn(40) == 0
	c.to.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *deafened) Read(p []byte) (int, error) {
	if c.lost {
		time.Sleep(time.Millisecond) // in which it is done
		c.Close()
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

func randomRule(r *rand.Rand) wsman.Rule {
	codes := []uint32{2150858793, 2150858843, 2150859173, 2150859174, 995, 5, 109, 4711}
	actions := []string{"", "Create", "Command", "Receive", "Send", "Signal", "Delete"}
	return wsman.Rule{Action: actions[r.Intn(len(actions))], Skip: r.Intn(4), Times: 1 + r.Intn(3), Do: wsman.Effect(1 + r.Intn(6)),
		For: time.Duration(r.Intn(3)) * 40 * time.Second, Code: codes[r.Intn(len(codes))]}
}

// TestWhatIsSaidOfACommandIsTrue runs commands of a session side by side under
// random faults and cancels. What is said not to have run has not, what has an
// exit code has run once and said all, nothing has run twice, and everything ends
// in its time.
func TestWhatIsSaidOfACommandIsTrue(t *testing.T) {
	outcomesSeen := map[string]int{}
	for seed := range testutil.Fewer(160) {
		bubble(t, wsman.Limits{}, func(t *testing.T, g *guest) {
			r := rand.New(rand.NewSource(int64(seed)))
			handler := &ran{lines: map[string]int{}}
			g.Handler = handler
			network := &deaf{memory: g.memory, random: rand.New(rand.NewSource(int64(seed)))}
			session := NewSession(g.client(func(c *Config) { c.Auth, c.Dial = []Auth{AuthBasic, AuthNTLM}[seed%2], network.dial }), ShellOptions{})
			for range r.Intn(4) {
				g.Faults.Inject(randomRule(r))
			}
			if r.Intn(3) == 0 {
				time.AfterFunc(time.Duration(r.Intn(60))*time.Second, []func(){g.Faults.LoseShells, g.Faults.CloseConnections, func() { g.Faults.BlackHole(true) }}[r.Intn(3)])
			}
			results := make([]error, 12)
			var all sync.WaitGroup
			for i := range results {
				line, give := fmt.Sprintf("%s %d", []string{"echo", "sleep"}[r.Intn(2)], i), time.Duration(1+r.Intn(400))*time.Second
				input := r.Intn(2) == 0
				pause := time.Duration(r.Intn(20)) * time.Second
				all.Go(func() {
					time.Sleep(pause)
					results[i] = one(t, session, line, give, input)
					handler.mu.Lock()
					defer handler.mu.Unlock()
					failed := new(CommandError)
					switch n := handler.lines[line]; {
					case n > 1:
						t.Errorf("seed %d: %q ran %d times", seed, line, n)
					case results[i] == nil && n != 1:
						t.Errorf("seed %d: %q has an exit code and did not run", seed, line)
					case results[i] != nil && (!errors.As(results[i], &failed) || n > 0 && !failed.MayHaveRun):
						t.Errorf("seed %d: %q ran, and this is said: %v", seed, line, results[i])
					}
				})
			}
			all.Wait()
			for _, err := range results {
				outcomesSeen[outcome(err)]++
			}
			if err := g.Faults.Clear(); err != nil {
				t.Error(err)
			}
			_ = session.Close(t.Context()) // into a black hole, perhaps
		})
	}
	t.Log(outcomesSeen)
	if len(outcomesSeen) < 6 || outcomesSeen["ok"] == 0 {
		t.Errorf("this does not see enough: %v", outcomesSeen)
	}
}

// one runs a line, for which it takes no longer than it was given and what it
// takes to give up: for an answer to Command, for the end of the command, and
// for that of a shell that is of no use.
func one(t *testing.T, s *Session, line string, give time.Duration, input bool) error {
	ctx, cancel := context.WithTimeout(t.Context(), give)
	defer cancel()
	var in *strings.Reader
	c := Command{Line: line}
	if input {
		in = strings.NewReader("x")
		c.Stdin = in
	}
	var out strings.Builder
	c.Stdout = &out
	began := time.Now()
	code, err := s.Run(ctx, c)
	if took, most := time.Since(began), give+3*5*time.Second+time.Second; took > most {
		t.Errorf("%q took %s, more than %s: %v", line, took, most, err)
	}
	if err == nil && (code != 5 || out.String() != line) {
		t.Errorf("%q: exit %d, %q", line, code, out.String())
	}
	return err
}
