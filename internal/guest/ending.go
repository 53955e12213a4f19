package guest

import (
	"context"
	"fmt"
	"time"
)

// Stop ends a program by its process id.
func (s *Session) Stop(ctx context.Context, pid int, limit time.Duration) error {
	if _, _, err := s.run(ctx, call(fmt.Sprintf("taskkill /f /pid %d", pid)), Request{}, limit); err != nil {
		return fmt.Errorf("ending process %d: %w", pid, err)
	}
	return nil
}

// StopTree ends a program and those that it has started.
func (s *Session) StopTree(ctx context.Context, pid int, limit time.Duration) error {
	if _, _, err := s.run(ctx, call(fmt.Sprintf("taskkill /f /t /pid %d", pid)), Request{}, limit); err != nil {
		return fmt.Errorf("ending process %d and its children: %w", pid, err)
	}
	return nil
}

// EndWindows powers the guest off, or restarts it. The connection may break before
// the answer comes.
func (s *Session) EndWindows(ctx context.Context, restart bool) error {
	how := "/s"
	if restart {
		how = "/r"
	}
	_, _, err := s.run(ctx, call("shutdown "+how+" /t 5 /f /d p:4:1"), Request{}, CommandLimit)
	return err
}
