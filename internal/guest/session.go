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
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

var (
	// ErrAbandoned: the guest did not answer within the limit, the request was
	// left behind.
	ErrAbandoned = errors.New("no answer in time")
	// ErrGivenUp: too many requests were left behind and have not come back since.
	// Each may keep Packer busy for ever, so nothing is asked (WayNone).
	ErrGivenUp = errors.New("the connection is not used: too many requests have not come back")
	// ErrResting: a request was left behind a short while ago, so nothing is asked.
	ErrResting = errors.New("the connection rests, because a request never came back")
	// ErrTooMuch: the guest did not stop answering, the request was left behind.
	ErrTooMuch = errors.New("the answer does not end")
)

// Unanswered says that the guest did not answer, or is not asked for a while.
// What may be done twice can be asked again later.
func Unanswered(err error) bool {
	return errors.Is(err, ErrAbandoned) || errors.Is(err, ErrResting) || errors.Is(err, ErrGivenUp)
}

const (
	maxOutput   = 4 << 20 // bytes kept of each output of one command
	maxFlow     = 4 * maxOutput
	maxLine     = 2 << 20  // of a streamed document; a 1 MiB chunk is 1.4 MiB in base64
	maxStream   = 32 << 20 // bytes of all documents of one command
	maxLines    = 50_000   // of them, with whatever else comes
	maxLate     = 1 << 20  // bytes taken from a request that was left behind
	settleLimit = 3 * time.Second
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
	now     func() time.Time
	timer   func(time.Duration) (<-chan time.Time, func() bool)
	pause   func(context.Context, time.Duration) error
	speed   float64
	maxRest time.Duration
	mu      sync.Mutex
	pending int // requests left behind that have not come back
	lost    int // requests left behind since the guest answered last
	rests   time.Time
	// away and back: since a request was left behind the service did not answer,
	// and answers again.
	away, back bool
	scripts    map[string]bool
	// removing: a command was sent that removes what is ours at its end.
	removing bool
	// markLate: putting the mark was left behind, so it may come at any time.
	markLate bool
	// changing are the requests under way that may change the guest; each is
	// closed when its request ends.
	changing map[chan struct{}]bool
}

// New makes a session. The id (letters, digits, hyphens) goes into the names of
// everything the session leaves in the guest.
func New(comm Communicator, id string) *Session {
	s := &Session{comm: comm, id: id, windir: `C:\Windows`, scripts: map[string]bool{}, changing: map[chan struct{}]bool{}, now: time.Now, speed: 1, maxRest: longestRest}
	s.timer = func(d time.Duration) (<-chan time.Time, func() bool) {
		t := time.NewTimer(s.scaled(d))
		return t.C, t.Stop
	}
	s.pause = s.wait
	return s
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
	over := newOverflow()
	stdout := &sink{over: over}
	exit, stderr, err := s.start(ctx, line, limit, stdout, over, s.change)
	return Result{Exit: exit, Stdout: stdout.bytes(), Stderr: stderr.bytes(), Truncated: stdout.cut || stderr.cut}, err
}

// Upload writes a small file, within the limit.
func (s *Session) Upload(ctx context.Context, path string, content []byte, limit time.Duration) error {
	err := s.bounded(ctx, limit, nil, s.change(func(context.Context) error {
		return s.comm.Upload(path, bytes.NewReader(content), nil)
	}))
	if err != nil {
		return fmt.Errorf("uploading %s: %w", path, err)
	}
	return nil
}

func (s *Session) start(ctx context.Context, line string, limit time.Duration, stdout writerEnd, over *overflow, as func(work) work) (int, *sink, error) {
	stderr := &sink{over: over}
	// After an abandonment the communicator may go on writing.
	defer stdout.end()
	defer stderr.end()
	var exit atomic.Int64
	err := s.bounded(ctx, limit, over, as(func(ctx context.Context) error {
		cmd := &packersdk.RemoteCmd{Command: line, Stdout: stdout, Stderr: stderr}
		if err := s.comm.Start(ctx, cmd); err != nil {
			return err // its exit status is never to be had, or wrong
		}
		exit.Store(int64(cmd.Wait()))
		return nil
	}))
	return int(exit.Load()), stderr, err
}

// work is a request to the guest.
type work func(context.Context) error

// watching is a request that changes nothing in the guest.
func watching(do work) work { return do }

// change keeps a request in mind until it has ended. One that its caller does not
// wait for any more goes on in Packer's communicator.
func (s *Session) change(do work) work {
	return func(ctx context.Context) error {
		defer s.changes()()
		return do(ctx)
	}
}

// changes notes a request that may change the guest, until ended is called.
func (s *Session) changes() (ended func()) {
	under := make(chan struct{})
	s.mu.Lock()
	s.changing[under] = true
	s.mu.Unlock()
	return sync.OnceFunc(func() {
		s.mu.Lock()
		delete(s.changing, under)
		s.mu.Unlock()
		close(under)
	})
}

// settle waits a little until nothing is under way that may change the guest:
// what a cancelled upload writes would come after the cleanup.
func (s *Session) settle(ctx context.Context) {
	s.mu.Lock()
	under, lost := slices.Collect(maps.Keys(s.changing)), s.pending > 0
	s.mu.Unlock()
	if len(under) == 0 || lost { // what never came back is not waited for again
		return
	}
	expired, stop := s.timer(settleLimit)
	defer stop()
	for _, ended := range under {
		select {
		case <-ended:
		case <-ctx.Done():
			return
		case <-expired:
			return
		}
	}
}

// bounded does the work in its own goroutine and leaves it behind when the
// limit or the context ends, or its output is over. What the caller cancels
// says nothing about the connection.
func (s *Session) bounded(ctx context.Context, limit time.Duration, over *overflow, do work) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.admit(ctx); err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	finished, abandoned := false, false
	go func() {
		err := do(inner)
		s.mu.Lock()
		finished = true
		s.returned(abandoned, err)
		s.mu.Unlock()
		done <- err
	}()
	expired, stop := s.timer(limit)
	defer stop()
	if over == nil {
		over = newOverflow() // never
	}
	why := fmt.Errorf("%w (%s)", ErrAbandoned, limit)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-over.happened:
		why = over.why
	case <-expired:
	}
	s.mu.Lock()
	abandoned = !finished
	if abandoned {
		s.leave()
	}
	s.mu.Unlock()
	if !abandoned {
		return <-done
	}
	return why
}
