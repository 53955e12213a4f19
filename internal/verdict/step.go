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
		{&e.EndWithin, 5 * time.Minute}, {&e.AskWithin, 45 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.other
		}
	}
	return e
}

// State is a run being watched; a plain value.
type State struct {
	expect Expectation
	begun  time.Time
	// last holds the newest known value of every fact.
	last    Observation
	reached time.Time // the last time a command was answered
	silent  time.Time // since when none is; zero: the last one was
	grown   time.Time // the last time the log grew
	gone    time.Time // since when sysprep.exe is gone; zero: it is not
	closed  time.Time // since when the port is closed; zero: it is not
	// reopened is how long the port was closed before it opened again, while no
	// command was answered since; away the same, of the last time that the log had
	// the tag, whatever was answered.
	reopened, away time.Duration
	asked          time.Time // since when a last look is wanted; zero: none is
	own            ownership // whose log it is
	proven         time.Time // since when tag, ImageState and log agree on success; zero: they do not
	wasProven      bool      // they did agree once
	wasTagged      bool      // tag and expected ImageState were seen together once
	armed          Tri       // the next boot sets the image up; as read while tag and ImageState said success
	neverSeen      bool      // no command was answered yet
}

// Begin starts watching a run that was launched at the given time.
func Begin(at time.Time, e Expectation) State {
	return State{expect: e.withDefaults(), begun: at, reached: at, grown: at, neverSeen: true, own: ownership{begun: at}}
}

// Step takes an observation; the Verdict is nil while the run goes on.
func (s State) Step(o Observation) (State, *Verdict) {
	s = s.learn(o)
	rules := []func(State) *Verdict{
		State.replaced, State.failed, State.restarted, State.undone, State.unarmed,
		State.closedWithoutTag, State.vanished, State.unreachable, State.processGone, State.stalled, State.timedOut,
	}
	if !s.proven.IsZero() {
		rules = append(rules[:5:5], State.succeeded)
	}
	for _, rule := range rules {
		if v := rule(s); v != nil {
			return s.unlessAsked(v)
		}
	}
	s.asked = time.Time{} // what was to be asked for has passed
	return s, nil
}

// WantsLastLook says that nothing has been heard for so long that the guest counts as
// lost, unless it answers now. The caller asks it once more, with a limit, and
// gives what comes of that to Step as an Observation with Last set. Without one
// Step decides after AskWithin.
func (s State) WantsLastLook() bool { return !s.asked.IsZero() }

// unlessAsked holds a verdict back that rests on silence alone, until the guest
// was asked once more.
func (s State) unlessAsked(v *Verdict) (State, *Verdict) {
	if v.Class != Lost || s.last.Reached || s.last.Machine.Off || s.last.Last {
		return s, v
	}
	if s.asked.IsZero() {
		s.asked = s.last.At
	}
	if s.last.At.Sub(s.asked) >= s.expect.AskWithin {
		return s, v
	}
	return s, nil
}

// learn merges an observation into what is known.
func (s State) learn(o Observation) State {
	before := s.last
	s.last = o
	if o.Reached {
		s = s.heard(o.At)
	} else if s.silent.IsZero() {
		s.silent = o.At
	}
	if o.Tag == Unknown {
		s.last.Tag = before.Tag
	}
	if o.ImageState == "" {
		s.last.ImageState = before.ImageState
	}
	if o.GeneralizationState == nil {
		s.last.GeneralizationState = before.GeneralizationState
	}
	if o.Process == Unknown {
		s.last.Process = before.Process
	}
	if o.SetupType == nil {
		s.last.SetupType = before.SetupType
	}
	if o.CmdLine == nil {
		s.last.CmdLine = before.CmdLine
	}
	if o.Launched.IsZero() {
		s.last.Launched = before.Launched
	}
	if o.Log.Lines == 0 && o.LogBytes == 0 { // not read this time
		s.last.Log, s.last.LogBytes, s.last.LogNext, s.last.LogFresh = before.Log, before.LogBytes, before.LogNext, before.LogFresh
	} else {
		s.own = s.own.after(before, o)
		s.last.Log = s.ownPart(o.Log)
	}
	grew := s.last.LogBytes != before.LogBytes || s.last.Log.Lines != before.Log.Lines
	if grew {
		s.grown = o.At
	}
	switch {
	case s.last.Process != No:
		s.gone = time.Time{}
	case s.gone.IsZero() || grew: // while the log grows a helper of sysprep is still at work
		s.gone = o.At
	}
	s = s.knocked(o)
	if s.tagged() {
		s.wasTagged = true
		if a := armed(o, s.expect.ImageState); a != Unknown { // before success the values say nothing
			s.armed = a
		}
	}
	switch {
	case !s.agrees():
		s.proven = time.Time{}
	case s.proven.IsZero():
		s.proven, s.wasProven = o.At, true
	}
	return s
}

// tagged: the newest tag and ImageState say success.
func (s State) tagged() bool { return s.last.ImageState == s.expect.ImageState && s.last.Tag == Yes }

// agrees: the newest tag, ImageState and log say success.
func (s State) agrees() bool {
	return s.last.ImageState == s.expect.ImageState && s.logSaysSuccess() && (s.last.Tag == Yes || !s.expect.Generalize)
}

// heard learns that a command was answered. While none was, nobody saw the log
// stand still or sysprep gone: a guest that was frozen did nothing meanwhile.
func (s State) heard(at time.Time) State {
	if !s.silent.IsZero() {
		gap := at.Sub(s.silent)
		s.grown = s.grown.Add(gap)
		if !s.gone.IsZero() {
			s.gone = s.gone.Add(gap)
		}
	}
	s.reached, s.neverSeen, s.asked, s.silent = at, false, time.Time{}, time.Time{}
	return s
}

// knocked learns what the port does.
func (s State) knocked(o Observation) State {
	switch {
	case o.Reached || o.Port == PortOpen || o.Machine.Paused != "":
		if away := o.At.Sub(s.closed); !s.closed.IsZero() && away >= min(restartAtLeast, s.expect.ClosedFor) {
			s.reopened = away
			if s.last.Log.TagCreated {
				s.away = away
			}
		}
		s.closed = time.Time{}
	case o.Port == PortClosed && s.closed.IsZero():
		s.closed = o.At
	}
	if o.Reached {
		s.reopened = 0 // what is answered tells more
	}
	return s
}

// logSaysSuccess asks the last run section. Whether sysprep writes its tag
// without /generalize is not confirmed, so there a closed log will do.
func (s State) logSaysSuccess() bool {
	log := s.last.Log
	if log.Failure != diagnosis.NoFailure {
		return false
	}
	if s.expect.Generalize {
		return log.TagCreated && log.HasOption(windows.OptionGeneralize)
	}
	return log.TagCreated || log.Closed
}

// failed rules at once when the log says that the run failed.
func (s State) failed() *Verdict {
	switch s.last.Log.Failure {
	case diagnosis.NoFailure:
		return nil
	case diagnosis.ProcessFailure:
		return s.verdict(Broken, "sysprep failed after it had begun to change the machine")
	case diagnosis.ParseFailure:
		return s.declined("sysprep did not understand its command line")
	default:
		return s.declined("sysprep refused in validation")
	}
}

// closedWithoutTag rules when sysprep has closed its log and never wrote of a
// tag.
func (s State) closedWithoutTag() *Verdict {
	if log := s.last.Log; !s.expect.Generalize || !log.Closed || log.TagCreated || s.last.Tag == Yes {
		return nil
	}
	return s.declined("sysprep ended without creating its tag")
}

// declined tells an untouched machine from a broken one.
func (s State) declined(reason string) *Verdict {
	switch log := s.last.Log; {
	case s.last.ImageState == windows.StateUndeployable:
		return s.verdict(Broken, "%s, and ImageState is %s", reason, windows.StateUndeployable)
	case s.expect.Generalize && s.last.ImageState == s.expect.ImageState:
		return s.verdict(Broken, "%s although ImageState is %s", reason, s.expect.ImageState)
	case generalizationState(s.last) == windows.GeneralizeUnfinished:
		return s.verdict(Broken, "%s, and GeneralizationState is %d (begun, not finished)", reason, windows.GeneralizeUnfinished)
	case log.Failure == diagnosis.NoFailure && log.Stage >= diagnosis.StageProcessing:
		return s.verdict(Broken, "%s after it had begun to change the machine", reason)
	}
	return s.verdict(Refused, "%s", reason)
}

// processGone rules when sysprep.exe ended and nothing else moves.
func (s State) processGone() *Verdict {
	if s.gone.IsZero() || !s.last.Reached {
		return nil
	}
	gone := s.last.At.Sub(s.gone)
	// With the tag there, SetupHost may finish ImageState after sysprep ended.
	unsettled := s.last.Tag == Yes || s.last.Log.TagCreated || s.last.ImageState == s.expect.ImageState || s.last.ImageState == ""
	if gone < s.expect.ProcessGone || unsettled && gone < s.expect.Stall {
		return nil
	}
	switch {
	case s.tagged():
		return s.verdict(Lost, "tag and ImageState say success, but sysprep's log could not be read or does not agree")
	case s.expect.End == Reboot && s.last.Log.TagCreated:
		return s.verdict(Lost, "the log says that the tag was created, but Windows went on to %s before success could be seen", cmp.Or(s.last.ImageState, "an unknown ImageState"))
	case s.last.ImageState == "":
		v := s.verdict(Lost, "sysprep ended and ImageState could not be read")
		v.ConsistentWithSuccess = s.last.Tag == Yes || s.last.Log.TagCreated
		return v
	case s.last.ImageState == s.expect.ImageState:
		return s.verdict(Broken, "sysprep ended without its tag although ImageState is %s", s.expect.ImageState)
	case unsettled:
		return s.verdict(Broken, "sysprep ended with its tag, but ImageState is %s and not %s", s.last.ImageState, s.expect.ImageState)
	case s.last.Log.Lines == 0 && s.last.ImageState != windows.StateUndeployable:
		v := s.declined("sysprep.exe ended without writing a line to its log")
		if d, ok := diagnosis.ByID("F53"); ok && v.Class == Refused {
			d.Unconfirmed = true // missing rights are only the usual reason
			v.Diagnosis = &d
		}
		return v
	}
	return s.declined(fmt.Sprintf("sysprep.exe has been gone for %s without creating its tag", gone.Round(time.Second)))
}

// stalled rules when sysprep lives and its log stands still.
func (s State) stalled() *Verdict {
	still := s.last.At.Sub(s.grown)
	if !s.last.Reached || !s.gone.IsZero() || still < s.expect.Stall {
		return nil
	}
	if s.tagged() {
		return s.verdict(Lost, "tag and ImageState say success, but sysprep's log could not be read or does not agree")
	}
	if s.last.Log.Lines == 0 {
		v := s.verdict(Hung, "sysprep has written no line to its log for %s", still.Round(time.Second))
		if d, ok := diagnosis.ByID("F51"); ok && s.last.Process == Yes {
			d.Unconfirmed = true
			v.Diagnosis = &d
		}
		return v
	}
	return s.verdict(Hung, "sysprep's log has not grown for %s", still.Round(time.Second))
}

// timedOut rules when the whole run takes too long.
func (s State) timedOut() *Verdict {
	if s.last.At.Sub(s.begun) < s.expect.Timeout {
		return nil
	}
	if s.last.Machine.Paused != "" {
		return s.paused()
	}
	if !s.last.Reached {
		return s.lost()
	}
	return s.verdict(Hung, "sysprep has not ended within %s; its log grew last %s ago", s.expect.Timeout, since(s.grown, s.last.At))
}

// Cancel is the verdict of a run that the user stopped.
func (s State) Cancel(at time.Time) Verdict {
	s.last.At = at
	return *s.verdict(Cancelled, "the build was cancelled while sysprep %s", stageText(s.last.Log))
}

func (s State) verdict(c Class, format string, args ...any) *Verdict {
	return &Verdict{
		Class:               c,
		Reason:              fmt.Sprintf(format, args...),
		End:                 s.expect.End,
		ImageState:          s.last.ImageState,
		GeneralizationState: s.last.GeneralizationState,
		Tag:                 s.last.Tag,
		SetupType:           s.last.SetupType,
		CmdLine:             s.last.CmdLine,
		Paused:              s.last.Machine.Paused,
		Closed:              s.closedFor(),
		Reopened:            s.reopenedFor(),
		OwnLog:              s.own.verdict(s.last.Log, s.last.Launched),
		// A refused, broken or cancelled run is no good image; a hung one is only
		// where success was seen and the end is missing.
		ConsistentWithSuccess: s.armed != No && (c == Generalized || c == Lost || c == Hung && !s.proven.IsZero()),
		StillRunning:          s.last.Process == Yes,
		LastLog:               s.last.Log.LastLine,
		Took:                  s.last.At.Sub(s.begun),
	}
}

func since(from, to time.Time) string { return seconds(to.Sub(from)) }

func seconds(d time.Duration) string { return d.Round(time.Second).String() }

func stageText(log diagnosis.Facts) string {
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
