// Package boottest judges the first boot of a clone of an image. A State is made
// anew with each Look at the machine and says when to stop; what the clone came to
// is judged from its disk once it is off. A look at the disk of a machine that runs
// is only a hint: it decides when to stop, and never what the verdict is.
package boottest

import (
	"slices"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// Phase is how far a first boot was seen to come.
type Phase uint8

// Phases in their order. The first three are told apart by what the machine reads and
// writes, the others by what its disk says.
const (
	Firmware   Phase = iota // no more than boot sectors are read
	Loader                  // the disk is read, and hardly written
	Starting                // something writes to the disk
	Specialize              // Windows Setup is at work (ImageState UNDEPLOYABLE)
	OOBE                    // specialize is over (SPECIALIZE_RESEAL_TO_OOBE)
	Audit                   // audit mode (SPECIALIZE_RESEAL_TO_AUDIT)
	Logon                   // Windows Setup is over (COMPLETE)
)

// String is the phase for a sentence.
func (p Phase) String() string {
	return [...]string{"firmware", "boot loader", "start of Windows", "specialize", "OOBE", "audit mode", "logon"}[p]
}

// File is the phase in the name of a file.
func (p Phase) File() string {
	return [...]string{"firmware", "loader", "start", "specialize", "oobe", "audit", "logon"}[p]
}

// Phases lists all of them.
func Phases() []Phase { return []Phase{Firmware, Loader, Starting, Specialize, OOBE, Audit, Logon} }

// Disk is what the disk of a clone says of its first boot. The zero value says
// nothing.
type Disk = winimage.SetupState

// Look is one look at the machine. What could not be seen is zero.
type Look struct {
	At time.Time
	// Counted: the driver counts Read and Written, bytes since the start.
	Counted       bool
	Read, Written uint64
	Screen        string // stands for the picture
	Restarts      int
	Paused        string
	// Disk is nil where it was not looked at, or could not be read: that happens
	// while the machine writes, and means nothing.
	Disk *Disk
	// Guest is what the guest says over the communicator.
	Guest windows.State
	Ended bool // the machine has
}

// Limits bound a boot test.
type Limits struct {
	Total                   time.Duration // from the start of the machine
	Start, Specialize, OOBE time.Duration // of phases, each from its begin
	Stall                   time.Duration // without a sign of life
}

const (
	// loaderReads is more than firmware reads to find the boot loader, and
	// startWrites more than the loader of Windows writes (bootstat.dat).
	loaderReads = 4 << 20
	startWrites = 128 << 10
	// FailGrace is how long a failure that the log names has to stand without
	// another line: Windows Setup goes on after some errors, and waits for a person
	// after the others.
	FailGrace = 20 * time.Second
	// maxRestarts is more than a first boot needs.
	maxRestarts = 12
	maxScreens  = 8 // that are remembered: a cursor that blinks is no sign of life
)

// State is what the looks add up to; a plain value.
type State struct {
	Want Reach
	// AsksGuest: the clone has to answer over its communicator.
	AsksGuest bool
	Begun     time.Time
	Phase     Phase
	Since     time.Time // of the phase
	Last      Look
	Alive     time.Time // the last sign of life
	Answered  bool      // the guest has said that Setup is over
	disk      Disk      // what was read last
	changed   time.Time // when that was other than before
	arrived   int       // looks at the disk in a row that saw what is wanted
	screens   []string
}

// Begin is before the first look.
func Begin(at time.Time, want Reach, asksGuest bool) State {
	return State{Want: want, AsksGuest: asksGuest, Begun: at, Since: at, Alive: at, changed: at}
}

// Seen is what the disk said last.
func (s State) Seen() Disk { return s.disk }

// After adds a look, and says whether to stop.
func (s State) After(l Look, limits Limits) (State, *Stop) {
	before := s.Last
	alive := l.Paused != "" || l.Restarts > before.Restarts
	if l.Counted && l.Written > before.Written {
		alive = true
	}
	if l.Screen != "" && !slices.Contains(s.screens, l.Screen) {
		alive = alive || len(s.screens) > 0
		s.screens = append(slices.Clone(s.screens[max(0, len(s.screens)-maxScreens+1):]), l.Screen)
	}
	if l.Disk != nil {
		if l.Disk.State != s.disk.State || l.Disk.Grown != s.disk.Grown {
			s.changed, alive = l.At, true
		}
		s.disk = *l.Disk
		if s.arrived++; !s.Want.met(s.disk.State.Means()) {
			s.arrived = 0
		}
	}
	s.Answered = s.Answered || l.Guest.Means() == windows.Installed
	if next := phaseOf(l, s.Phase); next > s.Phase {
		s.Phase, s.Since, alive = next, l.At, true
	}
	if alive {
		s.Alive = l.At
	}
	if !l.Counted {
		l.Counted, l.Read, l.Written = before.Counted, before.Read, before.Written
	}
	s.Last = l
	return s, s.stop(limits)
}

// phaseOf is the furthest phase that a look tells of.
func phaseOf(l Look, now Phase) Phase {
	if l.Counted && l.Read > loaderReads {
		now = max(now, Loader)
	}
	if l.Counted && l.Written > startWrites {
		now = max(now, Starting)
	}
	of := func(s windows.State) Phase {
		switch s.Means() {
		case windows.Unfinished:
			return Specialize
		case windows.BeforeOOBE:
			return OOBE
		case windows.InAudit:
			return Audit
		case windows.Installed:
			return Logon
		}
		return Firmware
	}
	if l.Disk != nil {
		now = max(now, of(l.Disk.State))
	}
	return max(now, of(l.Guest))
}
