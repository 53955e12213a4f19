// Package winrmguest carries requests and small files to a guest over a WinRM
// session of our own.
// A request that is given up is ended in the guest, and nothing is left behind
// that loops: so a connection that fails is asked again, at a pace, and is never
// given up.
package winrmguest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
)

const (
	settleLimit = 3 * time.Second
	// pace is the least time between a request that failed and the next.
	pace = 500 * time.Millisecond
	// restartLimit is how long a service that restarts is waited for.
	restartLimit = 4 * time.Second
)

// Runner runs commands in a shell that it keeps: a *winrm.Session.
type Runner interface {
	Run(context.Context, winrm.Command) (int, error)
	Close(context.Context) error
}

// Transport is a guest.Transport.
type Transport struct {
	runner   Runner
	transfer *files.Transfer

	mu       sync.Mutex
	underway map[*request]bool // given up by the caller, and not ended yet
	failed   time.Time         // when the last request failed; zero: it did not
}

var _ guest.Placer = (*Transport)(nil)

// request is one that is under way; ended is closed when it comes back.
type request struct {
	ended   chan struct{}
	changed <-chan struct{} // closed early: it changes nothing more
}

// New makes a transport. What a transfer that breaks leaves in the guest is in the
// folder that the options name.
func New(r Runner, o files.Options) *Transport {
	return &Transport{runner: r, transfer: files.New(r, o), underway: map[*request]bool{}}
}

// Close deletes the shell, where the guest answered the last request.
func (t *Transport) Close(ctx context.Context) error {
	if !t.Steady() {
		return nil // it ends by itself; nobody is there to be told
	}
	return t.runner.Close(ctx)
}

// Run runs one cmd.exe line.
func (t *Transport) Run(ctx context.Context, r guest.Request) error {
	stdout, stderr := &gate{to: r.Stdout}, &gate{to: r.Stderr}
	defer stdout.close()
	defer stderr.close()
	return t.bounded(ctx, r.Changed, func() error {
		for begun := time.Now(); ; {
			code, err := t.runner.Run(ctx, winrm.Command{Line: r.Line, Stdout: stdout, Stderr: stderr, Gather: pauseFor(r)})
			if err == nil && r.Exit != nil {
				*r.Exit = code
			}
			if !restarting(err) || time.Since(begun) > restartLimit || pause(ctx, pace) != nil {
				return err
			}
		}
	})
}

// gather is how long a short command's next words are waited for: the programs of
// a line speak one after the other.
const gather = 150 * time.Millisecond

// pauseFor leaves a command that is watched for what it says, while it goes on.
func pauseFor(r guest.Request) time.Duration {
	if r.Changed != nil {
		return 0
	}
	return gather
}

// restarting says that nothing was run, as while the service restarts.
func restarting(err error) bool {
	var why *winrm.CommandError
	return errors.As(err, &why) && !why.MayHaveRun &&
		(errors.Is(err, winrm.ErrConnection) || errors.Is(err, winrm.ErrShellLost) || errors.Is(err, winrm.ErrUnavailable))
}

// Upload writes a small file.
func (t *Transport) Upload(ctx context.Context, path string, content []byte) error {
	return t.Place(ctx, guest.File{Path: path, Content: content})
}

// Place writes small files at once.
func (t *Transport) Place(ctx context.Context, all ...guest.File) error {
	placed := make([]files.File, len(all))
	for i, f := range all {
		placed[i] = files.File(f)
	}
	return t.bounded(ctx, nil, func() error { return t.transfer.Place(ctx, placed...) })
}

// bounded does the work in its own goroutine: it ends within seconds of its
// context, which is how long it takes to end a command in the guest, and the
// caller is not kept waiting for that.
func (t *Transport) bounded(ctx context.Context, changed <-chan struct{}, work func() error) error {
	if err := t.rest(ctx); err != nil {
		return err
	}
	r, done := &request{make(chan struct{}), changed}, make(chan error, 1)
	t.note(r, true)
	go func() {
		err := work()
		t.note(r, false)
		close(r.ended)
		done <- err
	}()
	var err error
	select {
	case err = <-done:
		if err = translate(err); err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	t.judge(err)
	return err
}

// rest waits after a failure, so that a guest that fails at once is not asked
// without a pause.
func (t *Transport) rest(ctx context.Context) error {
	t.mu.Lock()
	d := time.Duration(0)
	if !t.failed.IsZero() {
		d = time.Until(t.failed.Add(pace))
	}
	t.mu.Unlock()
	return pause(ctx, d)
}

func pause(ctx context.Context, d time.Duration) error {
	after := time.NewTimer(max(d, 0))
	defer after.Stop()
	if ctx.Err() == nil {
		select {
		case <-after.C:
			return nil
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

func (t *Transport) note(r *request, underway bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if underway {
		t.underway[r] = true
		return
	}
	delete(t.underway, r)
}

// judge notes whether the guest answers. What the caller cancels, or does not
// take, says nothing about that.
func (t *Transport) judge(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil:
		t.failed = time.Time{}
	case !errors.Is(err, context.Canceled) && !errors.Is(err, guest.ErrTooMuch):
		t.failed = time.Now()
	}
}

// translate puts an error of the session into the words of guest.
func translate(err error) error {
	var why *winrm.CommandError
	if !errors.As(err, &why) {
		return err
	}
	if errors.Is(err, winrm.ErrDeadline) || errors.Is(err, files.ErrStalled) {
		err = fmt.Errorf("%w: %w", guest.ErrNoAnswer, err)
	}
	if !why.MayHaveRun {
		err = fmt.Errorf("%w: %w", guest.ErrNotSent, err)
	}
	return err
}

// Steady says whether a command that runs for a while may be sent: not while the
// guest does not answer.
func (t *Transport) Steady() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed.IsZero()
}

// Probed does nothing: requests tell the same, and none is too many.
func (t *Transport) Probed(bool) {}

// Settle waits a little for what was given up and is being ended.
func (t *Transport) Settle(ctx context.Context) {
	t.mu.Lock()
	var wait []*request
	for r := range t.underway {
		wait = append(wait, r)
	}
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	for _, r := range wait {
		select {
		case <-r.ended:
		case <-r.changed:
		case <-ctx.Done():
			return
		}
	}
}
