package verdict

import (
	"cmp"
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// restartAtLeast is shorter than any restart: a port that was closed for less
// and is open again was not away.
const restartAtLeast = 10 * time.Second

func (e Expectation) withDefaults() Expectation {
	if e.ImageState == "" {
		e.ImageState = windows.StateAfter(e.Generalize, false)
	}
	for _, d := range []struct {
		value *time.Duration
		other time.Duration
	}{
		{&e.Timeout, 30 * time.Minute}, {&e.Stall, 10 * time.Minute}, {&e.ProcessGone, ProcessGone},
		{&e.LostAfter, 10 * time.Minute}, {&e.ClosedFor, 30 * time.Second}, {&e.SecondLook, 3 * time.Minute},
		{&e.AgentWithin, 10 * time.Minute}, {&e.EndWithin, 5 * time.Minute}, {&e.AskWithin, 45 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.other
		}
	}
	return e
}

// Judge watches a run, and rules when it has seen enough; a plain value.
type Judge struct {
	expect Expectation
	begun  time.Time
	// last holds the newest known value of every fact.
	last    Observation
	reached time.Time // the last time a command was answered
	silent  time.Time // since when none is; zero: the last one was
	grown   time.Time // the last time the log grew
	gone    time.Time // since when sysprep.exe is gone; zero: it is not
	closed  time.Time // since when the port is closed; zero: it is not
	// hushed is since when, after success, nothing answers at the port, which may
	// be one that something else holds open; zero: something does.
	hushed time.Time
	// silently: it is not known that the port was closed for reopened.
	silently bool
	// reopened is how long the port was closed before it opened again, while no
	// command was answered since; gap the same, of the last time that the log had
	// the tag, whatever was answered.
	reopened, gap time.Duration
	// stateLater: ImageState was read in a later look than the tag of the log. One look
	// reads ImageState first, and may stand still before it reads the log.
	stateLater bool
	asked      time.Time // since when a last look is wanted; zero: none is
	own        ownership // whose log it is
	proven     time.Time // since when tag, ImageState and log agree on success; zero: they do not
	wasProven  bool      // they did agree once
	wasTagged  bool      // tag and expected ImageState were seen together once
	armed      Tri       // the next boot sets the image up; as read while tag and ImageState said success
	neverSeen  bool      // no command was answered yet
	given      bool      // success was seen before the watch began, which has no log (Ending)
	agent      agentSeen // what was seen of the program that starts sysprep
}

// Begin starts watching a run that was launched at the given time.
func Begin(at time.Time, e Expectation) Judge {
	return Judge{expect: e.withDefaults(), begun: at, reached: at, grown: at, neverSeen: true, own: ownership{begun: at}}
}

// Ending starts watching how Windows goes down that was seen to be ready and is
// told so at the given time. The log is not read any more.
func Ending(at time.Time, e Expectation) Judge {
	j := Begin(at, e)
	j.given, j.wasProven, j.wasTagged, j.proven, j.neverSeen = true, true, true, at, false
	j.last.ImageState, j.last.Tag, j.last.Process = j.expect.ImageState, TriOf(j.expect.Generalize), No
	return j
}

// Step takes an observation; the Verdict is nil while the run goes on.
func (j Judge) Step(o Observation) (Judge, *Verdict) {
	j = j.learn(o)
	rules := []func(Judge) *Verdict{
		Judge.replaced, Judge.failed, Judge.crashed, Judge.restarted, Judge.undone, Judge.unarmed,
		Judge.closedWithoutTag, Judge.vanished, Judge.unreachable, Judge.agentStarts, Judge.processGone, Judge.stalled, Judge.timedOut,
	}
	if !j.proven.IsZero() {
		rules = append(rules[:6:6], Judge.succeeded)
	}
	for _, rule := range rules {
		if v := rule(j); v != nil {
			return j.unlessAsked(v)
		}
	}
	j.asked = time.Time{} // what was to be asked for has passed
	return j, nil
}

// WantsLastLook says that nothing has been heard for so long that the guest counts as
// lost, unless it answers now. The caller asks it once more, with a limit, and
// gives what comes of that to Step as an Observation with Last set. Without one
// Step decides after AskWithin.
func (j Judge) WantsLastLook() bool { return !j.asked.IsZero() }

// unlessAsked holds a verdict back that rests on silence alone, until the guest
// was asked once more.
func (j Judge) unlessAsked(v *Verdict) (Judge, *Verdict) {
	if v.Class != Lost && !v.Unseen || j.last.Reached || j.last.Machine.Off || v.Crashed || j.last.Last {
		return j, v
	}
	if j.asked.IsZero() {
		j.asked = j.last.At
	}
	if j.last.At.Sub(j.asked) >= j.expect.AskWithin {
		return j, v
	}
	return j, nil
}

// learn merges an observation into what is known.
func (j Judge) learn(o Observation) Judge {
	before := j.last
	j.last = o
	if o.Reached {
		j = j.heard(o.At)
	} else if j.silent.IsZero() {
		j.silent = o.At
	}
	if o.Tag == Unknown {
		j.last.Tag = before.Tag
	}
	if o.ImageState == "" {
		j.last.ImageState = before.ImageState
	} else {
		j.stateLater = before.Log.TagCreated
	}
	if o.GeneralizationState == nil {
		j.last.GeneralizationState = before.GeneralizationState
	}
	if o.Process == Unknown {
		j.last.Process = before.Process
	}
	if o.SetupType == nil {
		j.last.SetupType = before.SetupType
	}
	if o.CmdLine == nil {
		j.last.CmdLine = before.CmdLine
	}
	if o.Launched.IsZero() {
		j.last.Launched = before.Launched
	}
	if o.Log.Lines == 0 && o.LogBytes == 0 { // not read this time
		j.last.Log, j.last.LogBytes, j.last.LogNext, j.last.LogFresh = before.Log, before.LogBytes, before.LogNext, before.LogFresh
	} else {
		j.own = j.own.after(before, o)
		j.last.Log = j.ownPart(o.Log)
	}
	j.agent = j.agent.after(j.last)
	grew := j.last.LogBytes != before.LogBytes || j.last.Log.Lines != before.Log.Lines
	if grew || j.waitsForAgent() {
		j.grown = o.At
	}
	switch {
	case j.last.Process != No || j.waitsForAgent():
		j.gone = time.Time{}
	case j.gone.IsZero() || grew: // while the log grows a helper of sysprep is still at work
		j.gone = o.At
	}
	j = j.knocked(o)
	if j.tagged() {
		j.wasTagged = true
		if a := armed(o, j.expect.ImageState); a != Unknown { // before success the values say nothing
			j.armed = a
		}
	}
	switch {
	case !j.agrees():
		j.proven = time.Time{}
	case j.proven.IsZero():
		j.proven, j.wasProven = o.At, true
	}
	return j
}

// tagged: the newest tag and ImageState say success.
func (j Judge) tagged() bool { return j.last.ImageState == j.expect.ImageState && j.last.Tag == Yes }

// agrees: the newest tag, ImageState and log say success.
func (j Judge) agrees() bool {
	if j.given {
		return j.last.ImageState == j.expect.ImageState && (j.last.Tag == Yes || !j.expect.Generalize)
	}
	return j.last.ImageState == j.expect.ImageState && j.logSaysSuccess() && (j.last.Tag == Yes || !j.expect.Generalize)
}

// heard learns that a command was answered. While none was, nobody saw the log
// stand still or sysprep gone: a guest that was frozen did nothing meanwhile.
func (j Judge) heard(at time.Time) Judge {
	if !j.silent.IsZero() {
		gap := at.Sub(j.silent)
		j.grown = j.grown.Add(gap)
		if !j.gone.IsZero() {
			j.gone = j.gone.Add(gap)
		}
	}
	j.reached, j.neverSeen, j.asked, j.silent = at, false, time.Time{}, time.Time{}
	return j
}

// knocked learns what the port does.
func (j Judge) knocked(o Observation) Judge {
	switch {
	case o.Reached || o.Port == PortOpen || o.Machine.Paused != "":
		if away := o.At.Sub(j.closed); !j.closed.IsZero() && away >= min(restartAtLeast, j.expect.ClosedFor) {
			j.reopened, j.silently = away, false
			if j.last.Log.TagCreated {
				j.gap = away
			}
		}
		j.closed = time.Time{}
	case o.Port == PortClosed && j.closed.IsZero():
		j.closed = o.At
	}
	switch {
	case o.Reached || o.Port == PortOpen || o.Machine.Paused != "":
		if away := o.At.Sub(j.hushed); j.reopened == 0 && !j.hushed.IsZero() && away >= min(restartAtLeast, j.expect.ClosedFor) {
			j.reopened, j.silently = away, true
		}
		j.hushed = time.Time{}
	case j.hushed.IsZero() && j.wasProven:
		j.hushed = o.At
	}
	if o.Reached {
		j.reopened = 0 // what is answered tells more
	}
	return j
}

// logSaysSuccess asks the last run section. Whether sysprep writes its tag
// without /generalize is not confirmed, so there a closed log will do.
func (j Judge) logSaysSuccess() bool {
	log := j.last.Log
	if log.Failure != diagnosis.NoFailure {
		return false
	}
	if j.expect.Generalize {
		return log.TagCreated && log.HasOption(windows.OptionGeneralize)
	}
	return log.TagCreated || log.Closed
}

// failed rules at once when the log says that the run failed.
func (j Judge) failed() *Verdict {
	switch j.last.Log.Failure {
	case diagnosis.NoFailure:
		return nil
	case diagnosis.ProcessFailure:
		return j.verdict(Broken, "sysprep failed after it had begun to change the machine")
	case diagnosis.ParseFailure:
		return j.declined("sysprep did not understand its command line")
	default:
		return j.declined("sysprep refused in validation")
	}
}

// closedWithoutTag rules when sysprep has closed its log and never wrote of a
// tag.
func (j Judge) closedWithoutTag() *Verdict {
	if log := j.last.Log; !j.expect.Generalize || !log.Closed || log.TagCreated || j.last.Tag == Yes {
		return nil
	}
	return j.declined("sysprep ended without creating its tag")
}

// declined tells an untouched machine from a broken one.
func (j Judge) declined(reason string) *Verdict {
	switch log := j.last.Log; {
	case j.last.ImageState == windows.StateUndeployable:
		return j.verdict(Broken, "%s, and ImageState is %s", reason, windows.StateUndeployable)
	case j.expect.Generalize && j.last.ImageState == j.expect.ImageState:
		return j.verdict(Broken, "%s although ImageState is %s", reason, j.expect.ImageState)
	case generalizationState(j.last) == windows.GeneralizeUnfinished:
		return j.verdict(Broken, "%s, and GeneralizationState is %d (begun, not finished)", reason, windows.GeneralizeUnfinished)
	case log.Failure == diagnosis.NoFailure && log.Stage >= diagnosis.StageProcessing:
		return j.verdict(Broken, "%s after it had begun to change the machine", reason)
	}
	return j.verdict(Refused, "%s", reason)
}

// processGone rules when sysprep.exe ended and nothing else moves.
func (j Judge) processGone() *Verdict {
	if j.gone.IsZero() || !j.last.Reached {
		return nil
	}
	gone := j.last.At.Sub(j.gone)
	// With the tag there, SetupHost may finish ImageState after sysprep ended.
	unsettled := j.last.Tag == Yes || j.last.Log.TagCreated || j.last.ImageState == j.expect.ImageState || j.last.ImageState == ""
	if gone < j.expect.ProcessGone || unsettled && gone < j.expect.Stall {
		return nil
	}
	switch {
	case j.tagged():
		return j.verdict(Lost, "tag and ImageState say success, but sysprep's log could not be read or does not agree")
	case j.expect.End == Reboot && j.last.Log.TagCreated:
		return j.verdict(Lost, "the log says that the tag was created, but Windows went on to %s before success could be seen", cmp.Or(j.last.ImageState, "an unknown ImageState"))
	case j.last.ImageState == "":
		v := j.verdict(Lost, "sysprep ended and ImageState could not be read")
		v.ConsistentWithSuccess = j.last.Tag == Yes || j.last.Log.TagCreated
		return v
	case j.last.ImageState == j.expect.ImageState:
		return j.verdict(Broken, "sysprep ended without its tag although ImageState is %s", j.expect.ImageState)
	case unsettled:
		return j.verdict(Broken, "sysprep ended with its tag, but ImageState is %s and not %s", j.last.ImageState, j.expect.ImageState)
	case j.last.Log.Lines == 0 && j.last.ImageState != windows.StateUndeployable:
		v := j.declined("sysprep.exe ended without writing a line to its log")
		if d, ok := diagnosis.ByID("F53"); ok && v.Class == Refused {
			d.Unconfirmed = true // missing rights are only the usual reason
			v.Diagnosis = &d
		}
		return v
	}
	return j.declined(fmt.Sprintf("sysprep.exe has been gone for %s without creating its tag", gone.Round(time.Second)))
}

// stalled rules when sysprep lives and its log stands still.
func (j Judge) stalled() *Verdict {
	still := j.last.At.Sub(j.grown)
	limit := j.expect.Stall
	if j.expect.Patient {
		limit = max(limit, j.silence())
	}
	if !j.last.Reached || !j.gone.IsZero() || still < limit {
		return nil
	}
	if j.tagged() {
		return j.verdict(Lost, "tag and ImageState say success, but sysprep's log could not be read or does not agree")
	}
	if j.last.Log.Lines == 0 {
		v := j.verdict(Hung, "sysprep has written no line to its log for %s", still.Round(time.Second))
		if d, ok := diagnosis.ByID("F51"); ok && j.last.Process == Yes {
			d.Unconfirmed = true
			v.Diagnosis = &d
		}
		return v
	}
	return j.verdict(Hung, "sysprep's log has not grown for %s%s", still.Round(time.Second), j.known(still))
}

// silence is how long the step at work is known to write nothing.
func (j Judge) silence() time.Duration { return diagnosis.Silence(j.last.Log.Working) }

// known says how that compares with what is known of the step, "" for nothing.
func (j Judge) known(still time.Duration) string {
	switch silence := j.silence(); {
	case silence == 0:
		return ""
	case still >= silence:
		return fmt.Sprintf(", longer than the %s for which this step is known to write nothing", seconds(silence))
	default:
		return fmt.Sprintf("; this step is known to write nothing for up to %s, and stall_timeout is set to %s", seconds(silence), j.expect.Stall)
	}
}

// timedOut rules when the whole run takes too long.
func (j Judge) timedOut() *Verdict {
	limit := j.expect.Timeout
	// A log that grows while a step is at work is no silence: there the limit counts.
	if silence := j.silence(); j.expect.Unhurried && j.last.Reached && j.gone.IsZero() && j.last.At.Sub(j.grown) < silence {
		limit += silence
	}
	if j.last.At.Sub(j.begun) < limit {
		return nil
	}
	if j.last.Machine.Paused != "" {
		return j.paused()
	}
	if !j.last.Reached {
		return j.lost()
	}
	return j.verdict(Hung, "sysprep has not ended within %s; its log grew last %s ago", j.expect.Timeout, since(j.grown, j.last.At))
}

// Cancel is the verdict of a run that the user stopped.
func (j Judge) Cancel(at time.Time) Verdict {
	j.last.At = at
	return *j.verdict(Cancelled, "the build was cancelled while sysprep %s", stageText(j.last.Log))
}

func (j Judge) verdict(c Class, format string, args ...any) *Verdict {
	return &Verdict{
		Class:               c,
		Reason:              fmt.Sprintf(format, args...),
		End:                 j.expect.End,
		ImageState:          j.last.ImageState,
		GeneralizationState: j.last.GeneralizationState,
		Tag:                 j.last.Tag,
		SetupType:           j.last.SetupType,
		CmdLine:             j.last.CmdLine,
		Paused:              j.last.Machine.Paused,
		Closed:              j.closedFor(),
		Reopened:            j.reopenedFor(),
		OwnLog:              j.own.verdict(j.last.Log, j.last.Launched),
		// A refused, broken or cancelled run is no good image; a hung one is only
		// where success was seen and the end is missing.
		ConsistentWithSuccess: j.armed != No && (c == Generalized || c == Lost || c == Hung && !j.proven.IsZero()),
		StillRunning:          j.last.Process == Yes,
		LastLog:               j.last.Log.LastLine,
		Took:                  j.last.At.Sub(j.begun),
	}
}

func since(from, to time.Time) string { return seconds(to.Sub(from)) }

func seconds(d time.Duration) string { return d.Round(time.Second).String() }

func stageText(log diagnosis.Progress) string {
	switch {
	case log.TagCreated:
		return "had created its tag"
	case log.Stage == diagnosis.StageProcessing:
		return "was changing the machine"
	case log.Stage == diagnosis.StageValidating:
		return "was validating"
	case log.Lines > 0:
		return "was starting"
	}
	return "had not written to its log yet"
}
