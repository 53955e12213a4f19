package packercomm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
)

// fake is a communicator that does what a test says.
type fake struct {
	start  func(ctx context.Context, cmd *packersdk.RemoteCmd) error
	upload func() error
	mu     sync.Mutex
	ran    []string
}

func (f *fake) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	f.mu.Lock()
	f.ran = append(f.ran, cmd.Command)
	f.mu.Unlock()
	return f.start(ctx, cmd)
}

func (f *fake) Upload(string, io.Reader, *os.FileInfo) error { return f.upload() }

func (f *fake) lines() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.ran...)
}

// send sends a line that is to be answered within a minute.
func send(ctx context.Context, tr *Transport, r guest.Request) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, guest.ErrNoAnswer)
	defer cancel()
	if r.Stdout == nil {
		r.Stdout = io.Discard
	}
	r.Stderr = io.Discard
	return tr.Run(ctx, r)
}

func ask(ctx context.Context, tr *Transport) error {
	return send(ctx, tr, guest.Request{Line: "x"})
}

func insist(ctx context.Context, tr *Transport) error {
	return send(ctx, tr, guest.Request{Line: "x", Insist: true})
}

func upload(ctx context.Context, tr *Transport) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, guest.ErrNoAnswer)
	defer cancel()
	return tr.Upload(ctx, `C:\secret`, nil)
}

func TestRunReturnsWhatACommandLeaves(t *testing.T) {
	tr := New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		if cmd.Stdout == nil || cmd.Stderr == nil || cmd.Stdin != nil {
			return errors.New("this would end the builder")
		}
		_, _ = io.WriteString(cmd.Stdout, "out")
		cmd.SetExited(3)
		return nil
	}}, longestRest)
	var stdout bytes.Buffer
	if err := send(t.Context(), tr, guest.Request{Stdout: &stdout}); err != nil || stdout.String() != "out" {
		t.Errorf("got %q, %v", stdout.String(), err)
	}
}

// Across the plugin boundary nobody calls SetExited after an error.
func TestAFailedStartIsNeverWaitedFor(t *testing.T) {
	failed := errors.New("unknown error Post: EOF")
	var stdout bytes.Buffer
	tr := New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		_, _ = io.WriteString(cmd.Stdout, "some")
		return failed
	}}, longestRest)
	if err := send(t.Context(), tr, guest.Request{Stdout: &stdout}); !errors.Is(err, failed) || stdout.String() != "some" {
		t.Errorf("got %q, %v", stdout.String(), err)
	}
}

func TestACommandThatNeverReturnsIsLeftBehindAndTheThirdRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		tr := New(&fake{start: func(context.Context, *packersdk.RemoteCmd) error { <-release; return errors.New("EOF") }}, 0)
		for i := range 2 {
			if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrNoAnswer) {
				t.Fatalf("command %d: %v", i, err)
			}
		}
		if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrGivenUp) {
			t.Errorf("the third: %v", err)
		}
		if err := upload(t.Context(), tr); !errors.Is(err, guest.ErrGivenUp) || !errors.Is(err, guest.ErrNotSent) {
			t.Errorf("an upload: %v", err)
		}
	})
}

// Start returned, as over SSH, and the program goes on for ever.
func TestACommandThatExitsNeverIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cmds := make(chan *packersdk.RemoteCmd, 1)
		tr := New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error { cmds <- cmd; return nil }}, 0)
		var stdout bytes.Buffer
		if err := send(t.Context(), tr, guest.Request{Stdout: &stdout}); !errors.Is(err, guest.ErrNoAnswer) {
			t.Fatal(err)
		}
		cmd := <-cmds
		if n, err := io.WriteString(cmd.Stdout, "late"); n != 4 || err != nil || stdout.Len() != 0 {
			t.Errorf("late output goes nowhere, without an error: %d, %v, %q", n, err, stdout.String())
		}
		cmd.SetExited(0)
	})
}

// A request that is decided to be late is told so after that, not before.
func TestTheCommunicatorsOwnEndIsNotTakenForAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			tr := New(&fake{start: func(ctx context.Context, _ *packersdk.RemoteCmd) error { <-ctx.Done(); return ctx.Err() }}, 0)
			if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrNoAnswer) {
				t.Fatal(err)
			}
			synctest.Wait() // it came back
			if tr.Way() != WayLong {
				t.Fatalf("way %d", tr.Way())
			}
		}
	})
}

// Whichever is seen first, the end of a request or the reason to leave it behind.
func TestARequestThatComesToItsEndIsNoneThatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := errors.New("EOF")
		tr := New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
			_, _ = cmd.Stdout.Write([]byte("x"))
			return ended
		}}, 0)
		for range 1000 {
			if err := send(t.Context(), tr, guest.Request{Stdout: refusing{}}); !errors.Is(err, guest.ErrTooMuch) && !errors.Is(err, ended) {
				t.Fatal(err)
			}
			if synctest.Wait(); tr.Way() != WayLong {
				t.Fatalf("way %d", tr.Way())
			}
		}
	})
}

func TestACancelReturnsAtOnceAndDoesNotCountAgainstTheConnection(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		tr := New(&fake{start: func(context.Context, *packersdk.RemoteCmd) error { cancel(); <-release; return errors.New("EOF") }}, longestRest)
		if err := ask(ctx, tr); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if tr.Way() != WayLong {
			t.Errorf("way %d", tr.Way())
		}
	}
}

func TestNothingIsStartedAfterACancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := &fake{}
	if err := ask(ctx, New(f, longestRest)); !errors.Is(err, context.Canceled) || len(f.lines()) != 0 {
		t.Errorf("%v, started %q", err, f.lines())
	}
}

// refusing is an output that takes nothing.
type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, guest.ErrTooMuch }

func TestAnOutputThatIsNotTakenIsLeftBehind(t *testing.T) {
	written := make(chan struct{})
	tr := New(&fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		for range 10 { // nobody has to listen for all of it to fail
			_, _ = cmd.Stdout.Write([]byte("x"))
		}
		close(written)
		select {} // as Packer's client, whose pipe nobody empties
	}}, longestRest)
	if err := send(t.Context(), tr, guest.Request{Stdout: refusing{}}); !errors.Is(err, guest.ErrTooMuch) || tr.Way() != WayResting {
		t.Errorf("got %v, way %d", err, tr.Way())
	}
	<-written
}

func TestALeftRequestIsCutOffWhenItGoesOnAnswering(t *testing.T) {
	g := &gate{to: io.Discard}
	g.close()
	total := 0
	for range 1000 {
		n, err := g.Write(make([]byte, 64<<10))
		if total += n; err != nil {
			if total > maxLate {
				t.Errorf("%d bytes", total)
			}
			return
		}
	}
	t.Error("it never fails")
}
