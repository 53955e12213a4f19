package communicator

import (
	"bytes"
	"context"
	"errors"
	"log"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// long is a line that runs for an hour of the guest, and says nothing.
const long = "ping -n 3600 127.0.0.1 > nul"

func TestCommands(t *testing.T) {
	for name, server := range map[string]winsim.ServerOptions{"Basic": {}, "NTLM, sealed": {NTLM: true, NoBasic: true, Encrypted: true}, "both": {NTLM: true}} {
		t.Run(name, func(t *testing.T) {
			g := start(t, server, nil)
			if err := g.comm.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			for line, want := range map[string]struct {
				code      int
				out, errs string
			}{
				"echo x":              {0, "x\r\n", ""},
				"exit 7":              {7, "", ""},
				"echo a& echo b 1>&2": {0, "a\r\n", "b \r\n"},
			} {
				if code, out, errs, err := g.run(t.Context(), line); err != nil || code != want.code || out != want.out || errs != want.errs {
					t.Errorf("%s: %d, %q, %q, %v", line, code, out, errs, err)
				}
			}
			// Each has a shell of its own: an older one has an older environment.
			if n := g.requests("Create"); n != 1+3 {
				t.Errorf("%d shells were opened", n)
			}
			if shells, _ := g.Server.Counts("packer"); shells != 1 {
				t.Errorf("%d shells are open, want the one for transfers", shells)
			}
			cmd := &packersdk.RemoteCmd{Command: "exit 3"} // without writers
			if err := g.comm.Start(t.Context(), cmd); err != nil || cmd.Wait() != 3 {
				t.Errorf("without writers: %v, %d", err, cmd.ExitStatus())
			}
			var said output
			cmd = &packersdk.RemoteCmd{Command: "more", Stdin: stream{strings.NewReader("line\r\n")}, Stdout: &said}
			if err := g.comm.Start(t.Context(), cmd); err != nil || cmd.Wait() != 0 || strings.TrimSpace(said.String()) != "line" {
				t.Errorf("standard input: %v, %q", err, said.String())
			}
		})
	}
}

// TestStartReturnsWhenTheCommandRuns, and the context ends it in the guest.
func TestStartReturnsWhenTheCommandRuns(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var errs output
	cmd := &packersdk.RemoteCmd{Command: long, Stderr: &errs}
	if err := g.comm.Start(ctx, cmd); err != nil {
		t.Fatal(err)
	}
	if n := g.requests("Command"); n != 1 {
		t.Errorf("%d commands were begun when Start returned", n)
	}
	cancel()
	if code := cmd.Wait(); code != packersdk.CmdDisconnect {
		t.Errorf("ended with %d", code)
	}
	if g.requests("Signal") == 0 {
		t.Error("it goes on in the guest")
	}
	if err := g.comm.Start(ctx, &packersdk.RemoteCmd{Command: "ver"}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the cancel: %v", err)
	}
	g.alive()
}

// TestALostCommandEndsByName breaks a command that runs, and uses the communicator
// afterwards.
func TestALostCommandEndsByName(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(g *guest)
		want  string
	}{
		"RST":          {func(g *guest) { g.Faults.ResetConnections() }, "the connection "},
		"FIN":          {func(g *guest) { g.Faults.CloseConnections() }, "the connection "},
		"lost shell":   {func(g *guest) { g.Faults.LoseShells() }, "the shell is gone"},
		"silence":      {func(g *guest) { g.Faults.Freeze(true) }, "no answer came in time"},
		"port is gone": {func(g *guest) { _ = g.Faults.ClosePort(true) }, "the connection "},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, winsim.ServerOptions{}, nil)
			var errs output
			cmd := &packersdk.RemoteCmd{Command: long, Stderr: &errs}
			if err := g.comm.Start(t.Context(), cmd); err != nil {
				t.Fatal(err)
			}
			before := g.all()
			ended := make(chan int, 1)
			go func() { ended <- cmd.Wait() }()
			again := time.NewTicker(50 * time.Millisecond) // between two requests a broken connection is no matter
			defer again.Stop()
			code := 0
			for running := true; running; {
				c.fault(g)
				select {
				case code = <-ended:
					running = false
				case <-again.C:
				}
			}
			if code != packersdk.CmdDisconnect {
				t.Errorf("ended with %d", code)
			}
			if said := errs.String(); !strings.Contains(said, "The command was lost: ") || !strings.Contains(said, c.want) || !strings.Contains(said, "the command may ") {
				t.Errorf("it said %q, want %q", said, c.want)
			}
			if n := g.all() - before; n > 12 {
				t.Errorf("%d requests meanwhile", n)
			}
			if err := g.Faults.Clear(); err != nil {
				t.Fatal(err)
			}
			g.alive()
		})
	}
}

// TestNothingRunsTwice: an error of Start makes Packer's provisioners run it again.
func TestNothingRunsTwice(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, nil)
	g.alive()
	g.Faults.Inject(wsman.Rule{Action: "Command", Do: wsman.Close, Times: 1})
	code, _, errs, err := g.run(t.Context(), "echo x")
	if err != nil || code != packersdk.CmdDisconnect || !strings.Contains(errs, "may have run") {
		t.Errorf("no answer to the start: %d, %q, %v", code, errs, err)
	}
	g.alive()
}

// TestALineThatWindowsCannotTakeFailsAtOnce: an error of Start is tried again by
// Packer's provisioners, for five minutes.
func TestALineThatWindowsCannotTakeFailsAtOnce(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, nil)
	code, out, errs, err := g.run(t.Context(), "echo "+strings.Repeat("x", 9000))
	if err != nil || code != 1 || out != "" || !strings.Contains(errs, winrm.ErrTooLong.Error()) {
		t.Errorf("%d, %q, %q, %v", code, out, errs, err)
	}
	if n := g.requests("Command"); n != 0 {
		t.Errorf("%d commands were sent", n)
	}
	g.alive()
}

// TestAGuestThatIsGoneIsToldAtOnce, and one that does not answer in time.
func TestAGuestThatIsGoneIsToldAtOnce(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, nil)
	g.alive()
	if err := g.Faults.ClosePort(true); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		begin := time.Now()
		code, _, _, err := g.run(t.Context(), "echo x")
		// What was sent on the last connection may have arrived.
		if unknown := n == 0 && code == packersdk.CmdDisconnect; !unknown && !errors.Is(err, winrm.ErrConnection) {
			t.Errorf("a closed port: %d, %v", code, err)
		}
		if d := time.Since(begin); d > 5*time.Second {
			t.Errorf("it took %s", d)
		}
	}
	if err := g.Faults.ClosePort(false); err != nil {
		t.Fatal(err)
	}
	g.alive()
	g.Faults.Inject(wsman.Rule{Do: wsman.Hang})
	begin, before := time.Now(), g.all()
	code, _, _, err := g.run(t.Context(), "echo x")
	if err == nil && code != packersdk.CmdDisconnect {
		t.Errorf("a guest that hangs: %d", code)
	}
	if err := g.comm.Start(t.Context(), &packersdk.RemoteCmd{Command: "ver"}); err == nil {
		t.Error("a guest that hangs starts a command")
	}
	if d := time.Since(begin); d > 4*(3+2)*time.Second {
		t.Errorf("it took %s", d)
	}
	if n := g.all() - before; n > 8 {
		t.Errorf("%d requests", n)
	}
	if err := g.Faults.Clear(); err != nil {
		t.Fatal(err)
	}
	g.alive()
}

// TestAMachineThatRestartsElsewhereIsFound.
func TestAMachineThatRestartsElsewhereIsFound(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, nil)
	g.alive()
	second := start(t, winsim.ServerOptions{}, nil)
	if err := g.Faults.ClosePort(true); err != nil {
		t.Fatal(err)
	}
	g.Server.DropShells() // with the machine
	g.mu.Lock()
	g.Host, g.Port = second.Host, second.Port
	asked := g.asked
	g.mu.Unlock()
	if code, _, _, err := g.run(t.Context(), "echo x"); err != nil {
		t.Errorf("%d, %v", code, err)
	}
	g.alive()
	if g.mu.Lock(); g.asked != asked+1 {
		t.Errorf("asked %d times where it is", g.asked-asked)
	}
	g.mu.Unlock()
	if n := second.requests("Create"); n != 2 {
		t.Errorf("%d shells were opened there", n)
	}
	g.comm.Close(t.Context())
}

// TestAStartHasALimit, whatever the limits of its requests are.
func TestAStartHasALimit(t *testing.T) {
	g := start(t, winsim.ServerOptions{}, func(o *Options) { o.Silence = 1500 * time.Millisecond })
	g.alive()
	g.Faults.Inject(wsman.Rule{Action: "Command", Do: wsman.Hang})
	if code, _, errs, err := g.run(t.Context(), "echo x"); err != nil || code != packersdk.CmdDisconnect || !strings.Contains(errs, ErrSilent.Error()) {
		t.Errorf("%d, %q, %v", code, errs, err)
	}
	if err := g.Faults.Clear(); err != nil {
		t.Fatal(err)
	}
	g.alive()
}

func TestClose(t *testing.T) {
	for name, gone := range map[string]bool{"the guest is there": false, "the guest is gone": true} {
		t.Run(name, func(t *testing.T) {
			g := start(t, winsim.ServerOptions{}, nil)
			cmd := &packersdk.RemoteCmd{Command: long}
			if err := g.comm.Start(t.Context(), cmd); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if gone {
				cancel()
				g.Server.DropShells()
			}
			g.comm.Close(ctx)
			if code := cmd.Wait(); code != packersdk.CmdDisconnect {
				t.Errorf("ended with %d", code)
			}
			if err := g.comm.Start(t.Context(), &packersdk.RemoteCmd{Command: "ver"}); !errors.Is(err, ErrClosed) {
				t.Errorf("afterwards: %v", err)
			}
			if err := g.comm.Upload(`C:\x`, strings.NewReader("x"), nil); !errors.Is(err, ErrClosed) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestTheWayToLogIn(t *testing.T) {
	ways := func(g *guest, password string) []winrm.Config {
		all, _ := g.comm.options.Settings(t.Context())
		for i := range all {
			all[i].Password = winrm.NewSecret(password)
		}
		return all
	}
	for name, c := range map[string]struct {
		server   winsim.ServerOptions
		password string
		want     error
	}{
		"Basic only":              {winsim.ServerOptions{}, password, nil},
		"Negotiate only":          {winsim.ServerOptions{NTLM: true, NoBasic: true}, password, nil},
		"a wrong password":        {winsim.ServerOptions{NTLM: true}, "wrong", winrm.ErrUnauthorized},
		"a wrong password, Basic": {winsim.ServerOptions{}, "wrong", winrm.ErrUnauthorized},
		"TLS where HTTP is asked": {winsim.ServerOptions{TLS: true}, password, winrm.ErrConnection},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, c.server, nil)
			client, err := Connect(t.Context(), ways(g, c.password))
			if client != nil {
				client.Close()
			}
			if c.want == nil && err != nil || c.want != nil && err == nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if errors.Is(c.want, winrm.ErrUnauthorized) && !errors.Is(err, winrm.ErrUnauthorized) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestARefusedLoginIsNotTriedAgainAtOnce: provisioners start a command again every
// two seconds, and Windows locks an account after ten logons that fail.
func TestARefusedLoginIsNotTriedAgainAtOnce(t *testing.T) {
	var mu sync.Mutex
	secret := "wrong"
	g := start(t, winsim.ServerOptions{NTLM: true}, func(o *Options) {
		settings := o.Settings
		o.Refused = 500 * time.Millisecond
		o.Settings = func(ctx context.Context) ([]winrm.Config, error) {
			all, err := settings(ctx)
			mu.Lock()
			defer mu.Unlock()
			for i := range all {
				all[i].Password = winrm.NewSecret(secret)
			}
			return all, err
		}
	})
	begin := time.Now()
	for n := range 3 {
		if _, _, _, err := g.run(t.Context(), "echo x"); !errors.Is(err, winrm.ErrUnauthorized) {
			t.Errorf("%d: %v", n, err)
		}
	}
	if g.mu.Lock(); g.asked != 1 && time.Since(begin) < 500*time.Millisecond {
		t.Errorf("%d attempts to log in", g.asked)
	}
	g.mu.Unlock()
	mu.Lock()
	secret = password
	mu.Unlock()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, _, _, err := g.run(t.Context(), "echo x")
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it is not tried again: %v", err)
		}
	}
	g.alive()
}

// TestNoSecretIsLogged, and no command line, which may hold one.
func TestNoSecretIsLogged(t *testing.T) {
	var logged output
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	g := start(t, winsim.ServerOptions{NTLM: true}, nil)
	if _, _, _, err := g.run(t.Context(), `set "KEY=hidden-value" && echo x`); err != nil {
		t.Fatal(err)
	}
	g.Faults.LoseShells()
	g.alive()
	if err := g.comm.Upload(`C:\x`, bytes.NewReader([]byte("hidden-value")), nil); err != nil {
		t.Fatal(err)
	}
	if text := logged.String(); !strings.Contains(text, "ended with 0") || strings.Contains(text, "hidden-value") || strings.Contains(text, password) {
		t.Errorf("logged:\n%s", text)
	}
}

// Of several ways each is tried in the first round, and then one a round.
func TestEveryWayIsTriedInItsTurn(t *testing.T) {
	g := start(t, winsim.ServerOptions{NTLM: true}, nil)
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	guard := lockout.New("packer", lockout.Policy{Most: 5}, func() time.Time { return now })
	ways, err := g.comm.options.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range ways {
		ways[i].Password, ways[i].Guard = winrm.NewSecret("wrong"), guard
	}
	for i, want := range []int{2, 3, 4, 5, 5, 5} {
		now = now.Add(time.Second)
		if client, err := Connect(t.Context(), ways); client != nil || !errors.Is(err, winrm.ErrUnauthorized) {
			t.Fatal(err)
		}
		if n, _ := g.Guest.Wrong("packer"); n != want {
			t.Errorf("round %d: %d passwords were sent, want %d", i+1, n, want)
		}
	}
	// Where NTLM is offered and never right, Basic is found in its turn.
	now = now.Add(lockout.Window)
	guard.Refused()
	guard.Refused()
	ways[1].Password = winrm.NewSecret(password)
	for range 2 {
		client, err := Connect(t.Context(), ways)
		if err == nil {
			client.Close()
			return
		}
	}
	t.Error("Basic was not tried in two rounds")
}

// Provisioners try again at once: the pauses are those of the guard.
func TestARefusedLoginWaitsAsItsGuardSays(t *testing.T) {
	guard := lockout.New("packer", lockout.Policy{}, nil)
	g := start(t, winsim.ServerOptions{NTLM: true, NoBasic: true}, func(o *Options) {
		settings := o.Settings
		o.Settings = func(ctx context.Context) ([]winrm.Config, error) {
			all, err := settings(ctx)
			for i := range all {
				all[i].Password, all[i].Guard = winrm.NewSecret("wrong"), guard
			}
			return all, err
		}
	})
	for range 5 {
		if err := g.comm.Check(t.Context()); !errors.Is(err, winrm.ErrUnauthorized) {
			t.Fatal(err)
		}
	}
	if n, _ := g.Guest.Wrong("packer"); n != 1 || time.Until(g.comm.until) < 11*time.Second {
		t.Errorf("%d passwords were sent, the next in %s", n, time.Until(g.comm.until))
	}
}
