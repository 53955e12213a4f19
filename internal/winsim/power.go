package winsim

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// pendingShutdown is a shutdown with a timer, or one under way.
type pendingShutdown struct {
	event   PowerEvent
	started bool // past the timer: cannot be aborted
	stopped bool // WinRM has ended, Windows has not
	cancel  context.CancelFunc
}

// Exit codes of shutdown.exe (winerror.h).
const (
	errShutdownInProgress = 1115
	errNoShutdown         = 1116
	errShutdownScheduled  = 1190
)

// PowerButton is the ACPI power button: Windows shuts down cleanly.
func (g *Guest) PowerButton() {
	if g.scenario.IgnoresPowerButton {
		g.logf("power button: ignored")
		return
	}
	if g.wakes() {
		g.logf("power button: the display wakes")
		return
	}
	g.logf("power button")
	g.beginShutdown(PowerOff, 0)
}

// beginShutdown starts a shutdown after delay; the answer is 0 or the error
// that shutdown.exe reports.
func (g *Guest) beginShutdown(e PowerEvent, delay time.Duration) int {
	if g.replay != nil {
		g.logf("asked to shut down (%v): what was recorded says when", e)
		return 0
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shutdown != nil || g.down {
		if g.down || g.shutdown.started {
			return errShutdownInProgress
		}
		return errShutdownScheduled
	}
	session := g.boot
	ctx, cancel := context.WithCancel(session)
	s := &pendingShutdown{event: e, cancel: cancel, started: delay <= 0}
	g.shutdown = s
	g.goDo(func() {
		defer cancel()
		if !g.sleep(ctx, delay) {
			return
		}
		g.mu.Lock()
		if g.shutdown != s || ctx.Err() != nil {
			g.mu.Unlock()
			return
		}
		s.started = true
		g.mu.Unlock()
		g.logf("shutting down: %v", e)
		takes := g.scenario.ShutdownTakes.or(g.durations().shutdown)
		if first := min(time.Duration(g.scenario.WinRMStopsFirst), takes); first > 0 && g.opt.WinRM != nil {
			if !g.sleep(session, takes-first) {
				return
			}
			g.logf("the WinRM service is stopped, Windows still works")
			g.mu.Lock()
			s.stopped = true
			g.mu.Unlock()
			g.opt.WinRM(WinRMReset)
			takes = first
		}
		if !g.sleep(session, takes) {
			return
		}
		g.powerDown(e)
	})
	return 0
}

// powerDown ends all programs, writes everything to disk and tells the
// hardware.
func (g *Guest) powerDown(e PowerEvent) {
	g.mu.Lock()
	if g.down {
		g.mu.Unlock()
		return
	}
	g.down = true
	g.mu.Unlock()
	g.end()
	for _, p := range g.processes("") {
		g.kill(p)
	}
	if err := g.Flush(); err != nil {
		g.logf("shutting down: %v", err)
	}
	// The service control manager reads the registry anew when Windows starts.
	if err := g.machine.Change(func(s *machinestate.State) { s.Unread = nil }); err != nil {
		g.logf("shutting down: %v", err)
	}
	g.logf("%v", e)
	if g.opt.Power != nil {
		g.opt.Power(e)
	}
}

func (g *Guest) abortShutdown() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shutdown == nil {
		return errNoShutdown
	}
	if g.shutdown.started {
		return errShutdownInProgress
	}
	g.shutdown.cancel()
	g.shutdown = nil
	return 0
}

// shutdownexe is shutdown.exe.
func (g *Guest) shutdownexe(_ context.Context, c *call) int {
	args := c.Argv()
	delay, event, action := 30*time.Second, PowerOff, ""
	for i := 0; i < len(args); i++ {
		a := strings.ToLower(args[i])
		if strings.HasPrefix(a, "-") {
			a = "/" + a[1:]
		}
		value := func() string {
			if i++; i < len(args) {
				return args[i]
			}
			return ""
		}
		switch a {
		case "/s", "/r", "/a":
			if action != "" {
				return g.badSyntax(c, "shutdown")
			}
			action = a
		case "/f":
		case "/t":
			n, err := strconv.Atoi(value())
			if err != nil || n < 0 || n > 315360000 {
				return g.badSyntax(c, "shutdown")
			}
			delay = time.Duration(n) * time.Second
		case "/c":
			if text := value(); text == "" || len(text) > 512 {
				return g.badSyntax(c, "shutdown")
			}
		case "/d":
			if !isReason(value()) {
				return g.badSyntax(c, "shutdown")
			}
		default:
			return g.badSyntax(c, "shutdown")
		}
	}
	code := 0
	switch action {
	case "/a":
		code = g.abortShutdown()
	case "/s", "/r":
		if action == "/r" {
			event = Reboot
		}
		code = g.beginShutdown(event, delay)
	default:
		return g.badSyntax(c, "shutdown")
	}
	switch code {
	case errNoShutdown:
		c.fail("Unable to abort the system shutdown because no shutdown was in progress.(1116)")
	case errShutdownInProgress:
		c.fail("A system shutdown is in progress.(1115)")
	case errShutdownScheduled:
		c.fail("A system shutdown has already been scheduled.(1190)")
	}
	return code
}

// isReason checks [p|u:]major:minor of /d.
func isReason(s string) bool {
	parts := strings.Split(strings.ToLower(s), ":")
	if len(parts) == 3 && (parts[0] == "p" || parts[0] == "u") {
		parts = parts[1:]
	}
	if len(parts) != 2 {
		return false
	}
	for i, limit := range []int{255, 65535} {
		if n, err := strconv.Atoi(parts[i]); err != nil || n < 0 || n > limit {
			return false
		}
	}
	return true
}

// badSyntax refuses a command line: either it is wrong, or it asks for what
// the guest does not know. Both end the test.
func (g *Guest) badSyntax(c *call, name string) int {
	g.refuse("%s %s", name, c.Args)
	c.fail("ERROR: Invalid syntax.\r\nType \"%s /?\" for usage.", strings.ToUpper(name))
	return 1
}
