package sysprep

import (
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// newHeart makes what all waits of a run say that they go on with.
func (r *run) newHeart() *heartbeat.Heart {
	clock := heartbeat.Real(func() time.Time { return r.now() }, func(d time.Duration) time.Duration { return r.real(d) })
	return heartbeat.New(clock, func(text string) { r.ui.Say(text) })
}

// sighting is what is remembered of a run that is watched, from one look to the
// next; a plain value.
type sighting struct {
	log     diagnosis.Progress
	grown   time.Time // when the log was seen to grow last
	working time.Time // since when log.Working is seen
}

// after adds a look.
func (s sighting) after(now time.Time, log diagnosis.Progress) sighting {
	if log.Lines != s.log.Lines || s.grown.IsZero() {
		s.grown = now
	}
	if log.Working != s.log.Working || s.working.IsZero() {
		s.working = now
	}
	s.log = log
	return s
}

// watchFacts are what a wait for the end of sysprep is about. silent is since when
// the guest does not answer; zero: it does.
type watchFacts struct {
	sighting
	starter string // what starts sysprep, where that is not the run itself
	limit   time.Duration
	machine verdict.Machine
	silent  time.Time
}

// at adds a look at the log.
func (w watchFacts) at(now time.Time, log diagnosis.Progress) watchFacts {
	w.sighting = w.after(now, log)
	return w
}

// facts says where the run is.
func (w watchFacts) facts(now time.Time) heartbeat.Facts {
	f := heartbeat.Facts{Limit: w.limit, Option: "generalize_timeout", Grown: w.grown}
	switch w.log.Stage {
	case diagnosis.StageNone:
		f.Doing, f.Grown = "waiting for the first line of sysprep's log", time.Time{}
		if w.starter != "" {
			f.Doing = "waiting for " + w.starter + " to start sysprep"
		}
	case diagnosis.StageStarted:
		f.Doing = "starting"
	case diagnosis.StageValidating:
		f.Doing = "validating"
	case diagnosis.StageProcessing:
		f.Doing = "generalizing"
	default:
		f.Doing = "waiting for the end of sysprep"
		if w.log.ShutdownRequested { // generalize_timeout is not what ends this wait
			f.Doing, f.Limit = "waiting for Windows to shut down, as sysprep has asked it to", 0
		}
	}
	if work := w.log.Working; w.log.Stage < diagnosis.StageDone && w.log.Stage > diagnosis.StageNone {
		if work.Named() {
			f.Provider, f.Since = fmt.Sprintf("%s (%s)", work.DLL(), work.Entry), w.working
		}
		f.Percent = w.log.Percent()
	}
	switch {
	case w.machine.Paused != "":
		f.Says = "the machine is paused (" + w.machine.Paused + ")"
	case !w.silent.IsZero():
		f.Says = "the guest has not answered for " + heartbeat.Short(now.Sub(w.silent))
	}
	return f
}

// waitingFor is a wait until stall_timeout.
func (r *run) waitingFor(doing, says string) heartbeat.Facts {
	return heartbeat.Facts{Doing: doing, Limit: r.config.StallTimeout, Option: "stall_timeout", Says: says}
}

const (
	paceBurst = 100         // lines of progress at once: more than a run has
	paceEach  = time.Second // for another one
)

// pace bounds how fast lines of progress are said; a plain value. A log that names a
// provider in every line would flood the output.
type pace struct {
	spent   int       // of the burst
	at      time.Time // when it was counted
	skipped int
}

// next says whether a line may be said now, and how many before it were not.
func (p pace) next(now time.Time) (after pace, ok bool, skipped int) {
	if regained := int(now.Sub(p.at) / paceEach); regained > 0 {
		p.spent, p.at = max(0, p.spent-regained), now
	}
	if p.spent >= paceBurst {
		p.skipped++
		return p, false, 0
	}
	p.spent++
	skipped, p.skipped = p.skipped, 0
	return p, true, skipped
}
