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

func TestTheWayToAskFollowsFromWhatWasLost(t *testing.T) {
	for _, test := range []struct {
		pending       int
		resting, back bool
		want          Way
	}{
		{0, false, false, WayLong}, {0, false, true, WayLong}, {0, true, false, WayResting}, {1, true, false, WayResting}, {1, true, true, WayResting},
		{1, false, false, WayShort}, {1, false, true, WayShort},
		{2, false, false, WayNone}, {2, true, true, WayNone}, {2, true, false, WayNone}, {2, false, true, WayShort},
		{3, false, true, WayNone}, {4, true, true, WayNone},
	} {
		if got := way(test.pending, test.resting, test.back); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}

func TestRestsGrowAndAreBounded(t *testing.T) {
	for _, test := range []struct {
		lost          int
		longest, want time.Duration
	}{
		{0, time.Hour, 0}, {1, longestRest, 30 * time.Second}, {2, longestRest, time.Minute}, {3, longestRest, 2 * time.Minute}, {4, longestRest, 2 * time.Minute},
		{1 << 30, longestRest, longestRest}, {1, 5 * time.Second, 5 * time.Second}, {-1, time.Minute, 0}, {3, 0, 0},
	} {
		if got := rest(test.lost, test.longest); got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
}

// lossy is a transport whose first command never comes back before release is
// closed, in a synctest bubble.
func lossy(t *testing.T) (tr *Transport, f *fake, release chan struct{}) {
	release = make(chan struct{})
	var asked atomic.Bool
	f = &fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		if asked.CompareAndSwap(false, true) {
			<-release
		}
		cmd.SetExited(0)
		return nil
	}}
	tr = New(f, longestRest)
	if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrNoAnswer) {
		t.Fatal(err)
	}
	return tr, f, release
}

func TestNothingIsAskedForAWhileAfterARequestWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, f, release := lossy(t)
		defer close(release)
		for range 1000 {
			if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrResting) || !errors.Is(err, guest.ErrNotSent) || errors.Is(err, guest.ErrGivenUp) {
				t.Fatal(err)
			}
		}
		if tr.Way() != WayResting || tr.Steady() || len(f.lines()) != 1 {
			t.Fatalf("way %d after %d commands", tr.Way(), len(f.lines()))
		}
		time.Sleep(firstRest)
		if tr.Way() != WayShort || tr.Steady() {
			t.Errorf("after the rest the way is %d", tr.Way())
		}
		if err := ask(t.Context(), tr); err != nil || len(f.lines()) != 2 {
			t.Errorf("after the rest: %v, %d commands", err, len(f.lines()))
		}
	})
}

func TestALostRequestThatComesBackEndsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _, release := lossy(t)
		close(release)
		synctest.Wait()
		if !tr.Steady() {
			t.Errorf("way %d", tr.Way())
		}
	})
}

func TestAHurriedRestIsShorter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		tr := New(&fake{start: func(context.Context, *packersdk.RemoteCmd) error { <-release; return errors.New("EOF") }}, longestRest)
		tr.Hurry(10)
		if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrNoAnswer) {
			t.Fatal(err)
		}
		if time.Sleep(firstRest / 10); tr.Way() != WayShort {
			t.Errorf("way %d", tr.Way())
		}
	})
}

// What has to be asked last is asked at once, and what never came back is not
// waited for.
func TestSettlingEndsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr, _, release := lossy(t)
		defer close(release)
		begun := time.Now()
		tr.Settle(t.Context())
		if err := ask(t.Context(), tr); err != nil || time.Since(begun) > 0 {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

// Packer's communicator goes on with what was cancelled: what it changes must not
// come after the cleanup.
func TestSettlingWaitsForWhatWasCancelled(t *testing.T) {
	closed := make(chan struct{})
	close(closed)
	for name, test := range map[string]struct {
		changed <-chan struct{}
		back    time.Duration // after the cancel
		want    time.Duration
	}{
		"it comes back":           {nil, time.Second, time.Second},
		"it does not":             {nil, time.Hour, settleLimit},
		"it changes nothing more": {closed, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				tr := New(&fake{start: func(context.Context, *packersdk.RemoteCmd) error { <-release; return errors.New("EOF") }}, longestRest)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				if err := send(ctx, tr, guest.Request{Changed: test.changed}); !errors.Is(err, context.Canceled) {
					t.Fatal(err)
				}
				time.AfterFunc(test.back, func() { close(release) })
				begun := time.Now()
				if tr.Settle(t.Context()); time.Since(begun) != test.want {
					t.Errorf("waited %s", time.Since(begun))
				}
				<-release
			})
		})
	}
}
