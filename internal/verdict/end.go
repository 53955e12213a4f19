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
	return TriOf(does)
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
func (j Judge) replaced() *Verdict {
	if !j.last.Reached || j.last.Ours != No {
		return nil
	}
	return j.verdict(Replaced, "what this run put into the guest is not on the machine that answers now")
}

// crashed rules when the hypervisor reports that the machine ended, and not by its
// guest: what Windows had not written is lost.
func (j Judge) crashed() *Verdict {
	if j.last.Machine.Crashed == "" {
		return nil
	}
	v := j.verdict(Lost, "%s", j.last.Machine.Crashed)
	v.Crashed, v.ConsistentWithSuccess = true, false
	return v
}

// restarted rules when the hypervisor reports that the machine was reset, or
// when Windows itself says that it was started again.
func (j Judge) restarted() *Verdict {
	switch {
	case j.last.Machine.Restarts == 0 && j.last.SameBoot != No:
		return nil
	case j.expect.End == Reboot:
		if j.wasProven || j.wasTagged {
			return j.ifArmed(j.verdict(Generalized, "tag and ImageState said success, and the machine was restarted after that"))
		}
		return nil
	case j.wasProven || j.wasTagged || j.last.Log.TagCreated || j.last.Log.ShutdownRequested:
		v := j.verdict(Undone, "the machine was restarted after sysprep was done")
		v.Restarted = true
		return v
	}
	v := j.verdict(Broken, "the machine was restarted while sysprep %s", stageText(j.last.Log))
	v.Restarted = true
	return v
}

// undone rules when success was seen and the newest facts contradict it.
func (j Judge) undone() *Verdict {
	state := j.last.ImageState != j.expect.ImageState
	gone := j.expect.Generalize && j.last.Tag == No
	if !j.wasProven && !j.wasTagged || !state && !gone {
		if j.startedOver() {
			v := j.verdict(Undone, "the log has the tag, but ImageState is %s: Windows has started again", j.last.ImageState)
			v.Restarted = true
			return v
		}
		return nil
	}
	var now []string
	if state {
		now = append(now, "ImageState is "+string(j.last.ImageState)+" now")
	}
	if gone {
		now = append(now, "the tag is gone")
	}
	facts := strings.Join(now, " and ")
	switch {
	case j.last.Process == Yes:
		return j.verdict(Undone, "success was seen, but sysprep.exe is running, and %s", facts)
	case !state:
		return j.verdict(Undone, "success was seen, but %s", facts)
	case j.expect.End == Reboot && !j.wasProven:
		return nil
	case j.expect.End == Reboot:
		return j.ifArmed(j.verdict(Generalized, "tag and ImageState (%s) said success, and Windows has restarted: %s", j.expect.ImageState, facts))
	}
	v := j.verdict(Undone, "success was seen, but %s", facts)
	v.Restarted = true
	return v
}

// startedOver: the log has the tag and ImageState is one that only the boot
// after it can bring. While sysprep ends it may still be UNDEPLOYABLE.
func (j Judge) startedOver() bool {
	if !j.expect.Generalize || j.expect.End == Reboot || !j.last.Log.TagCreated || !j.stateLater || j.last.Process == Yes {
		return false
	}
	switch j.last.ImageState {
	case windows.StateComplete, windows.StateSpecializeToOOBE, windows.StateSpecializeToAudit:
		return true
	case windows.StateUndeployable: // as in the first boot, which takes the port away before
		return j.last.Reached && j.gap >= restartAtLeast && j.expect.End == Shutdown && j.last.Log.ShutdownRequested
	}
	return false
}

// unarmed rules when sysprep has ended and the next boot would not set the
// image up.
func (j Judge) unarmed() *Verdict {
	if !j.tagged() || j.last.Process == Yes {
		return nil
	}
	return j.onlyUnarmed()
}

func (j Judge) onlyUnarmed() *Verdict {
	if !j.expect.Generalize || j.armed != No {
		return nil
	}
	return j.verdict(Unarmed, "tag and ImageState say success, but %s", notArmed(j.last.SetupType, j.last.CmdLine))
}

// ifArmed is the verdict v unless the image is known to be unarmed.
func (j Judge) ifArmed(v *Verdict) *Verdict {
	if u := j.onlyUnarmed(); u != nil {
		return u
	}
	return v
}

// succeeded rules while tag, ImageState and log say success; what is left is
// the end that was asked for.
func (j Judge) succeeded() *Verdict {
	waited := j.last.At.Sub(j.proven)
	said := fmt.Sprintf("the tag was created by this run, ImageState is %s", j.last.ImageState)
	if j.last.Machine.Paused != "" && !j.last.Machine.Off {
		if waited < j.expect.EndWithin {
			return nil
		}
		return j.paused()
	}
	switch j.expect.End {
	case Quit:
		if v, done := j.agentEnds(waited); !done {
			if v == nil && !j.last.Reached {
				return j.unreachable()
			}
			return v
		}
		return j.quit(waited, said)
	case Reboot:
		switch quiet := j.last.At.Sub(j.reached); {
		case j.reopened > 0:
			return j.ifArmed(j.verdict(Generalized, "%s, and Windows is restarting: its port was closed for %s and answers again", said, seconds(j.reopened)))
		case !j.last.Reached && j.last.Port != PortOpen && quiet >= j.expect.ClosedFor:
			return j.ifArmed(j.verdict(Generalized, "%s, and Windows has not answered for %s since: it is restarting, as it was told to", said, seconds(quiet)))
		}
	case Shutdown:
		if j.last.Machine.Off {
			return j.off("%s, and the machine has powered itself off", said)
		}
		if j.closedFor() >= j.expect.SecondLook {
			return j.silentSince(said)
		}
		if !j.closed.IsZero() && waited < j.expect.EndWithin+j.expect.AskWithin+j.expect.SecondLook {
			return nil // the second look has begun, and comes to its end
		}
	}
	switch {
	case waited < j.expect.EndWithin:
		return nil
	case j.reopened > 0:
		return j.ifArmed(j.verdict(Hung, "%s, but it has not %s within %s: its port was %s for %s and answers again, so it may have restarted", j.done(), j.endVerb(), j.expect.EndWithin, j.away(), seconds(j.reopened)))
	case j.expect.End == Shutdown && !j.last.Reached: // who waits for the machine sees it
		v := j.verdict(Generalized, "%s, and Windows was told to power off; whether it did could not be seen within %s%s", said, j.expect.EndWithin, j.why())
		v.Unseen = true
		return j.ifArmed(v)
	case !j.last.Reached:
		return j.ifArmed(j.verdict(Lost, "%s, but whether it %s could not be seen within %s", j.done(), j.endVerb(), j.expect.EndWithin))
	}
	return j.ifArmed(j.verdict(Hung, "%s, but it has not %s within %s", j.done(), j.endVerb(), j.expect.EndWithin))
}

// away is how the port was while nothing answered there.
func (j Judge) away() string {
	if j.silently {
		return "silent"
	}
	return "closed"
}

// why is what keeps the guest from being asked, in brackets; empty: not known.
func (j Judge) why() string {
	if j.last.TransportErr == "" {
		return ""
	}
	return " (" + strings.Join(strings.Fields(j.last.TransportErr), " ") + ")"
}

// silentSince is the end of a run whose power-off nobody reports: the port went
// after success and stayed away for longer than a restart takes.
func (j Judge) silentSince(said string) *Verdict {
	if j.reopened > 0 {
		return j.ifArmed(j.verdict(Lost, "Windows was generalized, but then its port was closed for %s, answered again without taking a command, and has been closed for %s since: whether Windows restarted in between is not known",
			seconds(j.reopened), seconds(j.closedFor())))
	}
	return j.ifArmed(j.verdict(Generalized, "%s, and the guest no longer answers: its port has been closed for %s since", said, seconds(j.closedFor())))
}

// quit ends a run after which Windows stays up. What the next boot runs has to
// be read first.
func (j Judge) quit(waited time.Duration, said string) *Verdict {
	silent := j.last.At.Sub(j.reached)
	late := waited >= j.expect.ProcessGone && (j.last.Reached || silent >= j.expect.LostAfter)
	switch {
	// A look or two without an answer are no silence: what sysprep still does may be seen.
	case j.last.Process == Yes && (j.last.Reached || silent < j.expect.ProcessGone/2) && !late:
		return nil
	case j.armed != Unknown || !j.expect.Generalize:
		return j.ifArmed(j.verdict(Generalized, "%s, and the log says so", said))
	case late:
		return j.verdict(Lost, "tag, ImageState and log say success, but SetupType and CmdLine of %s could not be read", windows.SetupType.Key())
	}
	return nil
}

func (j Judge) off(format string, args ...any) *Verdict {
	v := j.verdict(Generalized, format, args...)
	v.PoweredOff = true
	return j.ifArmed(v)
}

// vanished rules when the hypervisor says that the guest is off, or when the
// port went after the tag and stayed away. Before the tag a closed port is
// silence like any other (unreachable): generalize may take the network down.
func (j Judge) vanished() *Verdict {
	// A log that said success and does not any more tells of another run.
	good := j.tagged() && !j.wasProven
	said := fmt.Sprintf("the tag was created by this run and ImageState was %s when the guest was seen last", j.last.ImageState)
	switch off := j.last.Machine.Off; {
	case !off && !j.goneAfterTag():
		return nil
	case off && good && j.expect.End == Shutdown:
		return j.off("%s; the machine has powered itself off", said)
	case off && j.expect.End == Quit:
		v := j.verdict(Lost, "the guest is gone (the machine has powered itself off) although sysprep was told only to quit")
		v.PoweredOff = true
		v.ConsistentWithSuccess = j.tagged() || j.last.Log.TagCreated
		return v
	case good && j.expect.End == Shutdown:
		return j.silentSince(said)
	case good && j.expect.End == Reboot:
		return j.ifArmed(j.verdict(Generalized, "the tag was created by this run and ImageState was %s before Windows went down to restart", j.last.ImageState))
	case off:
		v := j.verdict(Lost, "the guest is gone (the machine has powered itself off) before success could be seen")
		v.PoweredOff = true
		return j.ifArmed(v)
	}
	return j.ifArmed(j.verdict(Lost, "the guest no longer answers, and success could not be seen before: its port has been closed for %s", seconds(j.closedFor())))
}

// goneAfterTag: the port went after the tag, with an end in which Windows goes
// down, and has stayed away for long enough.
func (j Judge) goneAfterTag() bool {
	need := j.expect.SecondLook
	if j.expect.End == Reboot && j.tagged() {
		need = j.expect.ClosedFor
	}
	return j.expect.End != Quit && (j.tagged() || j.last.Log.TagCreated) && j.closedFor() >= need
}

func (j Judge) reopenedFor() time.Duration {
	if j.wasTagged {
		return j.reopened
	}
	return 0
}

// closedFor is how long the port has been closed; 0: it is not.
func (j Judge) closedFor() time.Duration {
	if j.closed.IsZero() {
		return 0
	}
	return j.last.At.Sub(j.closed)
}

// unreachable rules when no command has been answered for long, whatever the port
// does.
func (j Judge) unreachable() *Verdict {
	if j.last.Reached || j.last.At.Sub(j.reached) < j.expect.LostAfter {
		return nil
	}
	if j.last.Machine.Paused != "" {
		return j.paused()
	}
	return j.lost()
}

func (j Judge) lost() *Verdict {
	what, why := "no command has been answered for ", j.why()
	if j.neverSeen {
		what = "no command has been answered since the launch, for "
	}
	if closed := j.closedFor(); closed > 0 {
		why += ", and its port has been closed for " + seconds(closed) + ": its network is down, or the machine is"
	}
	return j.verdict(Lost, "%s%s%s", what, since(j.reached, j.last.At), why)
}

// paused is a machine that somebody or something stopped: it is not off, and
// nothing in it goes on.
func (j Judge) paused() *Verdict {
	v := j.verdict(Hung, "the machine is paused: %s", j.last.Machine.Paused)
	v.ConsistentWithSuccess = false
	return v
}

// done is what sysprep has made of Windows.
func (j Judge) done() string {
	if j.expect.Generalize {
		return "Windows is generalized"
	}
	return "Windows is resealed"
}

func (j Judge) endVerb() string {
	if j.expect.End == Reboot {
		return "restarted"
	}
	return "powered off"
}
