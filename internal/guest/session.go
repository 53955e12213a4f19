// Package guest asks a Windows guest typed questions and does bounded work in it,
// over a Transport: cmd.exe lines, the embedded scripts, files. Every request has
// a deadline.
package guest

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Session talks to one guest. It is safe for concurrent use.
type Session struct {
	transport Transport
	id        string
	speed     float64
	mu        sync.Mutex
	windir    string
	// brought are scripts and folders of ours, by their paths; false: one may
	// arrive yet.
	brought map[string]bool
	// removing: a command was sent that removes what is ours at its end.
	removing bool
	// markLate: putting the mark was left behind, so it may come at any time.
	markLate bool
}

// New makes a session. The id (letters, digits, hyphens) goes into the names of
// everything the session leaves in the guest.
func New(t Transport, id string) *Session {
	return &Session{transport: t, id: id, windir: `C:\Windows`, brought: map[string]bool{}, speed: 1}
}

// Hurry divides every limit, for a guest whose clock runs that much faster.
func (s *Session) Hurry(speed float64) { s.speed = speed }

func (s *Session) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / s.speed)
}

// Windir is the guest's Windows folder: C:\Windows until Look has asked.
func (s *Session) Windir() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.windir
}

// Steady says whether Watch may be called. Otherwise short requests at most may be
// made.
func (s *Session) Steady() bool { return s.transport.Steady() }

// Probed tells whether the guest's service answered a question that the session
// did not ask.
func (s *Session) Probed(answers bool) { s.transport.Probed(answers) }

// Upload writes a small file, within the limit.
func (s *Session) Upload(ctx context.Context, path string, content []byte, limit time.Duration) error {
	ctx, cancel := s.within(ctx, limit)
	defer cancel()
	if err := s.transport.Upload(ctx, path, content); err != nil {
		return fmt.Errorf("uploading %s: %w", path, err)
	}
	return nil
}

// within bounds a request.
func (s *Session) within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.scaled(limit), fmt.Errorf("%w (%s)", ErrNoAnswer, limit))
}

// wait is a pause between two requests.
func (s *Session) wait(ctx context.Context, d time.Duration) error {
	after := time.NewTimer(s.scaled(d))
	defer after.Stop()
	select {
	case <-ctx.Done():
		return fmt.Errorf("waiting: %w", ctx.Err())
	case <-after.C:
		return nil
	}
}
