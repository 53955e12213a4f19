package sysprep

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

const (
	maxLogKept = 16 << 20         // bytes of setupact.log kept for log_directory
	tidyLimit  = 15 * time.Second // Windows shuts down within seconds of success
	// watchGone is how long sysprep.exe is gone before the guest stops watching:
	// later than that counts, because the shell may be the only one.
	watchGone = verdict.ProcessGone + 10*time.Second
	// silenceSlack is how much later than its heartbeat a busy guest may answer.
	silenceSlack = 10 * time.Second
)

// watched is what was seen of one run of sysprep.
type watched struct {
	launched guest.Launched
	begun    time.Time // by the host's clock
	verdict  verdict.Verdict
	tracker  diagnosis.Tracker
	cached   []byte // the cached answer file, where it came with the logs
	log      []byte // as it came
	// logLength is what the log measured when it could be read last, in bytes.
	logLength int64
	logOrigin
	// answering: the newest try to ask the guest worked.
	answering bool
	pace      pace
	// held: it was said that the guest refuses the login.
	held bool
	// tidied and untidy are closed and set when our files were removed before
	// Windows goes down; settled delivers the state that was read with that.
	tidied  chan struct{}
	untidy  []string
	settled chan guest.Status
	// tidying: nothing may be uploaded any more. following: the command that
	// watches runs, and removes our files at its end.
	tidying, following atomic.Bool
}

// event is a sample, why there is none, what is left of our files, or a panic.
type event struct {
	sample  guest.Sample
	err     error
	removed bool
	left    []string
	last    bool // of the last look
	crash   *edge.Crash
}

// observe watches until there is a verdict.
func (r *run) observe(ctx context.Context) verdict.Verdict {
	judge := verdict.Begin(r.begun, r.plan.Expect)
	feed, stop := context.WithCancel(ctx)
	events := make(chan event)
	var feeder sync.WaitGroup
	r.following.Store(r.launched.Follow != nil)
	feeder.Go(func() { carried(feed, events, func() { r.feed(feed, events) }) })
	defer feeder.Wait()
	defer stop()

	tick := time.NewTicker(r.real(r.config.PollInterval))
	defer tick.Stop()
	heard := r.now()
	var machine verdict.Machine
	asking := false
	silence := guest.Heartbeat(r.config.PollInterval) + r.slack
	seen := watchFacts{starter: r.plan.Starter, limit: r.config.GeneralizeTimeout}.at(r.now(), r.tracker.Progress())
	watch := r.heart.Begin(seen.facts(r.now()))
	defer watch.End()
	for {
		var v *verdict.Verdict
		select {
		case <-ctx.Done():
			return judge.Cancel(r.now())
		case e := <-events:
			if e.crash != nil {
				panic(e.crash) // the phase takes it
			}
			if e.err != nil {
				r.answering, asking = false, asking && !e.last
				if errors.Is(e.err, guest.ErrHeld) && !r.held {
					r.held = true
					r.ui.Say("Warning: the guest refuses the login of Packer's communicator. It is asked at growing intervals only, so that Windows does not lock the account")
				}
				o := r.unreached(ctx, e.err.Error())
				o.Last = e.last
				judge, v = judge.Step(o)
				break
			}
			heard, r.answering, asking = r.now(), true, asking && !e.last
			if e.removed {
				r.removed(e.left)
				break
			}
			judge, v = judge.Step(r.take(ctx, e.sample))
		case settled := <-r.settled:
			judge, v = judge.Step(r.take(ctx, guest.Sample{Status: settled}))
		case <-tick.C:
			if m := r.machine.now(); m != machine {
				machine = m
				o := verdict.Observation{At: r.now(), Machine: m, TransportErr: "the state of the machine has changed"}
				r.note(o, guest.Sample{})
				judge, v = judge.Step(o)
				break
			}
			if r.answering && r.now().Sub(heard) < silence {
				break
			}
			r.answering = false
			judge, v = judge.Step(r.unreached(ctx, "no answer in time"))
		}
		if v != nil && ctx.Err() == nil {
			return *v
		}
		seen = seen.at(r.now(), r.tracker.Progress())
		seen.machine, seen.silent = machine, time.Time{}
		if !r.answering {
			seen.silent = heard
		}
		watch.Set(seen.facts(r.now()))
		if judge.WantsLastLook() && !asking {
			asking = true
			feeder.Go(func() { carried(feed, events, func() { r.lastLook(feed, events) }) })
		}
	}
}

// watching is how the run is followed. The command ends soon after sysprep, so
// that nothing of ours runs on, and at once after success, for what is read and
// removed at its end.
func (r *run) watching() guest.Watching {
	gone, there := false, true
	success := guest.Condition{ImageState: []windows.State{r.plan.Expect.ImageState}}
	if r.plan.Expect.Generalize {
		success.Tag = &there
	}
	ended := guest.Condition{Process: &gone, For: watchGone}
	if r.plan.Starter != "" {
		// Before its end sysprep may not have begun, and after sysprep it goes on.
		ended.AgentEnded = &there
		if r.plan.Action == actionQuit {
			success.AgentEnded = &there
		}
	}
	until := []guest.Condition{ended}
	if r.plan.Action == actionQuit {
		// A window that audit mode opens meanwhile stays.
		lives := success
		lives.For = verdict.ProcessGone / 2
		success.Process = &gone
		until = append(until, lives)
	}
	return guest.Watching{
		Interval: r.config.PollInterval, For: r.config.GeneralizeTimeout,
		Until:      append(until, success),
		AgentEnds:  r.plan.Starter != "" && r.plan.Action == actionQuit,
		AnswerFile: r.plan.AnswerFile, AnswerFolder: r.plan.AnswerFolder, Remove: r.left,
	}
}

// feed asks the guest until ctx ends. A connection that was given up may come
// back.
func (r *run) feed(ctx context.Context, events chan<- event) {
	send := func(e event) {
		select {
		case events <- e:
		case <-ctx.Done():
		}
	}
	follow, plain := r.launched.Follow, r.launched.WithoutPowerShell
	cursor, early, brief := guest.After(r.launched.OldLines), false, false
	hears := guest.Hears{
		Sample:  func(s guest.Sample) { send(event{sample: s}) },
		Removed: func(left []string) { send(event{removed: true, left: left}) },
	}
	for ctx.Err() == nil {
		var err error
		if r.tidying.Load() && follow == nil {
			plain = true // only what is there by itself may still be used
		}
		watched := follow != nil || !plain && r.session.Steady()
		switch {
		case follow != nil:
			cursor, err = follow.Watch(ctx, hears)
			follow = nil
		case watched:
			r.following.Store(true)
			cursor, err = r.session.Watch(ctx, cursor, r.watching(), hears)
		}
		r.following.Store(false)
		if !watched || err != nil && ctx.Err() == nil {
			var sample guest.Sample
			var peekErr error
			// While Windows goes down each other question leaves the log out.
			if brief = r.tidying.Load() && r.plan.Action != actionQuit && !brief; brief {
				sample.Status, peekErr = r.session.Poll(ctx)
			} else {
				sample, cursor, peekErr = r.session.Peek(ctx, cursor)
			}
			var broken *guest.ScriptError
			if peekErr != nil {
				send(event{err: peekErr})
			} else {
				// The guest answers, so it was PowerShell that failed.
				plain = plain || errors.Is(err, guest.ErrNoDocument) || errors.As(err, &broken)
				send(event{sample: sample})
				if !early && sample.ImageState == windows.StateUndeployable && tri(sample.Ours) != verdict.No {
					early, _ = r.session.RemoveCopied(ctx, r.watching()) // not, or not known: again, and at the end
				}
			}
		}
		pause := r.config.PollInterval
		if r.tidying.Load() {
			pause = guest.Heartbeat(pause)
		}
		if r.pause(ctx, pause) != nil {
			return
		}
	}
}

// removed notes that the command which watches has removed our files.
func (r *run) removed(left []string) {
	r.untidy = left
	r.tidying.Store(true)
	if r.tidied == nil {
		r.tidied = make(chan struct{})
		close(r.tidied)
	}
}

// take makes an observation of a sample, and tells the user what is new.
func (r *run) take(ctx context.Context, s guest.Sample) (o verdict.Observation) {
	defer func() { r.note(o, s) }()
	o = observation(r.now(), s.Status)
	o.Launched, o.Machine = r.launchedAt(), r.machine.now()
	success := o.Tag == verdict.Yes && s.ImageState == r.plan.Expect.ImageState
	switch {
	case s.MayBeRemoved && r.otherLog(s):
		o.Ours = verdict.No
	case s.MayBeRemoved && !s.LogRead:
		// A restart, or another machine: the log tells, with the next answer.
		o.SameBoot = verdict.Unknown
	case r.tidied != nil:
		o.Ours = verdict.Unknown // what is ours has gone, or is about to
	}
	if o.Ours == verdict.No {
		return o // whoever writes that log, it is not this run
	}
	if s.Rotated {
		r.tracker, r.log = diagnosis.Tracker{}, nil
	}
	r.progress(r.tracker.Feed(s.Log))
	if len(r.log) < maxLogKept {
		r.log = append(r.log, s.Log...)
	}
	if r.launched.PID == 0 && len(s.Processes) == 1 {
		r.launched.PID = s.Processes[0] // there was none before ours
	}
	if s.LogRead {
		r.logLength = s.LogLength
	}
	o = r.withLog(o, s)
	if r.plan.Action != actionQuit && success && r.tidied == nil && !r.following.Load() {
		// sysprep has copied the answer file long ago; Windows goes down now.
		r.tidied, r.settled = make(chan struct{}), make(chan guest.Status, 1)
		r.tidying.Store(true)
		go func() {
			defer close(r.tidied)
			left, state, err := r.session.CleanupAndPoll(ctx, r.left.With(r.launched.OldLogs), tidyLimit)
			if r.untidy = left; err == nil {
				r.settled <- state
			}
		}()
	}
	return o
}

func (r *run) progress(lines []diagnosis.Line) {
	for _, l := range lines {
		if !r.ownLog(diagnosis.Progress{Start: l.Time}) {
			continue
		}
		text := diagnosis.Milestone(l)
		if text == "" {
			continue
		}
		var ok bool
		var left int
		if r.pace, ok, left = r.pace.next(r.now()); !ok {
			continue
		}
		if left > 0 {
			r.ui.Sayf("  (lines of progress left out: %d)", left)
		}
		r.ui.Say("  " + text)
	}
}

// unreached makes an observation of the port when the guest does not answer.
func (r *run) unreached(ctx context.Context, why string) verdict.Observation {
	o := verdict.Observation{TransportErr: why, Port: r.knock(ctx)}
	o.At, o.Machine = r.now(), r.machine.now()
	r.note(o, guest.Sample{})
	return o
}

// launchedAt is when the launch began, by the clock that the guest's logs are
// written by; zero where that is not known.
func (r *run) launchedAt() time.Time {
	if r.launched.Time.IsZero() || r.first.TimeBias == nil {
		return time.Time{}
	}
	return r.launched.Time.UTC().Add(-time.Duration(*r.first.TimeBias) * time.Minute)
}

// knock asks the port itself. A port that accepts without an answer tells
// nothing: something else may hold it open for a guest that is off, and a busy
// guest is slow.
func (r *run) knock(ctx context.Context) verdict.Port {
	if r.host == "" || r.port == 0 {
		return verdict.PortUnknown
	}
	reach, _ := r.probe(ctx, r.host, r.port)
	if ctx.Err() == nil {
		r.session.Probed(reach == winrm.Open)
	}
	switch {
	case ctx.Err() != nil:
		return verdict.PortUnknown
	case reach == winrm.Open:
		return verdict.PortOpen
	case r.overSSH() && !r.direct.Load():
		return verdict.PortUnknown
	case reach == winrm.Closed || reach == winrm.Unreachable:
		return verdict.PortClosed
	}
	return verdict.PortUnknown
}

func observation(at time.Time, s guest.Status) verdict.Observation {
	o := verdict.Observation{
		At: at, Reached: true, Tag: tri(s.Tag), ImageState: s.ImageState, GeneralizationState: s.GeneralizationState,
		Port: verdict.PortOpen, Ours: tri(s.Ours), SetupType: s.SetupType, CmdLine: s.CmdLine, SameBoot: tri(s.SameBoot),
	}
	if s.Agent != nil {
		o.Agent = verdict.Agent{Ended: verdict.TriOf(s.Agent.Ended), Exit: s.Agent.Exit}
	}
	if s.Processes != nil {
		o.Process = verdict.TriOf(len(s.Processes) > 0)
	}
	return o
}

func tri(b *bool) verdict.Tri {
	if b == nil {
		return verdict.Unknown
	}
	return verdict.TriOf(*b)
}

// set reads a registry flag: any number but 0.
func set(n *int) verdict.Tri {
	if n == nil {
		return verdict.Unknown
	}
	return verdict.TriOf(*n != 0)
}
