// Package guest asks a Windows guest typed questions and does bounded work in it,
// over a Transport: cmd.exe lines, the embedded scripts, files. Every request has
// a deadline.
package guest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
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
	// markPut: Bring has put it, for the next start.
	markLate, markPut bool
	// bootMarked: the mark of this boot was put, as far as is known; bootSeen: it
	// was read, or the guest has said that it was put.
	bootMarked, bootSeen bool
	// oldLines are those that Look has counted in an earlier log.
	oldLines int
	// durable: Folder is not a temporary one. agent: a program that starts sysprep
	// is in it.
	durable, agent bool
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

// Places says whether the transport places files: it makes the folders of private
// ones, and what it has written is verified.
func (s *Session) Places() bool {
	_, ok := s.transport.(Placer)
	return ok
}

// Upload writes a small file, within the limit.
func (s *Session) Upload(ctx context.Context, path string, content []byte, limit time.Duration) error {
	ctx, cancel := s.within(ctx, limit)
	defer cancel()
	if err := s.makeFolder(ctx, path); err != nil {
		return fmt.Errorf("uploading %s: %w", path, err)
	}
	if err := s.transport.Upload(ctx, path, content); err != nil {
		return fmt.Errorf("uploading %s: %w", path, err)
	}
	return nil
}

// makeFolder makes the folder of a file, where the transport does not.
func (s *Session) makeFolder(ctx context.Context, path string) error {
	if f, ok := s.transport.(Folders); !ok || !f.NeedsFolders() {
		return nil
	}
	folder := folderOf(path)
	a, err := s.ask(ctx, all(unless(folder, call("mkdir ?", folder)), tell("folder", folder)), CommandLimit)
	if err != nil {
		return fmt.Errorf("making its folder: %w", err)
	}
	if there := a.yes("folder"); there == nil || !*there {
		return fmt.Errorf("making its folder: %s", short(a.text))
	}
	return nil
}

// Bring brings what a start needs, and files, by one command within the limit: the
// scripts that start and watch sysprep, and the mark. It does nothing where the
// transport does not place files: scripts then come at their first use.
func (s *Session) Bring(ctx context.Context, limit time.Duration, files ...File) error {
	placer, ok := s.transport.(Placer)
	if !ok {
		return nil
	}
	all := slices.Clip(files)
	var paths []string
	for _, name := range []string{scripts.Launch, scripts.Watch} {
		if path := s.scriptFile(name); !s.there(path) {
			paths = append(paths, path)
			all = append(all, File{Path: path, Content: []byte(scripts.Inline(name))})
		}
	}
	for _, path := range paths {
		s.note(path, false) // it may arrive later than it is waited for
	}
	all = append(all, File{Path: s.markFile(), Content: []byte("packer\r\n")})
	ctx, cancel := s.within(ctx, limit)
	defer cancel()
	err := placer.Place(ctx, all...)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, path := range paths {
		if s.brought[path] = err == nil; errors.Is(err, ErrNotSent) {
			delete(s.brought, path)
		}
	}
	// What broke off may go on in the guest.
	s.markLate = s.markLate || err != nil && !errors.Is(err, ErrNotSent) || errors.Is(err, ErrNoAnswer)
	if s.markPut = err == nil; err != nil {
		return fmt.Errorf("bringing files: %w", err)
	}
	return nil
}

// Marks are the files that Bring may put among sysprep's logs, to be removed.
func (s *Session) Marks() []string {
	return []string{s.markFile(), footprint.PartialMark.In(s.Windir(), s.id)}
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
