package winrm

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// counting is an honest service that counts the wrong passwords it was shown.
func counting(change func(*wsman.Server)) (s *wsman.Server, wrong *atomic.Int32) {
	wrong = new(atomic.Int32)
	s = honest()
	s.LetsIn = func(_ string, ok bool) bool {
		if !ok {
			wrong.Add(1)
		}
		return ok
	}
	change(s)
	return s, wrong
}

func TestLoginsThatAreRefusedAreHeldBack(t *testing.T) {
	for name, c := range map[string]struct {
		auth   Auth
		change func(*wsman.Server)
		wrong  int32 // passwords that the service saw of ten logins
	}{
		"NTLM, sealed":           {AuthNTLM, func(s *wsman.Server) { s.AllowUnencrypted = false }, 4},
		"NTLM":                   {AuthNTLM, func(*wsman.Server) {}, 4},
		"Basic":                  {AuthBasic, func(*wsman.Server) {}, 4},
		"what is offered":        {AuthNegotiate, func(*wsman.Server) {}, 4},
		"NTLM, not offered":      {AuthNTLM, func(s *wsman.Server) { s.NTLM = false }, 0},
		"Basic, not offered":     {AuthBasic, func(s *wsman.Server) { s.Basic = false }, 0},
		"offered, and only that": {AuthNegotiate, func(s *wsman.Server) { s.NTLM = false }, 4},
	} {
		t.Run(name, func(t *testing.T) {
			server, wrong := counting(c.change)
			g := start(t, server, nil)
			now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
			guard := lockout.New(testUser, lockout.Policy{Option: "login_attempts"}, func() time.Time { return now })
			login := func(password string) error {
				now = now.Add(time.Second)
				client, err := New(Config{Host: "127.0.0.1", Port: g.port, User: testUser, Password: NewSecret(password), Auth: c.auth, AllowUnencrypted: true, Guard: guard})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				_, err = client.Login(t.Context())
				return err
			}
			var last error
			for range 10 {
				if last = login("wrong"); !errors.Is(last, ErrUnauthorized) {
					t.Fatal(last)
				}
			}
			if n := wrong.Load(); n != c.wrong || errors.Is(last, ErrHeld) != (c.wrong > 0) {
				t.Errorf("%d passwords were sent, and the last try ends with: %v", n, last)
			}
			if c.wrong == 0 {
				return
			}
			for _, text := range []string{`user "vagrant" was refused 4 times in a row`, "no login is tried", "login_attempts"} {
				if !strings.Contains(last.Error(), text) {
					t.Errorf("%q is not in %q", text, last)
				}
			}
			now = now.Add(lockout.Window)
			if err := login(testPassword); err != nil {
				t.Errorf("the right password, later: %v", err)
			}
			if guard.Count() != 0 {
				t.Error("what was let in is remembered as refused")
			}
		})
	}
}

// A session that was let in loses its password: Basic sends it with every request.
func TestASessionWhosePasswordIsNotRightAnyMore(t *testing.T) {
	for name, auth := range map[string]Auth{"Basic": AuthBasic, "NTLM": AuthNTLM} {
		t.Run(name, func(t *testing.T) {
			var changed atomic.Bool
			var wrong atomic.Int32
			server := honest()
			server.LetsIn = func(_ string, ok bool) bool {
				if changed.Load() {
					wrong.Add(1)
				}
				return ok && !changed.Load()
			}
			g := start(t, server, nil)
			client, err := New(Config{Host: "127.0.0.1", Port: g.port, User: testUser, Password: NewSecret(testPassword), Auth: auth, AllowUnencrypted: true})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if auth == AuthBasic { // on a connection that is kept
				if _, err := client.Login(t.Context()); err != nil {
					t.Fatal(err)
				}
				changed.Store(true)
				if _, err := client.Login(t.Context()); !errors.Is(err, ErrUnauthorized) || wrong.Load() != 1 {
					t.Errorf("%v, and the wrong password was sent %d times", err, wrong.Load())
				}
				changed.Store(false)
				wrong.Store(0)
			}
			session := NewSession(client, ShellOptions{})
			if _, err := session.Run(t.Context(), Command{Line: "exit 0"}); err != nil {
				t.Fatal(err)
			}
			changed.Store(true)
			g.Faults.CloseConnections()
			var last error
			for range 10 {
				if _, last = session.Run(t.Context(), Command{Line: "exit 0"}); last == nil {
					t.Fatal("it is let in")
				}
			}
			if n := wrong.Load(); n > 4 || !errors.Is(last, ErrHeld) {
				t.Errorf("%d passwords were sent, and the last try ends with: %v", n, last)
			}
		})
	}
}
