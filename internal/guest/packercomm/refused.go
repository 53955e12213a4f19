package packercomm

import (
	"errors"
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
)

// refusal is what Packer's communicators say of a login that was refused: over WinRM
// the status of masterzen/winrm (http.go), over SSH the words of
// golang.org/x/crypto/ssh (client_auth.go).
var refusal = lazyregexp.New(`\b(?:error:?|HTTP) 401\b|unable to authenticate`)

func isRefusal(err error) bool { return err != nil && refusal.MatchString(err.Error()) }

// lostUnderway is why a command that ran ended. Packer's communicator ends it in the
// guest and deletes its shell then: two requests more, which are refused too where the
// login is (measured).
type lostUnderway struct{ error }

func (e lostUnderway) Unwrap() error { return e.error }

const endings = 2

// risked leaves one refusal for the last look, which is made regardless.
var risked = lockout.Policy{Most: lockout.DefaultMost - 1}

// logins are those of Packer's communicator, which logs in for every request.
type logins struct {
	lockout.Tries
	ended int    // requests that followed a lost command, of which nothing is known
	said  string // how the last refusal was worded
}

// after is what is known after a request that ended so.
func (l logins) after(now time.Time, err error) logins {
	if err == nil {
		return logins{}
	}
	if errors.As(err, new(lostUnderway)) {
		l.ended = endings
	}
	if !isRefusal(err) {
		return l
	}
	for range 1 + l.ended {
		l.Tries = l.Refused(now)
	}
	l.ended, l.said = 0, refusal.FindString(err.Error())
	return l
}

// held says that nothing was run, and how the guest refused before.
func (l logins) held() error { return fmt.Errorf("%w (%s)", guest.ErrHeld, l.said) }

// rest: no login is tried now.
func (l logins) rest(now time.Time) bool { return l.Next(risked, now, time.Time{}).After(now) }
