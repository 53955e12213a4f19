package winrmguest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
)

// fake is a session that does what a test says.
type fake struct {
	run    func(context.Context, winrm.Command) (int, error)
	mu     sync.Mutex
	lines  []string
	closed int
}

func (f *fake) Run(ctx context.Context, c winrm.Command) (int, error) {
	f.mu.Lock()
	f.lines = append(f.lines, c.Line)
	f.mu.Unlock()
	return f.run(ctx, c)
}

func (f *fake) Close(context.Context) error { f.closed++; return nil }

func (f *fake) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.lines)
}

// send sends a line that is to be answered within a minute.
func send(ctx context.Context, tr *Transport, r guest.Request) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, guest.ErrNoAnswer)
	defer cancel()
	r.Line = "x"
	return tr.Run(ctx, r)
}

func TestErrorsSayWhetherAnythingRan(t *testing.T) {
	at := func(k error) error { return &winrm.Error{Kind: k, Op: "Command", Addr: "guest"} }
	for name, c := range map[string]struct {
		err               error
		notSent, noAnswer bool
	}{
		"refused":             {&winrm.CommandError{Err: at(winrm.ErrRefused)}, true, false},
		"no shells":           {&winrm.CommandError{Err: at(winrm.ErrQuotaShells)}, true, false},
		"no connection":       {&winrm.CommandError{Err: at(winrm.ErrConnectDeadline)}, true, true},
		"silence":             {&winrm.CommandError{MayHaveRun: true, Err: at(winrm.ErrHeaderDeadline)}, false, true},
		"an end in the midst": {&winrm.CommandError{MayHaveRun: true, Err: at(winrm.ErrEOF)}, false, false},
		"a lost shell":        {&winrm.CommandError{MayHaveRun: true, Err: at(winrm.ErrShellLost)}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			tr := New(&fake{run: func(context.Context, winrm.Command) (int, error) { return 0, c.err }}, files.Options{})
			err := send(t.Context(), tr, guest.Request{})
			if errors.Is(err, guest.ErrNotSent) != c.notSent || errors.Is(err, guest.ErrNoAnswer) != c.noAnswer || guest.Unanswered(err) != c.noAnswer || !errors.Is(err, c.err) {
				t.Errorf("got %v", err)
			}
			if tr.Steady() {
				t.Error("a long command may be sent")
			}
		})
	}
}

func TestOutputsArriveAndAnExitCodeIsNoError(t *testing.T) {
	tr := New(&fake{run: func(_ context.Context, c winrm.Command) (int, error) {
		_, _ = io.WriteString(c.Stdout, "out")
		_, _ = io.WriteString(c.Stderr, "err")
		return 3, nil
	}}, files.Options{})
	var stdout, stderr bytes.Buffer
	if err := send(t.Context(), tr, guest.Request{Stdout: &stdout, Stderr: &stderr}); err != nil || stdout.String() != "out" || stderr.String() != "err" || !tr.Steady() {
		t.Errorf("%v, %q, %q", err, stdout.String(), stderr.String())
	}
	if err := send(t.Context(), tr, guest.Request{}); err != nil {
		t.Errorf("without outputs: %v", err)
	}
}

// refusing is an output that takes nothing.
type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, guest.ErrTooMuch }

func TestAnOutputThatIsNotTakenEndsTheCommand(t *testing.T) {
	tr := New(&fake{run: func(_ context.Context, c winrm.Command) (int, error) {
		_, err := c.Stdout.Write([]byte("x"))
		return 0, &winrm.CommandError{MayHaveRun: true, Err: err}
	}}, files.Options{})
	if err := send(t.Context(), tr, guest.Request{Stdout: refusing{}}); !errors.Is(err, guest.ErrTooMuch) || !tr.Steady() {
		t.Errorf("got %v, steady %v", err, tr.Steady())
	}
}

// slow ends a command a while after its context, as the session does.
func slow(takes time.Duration) *fake {
	return &fake{run: func(ctx context.Context, c winrm.Command) (int, error) {
		<-ctx.Done()
		time.Sleep(takes) // of the bubble
		if c.Stdout != nil {
			if _, err := io.WriteString(c.Stdout, "late"); err == nil {
				return 0, errors.New("what comes late was taken")
			}
		}
		return 0, &winrm.CommandError{MayHaveRun: true, Err: &winrm.Error{Kind: winrm.ErrCancelled, Op: "Receive", Err: ctx.Err()}}
	}}
}

func TestNoRequestOutlivesItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := New(slow(4*time.Second), files.Options{})
		var stdout bytes.Buffer
		begun := time.Now()
		if err := send(t.Context(), tr, guest.Request{Stdout: &stdout}); !errors.Is(err, guest.ErrNoAnswer) || time.Since(begun) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
		time.Sleep(10 * time.Second)
		if stdout.Len() > 0 {
			t.Errorf("%q came late", stdout.String())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		f := &fake{}
		if err := send(ctx, New(f, files.Options{}), guest.Request{}); !errors.Is(err, context.Canceled) || f.asked() > 0 {
			t.Errorf("after a cancel: %v, %d asked", err, f.asked())
		}
	})
}

func TestSettlingWaitsForWhatIsBeingEnded(t *testing.T) {
	closed := make(chan struct{})
	close(closed)
	for name, c := range map[string]struct {
		changed    <-chan struct{}
		ends, want time.Duration // after the cancel
	}{
		"it ends":                 {nil, time.Second, time.Second},
		"it does not end in time": {nil, 8 * time.Second, settleLimit},
		"it changes nothing more": {closed, 8 * time.Second, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := New(slow(c.ends), files.Options{})
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				if err := send(ctx, tr, guest.Request{Changed: c.changed}); !errors.Is(err, context.Canceled) || !tr.Steady() {
					t.Fatalf("%v, steady %v", err, tr.Steady())
				}
				begun := time.Now()
				if tr.Settle(t.Context()); time.Since(begun) != c.want {
					t.Errorf("waited %s", time.Since(begun))
				}
				time.Sleep(10 * time.Second) // the session ends it
			})
		})
	}
}

func TestAGuestThatFailsAtOnceIsAskedTwiceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		works := false
		f := &fake{run: func(context.Context, winrm.Command) (int, error) {
			if works {
				return 0, nil
			}
			return 0, &winrm.CommandError{Err: &winrm.Error{Kind: winrm.ErrRefused, Op: "Create"}}
		}}
		tr := New(f, files.Options{})
		begun := time.Now()
		for time.Since(begun) < 10*time.Second {
			if err := send(t.Context(), tr, guest.Request{}); err == nil {
				t.Fatal("no error")
			}
		}
		if n, took := f.asked(), time.Since(begun); n > int(2*took.Seconds())+1 {
			t.Errorf("%d requests in %s", n, took)
		}
		_ = tr.Close(t.Context())
		if works = true; f.closed > 0 {
			t.Error("a guest that does not answer is asked to delete the shell")
		}
		_ = send(t.Context(), tr, guest.Request{})
		begun = time.Now()
		for range 100 {
			_ = send(t.Context(), tr, guest.Request{})
		}
		if time.Since(begun) > 0 || !tr.Steady() {
			t.Errorf("a guest that answers is kept waiting %s", time.Since(begun))
		}
		if _ = tr.Close(t.Context()); f.closed != 1 {
			t.Error("the shell was not deleted")
		}
	})
}

// Nothing ran, so it is sent again.
func TestAServiceThatRestartsIsWaitedForALittle(t *testing.T) {
	for name, c := range map[string]struct {
		why     error
		mayRun  bool
		back    time.Duration
		asked   int
		works   bool
		waiting time.Duration
	}{
		"it is back soon":      {winrm.ErrRefused, false, 2 * time.Second, 5, true, 2 * time.Second},
		"it is not":            {winrm.ErrRefused, false, time.Hour, 10, false, restartLimit + pace},
		"the command may run":  {winrm.ErrEOF, true, time.Second, 1, false, 0},
		"there are no shells":  {winrm.ErrQuotaShells, false, time.Second, 1, false, 0},
		"the login is refused": {winrm.ErrUnauthorized, false, time.Second, 1, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				f := &fake{run: func(context.Context, winrm.Command) (int, error) {
					if time.Since(begun) >= c.back {
						return 0, nil
					}
					return 0, &winrm.CommandError{MayHaveRun: c.mayRun, Err: &winrm.Error{Kind: c.why, Op: "Command"}}
				}}
				err := send(t.Context(), New(f, files.Options{}), guest.Request{})
				if (err == nil) != c.works || f.asked() != c.asked || time.Since(begun) != c.waiting {
					t.Errorf("%v after %s and %d requests", err, time.Since(begun), f.asked())
				}
			})
		})
	}
}
