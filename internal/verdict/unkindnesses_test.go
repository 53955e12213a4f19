package verdict

import (
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// watcher is who runs sysprep: another builder, our own with a hypervisor that
// reports what the machine does, and our own with a machine of somebody else's.
type watcher struct {
	name          string
	own, reported bool
}

var watchers = []watcher{{"other", false, false}, {"own, reported", true, true}, {"own, silent", true, false}}

func (w watcher) expect(end End) Expectation {
	e := Expectation{Generalize: true, End: end, Timeout: time.Hour}
	if w.own {
		e.ClosedFor, e.SecondLook = 5*time.Second, 5*time.Second
	}
	return e
}

// The times of the runs below. Success is seen when the tag is there.
const (
	tagAt     = 200 * time.Second // as far as nothing is delayed
	quietAt   = 210 * time.Second // the port closes, where sysprep ends Windows
	weirdAt   = 40 * time.Second  // something happens while sysprep works
	offLate   = 56 * time.Second  // WinRM stops so long before the power-off
	bootTakes = 70 * time.Second
	frozenFor = 130 * time.Second
)

// unkindness is what a guest shows at a time after the launch.
type unkindness struct {
	name string
	show func(end End, at time.Duration) look
	// off and reset are when the machine does so; 0: never.
	off, reset func(end End) time.Duration
	// want is, for quit, shutdown and reboot, how it ends and when, in seconds.
	want map[string][3]string
}

// never and powersOff say when a machine is off.
func never(End) time.Duration { return 0 }

func powersOff(after time.Duration) func(End) time.Duration {
	return func(end End) time.Duration {
		if end == Shutdown {
			return after
		}
		return 0
	}
}

func between(at, from, to time.Duration) bool { return at >= from && at < to }

// usual is a run in which nothing is unkind, until the port closes.
func usual(end End, at time.Duration) look {
	switch {
	case at < tagAt:
		return func(o *Observation) {
			state(windows.StateUndeployable)(o)
			log(int(at/time.Second), processing)(o)
		}
	case end != Quit && at >= quietAt:
		return silent(PortClosed)
	}
	return func(o *Observation) {
		state(windows.StateGeneralizeToOOBE)(o)
		tag(o)
		ready(o)
		ended(o)
		log(300, done, tagLogged)(o)
	}
}

// specializing is a generalized Windows that has started.
func specializing(o *Observation) {
	state(windows.StateUndeployable)(o)
	tag(o)
	ready(o)
	ended(o)
	log(300, done, tagLogged)(o)
}

// The right end is known for each. A good image is lost only where nobody can
// know that it is one, and no success is said before the machine may be off.
var unkindnesses = []unkindness{
	{
		name: "nothing", show: usual, off: powersOff(quietAt + 3*time.Second), reset: never,
		want: map[string][3]string{
			"other":         {"generalized 200-202", "generalized 390-392", "generalized 236-240"},
			"own, reported": {"generalized 200-202", "generalized, off 213-216", "generalized 212-216"},
			"own, silent":   {"generalized 200-202", "generalized 215-218", "generalized 212-216"},
		},
	}, {
		name: "port closed for 2 min before the tag", off: powersOff(quietAt + 3*time.Second), reset: never,
		show: func(end End, at time.Duration) look {
			if between(at, weirdAt, weirdAt+2*time.Minute) {
				return silent(PortClosed)
			}
			return usual(end, at)
		},
		want: map[string][3]string{
			"other":         {"generalized 200-202", "generalized 390-392", "generalized 236-240"},
			"own, reported": {"generalized 200-202", "generalized, off 213-216", "generalized 212-216"},
			"own, silent":   {"generalized 200-202", "generalized 215-218", "generalized 212-216"},
		},
	}, {
		name: "port closed before the tag, for ever", off: powersOff(quietAt + 3*time.Second), reset: never,
		show: func(end End, at time.Duration) look {
			if at >= weirdAt {
				return silent(PortClosed)
			}
			return usual(end, at)
		},
		want: map[string][3]string{ // the last answer was at 38 s
			"other":         {"lost, may be good 638-650", "lost, may be good 638-650", "lost, may be good 638-650"},
			"own, reported": {"lost, may be good 638-650", "lost, off, may be good 213-216", "lost, may be good 638-650"},
			"own, silent":   {"lost, may be good 638-650", "lost, may be good 638-650", "lost, may be good 638-650"},
		},
	}, {
		name: "port closed after success, for ever", off: never, reset: never,
		show: func(_ End, at time.Duration) look { return usual(Shutdown, at) },
		want: map[string][3]string{
			"other":         {"generalized 200-202", "generalized 390-392", "generalized 236-240"},
			"own, reported": {"generalized 200-202", "generalized 215-218", "generalized 212-216"},
			"own, silent":   {"generalized 200-202", "generalized 215-218", "generalized 212-216"},
		},
	}, {
		name: "restart instead of the power-off, back in specialize", off: never, reset: func(End) time.Duration { return quietAt + 3*time.Second },
		show: func(_ End, at time.Duration) look {
			if at >= quietAt+bootTakes {
				return specializing
			}
			return usual(Shutdown, at)
		},
		want: map[string][3]string{ // our own builder reads the disk when its machine is off
			"other":         {"generalized 200-202", "undone 280-282", "generalized 236-240"},
			"own, reported": {"generalized 200-202", "undone 213-216", "generalized 212-216"},
			"own, silent":   {"generalized 200-202", "generalized 215-218", "generalized 212-216"},
		},
	}, {
		name: "the same, and WinRM lets nobody in", off: never, reset: func(End) time.Duration { return quietAt + 3*time.Second },
		show: func(_ End, at time.Duration) look {
			if at >= quietAt+bootTakes {
				return silent(PortOpen)
			}
			return usual(Shutdown, at)
		},
		want: map[string][3]string{
			"other":         {"generalized 200-202", "hung, may be good 500-502", "generalized 236-240"},
			"own, reported": {"generalized 200-202", "undone 213-216", "generalized 212-216"},
			"own, silent":   {"generalized 200-202", "generalized 215-218", "generalized 212-216"},
		},
	}, {
		name: "the same, and it restarts again for good", off: never, reset: func(End) time.Duration { return quietAt + 3*time.Second },
		show: func(_ End, at time.Duration) look {
			if between(at, quietAt+bootTakes, quietAt+2*bootTakes) {
				return silent(PortOpen)
			}
			return usual(Shutdown, at)
		},
		want: map[string][3]string{
			"other":         {"generalized 200-202", "lost, may be good 530-545", "generalized 236-240"},
			"own, reported": {"generalized 200-202", "undone 213-216", "generalized 212-216"},
			"own, silent":   {"generalized 200-202", "generalized 215-218", "generalized 212-216"},
		},
	}, {
		name: "WinRM stops 56 s before the power-off", show: usual, off: powersOff(quietAt + offLate), reset: never,
		want: map[string][3]string{
			"other":         {"generalized 200-202", "generalized 390-392", "generalized 236-240"},
			"own, reported": {"generalized 200-202", "generalized 215-218", "generalized 212-216"},
			"own, silent":   {"generalized 200-202", "generalized 215-218", "generalized 212-216"},
		},
	}, {
		name: "freeze for 130 s before the tag", off: powersOff(quietAt + frozenFor + 3*time.Second), reset: never,
		show: func(end End, at time.Duration) look {
			switch {
			case at < weirdAt:
				return usual(end, at)
			case at < weirdAt+frozenFor:
				return silent(PortClosed) // nothing comes back, not even from the port
			}
			return usual(end, at-frozenFor)
		},
		want: map[string][3]string{
			"other":         {"generalized 330-332", "generalized 520-522", "generalized 366-370"},
			"own, reported": {"generalized 330-332", "generalized, off 343-346", "generalized 342-346"},
			"own, silent":   {"generalized 330-332", "generalized 345-348", "generalized 342-346"},
		},
	}, {
		name: "freeze for 130 s after the tag", off: powersOff(quietAt + frozenFor + 3*time.Second), reset: never,
		show: func(end End, at time.Duration) look {
			const from = tagAt + 4*time.Second
			switch {
			case at < from:
				return usual(end, at)
			case at < from+frozenFor:
				return silent(PortClosed)
			}
			return usual(end, at-frozenFor)
		},
		want: map[string][3]string{
			"other":         {"generalized 200-202", "generalized 520-522", "generalized 232-236"},
			"own, reported": {"generalized 200-202", "generalized 208-212", "generalized 206-212"},
			"own, silent":   {"generalized 200-202", "generalized 208-212", "generalized 206-212"},
		},
	},
}

// run looks every two seconds, and gives the last look where one is wanted.
func (u unkindness) run(w watcher, end End) (Verdict, time.Duration) {
	s := Begin(start, w.expect(end))
	for now := 2 * time.Second; now < 2*time.Hour; now += 2 * time.Second {
		o := at(now, u.show(end, now))
		if s.WantsLastLook() && now%(10*time.Second) == 0 {
			o.Last = true // whatever it brings
		}
		if w.reported {
			off, reset := u.off(end), u.reset(end)
			o.Machine.Off = off > 0 && now >= off
			if end != Quit && reset > 0 && now >= reset {
				o.Machine.Restarts = 1
			}
		}
		var v *Verdict
		if s, v = s.Step(o); v != nil {
			return *v, now
		}
	}
	return Verdict{}, 0
}
