package boottest

import (
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Reason is why a clone is watched no longer.
type Reason uint8

// Reasons.
const (
	Arrived  Reason = iota // by what was seen, it has come to what was asked for
	Ended                  // the machine has ended
	Failing                // the log names a failure, and nothing more happens
	Stuck                  // no sign of life
	OverTime               // a limit is over
	Looping                // it restarts again and again
)

// Stop ends the watching of a clone. It is no verdict.
type Stop struct {
	Reason Reason
	Phase  Phase
	Since  time.Time
	Text   string // for a sentence: what was seen
}

// stop decides. What is for certain comes before what time has run out for.
func (s State) stop(limits Limits) *Stop {
	at := s.Last.At
	made := func(r Reason, format string, args ...any) *Stop {
		return &Stop{r, s.Phase, s.Since, fmt.Sprintf(format, args...)}
	}
	limit, option := s.limit(limits)
	switch {
	case s.Last.Ended:
		return made(Ended, "the machine has ended")
	case s.Answered:
		return made(Arrived, "the guest answers, and says that Windows Setup is over")
	case s.arrived >= 2 && !s.AsksGuest:
		return made(Arrived, "its disk says %s", s.disk.State)
	case s.elsewhere():
		return made(Arrived, "its disk says %s", s.disk.State)
	case s.disk.Cause != nil && at.Sub(s.changed) >= FailGrace:
		return made(Failing, "the log of Windows Setup names a failure, and nothing followed it for %s", FailGrace)
	case s.Last.Restarts > maxRestarts:
		return made(Looping, "it restarted %d times", s.Last.Restarts)
	case at.Sub(s.Alive) >= limits.Stall:
		return made(Stuck, "it showed no sign of life for %s (stall_timeout)", limits.Stall)
	case limit > 0 && at.Sub(s.limitFrom()) >= limit:
		return made(OverTime, "%s took more than %s (%s)", s.Phase, limit, option)
	case at.Sub(s.Begun) >= limits.Total:
		return made(OverTime, "it was not there within %s (timeout)", limits.Total)
	}
	return nil
}

// elsewhere: it has come to an end that was not asked for, and will not leave it.
func (s State) elsewhere() bool {
	if s.AsksGuest || s.Last.Disk == nil || s.Last.At.Sub(s.changed) < FailGrace {
		return false
	}
	m := s.disk.State.Means()
	return m == windows.Installed || m == windows.InAudit
}

// limit is that of the phase, with the name of its option. A phase that is not
// told from the one before shares its limit.
func (s State) limit(l Limits) (time.Duration, string) {
	switch s.Phase {
	case Firmware, Loader:
		return l.Start, "start_timeout"
	case Starting, Specialize:
		return l.Specialize, "specialize_timeout"
	}
	return l.OOBE, "oobe_timeout"
}

func (s State) limitFrom() time.Time {
	if s.Phase == Loader {
		return s.Begun
	}
	return s.Since
}

// String says what was seen, for a line a minute.
func (s State) String() string {
	text := ""
	if s.Last.Counted {
		text = fmt.Sprintf("read %d MiB, written %.1f MiB; ", s.Last.Read>>20, float64(s.Last.Written)/(1<<20))
	}
	if s.disk.State != "" {
		text += fmt.Sprintf("its disk says %s; ", s.disk.State)
	}
	if s.Last.Paused != "" {
		text += fmt.Sprintf("it is paused (%s); ", s.Last.Paused)
	}
	return fmt.Sprintf("%slast sign of life %s ago; restarts: %d", text, s.Last.At.Sub(s.Alive).Round(time.Second), s.Last.Restarts)
}
