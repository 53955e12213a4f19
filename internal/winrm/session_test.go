package winrm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// counted counts how often a line was run.
func counted(s *wsman.Server, line string) *atomic.Int32 {
	n, inner := new(atomic.Int32), s.Handler
	s.Handler = wsman.HandlerFunc(func(ctx context.Context, p *wsman.Process) int {
		if p.Line == line {
			n.Add(1)
		}
		return inner.Run(ctx, p)
	})
	return n
}

// TestASessionRunsNothingTwice lets faults come between two commands of a
// session, and counts.
func TestASessionRunsNothingTwice(t *testing.T) {
	const line = "echo x"
	at := func(action string, r wsman.Rule) func(*guest) {
		return func(g *guest) { r.Action = action; g.Faults.Inject(r) }
	}
	for name, test := range map[string]struct {
		fault func(*guest)
		want  string
		runs  int32
		opens int // shells, the first included
	}{
		"none":                     {func(*guest) {}, "ok", 1, 1},
		"the shell was lost":       {func(g *guest) { g.Faults.LoseShells() }, "ok", 1, 2},
		"it is lost twice":         {at("Command", wsman.Rule{Do: wsman.Lose, Times: 2}), "shell lost", 0, 2},
		"service restart":          {func(g *guest) { g.Faults.CloseConnections(); g.Faults.LoseShells() }, "ok", 1, 2},
		"old connections":          {func(g *guest) { g.Faults.ResetConnections() }, "ok", 1, 1},
		"EOF after the request":    {at("Command", wsman.Rule{Do: wsman.Close, Times: 1}), "EOF?", 0, 1},
		"reset after the request":  {at("Command", wsman.Rule{Do: wsman.Reset, Times: 1}), "reset?", 0, 1},
		"lost while it ran":        {at("Receive", wsman.Rule{Do: wsman.Lose, Times: 1}), "shell lost?", 1, 1},
		"no output came":           {at("Receive", wsman.Rule{Do: wsman.Close, Times: 1}), "EOF?", 1, 1},
		"quota of operations":      {at("Command", wsman.Rule{Do: wsman.Fail, Code: 2150859174, Times: 1}), "ok", 1, 2},
		"quota of processes":       {at("Command", wsman.Rule{Do: wsman.Fail, Code: 2147942408, Times: 2}), "quota of resources", 0, 1},
		"the same by what is held": {at("Command", wsman.Rule{Do: wsman.Fail, Code: 2147942408, Times: 1}), "ok", 1, 1},
		"the login was forgotten":  {at("Command", wsman.Rule{Do: wsman.Refuse, Times: 1}), "ok", 1, 1},
		"the login is refused":     {func(g *guest) { g.Faults.RejectCredentials(true, false) }, "unauthorized", 0, 1},
		"the port is closed":       {func(g *guest) { _ = g.Faults.ClosePort(true) }, "refused", 0, 1},
		"the port opens in time":   {reopened, "ok", 1, 1},
		"profile unloaded":         {at("Command", wsman.Rule{Do: wsman.Fail, Code: 2147943418, Times: 1}), "ok", 1, 2},
		"the service was stopping": {at("Command", wsman.Rule{Do: wsman.Fail, Code: 995, Times: 1}), "shell lost?", 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := honest()
			runs := counted(s, line)
			g := start(t, s, nil)
			session := NewSession(g.client(func(c *Config) { c.Auth = AuthNTLM }), ShellOptions{})
			if _, _, code, err := say(t.Context(), session, "exit 3", nil); code != 3 || err != nil {
				t.Fatalf("exit %d, %v", code, err)
			}
			time.Sleep(60 * time.Millisecond) // long enough for a look whether the connection lives
			test.fault(g)
			stdout, _, _, err := say(t.Context(), session, line, nil)
			got := outcome(err)
			if runtime.GOOS == "windows" && test.want == "reset?" && got == "EOF?" {
				got = test.want // Wine may hand a reset on as an end
			}
			if got != test.want || test.want == "ok" && stdout != "x\r\n" {
				t.Errorf("got %q, want %q: %v", got, test.want, err)
			}
			var failed *CommandError
			if err != nil && !errors.As(err, &failed) {
				t.Errorf("it is no *CommandError: %v", err)
			}
			if runs.Load() != test.runs {
				t.Errorf("it ran %d times, want %d", runs.Load(), test.runs)
			}
			if err := g.Faults.Clear(); err != nil {
				t.Error(err)
			}
			// Whatever it was, the next command runs.
			if _, _, code, err := say(t.Context(), session, "exit 4", nil); code != 4 || err != nil {
				t.Errorf("afterwards: exit %d, %v", code, err)
			}
			if err := session.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if n := g.count("Create"); n < test.opens {
				t.Errorf("%d shells were opened, want %d", n, test.opens)
			}
			g.none()
		})
	}
}

// reopened closes the port for less than a session waits.
func reopened(g *guest) {
	_ = g.Faults.ClosePort(true)
	time.AfterFunc(pace/2, func() { _ = g.Faults.ClosePort(false) })
}

func TestASessionHasOneShell(t *testing.T) {
	g := start(t, honest(), nil)
	session := NewSession(g.client(nil), ShellOptions{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if stdout, _, _, err := say(t.Context(), session, "cat", strings.NewReader("x")); stdout != "x" || err != nil {
				t.Errorf("%q, %v", stdout, err)
			}
		})
	}
	all.Wait()
	if shells, _ := g.Counts(testUser); shells != 1 {
		t.Errorf("%d shells", shells)
	}
	for range 2 {
		if err := session.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	g.none()
	if _, err := session.Run(t.Context(), Command{Line: "exit 0"}); outcome(err) != "closed" {
		t.Errorf("after Close: %v", err)
	}
}

// TestAQuotaUsedUpByOneself runs more commands than the service keeps of one
// shell.
func TestAQuotaUsedUpByOneself(t *testing.T) {
	s := honest()
	s.Limits.MaxConcurrentOperationsPerUser = 5
	g := start(t, s, nil)
	session := NewSession(g.client(nil), ShellOptions{})
	for i := range 20 {
		if _, _, code, err := say(t.Context(), session, "exit 5", nil); code != 5 || err != nil {
			t.Fatalf("command %d: exit %d, %v", i, code, err)
		}
	}
	// The shell and four commands are five operations: it is deleted, and another
	// opened, after every fourth. A command is asked for again each time.
	if creates, deletes, commands := g.count("Create"), g.count("Delete"), g.count("Command"); creates != 5 || deletes != 4 || commands != 24 || g.count("Signal") != 0 {
		t.Errorf("%d Creates, %d Deletes, %d Commands", creates, deletes, commands)
	}
	if err := session.Close(t.Context()); err != nil {
		t.Error(err)
	}
	g.none()
}

// TestEndedCommandsAreForgottenWhereTheyAreInTheWay lets a service refuse a
// command for what it holds of those that have ended.
func TestEndedCommandsAreForgottenWhereTheyAreInTheWay(t *testing.T) {
	refuse := func(code uint32, times int) []wsman.Rule {
		return []wsman.Rule{{Action: "Command", Do: wsman.Fail, Code: code, Times: times}}
	}
	for name, test := range map[string]struct {
		before  int // commands that have ended
		rules   []wsman.Rule
		want    string
		signals int
		asked   int // Commands
	}{
		"memory":                {3, refuse(2147942408, 1), "ok", 3, 2},
		"a reason without name": {3, refuse(0x80338123, 1), "ok", 3, 2},
		"only the last are":     {mostEnded + 3, refuse(2147942408, 1), "ok", mostEnded, 2},
		"nothing has ended":     {0, refuse(2147942408, 1), "quota of resources", 0, 1},
		"it is of no use":       {2, refuse(2147942408, 2), "quota of resources", 2, 2},
		"no such program":       {2, refuse(2147942402, 1), "fault 2147942402", 0, 1},
		"access denied":         {2, refuse(5, 1), "access denied", 0, 1},
		"a Signal is refused":   {2, append(refuse(2147942408, 1), wsman.Rule{Action: "Signal", Do: wsman.Fail, Code: 5}), "quota of resources", 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, wsman.Limits{}, func(t *testing.T, g *guest) {
				runs := counted(g.Server, "exit 3")
				shell := g.shell(g.client(nil))
				for range test.before {
					if _, _, code, err := say(t.Context(), shell, "exit 4", nil); code != 4 || err != nil {
						t.Fatalf("exit %d, %v", code, err)
					}
				}
				before := g.count("Command")
				for _, r := range test.rules {
					g.Faults.Inject(r)
				}
				_, _, code, err := say(t.Context(), shell, "exit 3", nil)
				if got := outcome(err); got != test.want || err == nil && code != 3 {
					t.Errorf("got %q, want %q: exit %d, %v", got, test.want, code, err)
				}
				ran := map[bool]int32{true: 1}[test.want == "ok"]
				if n, asked := g.count("Signal"), g.count("Command")-before; n != test.signals || asked != test.asked || runs.Load() != ran {
					t.Errorf("%d Signals and %d Commands, want %d and %d; it ran %d times", n, asked, test.signals, test.asked, runs.Load())
				}
			})
		})
	}
}

// TestCommandsSideBySideAreNotDisturbed lets the quota end while one runs: its
// shell has to stay.
func TestCommandsSideBySideAreNotDisturbed(t *testing.T) {
	s := honest()
	s.Limits.MaxConcurrentOperationsPerUser = 3
	g := start(t, s, nil)
	session := NewSession(g.client(nil), ShellOptions{})
	in, feed := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		stdout, _, _, err := say(t.Context(), session, "cat", in)
		if err == nil && stdout != "x" {
			err = errors.New(stdout)
		}
		ended <- err
	}()
	for g.count("Command") == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, _, code, err := say(t.Context(), session, "exit 1", nil); code != 1 || err != nil {
		t.Errorf("exit %d, %v", code, err)
	}
	if _, _, _, err := say(t.Context(), session, "exit 1", nil); outcome(err) != "quota of operations" {
		t.Errorf("got %v", err)
	}
	_, _ = feed.Write([]byte("x"))
	feed.Close()
	if err := <-ended; err != nil {
		t.Errorf("the one that ran: %v", err)
	}
	if err := session.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestASessionEndsWithItsContext gives up while a shell is opened, and while a
// slot is waited for.
func TestASessionEndsWithItsContext(t *testing.T) {
	bubble(t, wsman.Limits{}, func(t *testing.T, g *guest) {
		session := NewSession(g.client(func(c *Config) { c.Limits.Commands = 1 }), ShellOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			_, err := session.Run(ctx, Command{Line: "wait"})
			ended <- err
		}()
		time.Sleep(time.Second)
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := session.Run(short, Command{Line: "exit 0"}); outcome(err) != "given up" {
			t.Errorf("waiting for a slot: %v", err)
		}
		cancel()
		if err := <-ended; outcome(err) != "given up?" {
			t.Errorf("running: %v", err)
		}
		if err := session.Close(ctx); err != nil {
			t.Error(err)
		}
		g.none()
	})
}

// TestADependentCommandIsEndedOnceTheGuestAnswers: what is tried next may find its
// file in use otherwise. Any other command goes on.
func TestADependentCommandIsEndedOnceTheGuestAnswers(t *testing.T) {
	for dependent, want := range map[bool]int{true: 1, false: 0} {
		t.Run(fmt.Sprint(dependent), func(t *testing.T) {
			bubble(t, wsman.Limits{}, func(t *testing.T, g *guest) {
				session := NewSession(g.client(nil), ShellOptions{})
				g.Faults.Inject(wsman.Rule{Action: "Receive", Do: wsman.Hang, Times: 1})
				_, err := session.Run(t.Context(), Command{Line: "wait", Dependent: dependent})
				var failed *CommandError
				if !errors.As(err, &failed) || failed.Left == nil {
					t.Fatalf("it was ended, or not begun: %v", err)
				}
				if err := g.Faults.Clear(); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if _, err := session.Run(t.Context(), Command{Line: "exit 3"}); err != nil {
						t.Error(err)
					}
				}
				if n := g.count("Signal"); n != want {
					t.Errorf("%d Signals", n)
				}
			})
		})
	}
}
