package guest

import (
	"context"
	"fmt"
	"time"
)

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
	// WayNone: too many were left behind. It ends when one of them comes back, or
	// when the service was away and answers again (Probed): then there is one more.
	WayNone
)

const (
	firstRest   = 30 * time.Second
	longestRest = 2 * time.Minute
)

const (
	// maxAbandoned requests are left behind before the connection is given up.
	maxAbandoned = 2
	// maxLeft is how many there may be with the one that is asked after that.
	maxLeft = maxAbandoned + 1
)

// way decides how to ask after so many requests have not come back. back: the
// service was away and answers again.
func way(pending int, resting, back bool) Way {
	switch {
	case pending >= maxLeft, pending >= maxAbandoned && (resting || !back):
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
	return way(s.pending, s.now().Before(s.rests), s.back)
}

// Probed tells whether the service answered a question that did not go through
// the communicator. One that was away and answers again is a guest that stood
// still, or a service that was started anew: worth one more request.
func (s *Session) Probed(answers bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.pending == 0:
		s.away, s.back = false, false
	case !answers:
		s.away, s.back = true, false
	default:
		s.back = s.back || s.away
	}
}

// regardless marks a context whose request is made in spite of a rest, or of a
// connection that was given up.
type regardless struct{}

// PollRegardless is Poll within a limit, once more before the guest counts as
// lost: also during a rest, and where the connection was given up, but never
// beyond the most requests that may be left behind.
func (s *Session) PollRegardless(ctx context.Context, limit time.Duration) (State, error) {
	mark := s.mark()
	out, err := s.Run(context.WithValue(ctx, regardless{}, true), pollLine(mark), limit)
	if err != nil {
		return State{}, fmt.Errorf("asking for the state once more: %w", err)
	}
	state, _, err := parseState(string(out.Stdout))
	if err != nil {
		return State{}, fmt.Errorf("asking for the state once more: %w", err)
	}
	return s.judgeOurs(state, mark), nil
}

// admit says whether a request may be made now.
func (s *Session) admit(ctx context.Context) error {
	way := s.Way()
	if ctx.Value(regardless{}) != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.pending < maxLeft {
			return nil
		}
	}
	switch way {
	case WayNone:
		return ErrGivenUp
	case WayResting:
		return ErrResting
	}
	return nil
}

// leave counts a request that is left behind; s.mu is held.
func (s *Session) leave() {
	s.pending++
	s.lost++
	s.back = false
	s.rests = s.now().Add(s.scaled(rest(s.lost, s.maxRest)))
}

// returned counts a request that ended, as left behind or not; s.mu is held.
func (s *Session) returned(abandoned bool, err error) {
	if abandoned {
		s.pending--
		s.rests = time.Time{} // nothing loops any more
	}
	if err == nil {
		s.lost = 0
		if !abandoned {
			s.back, s.rests = true, time.Time{} // the guest answers
		}
	}
}
