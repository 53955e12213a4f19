package packercomm

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
)

// frozen is a transport to a guest that stands still until it is thawed. What
// was asked meanwhile comes back then, or never. Its clock is that of a synctest
// bubble.
func frozen(comeBack bool) (tr *Transport, f *fake, thaw, freeze, end func()) {
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
		cmd.SetExited(0)
		return nil
	}}
	thaw = func() {
		still.Store(false)
		if comeBack {
			close(over)
		}
	}
	freeze = func() { still.Store(true) }
	return New(f, longestRest), f, thaw, freeze, func() { close(ended) }
}

// giveUp asks until the connection is given up.
func giveUp(t *testing.T, tr *Transport) {
	t.Helper()
	for range maxAbandoned {
		if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrNoAnswer) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(longestRest) // of the bubble
	}
	if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrGivenUp) || tr.Way() != WayNone {
		t.Fatalf("got %v, way %d", err, tr.Way())
	}
}

func TestGivingUpEndsWhenARequestComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _, thaw, _, end := frozen(true)
		defer end()
		giveUp(t, tr)
		thaw()
		synctest.Wait()
		if err := ask(t.Context(), tr); err != nil || tr.Way() != WayLong {
			t.Errorf("after all came back: %v, way %d", err, tr.Way())
		}
	})
}

func TestAServiceThatAnswersAgainIsAskedOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, f, thaw, freeze, end := frozen(false)
		defer end()
		giveUp(t, tr)
		tr.Probed(true) // as before: nothing new
		if tr.Way() != WayNone {
			t.Error("a service that was never away brings a request")
		}
		tr.Probed(false)
		thaw()
		tr.Probed(true)
		for range 3 { // an answer keeps the way open
			if err := ask(t.Context(), tr); err != nil || tr.Way() != WayShort {
				t.Fatalf("after the freeze: %v, way %d", err, tr.Way())
			}
		}
		asked := len(f.lines())
		freeze()
		if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrNoAnswer) {
			t.Fatal(err)
		}
		for range 100 { // whatever the service does: each may be a loop
			tr.Probed(false)
			tr.Probed(true)
			time.Sleep(longestRest)
			if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrGivenUp) {
				t.Fatal(err)
			}
			if err := insist(t.Context(), tr); !errors.Is(err, guest.ErrGivenUp) {
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
		tr, _, thaw, _, end := frozen(false)
		defer end()
		giveUp(t, tr)
		thaw()
		if err := insist(t.Context(), tr); err != nil {
			t.Fatal(err)
		}
		if err := ask(t.Context(), tr); err != nil {
			t.Errorf("after an answer: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		tr, f, _, _, end := frozen(false)
		defer end()
		giveUp(t, tr)
		for i := range 10 {
			err := insist(t.Context(), tr)
			if want := map[bool]error{true: guest.ErrNoAnswer, false: guest.ErrGivenUp}[i == 0]; !errors.Is(err, want) {
				t.Errorf("last look %d: %v", i, err)
			}
		}
		if n := len(f.lines()); n != maxLeft {
			t.Errorf("%d requests were left behind", n)
		}
	})
	synctest.Test(t, func(t *testing.T) { // it does not wait for the end of a rest
		tr, _, thaw, _, end := frozen(false)
		defer end()
		if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrNoAnswer) {
			t.Fatal(err)
		}
		thaw()
		if err := insist(t.Context(), tr); err != nil || tr.Way() != WayShort {
			t.Errorf("during a rest: %v, way %d", err, tr.Way())
		}
	})
}
