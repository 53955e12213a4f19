package packercomm

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
)

func TestWhatIsARefusedLogin(t *testing.T) {
	for text, want := range map[string]bool{
		"http response error: 401 - invalid content type": true,
		"rpc error: http error 401: ":                     true,
		"ssh: handshake failed: ssh: unable to authenticate, attempted methods [none password], no supported methods remain": true,
		"EOF": false, "dial tcp 10.0.4.1:5985: connect: connection refused": false, "http response error: 500 - 401": false, "exit status 401": false,
	} {
		if got := isRefusal(errors.New(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if isRefusal(nil) {
		t.Error("no error is one")
	}
}

// A watch asks every five seconds. Of ten minutes of refusals three logins are sent,
// and the last look.
func TestARefusedLoginIsNotTriedAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuses := true
		f := &fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
			if refuses {
				return errors.New("http response error: 401 - invalid content type")
			}
			cmd.SetExited(0)
			return nil
		}}
		tr := New(f, longestRest)
		for range 120 {
			if err := ask(t.Context(), tr); !isRefusal(err) && !errors.Is(err, guest.ErrHeld) {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second) // of the bubble
		}
		if n := len(f.lines()); n != 3 {
			t.Errorf("%d logins were sent", n)
		}
		if err := insist(t.Context(), tr); !isRefusal(err) || len(f.lines()) != 4 {
			t.Errorf("the last look: %v, %d logins", err, len(f.lines()))
		}
		if err := ask(t.Context(), tr); !errors.Is(err, guest.ErrHeld) || !strings.Contains(err.Error(), "401") || !guest.Unanswered(err) || !errors.Is(err, guest.ErrNotSent) {
			t.Errorf("after that: %v", err)
		}
		refuses = false
		time.Sleep(lockout.Window)
		for range 5 {
			if err := ask(t.Context(), tr); err != nil {
				t.Fatal(err)
			}
		}
		refuses = true // one that was let in may be refused again
		before := len(f.lines())
		for range 3 {
			_ = ask(t.Context(), tr)
			time.Sleep(30 * time.Second)
		}
		if n := len(f.lines()) - before; n != 2 {
			t.Errorf("%d logins in a minute", n)
		}
	})
}

// What Packer sends after a command that was lost is refused with it.
func TestALostCommandCountsForWhatFollowsIt(t *testing.T) {
	refused, eof := errors.New("http response error: 401 - invalid content type"), errors.New("EOF")
	now := time.Now()
	for name, c := range map[string]struct {
		errs []error
		want int
	}{
		"refused":                    {[]error{refused}, 1},
		"while it ran":               {[]error{lostUnderway{refused}}, 3},
		"cut, and refused then":      {[]error{lostUnderway{eof}, refused}, 3},
		"cut, and refused twice":     {[]error{lostUnderway{eof}, refused, refused}, 4},
		"cut":                        {[]error{lostUnderway{eof}}, 0},
		"cut, and let in":            {[]error{lostUnderway{eof}, nil, refused}, 1},
		"another failure in between": {[]error{refused, eof, refused}, 2},
	} {
		var l logins
		for _, err := range c.errs {
			l = l.after(now, err)
		}
		if got := l.Count(now); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestACommandThatIsRefusedWhileItRunsIsOneThatWasLost(t *testing.T) {
	f := &fake{start: func(_ context.Context, cmd *packersdk.RemoteCmd) error {
		_, _ = cmd.Stdout.Write([]byte("x"))
		return errors.New("http response error: 401 - invalid content type")
	}}
	tr := New(f, longestRest)
	if err := ask(t.Context(), tr); !isRefusal(err) || tr.logins.Count(tr.now()) != 3 {
		t.Errorf("%v counts as %d", err, tr.logins.Count(tr.now()))
	}
}
