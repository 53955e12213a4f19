package vhd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// lifeSign is one look at a machine whose guest nobody talks to.
type lifeSign struct {
	at       time.Time
	written  uint64 // bytes since the start
	counted  bool   // the driver counts them
	screen   string // stands for the picture; empty: there is none
	restarts int
	paused   string
}

// vigil is what a row of looks adds up to; a plain value.
type vigil struct {
	begun   time.Time
	last    lifeSign
	wrote   time.Time // the last look that saw more written; zero: nothing was
	changed time.Time // the last look that saw a new screen; zero: none did
	screens []string  // those seen last: a cursor that blinks is no sign of life
	alive   time.Time // the last sign of life, or the start
}

// maxScreens is how many pictures are remembered.
const maxScreens = 8

// resetGap is the least time between two restarts: one may reset a machine several
// times, and no Windows restarts within it.
const resetGap = 5 * time.Second

// restartsIn counts the restarts in a row of events.
func restartsIn(events []hypervisor.Event) (n int) {
	var last time.Time
	for _, e := range events {
		if e.Kind != hypervisor.EventRestart {
			continue
		}
		if last.IsZero() || e.When.Sub(last) >= resetGap {
			n++
		}
		last = e.When
	}
	return n
}

func beginVigil(at time.Time) vigil { return vigil{begun: at, alive: at} }

// after adds a look. A machine that is paused can show no sign of life, and is not
// held to it.
func (v vigil) after(s lifeSign) vigil {
	before := v.last
	if s.counted && s.written > before.written {
		v.wrote, v.alive = s.at, s.at
	}
	if s.screen != "" && !slices.Contains(v.screens, s.screen) {
		if len(v.screens) > 0 {
			v.changed, v.alive = s.at, s.at
		}
		v.screens = append(slices.Clone(v.screens[max(0, len(v.screens)-maxScreens+1):]), s.screen)
	}
	if s.restarts > before.restarts || s.paused != "" {
		v.alive = s.at
	}
	if !s.counted {
		s.written, s.counted = before.written, before.counted
	}
	if s.screen == "" {
		s.screen = before.screen
	}
	v.last = s
	return v
}

// over says why a guest is waited for no longer; empty: it is.
func (v vigil) over(now time.Time, limit, stall time.Duration) string {
	sees := v.last.counted || v.last.screen != ""
	switch {
	case sees && now.Sub(v.alive) >= stall:
		return fmt.Sprintf("it has shown no sign of life for %s (stall_timeout)", stall)
	case now.Sub(v.begun) < limit:
		return ""
	case v.last.paused != "":
		return fmt.Sprintf("it is paused (%s), and was not off within %s (shutdown_timeout)", v.last.paused, limit)
	}
	return fmt.Sprintf("it did not power itself off within %s (shutdown_timeout)", limit)
}

// String says what was seen of the guest.
func (v vigil) String() string {
	var seen []string
	ago := func(t time.Time) string {
		return v.last.at.Sub(t).Round(time.Second).String() + " before the last look"
	}
	switch {
	case !v.last.counted:
	case v.wrote.IsZero():
		seen = append(seen, "nothing written to its disk")
	default:
		seen = append(seen, fmt.Sprintf("written to its disk: %.1f MiB, last %s", float64(v.last.written)/(1<<20), ago(v.wrote)))
	}
	switch {
	case v.last.screen == "":
	case v.changed.IsZero():
		seen = append(seen, "its screen has not changed")
	default:
		seen = append(seen, "its screen changed last "+ago(v.changed))
	}
	return strings.Join(append(seen, fmt.Sprintf("restarts: %d", v.last.restarts)), "; ")
}

// routeWarnings are what keeps a Windows that nobody connects to from generalizing
// by its answer file. The file may also come on a medium, which is not looked at.
func routeWarnings(w winimage.Windows) (warnings []string) {
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }
	var toAudit, powersOff bool
	var generalizes string
	for _, f := range w.AnswerFiles {
		toAudit = toAudit || f.ToAudit
		if f.Generalizes != "" && generalizes == "" {
			generalizes, powersOff = f.Generalizes, f.PowersOff
		}
	}
	const alone = "nobody connects to this guest (communicator = \"none\")"
	state := windows.State(w.Setup.ImageState).Means()
	switch state {
	case windows.Generalized, windows.BeforeOOBE, windows.InAudit:
	default:
		warn("%s, and the source is not generalized (%s): no pass of an answer file runs when it boots, so nothing generalizes it; start from a generalized image, or set communicator", alone, w.Setup.ImageState)
		return warnings
	}
	inAudit := state == windows.InAudit || w.Setup.AuditBoot != nil && *w.Setup.AuditBoot != 0
	switch {
	case generalizes == "":
		warn("%s, and no answer file on the source generalizes it: set Generalize of Microsoft-Windows-Deployment in pass auditUser (Mode, and ForceShutdownNow = true)", alone)
		return warnings
	case !toAudit && !inAudit:
		warn("the answer file generalizes in pass auditUser, and nothing leads there: set Reseal of Microsoft-Windows-Deployment in pass oobeSystem (Mode = Audit)")
	}
	if !powersOff {
		warn("the answer file restarts Windows after Generalize, which begins the first boot of the image: set ForceShutdownNow = true")
	}
	return warnings
}
