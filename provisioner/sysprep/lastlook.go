package sysprep

import (
	"context"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// lastLookSlack is how much longer than its limit the last look is waited for:
// its end has to find its way, and the port is asked after it.
const lastLookSlack = 10 * time.Second

// lastLookLimit bounds the last look.
func lastLookLimit(stall time.Duration) time.Duration { return min(guest.CommandLimit, stall/4) }

// lastLook asks a guest once more that counts as lost unless it answers.
func (r *run) lastLook(ctx context.Context, events chan<- event) {
	state, err := r.session.PollRegardless(ctx, lastLookLimit(r.config.StallTimeout))
	select {
	case events <- event{sample: guest.Sample{Status: state}, err: err, last: true}:
	case <-ctx.Done():
	}
}

// logOrigin is what is known of where the log that was read comes from.
type logOrigin struct {
	logNext int64 // how far the log was read
	noOld   bool  // no line of an earlier run is read
}

// withLog adds the log to an observation.
func (r *run) withLog(o verdict.Observation, s guest.Sample) verdict.Observation {
	if s.LogRead {
		r.logNext = s.LogNext
		// Where there was none, or another took its place, all of it is new.
		r.noOld = r.noOld || s.Rotated || s.LogLength == 0 && r.tracker.Progress().Lines == 0
	}
	o.Log, o.LogBytes, o.LogNext = r.tracker.Progress(), r.logLength, r.logNext
	o.LogFresh = r.fresh()
	return o
}

// otherLog: where the log of this run was read, or has to be, there is none or
// another one.
func (r *run) otherLog(s guest.Sample) bool {
	if !s.LogRead || !s.Rotated && s.LogLength > 0 && r.logNext > 0 {
		return false
	}
	var log diagnosis.Tracker
	log.Feed(s.Log)
	return s.Rotated || s.LogLength == 0 || diagnosis.OlderRun(log.Progress(), diagnosis.Earliest(r.launchedAt(), r.begun))
}

// fresh: no line of an earlier run is read, as far as is known. An old log that
// cannot be moved has its lines counted, and they are left out.
func (r *run) fresh() bool {
	return r.noOld || r.launched.OldLines > 0 || r.launched.WithoutPowerShell && !r.launched.OldUncounted
}

// ownLog says whether what was read of the log may be about this run.
func (r *run) ownLog(log diagnosis.Progress) bool {
	launched := r.launchedAt()
	return launched.IsZero() && r.fresh() || !diagnosis.OlderRun(log, diagnosis.Earliest(launched, r.begun))
}
