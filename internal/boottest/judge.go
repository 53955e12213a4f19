package boottest

import (
	"cmp"
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Class is what a boot test came to.
type Class uint8

// Classes. Only Booted lets an image be handed over.
const (
	Undecided Class = iota // the disk does not say
	Booted
	Failed  // Windows Setup or the machine failed
	Waiting // stuck: it stood still, or was not there in time
)

// String is the class for a log.
func (c Class) String() string { return [...]string{"undecided", "booted", "failed", "stuck"}[c] }

// Verdict is what a clone came to, and where.
type Verdict struct {
	Class Class
	Phase Phase
	// For is how long it had been in that phase.
	For   time.Duration
	Why   string
	Cause *diagnosis.Diagnosis // nil where no log names one
	Next  string
}

// End is how the machine ended, and what its disk says since.
type End struct {
	At time.Time
	// Crash says how the machine ended if it was not switched off, by us or its guest.
	Crash string
	Disk  *Disk  // nil: it could not be read
	Why   string // it could not be read
}

// Judge is the verdict on a clone that is off. The disk is believed, and the guest
// where it has answered; what was seen before tells only where it stood.
func Judge(s State, stop Stop, end End) Verdict {
	v := Verdict{Phase: stop.Phase, For: end.At.Sub(stop.Since).Round(time.Second), Why: stop.Text}
	if end.Crash != "" {
		v.Class, v.Why = Failed, "the machine crashed: "+end.Crash
		v.Next = "look on this host for what ended it, and run the build again"
		return v
	}
	if end.Disk == nil {
		if s.Answered {
			v.Class, v.Phase = Booted, Logon
			return v
		}
		v.Why = fmt.Sprintf("%s; its disk could not be read afterwards (%s)", stop.Text, end.Why)
		v.Next = "look at the pictures, and raise the limits if it needed longer"
		return v
	}
	disk := *end.Disk
	v.Cause = disk.Cause
	means := disk.State.Means()
	// A clone that was forced off may have had no time to write its state.
	if p := phaseOf(Look{Disk: &disk}, Firmware); p > v.Phase || s.Want.met(means) {
		if p != v.Phase {
			v.For = 0
		}
		v.Phase = p
	}
	switch {
	case s.AsksGuest && s.Want.met(means) && !s.Answered:
		v.Class = Waiting
		v.Why = fmt.Sprintf("Windows Setup is over (%s), but the clone did not let the communicator in: %s", disk.State, stop.Text)
		v.Cause = cmp.Or(v.Cause, disk.Hang) // a command at the first logon, for instance
		v.Next = "check that the answer file starts WinRM and creates the account of winrm_username, or remove communicator from boot_test"
	case s.Want.met(means), s.Answered:
		v.Class, v.Why = Booted, fmt.Sprintf("ImageState on its disk is %s", disk.State)
	case disk.Cause != nil:
		v.Class = Failed
		v.Why = fmt.Sprintf("the log of Windows Setup on its disk says why (ImageState %s)", disk.State)
	default:
		return unmet(v, s, stop, disk, means)
	}
	return v
}

// unmet is for a clone that did not come to what was asked for, and no log names a
// failure.
func unmet(v Verdict, s State, stop Stop, disk Disk, means windows.Meaning) Verdict {
	v.Class = Waiting
	v.Why = fmt.Sprintf("%s; ImageState on its disk is %s", stop.Text, orNone(disk.State))
	if stop.Reason == Arrived && means != s.disk.State.Means() {
		v.Class = Undecided
		v.Why = fmt.Sprintf("while it ran its disk said %s, and since it is off %s", s.disk.State, orNone(disk.State))
		v.Next = "look at the pictures; a clone that ignores its power button loses what it has not written yet"
		return v
	}
	switch means {
	case windows.Installed, windows.InAudit:
		v.Class = Failed
		v.Next = fmt.Sprintf("the answer file of the image leads there; set boot_test.reach (now %q) to what is wanted", s.Want)
	case windows.BeforeOOBE:
		if disk.Hang != nil && disk.Hang.ID != diagnosis.HangsInOOBE { // the next step says more of that
			v.Cause = disk.Hang
		}
		v.Next = "OOBE waits for a person: give the answer file what it asks for in pass oobeSystem, set boot_test.reach = \"oobe\" if that is wanted, or raise oobe_timeout if it was at work"
	case windows.Generalized:
		v.Next = "Windows Setup has not begun: look at the pictures of firmware and boot loader, and at firmware and disk_interface of the source"
		switch {
		case stop.Phase < Starting:
			v.Next = "nothing on the disk was started: look at the pictures, and at firmware and disk_interface of the source"
		case stop.Phase > Starting:
			v.Next = "look at the pictures: the clone was forced off before it had written its state for good"
		}
	case windows.Unread, windows.Unrecognised:
		v.Class, v.Next = Undecided, "look at the pictures; the disk of the clone has no ImageState that is known"
	default:
		v.Cause = disk.Hang
		v.Next = "look at the pictures and the logs; raise specialize_timeout if it was at work"
	}
	if stop.Reason == Looping {
		v.Class = Failed
	}
	return v
}

func orNone(s windows.State) string {
	if s == "" {
		return "not there"
	}
	return string(s)
}

// Headline is the verdict in one line.
func (v Verdict) Headline() string {
	switch v.Class {
	case Booted:
		if v.Phase == OOBE {
			return "the clone booted: it waits in OOBE for a person; " + v.Why
		}
		return fmt.Sprintf("the clone booted as far as %s; %s", v.Phase, v.Why)
	case Failed:
		return fmt.Sprintf("the first boot failed in %s: %s", v.Phase, v.Why)
	case Waiting:
		if v.For > 0 {
			return fmt.Sprintf("the first boot is stuck in %s, for %s: %s", v.Phase, v.For, v.Why)
		}
		return fmt.Sprintf("the first boot is stuck in %s: %s", v.Phase, v.Why)
	}
	return fmt.Sprintf("the first boot could not be judged, seen last in %s: %s", v.Phase, v.Why)
}
