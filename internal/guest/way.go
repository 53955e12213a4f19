package guest

import "time"

// Way is how a guest may be asked.
type Way int

// The ways. A request that was left behind may have become a loop in Packer's
// process: its client repeats a Receive for a shell that Windows has forgotten,
// some thousand times a second, until the connection breaks. Nothing that a
// plugin can reach ends it, so the next one must not follow soon.
const (
	WayLong    Way = iota // commands that run for a while, as Watch's
	WayShort              // only short ones: one was left behind and has not come back
	WayResting            // none for a while
	WayNone               // none ever: too many were left behind
)

const (
	firstRest   = 30 * time.Second
	longestRest = 2 * time.Minute
)

// way decides how to ask after so many requests have not come back.
func way(pending int, resting bool) Way {
	switch {
	case pending >= maxAbandoned:
		return WayNone
	case resting:
		return WayResting
	case pending > 0:
		return WayShort
	}
	return WayLong
}

// rest is how long nothing is asked after so many requests were left behind
// one after the other.
func rest(lost int, longest time.Duration) time.Duration {
	if lost < 1 {
		return 0
	}
	d := firstRest
	for ; lost > 1 && d < longest; lost-- {
		d *= 2
	}
	return min(d, longest)
}

// RestAtMost bounds the rest after a request was left behind: whoever waits for
// the guest wants it to be asked again within its own time.
func (s *Session) RestAtMost(d time.Duration) { s.maxRest = min(d, longestRest) }

func (s *Session) wake() {
	s.mu.Lock()
	s.rests = time.Time{}
	s.mu.Unlock()
}

// Way is how the guest may be asked now.
func (s *Session) Way() Way {
	s.mu.Lock()
	defer s.mu.Unlock()
	return way(s.pending, s.now().Before(s.rests))
}
