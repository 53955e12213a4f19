package sysprep

import (
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
)

func TestAWatchedRunSaysOnceAMinuteThatItGoesOn(t *testing.T) {
	begun := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := func(after time.Duration) time.Time { return begun.Add(after) }
	validating := diagnosis.Progress{Lines: 20, Stage: diagnosis.StageValidating, Working: diagnosis.Step{Entry: "Foo", Module: `C:\Windows\System32\Foo.dll`}}
	var h heartbeat
	for _, c := range []struct {
		after time.Duration
		log   diagnosis.Progress
		want  string
	}{
		{2 * time.Second, diagnosis.Progress{}, ""},
		{59 * time.Second, diagnosis.Progress{}, ""},
		{60 * time.Second, diagnosis.Progress{}, "still waiting for sysprep's first line: 1m0s of 30m0s, log quiet for 1m0s"},
		{61 * time.Second, diagnosis.Progress{}, ""},
		{80 * time.Second, validating, ""},
		{2 * time.Minute, validating, "still validating: 2m0s of 30m0s, in Foo of foo.dll, log quiet for 40s"},
		{170 * time.Second, validating, ""},
		{10 * time.Minute, diagnosis.Progress{Lines: 90, Stage: diagnosis.StageDone, Working: validating.Working}, "still waiting for the end: 10m0s of 30m0s, log quiet for 0s"},
	} {
		if got := h.beat(at(c.after), begun, 30*time.Minute, c.log); got != c.want {
			t.Errorf("after %s: %q, want %q", c.after, got, c.want)
		}
	}
}
