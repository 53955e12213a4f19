package vhd

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	"golang.org/x/crypto/ssh"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// lockable serves a guest that locks an account after five wrong passwords.
func lockable(t *testing.T, clock *winsim.Clock, s winsim.Scenario, server winsim.ServerOptions) *winsim.Running {
	t.Helper()
	s.Lockout = winsim.Lockout{After: 5, Within: winsim.Duration(15 * time.Minute)}
	sim, err := winsim.Start(context.WithoutCancel(t.Context()), winsim.Options{Root: t.TempDir(), User: "Administrator", Password: "secret", Clock: clock, Scenario: s}, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return sim
}

// Whoever asks without a guard locks the account; with one the right password is
// let in when the time is over.
func TestRefusedLoginsDoNotLockTheAccount(t *testing.T) {
	for name, c := range map[string]struct {
		server winsim.ServerOptions
		most   int
		locked bool
	}{
		"Negotiate":        {server: winsim.ServerOptions{NTLM: true, NoBasic: true, Encrypted: true}},
		"both":             {server: winsim.ServerOptions{NTLM: true}},
		"Basic":            {server: winsim.ServerOptions{}},
		"without a guard":  {server: winsim.ServerOptions{NTLM: true}, most: 1000, locked: true},
		"Basic without it": {server: winsim.ServerOptions{}, most: 1000, locked: true},
	} {
		t.Run(name, func(t *testing.T) {
			sim := lockable(t, nil, winsim.Scenario{}, c.server)
			now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
			b := newBench(t, map[string]any{"winrm_password": "wrong"})
			b.run.config.guard = lockout.New("Administrator", lockout.Policy{Most: c.most}, func() time.Time { return now })
			for range 12 {
				now = now.Add(2 * time.Second)
				if err := login(t.Context(), b.run, endpointOf(sim)); !errors.Is(err, errRefused) {
					t.Fatal(err)
				}
			}
			if n, locked := sim.Guest.Wrong("Administrator"); locked != c.locked {
				t.Errorf("%d wrong passwords, locked: %v", n, locked)
			}
			b.run.config.Comm.WinRMPassword = "secret"
			now = now.Add(lockout.Window)
			if err := login(t.Context(), b.run, endpointOf(sim)); (err != nil) != c.locked {
				t.Errorf("the right password: %v", err)
			}
		})
	}
}

// The whole wait of the builder, with the times of a Windows: an account that is set
// up late is found, and a wrong password locks nothing.
func TestTheWaitForAGuestDoesNotLockTheAccount(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scenario winsim.Scenario
		password string
		timeout  string
		want     multistep.StepAction
		said     string
	}{
		"set up late":      {winsim.Scenario{AccountAfter: winsim.Duration(3 * time.Minute)}, "secret", "4h", multistep.ActionContinue, "refuses user"},
		"a wrong password": {winsim.Scenario{}, "wrong", "30m", multistep.ActionHalt, "no login is tried for another"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			speed := 300.0
			if c.scenario.AccountAfter > 0 {
				speed = 100 // the first login has to come before the account is there
			}
			clock := winsim.NewClock(speed)
			sim := lockable(t, clock, c.scenario, winsim.ServerOptions{NTLM: true})
			b := started(t, map[string]any{"winrm_password": c.password, "winrm_timeout": c.timeout})
			b.run.config.guard = lockout.New("Administrator", lockout.Policy{Option: "login_attempts"}, clock.Now)
			step := &stepWaitForGuest{speed: speed, probe: func(ctx context.Context, _ string, _ int) (winrm.Reach, error) {
				return winrm.Probe(ctx, sim.Host, sim.Port)
			}, login: func(ctx context.Context, run *run, _ hypervisor.Endpoint) error {
				return login(ctx, run, endpointOf(sim))
			}}
			got := step.Run(t.Context(), b)
			if got != c.want {
				t.Errorf("%v, %v\n%v", got, b.Get("error"), b.said.SayMessages)
			}
			n, locked := sim.Guest.Wrong("Administrator")
			if locked || n == 0 {
				t.Errorf("%d wrong passwords, locked: %v", n, locked)
			}
			if !said(b, c.said) {
				t.Errorf("%q was not said: %v", c.said, b.said.SayMessages)
			}
			if c.want == multistep.ActionContinue && said(b, "no login is tried") {
				t.Errorf("all logins were spent: %v", b.said.SayMessages)
			}
			if c.want == multistep.ActionHalt {
				b.wantHalt(t, got, `did not accept user "Administrator" (logins refused in a row: `, "check winrm_username and winrm_password", "within 30m0s (winrm_timeout)")
			}
		})
	}
}

func said(b *bench, text string) bool {
	for _, m := range b.said.SayMessages {
		if strings.Contains(m.Message, text) {
			return true
		}
	}
	return false
}

// The SDK makes a connection every seven seconds.
func TestThePasswordOfSSHIsNotSentTooOften(t *testing.T) {
	for name, guards := range map[string]bool{"with the guard": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			sim := lockable(t, nil, winsim.Scenario{SSH: winsim.SSH{Shell: "cmd"}}, winsim.ServerOptions{})
			b := newBench(t, map[string]any{"communicator": "ssh", "ssh_username": "Administrator", "ssh_password": "wrong", "ssh_timeout": "4h", "winrm_username": nil, "winrm_password": nil})
			now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
			c := b.run.config
			c.guard = nil
			if guards {
				c.guard = lockout.New("Administrator", lockout.Policy{Option: "login_attempts"}, func() time.Time { return now })
			}
			_, _, guarded := connector(c, askedFor(func(context.Context) (hypervisor.Endpoint, error) { return hypervisor.Endpoint{}, nil }), b.said.Say)
			guarded.now = func() time.Time { return now }
			guarded.begins(c)
			make := guarded.configure()
			connect := func() error {
				now = now.Add(7 * time.Second)
				settings, err := make(b)
				if err != nil {
					return err
				}
				conn, err := ssh.Dial("tcp", sim.SSH.Addr, settings)
				if err == nil {
					conn.Close()
				}
				return err
			}
			for range 100 {
				if connect() == nil {
					t.Fatal("a wrong password is let in")
				}
			}
			n, locked := sim.Guest.Wrong("Administrator")
			if locked == guards || n == 0 {
				t.Errorf("%d wrong passwords, locked: %v", n, locked)
			}
			if !guards {
				return
			}
			if !said(b, "SSH answers but does not let user") || !said(b, "SSH answers, but user \"Administrator\" was refused 4 times") {
				t.Errorf("said %v", b.said.SayMessages)
			}
			if text := guarded.clause(); !strings.Contains(text, "logins refused in a row: 4") || !strings.Contains(text, "ssh_password") {
				t.Errorf("the error ends with %q", text)
			}
			now = now.Add(lockout.Window)
			c.Comm.SSHPassword = "secret"
			if err := connect(); err != nil {
				t.Errorf("the right password: %v", err)
			}
			guarded.connected()
			for range 10 { // Packer connects again by itself
				if err := connect(); err != nil {
					t.Errorf("once let in: %v", err)
				}
			}
		})
	}
}

func TestLoginAttemptsIsChecked(t *testing.T) {
	c := new(Config)
	if _, err := c.prepare(valid(t, map[string]any{"login_attempts": -1})); err == nil || !strings.Contains(err.Error(), "login_attempts: -1 is negative") {
		t.Errorf("got %v", err)
	}
	if _, err := c.prepare(valid(t, map[string]any{"login_attempts": 2})); err != nil {
		t.Error(err)
	}
	c.guard.Refused()
	c.guard.Refused()
	if err := c.guard.May(); err == nil || !strings.Contains(err.Error(), "login_attempts") {
		t.Errorf("after two: %v", err)
	}
}

// The last password before the SDK gives up was refused, too: no connection follows it
// that would tell.
func TestTheLastPasswordOfSSHIsCountedInTheError(t *testing.T) {
	b := newBench(t, map[string]any{"communicator": "ssh", "ssh_username": "Administrator", "ssh_password": "wrong", "winrm_username": nil, "winrm_password": nil})
	_, _, login := connector(b.run.config, askedFor(func(context.Context) (hypervisor.Endpoint, error) { return hypervisor.Endpoint{}, nil }), b.said.Say)
	if text := login.clause(); text != "" {
		t.Errorf("without a login: %q", text)
	}
	if _, err := login.password(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // once is enough
		if text := login.clause(); !strings.Contains(text, "logins refused in a row: 1)") {
			t.Errorf("the error ends with %q", text)
		}
	}
}
