// Package lockout decides when a login may be tried that may be refused, so that
// Windows does not lock the account.
//
// Windows counts the wrong passwords of an account. It forgets them when none came for
// a while ("Reset account lockout counter after") or the right one did, and locks the
// account at a threshold. New machines since Windows 11 22H2, and those set up with
// updates of October 2022 or later, lock it after 10 within 10 minutes, the built-in
// Administrator too (Microsoft, KB5020282); the CIS benchmarks of Windows ask for 5 or
// fewer and at least 15 minutes, and a domain has the policy of its administrators.
// A domain controller may forgive an old password, which is not relied on.
package lockout

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// DefaultMost is below the 5 of the CIS benchmarks.
	DefaultMost = 4
	// Window is after how long without a try the refusals count as forgotten: the 15
	// minutes of the CIS benchmarks with a slack for clocks.
	Window = 15*time.Minute + 30*time.Second
	// firstPause is the one after the first refusal; each is three times the one before.
	// An account that Windows is still setting up is found soon by that, and after
	// minutes too.
	firstPause = 20 * time.Second
	// reserve is how long before a deadline the last try is made.
	reserve = 45 * time.Second
)

// Policy is how many refusals are risked.
type Policy struct {
	// Most refusals in a row within Window; 0: DefaultMost.
	Most int
	// Option is the option that says so, for a person; empty: there is none.
	Option string
}

func (p Policy) most() int {
	if p.Most < 1 {
		return DefaultMost
	}
	return p.Most
}

// Tries is what became of the logins of an account; a plain value. The zero value is
// an account that has not been refused since it was let in last.
type Tries struct {
	refused int
	last    time.Time
}

// Refused adds a login that was refused.
func (t Tries) Refused(at time.Time) Tries { return Tries{t.Count(at) + 1, at} }

// Count is how many refusals in a row Windows may remember.
func (t Tries) Count(now time.Time) int {
	if t.refused > 0 && now.Sub(t.last) >= Window {
		return 0
	}
	return t.refused
}

// Held is until when no login is tried at all; zero: it may be.
func (t Tries) Held(p Policy, now time.Time) time.Time {
	if t.Count(now) < p.most() {
		return time.Time{}
	}
	return t.last.Add(Window)
}

// Next is when somebody who waits for the account tries the next login. Where the
// one after it would come after the deadline, the next one is the last, and is kept
// for the end: Windows may take its time to set up the account. A zero deadline is
// none.
func (t Tries) Next(p Policy, now, deadline time.Time) time.Time {
	n := t.Count(now)
	if n == 0 {
		return now
	}
	if held := t.Held(p, now); !held.IsZero() {
		return held
	}
	pause := firstPause
	for range n - 1 {
		if pause = 3 * pause; pause >= Window {
			return t.last.Add(Window)
		}
	}
	next := t.last.Add(pause)
	if n == p.most()-1 && !deadline.IsZero() && next.Add(Window).After(deadline) {
		if late := deadline.Add(-reserve); late.After(next) {
			return late
		}
	}
	return next
}

// ErrHeld is what a HeldError is.
var ErrHeld = errors.New("no login is tried, so that Windows does not lock the account")

// HeldError says that a login was not tried.
type HeldError struct {
	User    string
	Refused int
	Wait    time.Duration // until one may be
	Option  string
}

func (e *HeldError) Error() string {
	often := fmt.Sprintf("%d times in a row", e.Refused)
	if e.Refused == 1 {
		often = "once"
	}
	wait := (e.Wait + time.Second - 1).Truncate(time.Second) // a wait that goes on is not 0s
	text := fmt.Sprintf("user %q was refused %s; Windows locks an account after as few as 5 wrong passwords, so no login is tried for another %s; check user and password",
		e.User, often, wait)
	if e.Option != "" {
		text += " (" + e.Option + " sets how many are risked)"
	}
	return text
}

// Is makes it ErrHeld.
func (e *HeldError) Is(target error) bool { return target == ErrHeld }

// Guard counts the logins of one account, by whatever connection. A nil Guard lets
// everything pass.
type Guard struct {
	user   string
	policy Policy
	now    func() time.Time

	mu    sync.Mutex
	tries Tries
}

// New makes a guard for an account. now is the time it goes by; nil: that of the host.
func New(user string, p Policy, now func() time.Time) *Guard {
	if now == nil {
		now = time.Now
	}
	return &Guard{user: user, policy: p, now: now}
}

// May returns nil where a login may be tried now, otherwise a *HeldError.
func (g *Guard) May() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	held := g.tries.Held(g.policy, now)
	if held.IsZero() {
		return nil
	}
	return &HeldError{User: g.user, Refused: g.tries.Count(now), Wait: held.Sub(now), Option: g.policy.Option}
}

// Refused counts a refusal: of a complete login, not of a way that is not on offer.
func (g *Guard) Refused() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tries = g.tries.Refused(g.now())
}

// Accepted forgets them, as Windows does.
func (g *Guard) Accepted() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tries = Tries{}
}

// Count is Tries.Count now.
func (g *Guard) Count() int {
	if g == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.tries.Count(g.now())
}

// Pause is how long somebody who waits for the account pauses before the next login,
// with so much time left; 0: as long as he likes.
func (g *Guard) Pause(left time.Duration) time.Duration {
	if g == nil {
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now, deadline := g.now(), time.Time{}
	if left > 0 {
		deadline = now.Add(left)
	}
	return max(0, g.tries.Next(g.policy, now, deadline).Sub(now))
}
