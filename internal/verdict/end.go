package verdict

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// armed says whether the next boot sets the image up.
func armed(o Observation, state windows.State) Tri {
	does, known := windows.SetsUp(state, o.SetupType, o.CmdLine)
	if !known {
		return Unknown
	}
	return Known(does)
}

// notArmed says what the next boot runs instead.
func notArmed(setupType *int, cmdLine *string) string {
	return fmt.Sprintf("%s has %s where a generalized image has SetupType %d, CmdLine %s",
		windows.SetupType.Key(), armament(setupType, cmdLine), windows.SetupTypeArmed, windows.SetupCommand)
}

// armament names the two values for a person.
func armament(setupType *int, cmdLine *string) string {
	kind, line := "unknown", "unknown"
	if setupType != nil {
		kind = fmt.Sprint(*setupType)
	}
	if cmdLine != nil {
		line = cmp.Or(strings.TrimSpace(*cmdLine), "empty")
	}
	return "SetupType " + kind + ", CmdLine " + line
}

// replaced rules when what answers lacks what this run put into the guest.
// None of its facts is about our guest.
func (s State) replaced() *Verdict {
	if !s.last.Reached || s.last.Ours != No {
		return nil
	}
	return s.verdict(Replaced, "what this run put into the guest is not on the machine that answers now")
}

// restarted rules when the hypervisor reports that the machine was reset.
func (s State) restarted() *Verdict {
	switch {
	case s.last.Machine.Restarts == 0:
		return nil
	case s.expect.End == Reboot:
		if s.wasProven || s.wasTagged {
			return s.ifArmed(s.verdict(Generalized, "tag and ImageState said success, and the machine was restarted after that"))
		}
		return nil
	case s.wasProven || s.wasTagged || s.last.Log.TagCreated || s.last.Log.ShutdownRequested:
		v := s.verdict(Undone, "the machine was restarted after sysprep was done")
		v.Restarted = true
		return v
	}
	v := s.verdict(Broken, "the machine was restarted while sysprep %s", stageText(s.last.Log))
	v.Restarted = true
	return v
}

// undone rules when success was seen and the newest facts contradict it.
func (s State) undone() *Verdict {
	state := s.last.ImageState != s.expect.ImageState
	gone := s.expect.Generalize && s.last.Tag == No
	if !s.wasProven && !s.wasTagged || !state && !gone {
		if s.startedOver() {
			v := s.verdict(Undone, "the log has the tag, but ImageState is %s: Windows has started again", s.last.ImageState)
			v.Restarted = true
			return v
		}
		return nil
	}
	var now []string
	if state {
		now = append(now, "ImageState is "+string(s.last.ImageState)+" now")
	}
	if gone {
		now = append(now, "the tag is gone")
	}
	facts := strings.Join(now, " and ")
	switch {
	case s.last.Process == Yes:
		return s.verdict(Undone, "success was seen, but sysprep.exe is running, and %s", facts)
	case !state:
		return s.verdict(Undone, "success was seen, but %s", facts)
	case s.expect.End == Reboot && !s.wasProven:
		return nil
	case s.expect.End == Reboot:
		return s.ifArmed(s.verdict(Generalized, "tag and ImageState (%s) said success, and Windows has restarted: %s", s.expect.ImageState, facts))
	}
	v := s.verdict(Undone, "success was seen, but %s", facts)
	v.Restarted = true
	return v
}

// startedOver: the log has the tag and ImageState is one that only the boot
// after it can bring. While sysprep ends it may still be UNDEPLOYABLE.
func (s State) startedOver() bool {
	if !s.expect.Generalize || s.expect.End == Reboot || !s.last.Log.TagCreated || s.last.Process == Yes {
		return false
	}
	switch s.last.ImageState {
	case windows.StateComplete, windows.StateSpecializeToOOBE, windows.StateSpecializeToAudit:
		return true
	case windows.StateUndeployable: // as in the first boot, which takes the port away before
		return s.last.Reached && s.away >= restartAtLeast && s.expect.End == Shutdown && s.last.Log.ShutdownRequested
	}
	return false
}

// unarmed rules when sysprep has ended and the next boot would not set the
// image up.
func (s State) unarmed() *Verdict {
	if !s.tagged() || s.last.Process == Yes {
		return nil
	}
	return s.onlyUnarmed()
}

func (s State) onlyUnarmed() *Verdict {
	if !s.expect.Generalize || s.armed != No {
		return nil
	}
	return s.verdict(Unarmed, "tag and ImageState say success, but %s", notArmed(s.last.SetupType, s.last.CmdLine))
}

// ifArmed is the verdict v unless the image is known to be unarmed.
func (s State) ifArmed(v *Verdict) *Verdict {
	if u := s.onlyUnarmed(); u != nil {
		return u
	}
	return v
}

// succeeded rules while tag, ImageState and log say success; what is left is
// the end that was asked for.
func (s State) succeeded() *Verdict {
	waited := s.last.At.Sub(s.proven)
	said := fmt.Sprintf("the tag was created by this run, ImageState is %s", s.last.ImageState)
	if s.last.Machine.Paused != "" && !s.last.Machine.Off {
		if waited < s.expect.EndWithin {
			return nil
		}
		return s.paused()
	}
	switch s.expect.End {
	case Quit:
		return s.quit(waited, said)
	case Reboot:
		switch quiet := s.last.At.Sub(s.reached); {
		case s.reopened > 0:
			return s.ifArmed(s.verdict(Generalized, "%s, and Windows is restarting: its port was closed for %s and answers again", said, seconds(s.reopened)))
		case !s.last.Reached && s.last.Port != PortOpen && quiet >= s.expect.ClosedFor:
			return s.ifArmed(s.verdict(Generalized, "%s, and Windows has not answered for %s since: it is restarting, as it was told to", said, seconds(quiet)))
		}
	case Shutdown:
		if s.last.Machine.Off {
			return s.off("%s, and the machine has powered itself off", said)
		}
		if s.closedFor() >= s.expect.SecondLook {
			return s.silentSince(said)
		}
		if !s.closed.IsZero() && waited < s.expect.EndWithin+s.expect.AskWithin+s.expect.SecondLook {
			return nil // the second look has begun, and comes to its end
		}
	}
	switch {
	case waited < s.expect.EndWithin:
		return nil
	case s.reopened > 0:
		return s.ifArmed(s.verdict(Hung, "Windows is generalized, but it has not %s within %s: its port was closed for %s and answers again, so it may have restarted", s.endVerb(), s.expect.EndWithin, seconds(s.reopened)))
	case !s.last.Reached:
		return s.ifArmed(s.verdict(Lost, "Windows is generalized, but whether it %s could not be seen within %s", s.endVerb(), s.expect.EndWithin))
	}
	return s.ifArmed(s.verdict(Hung, "Windows is generalized, but it has not %s within %s", s.endVerb(), s.expect.EndWithin))
}

// silentSince is the end of a run whose power-off nobody reports: the port went
// after success and stayed away for longer than a restart takes.
func (s State) silentSince(said string) *Verdict {
	if s.reopened > 0 {
		return s.ifArmed(s.verdict(Lost, "Windows was generalized, but then its port was closed for %s, answered again without taking a command, and has been closed for %s since: whether Windows restarted in between is not known",
			seconds(s.reopened), seconds(s.closedFor())))
	}
	return s.ifArmed(s.verdict(Generalized, "%s, and the guest no longer answers: its port has been closed for %s since", said, seconds(s.closedFor())))
}

// quit ends a run after which Windows stays up. What the next boot runs has to
// be read first.
func (s State) quit(waited time.Duration, said string) *Verdict {
	late := waited >= s.expect.ProcessGone && (s.last.Reached || s.last.At.Sub(s.reached) >= s.expect.LostAfter)
	switch {
	case s.last.Process == Yes && s.last.Reached && !late:
		return nil
	case s.armed != Unknown || !s.expect.Generalize:
		return s.ifArmed(s.verdict(Generalized, "%s, and the log says so", said))
	case late:
		return s.verdict(Lost, "tag, ImageState and log say success, but SetupType and CmdLine of %s could not be read", windows.SetupType.Key())
	}
	return nil
}

func (s State) off(format string, args ...any) *Verdict {
	v := s.verdict(Generalized, format, args...)
	v.PoweredOff = true
	return s.ifArmed(v)
}

// vanished rules when the hypervisor says that the guest is off, or when the
// port went after the tag and stayed away. Before the tag a closed port is
// silence like any other (unreachable): generalize may take the network down.
func (s State) vanished() *Verdict {
	// A log that said success and does not any more tells of another run.
	good := s.tagged() && !s.wasProven
	said := fmt.Sprintf("the tag was created by this run and ImageState was %s when the guest was seen last", s.last.ImageState)
	switch off := s.last.Machine.Off; {
	case !off && !s.goneAfterTag():
		return nil
	case off && good && s.expect.End == Shutdown:
		return s.off("%s; the machine has powered itself off", said)
	case off && s.expect.End == Quit:
		v := s.verdict(Lost, "the guest is gone (the machine has powered itself off) although sysprep was told only to quit")
		v.PoweredOff = true
		v.ConsistentWithSuccess = s.tagged() || s.last.Log.TagCreated
		return v
	case good && s.expect.End == Shutdown:
		return s.silentSince(said)
	case good && s.expect.End == Reboot:
		return s.ifArmed(s.verdict(Generalized, "the tag was created by this run and ImageState was %s before Windows went down to restart", s.last.ImageState))
	case off:
		v := s.verdict(Lost, "the guest is gone (the machine has powered itself off) before success could be seen")
		v.PoweredOff = true
		return s.ifArmed(v)
	}
	return s.ifArmed(s.verdict(Lost, "the guest no longer answers, and success could not be seen before: its port has been closed for %s", seconds(s.closedFor())))
}

// goneAfterTag: the port went after the tag, with an end in which Windows goes
// down, and has stayed away for long enough.
func (s State) goneAfterTag() bool {
	need := s.expect.SecondLook
	if s.expect.End == Reboot && s.tagged() {
		need = s.expect.ClosedFor
	}
	return s.expect.End != Quit && (s.tagged() || s.last.Log.TagCreated) && s.closedFor() >= need
}

func (s State) reopenedFor() time.Duration {
	if s.wasTagged {
		return s.reopened
	}
	return 0
}

// closedFor is how long the port has been closed; 0: it is not.
func (s State) closedFor() time.Duration {
	if s.closed.IsZero() {
		return 0
	}
	return s.last.At.Sub(s.closed)
}

// unreachable rules when no command has been answered for long, whatever the port
// does.
func (s State) unreachable() *Verdict {
	if s.last.Reached || s.last.At.Sub(s.reached) < s.expect.LostAfter {
		return nil
	}
	if s.last.Machine.Paused != "" {
		return s.paused()
	}
	return s.lost()
}

func (s State) lost() *Verdict {
	what, why := "no command has been answered for ", ""
	if s.neverSeen {
		what = "no command has been answered since the launch, for "
	}
	if s.last.TransportErr != "" {
		why = " (" + strings.Join(strings.Fields(s.last.TransportErr), " ") + ")"
	}
	if closed := s.closedFor(); closed > 0 {
		why += ", and its port has been closed for " + seconds(closed) + ": its network is down, or the machine is"
	}
	return s.verdict(Lost, "%s%s%s", what, since(s.reached, s.last.At), why)
}

// paused is a machine that somebody or something stopped: it is not off, and
// nothing in it goes on.
func (s State) paused() *Verdict {
	v := s.verdict(Hung, "the machine is paused: %s", s.last.Machine.Paused)
	v.ConsistentWithSuccess = false
	return v
}

func (s State) endVerb() string {
	if s.expect.End == Reboot {
		return "restarted"
	}
	return "powered off"
}
