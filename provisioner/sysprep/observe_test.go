package sysprep

import (
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// A run that has ended is judged while the guest still watches: there may be no
// other shell.
func TestTheGuestWatchesUntilTheEndOfSysprepCounts(t *testing.T) {
	for _, action := range []string{actionQuit, actionShutdown, actionReboot} {
		c, err := decode(t, map[string]any{"action": action})
		if err != nil {
			t.Fatal(err)
		}
		r := &run{config: c}
		r.plan = c.plan(`C:\Windows`, "1")
		gone := r.watching().Until[0]
		if gone.Process == nil || *gone.Process || gone.Tag != nil || gone.ImageState != nil {
			t.Fatalf("%+v is no end of the process alone", gone)
		}
		begun := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
		judge, judged := verdict.Begin(begun, r.plan.Expect), time.Duration(0)
		for at := time.Duration(0); judged == 0 && at < time.Hour; at += time.Second {
			var v *verdict.Verdict
			judge, v = judge.Step(verdict.Observation{At: begun.Add(at), Reached: true, Tag: verdict.No, Process: verdict.No, ImageState: windows.StateComplete})
			if v != nil {
				judged = at
			}
		}
		if judged == 0 || gone.For <= judged {
			t.Errorf("%s: watched for %s, judged after %s", action, gone.For, judged)
		}
	}
}
