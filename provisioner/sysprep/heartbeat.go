package sysprep

import (
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
)

// heartbeatEvery is how often a run that is watched says that it goes on.
const heartbeatEvery = time.Minute

// heartbeat is what is remembered from one line to the next.
type heartbeat struct {
	said  time.Time // when something was said last
	grown time.Time // when the log was seen to grow last
	lines int
}

// beat returns a line once a minute, "" in between.
func (h *heartbeat) beat(now, begun time.Time, limit time.Duration, log diagnosis.Progress) string {
	if h.said.IsZero() {
		h.said, h.grown = begun, begun
	}
	if log.Lines != h.lines {
		h.lines, h.grown = log.Lines, now
	}
	if now.Sub(h.said) < heartbeatEvery {
		return ""
	}
	h.said = now
	return stillAt(log, now.Sub(begun), limit, now.Sub(h.grown))
}

// stillAt says what a run is at, for how long it has been watched, and for how
// long its log has been quiet.
func stillAt(log diagnosis.Progress, took, limit, quiet time.Duration) string {
	what := map[diagnosis.Stage]string{
		diagnosis.StageNone: "waiting for sysprep's first line", diagnosis.StageStarted: "starting", diagnosis.StageValidating: "validating",
		diagnosis.StageProcessing: "generalizing", diagnosis.StageDone: "waiting for the end",
	}[log.Stage]
	text := fmt.Sprintf("still %s: %s of %s", what, took.Round(time.Second), limit)
	if w := log.Working; w.Named() && log.Stage < diagnosis.StageDone {
		text += fmt.Sprintf(", in %s of %s", w.Entry, w.DLL())
	}
	return text + fmt.Sprintf(", log quiet for %s", quiet.Round(time.Second))
}
