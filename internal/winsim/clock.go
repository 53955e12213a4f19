package winsim

import (
	"context"
	"time"
)

// Clock is a time that guest and client share, which passes faster than the real
// one. What both wait for then keeps its proportions: a client with the limits
// of a user meets a Windows with the durations of a Windows, and no test waits.
//
// Given as Options.Clock it rules everything in the guest: what Windows takes,
// the periods that a client asks for in the parameters of a script (intervalMs,
// heartbeatSec, deadlineSec, forSec), the time-outs of the WinRM service, the
// time in logs and of files, and it makes the durations that a scenario leaves
// out as long as they are. A client reads Now where it reads the time, and waits
// Real of what it would wait.
//
// Without it, Options.Speed divides what Windows takes, and nothing else: a
// client is served in real time.
type Clock struct {
	begun time.Time
	speed float64
	real  func() time.Time
}

// NewClock is a clock that runs so many times as fast as the real one. A limit of
// 30 s is half a second at 60: on a machine with little to spare, choose less.
func NewClock(speed float64) *Clock { return &Clock{time.Now(), speed, time.Now} }

// Now is the simulated time.
func (c *Clock) Now() time.Time { return c.At(c.real()) }

// At is the simulated time at a real one; before the clock was made there is no
// difference.
func (c *Clock) At(real time.Time) time.Time {
	if passed := real.Sub(c.begun); passed > 0 {
		return c.begun.Add(time.Duration(float64(passed) * c.speed))
	}
	return real
}

// Real is how long a simulated duration lasts.
func (c *Clock) Real(d time.Duration) time.Duration { return time.Duration(float64(d) / c.speed) }

// Speed is how many times as fast as the real time this one is.
func (c *Clock) Speed() float64 { return c.speed }

// durations are what Windows takes where a scenario does not say.
type durations struct{ validate, generalize, shutdown, boot time.Duration }

var (
	// quick is what tests in real time can bear.
	quick = durations{2 * time.Second, 10 * time.Second, 3 * time.Second, 3 * time.Second}
	// usual is longer than every period of a client, and within what field
	// reports tell.
	usual = durations{30 * time.Second, 210 * time.Second, 20 * time.Second, time.Minute}
)

func (g *Guest) durations() durations {
	if g.opt.Clock != nil {
		return usual
	}
	return quick
}

func (g *Guest) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) / g.opt.Speed)
}

// sleep lets what Windows takes pass, and reports whether it did. In a machine
// that stands still nothing ends.
func (g *Guest) sleep(ctx context.Context, d time.Duration) bool {
	g.rest(ctx, g.scaled(d))
	g.thaw(ctx)
	return ctx.Err() == nil
}

// wait lets what a client asked for pass.
func (g *Guest) wait(ctx context.Context, d time.Duration) {
	g.rest(ctx, g.clock.Real(d))
	g.thaw(ctx)
}

func sleepFor(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

const keyTimeZone = `HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation`

// now is the guest's clock, in its zone.
func (g *Guest) now() time.Time {
	now := g.clock.Now().Add(time.Duration(g.scenario.Clock))
	if g.replay != nil {
		g.mu.Lock()
		clock, zone := g.replay.clock, g.replay.zone
		g.mu.Unlock()
		if now = now.Add(clock); zone != nil {
			return now.In(zone)
		}
	}
	if zone := time.Duration(g.scenario.Zone); zone != 0 {
		return now.In(time.FixedZone("", int(zone/time.Second)))
	}
	return now
}

// setTimeZone tells the offset of the clock that the logs are written by.
func (g *Guest) setTimeZone() {
	_, offset := g.now().Zone()
	g.reg.SetDWord(keyTimeZone, "ActiveTimeBias", uint32(int32(-offset/60)))
}
