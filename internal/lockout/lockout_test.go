package lockout

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var begun = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func at(after time.Duration) time.Time { return begun.Add(after) }

func TestWhenTheNextLoginIsTried(t *testing.T) {
	tries := func(refused ...time.Duration) (all Tries) {
		for _, after := range refused {
			all = all.Refused(at(after))
		}
		return all
	}
	for name, c := range map[string]struct {
		policy   Policy
		tries    Tries
		now      time.Duration
		deadline time.Duration // 0: none
		want     time.Duration
		held     bool
	}{
		"nothing was refused":           {now: time.Minute, want: time.Minute},
		"once":                          {tries: tries(0), now: time.Second, want: 20 * time.Second},
		"twice":                         {tries: tries(0, 20*time.Second), now: 30 * time.Second, want: 80 * time.Second},
		"three times":                   {tries: tries(0, 0, 0), now: time.Second, want: 3 * time.Minute},
		"as often as is risked":         {tries: tries(0, 0, 0, time.Minute), now: 2 * time.Minute, want: time.Minute + Window, held: true},
		"more often":                    {tries: tries(0, 0, 0, 0, 0, time.Minute), now: 2 * time.Minute, want: time.Minute + Window, held: true},
		"long ago":                      {tries: tries(0, 0, 0, 0), now: Window, want: Window},
		"one less is risked":            {policy: Policy{Most: 3}, tries: tries(0, 0, 0), now: time.Second, want: Window, held: true},
		"one only":                      {policy: Policy{Most: 1}, tries: tries(0), now: time.Second, want: Window, held: true},
		"a pause is no longer than it":  {policy: Policy{Most: 100}, tries: tries(0, 0, 0, 0, 0), now: time.Second, want: Window},
		"the last is kept for the end":  {tries: tries(0, 0, 0), now: time.Second, deadline: 10 * time.Minute, want: 10*time.Minute - 45*time.Second},
		"another follows in time":       {tries: tries(0, 0, 0), now: time.Second, deadline: 30 * time.Minute, want: 3 * time.Minute},
		"not the last":                  {tries: tries(0, 0), now: time.Second, deadline: 10 * time.Minute, want: time.Minute},
		"no time to keep it for":        {tries: tries(0, 0, 0), now: time.Second, deadline: 2 * time.Minute, want: 3 * time.Minute},
		"the only one is the last, too": {policy: Policy{Most: 2}, tries: tries(0), now: time.Second, deadline: 5 * time.Minute, want: 5*time.Minute - 45*time.Second},
	} {
		var deadline time.Time
		if c.deadline > 0 {
			deadline = at(c.deadline)
		}
		if got := c.tries.Next(c.policy, at(c.now), deadline); !got.Equal(at(c.want)) {
			t.Errorf("%s: after %s, want %s", name, got.Sub(begun), c.want)
		}
		if held := c.tries.Held(c.policy, at(c.now)); held.IsZero() == c.held {
			t.Errorf("%s: held until %v", name, held)
		}
	}
}

// locks is Windows: so many wrong passwords lock an account, and are forgotten
// when none came for the time.
func locks(tries []time.Duration, threshold int, forgets time.Duration) bool {
	count := 0
	for i, at := range tries {
		if i > 0 && at-tries[i-1] >= forgets {
			count = 0
		}
		if count++; count >= threshold {
			return true
		}
	}
	return false
}

// Whoever waits for a guest asks every two seconds whether it is time.
func waits(p Policy, limit time.Duration, atOnce int) (all []time.Duration) {
	var t Tries
	for now := time.Duration(0); now < limit; now += 2 * time.Second {
		if t.Next(p, at(now), at(limit)).After(at(now)) {
			continue
		}
		for range atOnce {
			all = append(all, now)
			t = t.Refused(at(now))
		}
		atOnce = 1
	}
	return all
}

func TestAWaitForAnAccountDoesNotLockIt(t *testing.T) {
	for name, windows := range map[string]struct {
		threshold int
		forgets   time.Duration
	}{"the default": {10, 10 * time.Minute}, "CIS": {5, 15 * time.Minute}} {
		for _, limit := range []time.Duration{5 * time.Minute, 10 * time.Minute, 30 * time.Minute, 4 * time.Hour} {
			for _, atOnce := range []int{1, 2} {
				all := waits(Policy{}, limit, atOnce)
				if locks(all, windows.threshold, windows.forgets) {
					t.Errorf("%s, %s: locked by %v", name, limit, all)
				}
				if last := all[len(all)-1]; limit-last > Window+time.Minute {
					t.Errorf("%s, %s: the last try was at %s", name, limit, last)
				}
				if len(all) < 3 || all[2] > 2*time.Minute {
					t.Errorf("%s, %s: an account that is there soon is found late: %v", name, limit, all)
				}
			}
		}
	}
	every := []time.Duration{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	if !locks(every, 10, 10*time.Minute) {
		t.Error("this Windows locks nothing")
	}
}

func TestAGuardHoldsLoginsAndSaysWhy(t *testing.T) {
	now := begun
	g := New("packer", Policy{Most: 3, Option: "login_attempts"}, func() time.Time { return now })
	for range 2 {
		g.Refused()
	}
	if err := g.May(); err != nil || g.Count() != 2 || g.Pause(time.Hour) != time.Minute {
		t.Errorf("%v, %d, %s", err, g.Count(), g.Pause(time.Hour))
	}
	g.Accepted()
	if g.Count() != 0 || g.Pause(0) != 0 {
		t.Error("what was let in is remembered as refused")
	}
	for range 3 {
		g.Refused()
	}
	now = at(30 * time.Second)
	err := g.May()
	var held *HeldError
	if !errors.Is(err, ErrHeld) || !errors.As(err, &held) || held.Wait != 15*time.Minute {
		t.Fatalf("got %v", err)
	}
	for _, text := range []string{`user "packer" was refused 3 times in a row`, "for another 15m0s", "check user and password", "login_attempts"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in %q", text, err)
		}
	}
	if g.Pause(time.Minute) != 15*time.Minute {
		t.Errorf("pauses %s", g.Pause(time.Minute))
	}
	now = at(Window)
	if err := g.May(); err != nil || g.Count() != 0 {
		t.Errorf("after the time: %v, %d", err, g.Count())
	}
	var none *Guard
	none.Refused()
	none.Accepted()
	if none.May() != nil || none.Count() != 0 || none.Pause(1) != 0 {
		t.Error("without a guard something is held")
	}
}

func TestAHeldLoginSaysHowLong(t *testing.T) {
	for _, c := range []struct {
		e    HeldError
		want string
	}{
		{HeldError{User: "a", Refused: 4, Wait: 90 * time.Second, Option: "x"}, `user "a" was refused 4 times in a row; `},
		{HeldError{User: "a", Refused: 4, Wait: 90 * time.Second, Option: "x"}, "for another 1m30s; check user and password (x sets how many are risked)"},
		{HeldError{User: "a", Refused: 1, Wait: 200 * time.Millisecond}, `user "a" was refused once; `},
		{HeldError{User: "a", Refused: 1, Wait: 200 * time.Millisecond}, "for another 1s; check user and password"}, // 0s would say that one may be tried
	} {
		if got := c.e.Error(); !strings.Contains(got, c.want) {
			t.Errorf("%q lacks %q", got, c.want)
		}
	}
}
