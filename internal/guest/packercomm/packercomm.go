// Package packercomm carries requests to a guest over Packer's communicator,
// which can block for ever and does not pass a context across the plugin
// boundary. What never comes back is left behind. It may have become a loop in
// Packer's process: the client repeats a Receive for a shell that Windows has
// forgotten, some thousand times a second, until the connection breaks. Nothing
// that a plugin can reach ends it, so the next request must not follow soon, and
// after a few none follows.
package packercomm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
)

const settleLimit = 3 * time.Second

// Communicator is the part of packersdk.Communicator that is used.
type Communicator interface {
	Start(context.Context, *packersdk.RemoteCmd) error
	Upload(string, io.Reader, *os.FileInfo) error
}

// Transport is a guest.Transport.
type Transport struct {
	comm     Communicator
	longest  time.Duration // of the rests
	speed    float64
	ssh      *sshServer // nil: the communicator is WinRM's
	mu       sync.Mutex
	health   health
	logins   logins
	made     time.Time
	underway map[*request]bool // requests that have not come back
}

var _ guest.Transport = (*Transport)(nil)

// request is one that is under way; ended is closed when it comes back.
type request struct {
	ended   chan struct{}
	changed <-chan struct{} // closed early: it changes nothing more
}

// New makes a transport that rests no longer than that, and than two minutes,
// after a request was left behind: whoever waits for the guest wants it to be
// asked again within its own time.
func New(comm Communicator, longest time.Duration) *Transport {
	return &Transport{comm: comm, longest: min(longest, longestRest), speed: 1, made: time.Now(), underway: map[*request]bool{}}
}

// Hurry divides every duration, for a guest whose clock runs that much faster.
func (t *Transport) Hurry(speed float64) { t.speed = speed }

func (t *Transport) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / t.speed)
}

// now is the time of the guest's clock.
func (t *Transport) now() time.Time {
	return t.made.Add(time.Duration(float64(time.Since(t.made)) * t.speed))
}

// Run runs one cmd.exe line.
func (t *Transport) Run(ctx context.Context, r guest.Request) error {
	if t.ssh != nil {
		shell, err := t.shell(ctx, r.Insist)
		if err == nil {
			r.Line, err = shell.line(r.Line)
		}
		if err != nil {
			return err
		}
	}
	return t.run(ctx, r)
}

func (t *Transport) run(ctx context.Context, r guest.Request) error {
	broken := make(chan error, 2)
	stdout, stderr := &gate{to: r.Stdout, broken: broken}, &gate{to: r.Stderr, broken: broken}
	defer stdout.close()
	defer stderr.close()
	return t.bounded(ctx, r.Insist, broken, r.Changed, func(ctx context.Context) error {
		cmd := &packersdk.RemoteCmd{Command: r.Line, Stdout: stdout, Stderr: stderr}
		if err := t.comm.Start(ctx, cmd); err != nil {
			if stdout.used() || stderr.used() {
				err = lostUnderway{err}
			}
			return err // then nobody may ever say that it has ended
		}
		code := cmd.Wait()
		if t.ssh != nil && code == packersdk.CmdDisconnect {
			return errCut
		}
		if r.Exit != nil {
			*r.Exit = code
		}
		return nil
	})
}

// Upload writes a small file.
func (t *Transport) Upload(ctx context.Context, path string, content []byte) error {
	return t.bounded(ctx, false, nil, nil, func(context.Context) error {
		if t.ssh == nil {
			return t.comm.Upload(path, bytes.NewReader(content), nil)
		}
		err := t.comm.Upload(slashes(path), bytes.NewReader(content), nil)
		if err != nil {
			err = fmt.Errorf("%w%s", err, uploadHint(err))
		}
		return err
	})
}

// bounded does the work in its own goroutine and leaves it behind when its
// context ends without an answer, or its output is broken. What the caller
// cancels says nothing about the connection.
func (t *Transport) bounded(ctx context.Context, insist bool, broken <-chan error, changed <-chan struct{}, work func(context.Context) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r := &request{ended: make(chan struct{}), changed: changed}
	if err := t.begin(r, insist); err != nil {
		return err
	}
	// The communicator learns of the end when it is decided whose fault that is.
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	done := make(chan error, 1)
	abandoned := false
	go func() {
		err := work(inner)
		t.mu.Lock()
		delete(t.underway, r)
		t.health.returned(abandoned, err)
		t.logins = t.logins.after(t.now(), err)
		t.mu.Unlock()
		close(r.ended)
		done <- err
	}()
	var why error
	select {
	case err := <-done:
		return err
	case why = <-broken:
	case <-ctx.Done():
		if why = context.Cause(ctx); !errors.Is(why, guest.ErrNoAnswer) {
			return why
		}
	}
	t.mu.Lock()
	if abandoned = t.underway[r]; abandoned {
		t.health.leave()
		t.health.rests = time.Now().Add(t.scaled(rest(t.health.lost, t.longest)))
	}
	t.mu.Unlock()
	if !abandoned {
		return <-done
	}
	return why
}

// begin admits a request, or says why not.
func (t *Transport) begin(r *request, insist bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.health.admit(time.Now(), insist); err != nil {
		return err
	}
	if !insist && t.logins.rest(t.now()) {
		return t.logins.held()
	}
	t.underway[r] = true
	return nil
}

// Way is how the guest may be asked now.
func (t *Transport) Way() Way {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.health.way(time.Now())
}

// Steady says whether a command that runs for a while may be sent.
func (t *Transport) Steady() bool { return t.Way() == WayLong }

// Probed tells whether the service answered a question that did not go through
// the communicator. One that was away and answers again is a guest that stood
// still, or a service that was started anew: worth one more request.
func (t *Transport) Probed(answers bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.health.probed(answers)
}

// Settle waits a little until nothing is under way that may change the guest:
// what a cancelled upload writes would come after the cleanup. What never came
// back is not waited for again. It ends a rest: an answer file with passwords may
// lie there, and the cleanup is the last thing asked.
func (t *Transport) Settle(ctx context.Context) {
	t.mu.Lock()
	var wait []*request
	for r := range t.underway {
		if t.health.pending == 0 {
			wait = append(wait, r)
		}
	}
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, t.scaled(settleLimit))
	defer cancel()
	for _, r := range wait {
		select {
		case <-r.ended:
		case <-r.changed:
		case <-ctx.Done():
		}
	}
	t.mu.Lock()
	t.health.rests = time.Time{}
	t.mu.Unlock()
}
