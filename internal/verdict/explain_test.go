package verdict

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// lines are the explanation as it is shown.
func lines(v Verdict) []string {
	said, next := v.Explain()
	return append(said, render.Steps(next)...)
}

func TestTheExplanationOfARefusalLeadsWithPackageAndRemedy(t *testing.T) {
	seven := 7
	v := Verdict{
		Class: Refused, Reason: "sysprep refused in validation", ImageState: windows.StateComplete, GeneralizationState: &seven, Tag: No, StillRunning: true,
		Took: 12300 * time.Millisecond, LastLog: "not shown beside evidence",
		Diagnosis: &diagnosis.Diagnosis{Finding: finding.Finding{
			ID: "F01", Name: "APPX_NOT_PROVISIONED", Subject: finding.Log, Summary: "app package Adobe.XD_57 is installed for a user but not provisioned for all users",
			Evidence: []string{"first line\ncontinued", "second line"}, Remedy: []string{"remove it", "keep the Store off"},
		}},
	}
	want := []string{
		"sysprep refused, the machine is untouched: app package Adobe.XD_57 is installed for a user but not provisioned for all users; next: remove it",
		"what: sysprep refused in validation",
		"cause: F01 APPX_NOT_PROVISIONED: app package Adobe.XD_57 is installed for a user but not provisioned for all users",
		"log: first line", "log: continued", "log: second line",
		"seen: ImageState IMAGE_STATE_COMPLETE, GeneralizationState 7, no tag, sysprep.exe was still running, after 12s",
		"next: keep the Store off",
		"next: sysprep.exe waits in a dialog that nobody sees: end it or restart the guest, or it blocks every new run.",
		"next: Correct the cause and run the build again; this machine may also be repaired and tried again as it is.",
	}
	if got := lines(v); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := v.Head().String(); got != "[refused/APPX_NOT_PROVISIONED]" {
		t.Errorf("its head is %s", got)
	}
}

func TestEveryEndHasItsOwnText(t *testing.T) {
	seen := map[string]string{}
	for name, v := range map[string]Verdict{
		"still running":           {Class: Running},
		"generalized":             {Class: Generalized},
		"generalized and off":     {Class: Generalized, End: Shutdown, PoweredOff: true},
		"generalized and silent":  {Class: Generalized, End: Shutdown, Closed: time.Minute},
		"generalized, unseen":     {Class: Generalized, End: Shutdown, Unseen: true},
		"at the end":              {Class: AtTheEnd},
		"audit mode, restarting":  {Class: Generalized, End: Reboot, ImageState: windows.StateSpecializeToAudit},
		"audit mode":              {Class: Generalized, ImageState: windows.StateSpecializeToAudit},
		"resealed":                {Class: Generalized, ImageState: windows.StateSpecializeToOOBE},
		"hung, or restarted":      {Class: Hung, Reopened: time.Minute, ConsistentWithSuccess: true},
		"lost, or restarted":      {Class: Lost, Reopened: time.Minute, ConsistentWithSuccess: true},
		"lost and off":            {Class: Lost, PoweredOff: true},
		"generalized, restarting": {Class: Generalized, End: Reboot},
		"refused":                 {Class: Refused},
		"refused in a dialog":     {Class: Refused, StillRunning: true},
		"broken":                  {Class: Broken},
		"hung":                    {Class: Hung},
		"hung after success":      {Class: Hung, ConsistentWithSuccess: true},
		"lost":                    {Class: Lost},
		"lost, may be good":       {Class: Lost, ConsistentWithSuccess: true},
		"lost, not confirmed":     {Class: Lost, Tag: Yes},
		"cancelled":               {Class: Cancelled},
		"undone":                  {Class: Undone},
		"restarted":               {Class: Undone, Restarted: true},
		"restarted, no power-off": {Class: Undone, Restarted: true, End: Shutdown},
		"unarmed":                 {Class: Unarmed},
		"replaced":                {Class: Replaced},
		"paused":                  {Class: Hung, Paused: "why"},
		"cancelled midway":        {Class: Cancelled, ImageState: windows.StateUndeployable},
	} {
		v.Reason = "reason"
		said, next := v.Explain()
		if !strings.Contains(said[0], "reason") || v.Class.String() == "" {
			t.Errorf("%s: %q", name, said)
		}
		if v.Class != Running && len(next) == 0 {
			t.Errorf("%s has no next step: %q", name, said)
		}
		text := said[0] + fmt.Sprint(next)
		if other, ok := seen[text]; ok {
			t.Errorf("%s and %s have the same text", name, other)
		}
		seen[text] = name
	}
}

func TestALikelyCauseSaysSoAndTheLastLogLineIsNamed(t *testing.T) {
	d, _ := diagnosis.ByID("F51")
	d.Unconfirmed = true
	got := strings.Join(lines(Verdict{Class: Hung, Reason: "reason", LastLog: "newest line", Diagnosis: &d}), "\n")
	for _, part := range []string{"cause: F51 ALREADY_RUNNING (likely, not certain): ", "last log line: newest line", "tag unknown", "ImageState unknown", "what: reason"} {
		if !strings.Contains(got, part) {
			t.Errorf("%q is missing in\n%s", part, got)
		}
	}
}

// What was seen unfinished is not said to be spoken for.
func TestALostGuestIsSpokenOfAsItWasSeen(t *testing.T) {
	for tag, want := range map[Tri]string{Yes: "nothing seen speaks against it", No: "had not finished when the guest was last seen", Unknown: "had not finished when the guest was last seen"} {
		_, next := Verdict{Class: Lost, ConsistentWithSuccess: true, Tag: tag}.Explain()
		if len(next) != 1 || !strings.Contains(next[0], want) || !strings.Contains(next[0], "Prove the disk offline before use") {
			t.Errorf("tag %s: %q", tag, next)
		}
	}
}

func TestAnEndKeepsWhatWasReadBeforeIt(t *testing.T) {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	two, eight, seven, line := 2, 8, 7, "oobe\\windeploy.exe"
	before := Verdict{Class: Generalized, SetupType: &two, CmdLine: &line, GeneralizationState: &seven, Took: time.Minute}
	v := Ending(begun, Expectation{Generalize: true, End: Shutdown}).Cancel(begun.Add(5 * time.Second)).After(before)
	if v.SetupType != &two || v.CmdLine != &line || v.GeneralizationState != &seven || v.Took != 65*time.Second || v.Class != Cancelled {
		t.Errorf("got %+v", v)
	}
	if v := (Verdict{SetupType: &eight}).After(before); v.SetupType != &eight {
		t.Error("what was read last is lost")
	}
}
