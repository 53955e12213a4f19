package winsim

import (
	"errors"
	"strings"
	"time"
)

// Lockout is the account lockout policy: so many wrong passwords, none of them
// Within or more after the one before, lock an account for as long again. The zero
// value locks nothing.
type Lockout struct {
	After  int      `json:"after,omitempty"`
	Within Duration `json:"within,omitempty"` // 10 minutes
}

func (l Lockout) check() error {
	if l.After < 0 || l.Within < 0 || l.After == 0 && l.Within != 0 {
		return errors.New("lockout: write how many wrong passwords lock an account, and within what time")
	}
	return nil
}

// logins are the wrong passwords of an account.
type logins struct {
	wrong, all int
	last       time.Time
	locked     time.Time // since when it is; zero: it is not
}

// LetsIn says whether a user is let in whose password was right, or was not, and
// counts that.
func (g *Guest) LetsIn(user string, right bool) bool {
	now, policy := g.now(), g.scenario.Lockout
	within := policy.Within.or(10 * time.Minute)
	g.mu.Lock()
	defer g.mu.Unlock()
	right = right && !g.changed && time.Since(g.born) >= g.scaled(time.Duration(g.scenario.AccountAfter))
	if g.logins == nil {
		g.logins = map[string]*logins{}
	}
	name := strings.ToLower(account(user))
	l := g.logins[name]
	if l == nil {
		l = &logins{}
		g.logins[name] = l
	}
	switch {
	case !l.locked.IsZero() && now.Sub(l.locked) < within:
		return false
	case right:
		l.wrong, l.locked = 0, time.Time{}
		return true
	}
	if now.Sub(l.last) >= within {
		l.wrong = 0
	}
	l.wrong, l.all, l.last, l.locked = l.wrong+1, l.all+1, now, time.Time{}
	if policy.After > 0 && l.wrong >= policy.After {
		l.locked = now
	}
	return false
}

// ChangePasswords makes every password a wrong one, or right again.
func (g *Guest) ChangePasswords(wrong bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changed = wrong
}

// Wrong is how many wrong passwords came for an account, and whether it is, or was,
// locked for them.
func (g *Guest) Wrong(user string) (passwords int, locked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.logins[strings.ToLower(account(user))]; l != nil {
		return l.all, !l.locked.IsZero()
	}
	return 0, false
}
