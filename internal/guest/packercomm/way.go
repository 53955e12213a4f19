package packercomm

import (
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
)

// Way is how a guest may be asked.
type Way int

// The ways.
const (
	WayLong    Way = iota // commands that run for a while
	WayShort              // only short ones: one was left behind and has not come back
	WayResting            // none for a while
	// WayNone: too many were left behind. It ends when one of them comes back, or
	// when the service was away and answers again (Probed): then there is one more.
	WayNone
)

const (
	firstRest   = 30 * time.Second
	longestRest = 2 * time.Minute
	// maxAbandoned requests are left behind before the connection is given up.
	maxAbandoned = 2
	// maxLeft is how many there may be with the one that is asked after that.
	maxLeft = maxAbandoned + 1
)

// health is what became of the requests.
type health struct {
	pending int // requests left behind that have not come back
	lost    int // requests left behind since the guest answered last
	rests   time.Time
	// away and back: since a request was left behind the service did not answer,
	// and answers again.
	away, back bool
}

func (h *health) way(now time.Time) Way { return way(h.pending, now.Before(h.rests), h.back) }

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

// admit says whether a request may be made now. One that insists is made up to
// the most that may be left behind.
func (h *health) admit(now time.Time, insist bool) error {
	switch way := h.way(now); {
	case insist && h.pending < maxLeft:
		return nil
	case way == WayNone:
		return guest.ErrGivenUp
	case way == WayResting:
		return guest.ErrResting
	}
	return nil
}

// leave counts a request that is left behind.
func (h *health) leave() {
	h.pending++
	h.lost++
	h.back = false
}

// returned counts a request that ended, as left behind or not.
func (h *health) returned(abandoned bool, err error) {
	if abandoned {
		h.pending--
		h.rests = time.Time{} // nothing loops any more
	}
	if err == nil {
		h.lost = 0
		if !abandoned {
			h.back, h.rests = true, time.Time{} // the guest answers
		}
	}
}

func (h *health) probed(answers bool) {
	switch {
	case h.pending == 0:
		h.away, h.back = false, false
	case !answers:
		h.away, h.back = true, false
	default:
		h.back = h.back || h.away
	}
}
