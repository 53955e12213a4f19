package vhd

import (
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/communicator"
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	"golang.org/x/crypto/ssh"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
)

// sshLogin hands the password of SSH out, while the SDK connects, only when it may be
// tried: the SDK tries every seven seconds, and Windows counts.
type sshLogin struct {
	config *communicator.Config
	guard  *lockout.Guard
	say    func(string)
	now    func() time.Time

	mu sync.Mutex
	// sent: the password was sent in the newest connection, and nobody has said yet
	// what became of it.
	sent bool
	// in: the guest has let us in. What Packer does from then on is its own.
	in   bool
	ends time.Time // when the SDK gives up; zero: not known
	told bool      // it was said that the password is refused
	held bool      // and that none is sent
}

// configure is what the SDK calls before every connection.
func (s *sshLogin) configure() func(multistep.StateBag) (*ssh.ClientConfig, error) {
	keys := *s.config
	keys.SSHPassword = ""
	inner := keys.SSHConfigFunc()
	return func(state multistep.StateBag) (*ssh.ClientConfig, error) {
		if err := s.next(); err != nil {
			return nil, err
		}
		c, err := inner(state)
		if err != nil || s.config.SSHPassword == "" {
			return c, err
		}
		c.Auth = append(c.Auth, ssh.PasswordCallback(s.password), ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
			answers := make([]string, len(questions))
			for i := range questions {
				var err error
				if answers[i], err = s.password(); err != nil {
					return nil, err
				}
			}
			return answers, nil
		}))
		return c, nil
	}
}

// next says whether it is time for the next connection. One after a password means
// that it was refused.
func (s *sshLogin) next() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted()
	if err := s.guard.May(); err != nil {
		if !s.held {
			s.held = true
			s.say(fmt.Sprintf("SSH answers, but %s", err))
		}
		return err
	}
	s.held = false
	left := time.Duration(0)
	if !s.ends.IsZero() {
		left = s.ends.Sub(s.now())
	}
	if pause := s.guard.Pause(left); pause > 0 {
		return fmt.Errorf("the next password is sent in %s, so that Windows does not lock the account", pause.Round(time.Second))
	}
	return nil
}

// counted takes what was sent for refused. Under mu.
func (s *sshLogin) counted() {
	if !s.sent || s.in {
		return
	}
	s.sent = false
	s.guard.Refused()
	if !s.told {
		s.told = true
		s.say(fmt.Sprintf("SSH answers but does not let user %q in; still waiting, in case Windows has not finished setting up the account. The next logins follow at growing intervals, so that Windows does not lock it", s.config.SSHUsername))
	}
}

// password is called when the guest asks for it, a second time where it was refused
// and the guest takes it another way.
func (s *sshLogin) password() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted()
	if !s.in {
		if err := s.guard.May(); err != nil {
			return "", err
		}
		s.sent = true
	}
	return s.config.SSHPassword, nil
}

// begins notes when the SDK gives up. Nil: it does not connect.
func (s *sshLogin) begins(c *Config) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := c.connecting(); c.Comm.Type == "ssh" && f.Limit > 0 {
		s.ends = s.now().Add(f.Limit)
	}
}

// connected ends the counting.
func (s *sshLogin) connected() {
	if s == nil || s.config.Type != "ssh" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent, s.in = false, true
	s.guard.Accepted()
}

// clause says for the end of an error how often the password was refused.
func (s *sshLogin) clause() string {
	if s == nil || s.config.Type != "ssh" {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sent {
		s.sent = false
		s.guard.Refused()
	}
	n := s.guard.Count()
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; user %q was not let in%s: check ssh_username and ssh_password", s.config.SSHUsername, times(n))
}
