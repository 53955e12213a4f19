package verdict

import (
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
)

// ownership tells whose log is read where the time of the launch is not known.
type ownership struct {
	begun    time.Time // of the watch, by the host's clock
	seen     bool      // the log was read once
	had      int64     // bytes it had then
	run      int       // number in the log of the run that first and sure are about
	first    time.Time // when that run was read first, by the host's clock
	sure     bool      // lines of it were written after the log was read first
	fresh    bool      // reading began behind what the log had before the launch
	newestAt time.Time // of the newest observation
}

// after learns from an observation that has a log.
func (w ownership) after(before, o Observation) ownership {
	w.newestAt, w.fresh = o.At, o.LogFresh
	if !w.seen || o.LogBytes < w.had { // shorter: another file, or none
		w.seen, w.had, w.sure = true, o.LogBytes, false
		w.run, w.first = o.Log.Runs, o.At
		return w
	}
	if o.Log.Runs != w.run {
		w.run, w.first, w.sure = o.Log.Runs, o.At, false
	}
	// What is read after all that the log had at first was written since.
	if o.LogNext > before.LogNext && before.LogNext >= w.had {
		w.sure = true
	}
	return w
}

// of says whose the last run in the log is.
func (w ownership) of(log diagnosis.Progress, launched time.Time) Tri {
	switch {
	case !launched.IsZero():
		return TriOf(!diagnosis.OlderRun(log, launched))
	case log.Start.IsZero() || w.sure:
		return Yes
	case diagnosis.OlderRun(log, diagnosis.Earliest(launched, w.begun)):
		return No
	case w.fresh:
		return Yes
	}
	return Unknown
}

func (w ownership) verdict(log diagnosis.Progress, launched time.Time) Tri {
	if log.Lines == 0 {
		return Unknown
	}
	return w.of(log, launched)
}

// ownPart is what may be judged of a log. The log of an earlier run may lie where
// sysprep has not written its first line yet: a run that was not seen to be
// written can confirm a success, and speak of a failure only when sysprep has
// ended and had time to write.
func (j Judge) ownPart(log diagnosis.Progress) diagnosis.Progress {
	switch j.own.of(log, j.last.Launched) {
	case Yes:
		return log
	case No:
		return diagnosis.Progress{}
	}
	if j.last.Process == No && j.own.newestAt.Sub(j.own.first) >= j.expect.ProcessGone {
		return log
	}
	log.Failure, log.FailureLine, log.Closed = diagnosis.NoFailure, "", false
	return log
}
