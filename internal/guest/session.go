// Package guest runs bounded work in a Windows guest through Packer's
// communicator: commands, the embedded scripts, file transfer. Everything has a
// deadline, and what never comes back is left behind, because the communicator
// can block for ever and does not pass a context across the plugin boundary.
package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

var (
	// ErrAbandoned: the guest did not answer within the limit, the request was
	// left behind.
	ErrAbandoned = errors.New("no answer in time")
	// ErrGivenUp: two requests were left behind and have not come back since.
	// Each may keep Packer busy for ever, so there will be no third.
	ErrGivenUp = errors.New("the connection is not used any more: two requests never came back")
)

const (
	maxAbandoned = 2
	maxOutput    = 4 << 20 // bytes kept of each output of one command
	maxLine      = 2 << 20 // of a streamed document; a 1 MiB chunk is 1.4 MiB in base64
)

// Communicator is the part of packersdk.Communicator that is used.
type Communicator interface {
	Start(context.Context, *packersdk.RemoteCmd) error
	Upload(string, io.Reader, *os.FileInfo) error
}

// Session talks to one guest. It is safe for concurrent use.
type Session struct {
	comm    Communicator
	id      string
	windir  string
	timer   func(time.Duration) (<-chan time.Time, func() bool)
	mu      sync.Mutex
	pending int // requests left behind that have not come back
	scripts map[string]bool
}

// New makes a session. The id (letters, digits, hyphens) goes into the names of
// everything the session leaves in the guest.
func New(comm Communicator, id string) *Session {
	return &Session{
		comm: comm, id: id, windir: `C:\Windows`, scripts: map[string]bool{},
		timer: func(d time.Duration) (<-chan time.Time, func() bool) {
			t := time.NewTimer(d)
			return t.C, t.Stop
		},
	}
}

// Windir is the guest's Windows folder: C:\Windows until Look has asked.
func (s *Session) Windir() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.windir
}

// Folder is where the session keeps its scripts in the guest.
func (s *Session) Folder() string { return s.Windir() + `\Temp\packer-sysprep-` + s.id }

// Task is the name of the scheduled task that Launch may register.
func (s *Session) Task() string { return "packer-sysprep-" + s.id }

// Result is what a command left. The exit status says little: some programs
// that fail return 0.
type Result struct {
	Exit           int
	Stdout, Stderr []byte
	Truncated      bool // more came than was kept
}

// Run runs one cmd.exe line and returns within the limit. With an error, the
// output holds what had come by then.
func (s *Session) Run(ctx context.Context, line string, limit time.Duration) (Result, error) {
	stdout := &sink{}
	exit, stderr, err := s.start(ctx, line, limit, stdout)
	return Result{Exit: exit, Stdout: stdout.bytes(), Stderr: stderr.bytes(), Truncated: stdout.cut || stderr.cut}, err
}

// Upload writes a small file, within the limit.
func (s *Session) Upload(ctx context.Context, path string, content []byte, limit time.Duration) error {
	err := s.bounded(ctx, limit, func(context.Context) error {
		return s.comm.Upload(path, bytes.NewReader(content), nil)
	})
	if err != nil {
		return fmt.Errorf("uploading %s: %w", path, err)
	}
	return nil
}

func (s *Session) start(ctx context.Context, line string, limit time.Duration, stdout writerEnd) (int, *sink, error) {
	stderr := &sink{}
	// After an abandonment the communicator may go on writing.
	defer stdout.end()
	defer stderr.end()
	var exit atomic.Int64
	err := s.bounded(ctx, limit, func(ctx context.Context) error {
		cmd := &packersdk.RemoteCmd{Command: line, Stdout: stdout, Stderr: stderr}
		if err := s.comm.Start(ctx, cmd); err != nil {
			return err // its exit status is never to be had, or wrong
		}
		exit.Store(int64(cmd.Wait()))
		return nil
	})
	return int(exit.Load()), stderr, err
}

// bounded does the work in its own goroutine and leaves it behind when the
// limit or the context ends. Only the limit counts against the connection: what
// the caller cancels says nothing about it.
func (s *Session) bounded(ctx context.Context, limit time.Duration, work func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	given := s.pending >= maxAbandoned
	s.mu.Unlock()
	if given {
		return ErrGivenUp
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	finished, abandoned := false, false
	go func() {
		err := work(inner)
		s.mu.Lock()
		finished = true
		if abandoned {
			s.pending--
		}
		s.mu.Unlock()
		done <- err
	}()
	expired, stop := s.timer(limit)
	defer stop()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-expired:
	}
	s.mu.Lock()
	abandoned = !finished
	if abandoned {
		s.pending++
	}
	s.mu.Unlock()
	if !abandoned {
		return <-done
	}
	return fmt.Errorf("%w (%s)", ErrAbandoned, limit)
}

// writerEnd is an output that can be cut off from whoever still writes to it.
type writerEnd interface {
	io.Writer
	end()
}

// sink keeps the beginning of what is written to it.
type sink struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	cut    bool
	ended  bool
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if room := maxOutput - s.buffer.Len(); s.ended || len(p) > room {
		if !s.ended {
			s.cut = true
			s.buffer.Write(p[:room])
		}
		return len(p), nil
	}
	return s.buffer.Write(p)
}

func (s *sink) end() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
}

func (s *sink) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.buffer.Bytes())
}

// lines hands every complete line to take, one at a time and none after end.
type lines struct {
	mu    sync.Mutex
	take  func([]byte)
	held  []byte
	skip  bool // the rest of a line that is too long
	ended bool
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	for !l.ended && len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		if !l.skip {
			l.held = append(l.held, part...)
		}
		if len(l.held) > maxLine {
			l.held, l.skip = nil, true
		}
		if i < 0 {
			break
		}
		if !l.skip {
			l.take(l.held)
		}
		l.held, l.skip = nil, false
		p = p[i+1:]
	}
	return n, nil
}

func (l *lines) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended && len(l.held) > 0 {
		l.take(l.held)
	}
	l.ended, l.held = true, nil
}
