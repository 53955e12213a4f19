package guest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

const stateAnswer = "packer-part:image\r\n\r\npacker-part:tag\r\nno\r\npacker-part:end\r\n"

// frozen is a session with a guest that stands still until it is thawed. What
// was asked meanwhile comes back then, or never. Its clock is that of a synctest
// bubble.
func frozen(comeBack bool) (s *Session, f *fake, thaw, freeze, end func()) {
	var still atomic.Bool
	still.Store(true)
	over, ended := make(chan struct{}), make(chan struct{})
	f = &fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		if still.Load() {
			select {
			case <-over:
			case <-ended:
			}
		}
		return says(stateAnswer, "", 0)(context.Background(), cmd)
	}}
	thaw = func() {
		still.Store(false)
		if comeBack {
			close(over)
		}
	}
	freeze = func() { still.Store(true) }
	return New(f, "id"), f, thaw, freeze, func() { close(ended) }
}

// giveUp asks until the connection is given up.
func giveUp(t *testing.T, s *Session) {
	t.Helper()
	for range maxAbandoned {
		if _, err := s.Poll(t.Context()); !errors.Is(err, ErrAbandoned) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(longestRest) // of the bubble
	}
	if _, err := s.Poll(t.Context()); !errors.Is(err, ErrGivenUp) || s.Way() != WayNone {
		t.Fatalf("got %v, way %d", err, s.Way())
	}
}

func TestGivingUpEndsWhenARequestComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, thaw, _, end := frozen(true)
		defer end()
		giveUp(t, s)
		thaw()
		synctest.Wait()
		if _, err := s.Poll(t.Context()); err != nil || s.Way() != WayLong {
			t.Errorf("after all came back: %v, way %d", err, s.Way())
		}
	})
}

func TestAServiceThatAnswersAgainIsAskedOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f, thaw, freeze, end := frozen(false)
		defer end()
		giveUp(t, s)
		s.Probed(true) // as before: nothing new
		if s.Way() != WayNone {
			t.Error("a service that was never away brings a request")
		}
		s.Probed(false)
		thaw()
		s.Probed(true)
		for range 3 { // an answer keeps the way open
			if _, err := s.Poll(t.Context()); err != nil || s.Way() != WayShort {
				t.Fatalf("after the freeze: %v, way %d", err, s.Way())
			}
		}
		asked := len(f.lines())
		freeze()
		if _, err := s.Poll(t.Context()); !errors.Is(err, ErrAbandoned) {
			t.Fatal(err)
		}
		for range 100 { // whatever the service does: each may be a loop
			s.Probed(false)
			s.Probed(true)
			time.Sleep(longestRest)
			if _, err := s.Poll(t.Context()); !errors.Is(err, ErrGivenUp) {
				t.Fatal(err)
			}
			if _, err := s.PollRegardless(t.Context(), CommandLimit); !errors.Is(err, ErrGivenUp) {
				t.Fatal(err)
			}
		}
		if n := len(f.lines()) - asked; n != 1 {
			t.Errorf("%d requests after the second freeze", n)
		}
	})
}

func TestTheLastLookIsMadeWhereNothingElseIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, thaw, _, end := frozen(false)
		defer end()
		giveUp(t, s)
		thaw()
		state, err := s.PollRegardless(t.Context(), CommandLimit)
		if err != nil || state.Tag == nil || *state.Tag {
			t.Fatalf("got %+v, %v", state, err)
		}
		if _, err := s.Poll(t.Context()); err != nil {
			t.Errorf("after an answer: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s, f, _, _, end := frozen(false)
		defer end()
		giveUp(t, s)
		for i := range 10 {
			_, err := s.PollRegardless(t.Context(), CommandLimit)
			if want := map[bool]error{true: ErrAbandoned, false: ErrGivenUp}[i == 0]; !errors.Is(err, want) {
				t.Errorf("last look %d: %v", i, err)
			}
		}
		if n := len(f.lines()); n != maxLeft {
			t.Errorf("%d requests were left behind", n)
		}
	})
	synctest.Test(t, func(t *testing.T) { // it does not wait for the end of a rest
		s, _, thaw, _, end := frozen(false)
		defer end()
		if _, err := s.Poll(t.Context()); !errors.Is(err, ErrAbandoned) {
			t.Fatal(err)
		}
		thaw()
		if _, err := s.PollRegardless(t.Context(), CommandLimit); err != nil || s.Way() != WayShort {
			t.Errorf("during a rest: %v, way %d", err, s.Way())
		}
	})
}
