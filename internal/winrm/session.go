package winrm

import (
	"context"
	"errors"
	"sync"
)

// Session runs commands in one shell, which it keeps as long as it can: Windows
// may give no other while it generalizes. A shell that is lost is opened anew
// when the next command comes.
type Session struct {
	client  *Client
	options ShellOptions

	opening chan struct{} // held by who opens a shell

	mu     sync.Mutex
	kept   *keptShell // nil: none
	closed bool
}

// keptShell is a shell with how many commands have been given it.
type keptShell struct {
	*Shell
	users int // Session.mu
}

// NewSession makes a session. Nothing is sent before its first command.
func NewSession(c *Client, o ShellOptions) *Session {
	return &Session{client: c, options: o, opening: make(chan struct{}, 1)}
}

// Run is Shell.Run. Where nothing can have run, because the shell was lost
// before, the connection failed before the request was written, or commands that
// have ended use up the quota, it is tried once more.
func (s *Session) Run(ctx context.Context, c Command) (int, error) {
	if err := c.check(); err != nil {
		return 0, &CommandError{Err: err}
	}
	for second := false; ; second = true {
		shell, err := s.take(ctx)
		if err == nil {
			var code int
			code, err = shell.Run(ctx, c)
			s.give(ctx, shell, err)
			if err == nil {
				return code, nil
			}
		}
		var failed *CommandError
		if !errors.As(err, &failed) {
			failed = &CommandError{Err: err}
		}
		if second || failed.MayHaveRun || !passing(err) {
			return 0, failed
		}
		if errors.Is(err, ErrConnection) && rest(ctx, pace) != nil { // it may be restarting
			return 0, failed
		}
	}
}

// passing says whether what failed may go well now.
func passing(err error) bool {
	return errors.Is(err, ErrShellLost) || errors.Is(err, ErrConnection) || errors.Is(err, ErrQuotaOperations)
}

// take returns the shell, and opens it if there is none.
func (s *Session) take(ctx context.Context) (*keptShell, error) {
	select {
	case s.opening <- struct{}{}:
		defer func() { <-s.opening }()
	case <-ctx.Done():
		return nil, givenUp(ctx, "Create", s.client.addr, false)
	}
	if shell, err := s.open(); shell != nil || err != nil {
		return shell, err
	}
	shell, err := s.client.OpenShell(ctx, s.options)
	if err != nil {
		return nil, err
	}
	kept := &keptShell{shell, 1}
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.kept = kept
	}
	s.mu.Unlock()
	if closed {
		_ = shell.Close(ctx) // what counts is that the session is closed
		return nil, s.isClosed()
	}
	return kept, nil
}

// open returns the shell that is open, nil when there is none.
func (s *Session) open() (*keptShell, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, s.isClosed()
	case s.kept == nil || s.kept.Lost():
		s.kept = nil
		return nil, nil
	}
	s.kept.users++
	return s.kept, nil
}

func (s *Session) isClosed() error {
	return &Error{Kind: ErrClosed, Op: "Create", Addr: s.client.addr}
}

// give says that a command has left a shell. One that is of no use is deleted
// with its last command. Commands count against the quota of operations until
// their shell is deleted, so it is of no use, too, when that is used up, and not
// before.
func (s *Session) give(ctx context.Context, shell *keptShell, err error) {
	s.mu.Lock()
	shell.users--
	useless := shell.users == 0 && (shell.Lost() || errors.Is(err, ErrQuotaOperations))
	if useless && s.kept == shell {
		s.kept = nil
	}
	s.mu.Unlock()
	if useless {
		_ = shell.Close(ctx) // the next one is what counts
	}
}

// Close deletes the shell, with what still runs in it, within Limits.Cleanup.
// The client stays open.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	shell := s.kept
	s.kept, s.closed = nil, true
	s.mu.Unlock()
	if shell == nil {
		return nil
	}
	return shell.Close(ctx)
}
