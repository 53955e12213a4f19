package diagnosis

import (
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// indistinct are classes of the simulated guest whose logs are those of another
// one, or say nothing.
var indistinct = map[string]string{
	"F19": "F01", // the Store updates at an unlucky moment
	"F24": "F21", // Windows Update is at work
	"F26": "F21", // a feature is staged
	"F53": "",    // sysprep writes nothing of missing rights: TestARunThatEndedWithoutItsTag
}

// wholeLog is the log of a run of the simulated guest that fails.
func wholeLog(f setuplog.Failure) string {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	r := setuplog.Run{Options: []string{"GENERALIZE", "OOBE", "QUIT"}, Privileged: f.Class != "F53"}
	lines := append(append(r.Begin(now), r.Tag()), r.CommandLine()...)
	switch {
	case f.Phase == setuplog.Command || f.Class == "F60":
	case f.Cleanup && f.Phase == setuplog.Validation:
		lines = append(lines, r.ValidateCleanup()...)
	default:
		lines = append(append(append(lines, r.ValidateCleanup()...), r.CleanupValid()...), r.ValidateGeneralize()...)
	}
	if f.Phase == setuplog.Provider {
		lines = append(lines, r.GeneralizeValid()...)
		lines = append(append(lines, setuplog.Line{Level: setuplog.Info, Text: "WinMain:Processing 'generalize' internal provider request."}), setuplog.Noise()...)
		for _, provider := range r.Cleanup() {
			lines = append(lines, provider...)
		}
		if !f.Cleanup {
			for _, provider := range r.GeneralizePhase()[:3] {
				lines = append(lines, provider...)
			}
		}
	}
	lines = append(append(lines, f.Lines(nil)...), setuplog.End(now)...)
	var b strings.Builder
	b.WriteString(setuplog.BOM)
	for i, l := range lines {
		b.WriteString(l.Format(now.Add(time.Duration(i) * time.Second)))
	}
	return b.String()
}

func TestEachClassOfTheSimulatedGuestComesBackAsItself(t *testing.T) {
	for _, f := range setuplog.All() {
		want := f.Class
		if other, ok := indistinct[want]; ok {
			want = other
		}
		runs := Split(Parse([]byte(wholeLog(f))))
		d, ok := Diagnose(runs[len(runs)-1])
		if ok != (want != "") || d.ID != want {
			t.Errorf("%s comes back as %v %s %q", f.Class, ok, d.ID, d.Summary)
		}
		phases := map[setuplog.Phase]Phase{setuplog.Validation: PhaseValidate, setuplog.Provider: PhaseProcess}
		if phase := phases[f.Phase]; ok && phase != "" && d.Phase != phase && f.Class != "F60" {
			t.Errorf("%s: phase %q, want %q", f.Class, d.Phase, phase)
		}
		if strings.Contains(d.Summary, "<") {
			t.Errorf("%s: a name is missing in %q", f.Class, d.Summary)
		}
	}
}

// The sample of a cause, in the middle of a run in which a provider fails that
// it is not about, is context: no such line is blamed.
func TestNoCauseIsToldByTheLinesOfAnother(t *testing.T) {
	for id, messages := range samples {
		for _, message := range messages {
			problems := analyse(Split(Parse([]byte("2025-01-02 03:04:05, Error                 SYSPRP " + message)))[0]).problems
			for _, p := range problems {
				var ids []string
				for _, c := range catalogue() {
					for _, k := range []kind{specific, notice} {
						if of := c.of(k); of != nil && of.MatchString(p.text) {
							ids = append(ids, c.id)
						}
					}
				}
				// Names of packages are told by the entry before the general one.
				for i, other := range ids {
					if other != id && (i == 0 || other != "F01" && other != "F92" && other != "F93" && other != "F60" && other != "F43") {
						t.Errorf("%q of %s is told by %v", message, id, ids)
						break
					}
				}
			}
		}
	}
}

func TestALineOfAProviderThatEndedWellIsNotBlamed(t *testing.T) {
	const chain = "Error      [0x0f0082] SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'Foo' from C:\\Windows\\System32\\foo.dll; dwRet = 0x5"
	for id, messages := range samples {
		for _, message := range messages {
			c, _ := ByID(id)
			p := newProblem(Line{Message: message})
			if p.endsRun() || c.Severity == "warn" || strings.Contains(message, "\r\n") || id == "F64" || id == "F65" || id == "F94" || id == "F98" {
				continue // the line itself says that the run failed
			}
			log := stamp(append(append([]string{}, opening...),
				`Info                  SYSPRP ActionPlatform::LaunchModule: Executing method 'Other' from C:\Windows\System32\other.dll`,
				"Error                 SYSPRP "+message,
				`Info                  SYSPRP ActionPlatform::LaunchModule: Successfully executed 'Other' from C:\Windows\System32\other.dll`,
				`Info                  SYSPRP ActionPlatform::LaunchModule: Executing method 'Foo' from C:\Windows\System32\foo.dll`,
				chain,
				"Error      [0x0f0070] SYSPRP RunDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x5",
				"Error      [0x0f00d8] SYSPRP WinMain:Hit failure while pre-validate sysprep generalize internal providers; hr = 0x80070005")...)
			d, ok := Diagnose(Split(Parse([]byte(log)))[0])
			if !ok || d.ID != "F00" || !strings.Contains(d.Summary, "'Foo' of C:\\Windows\\System32\\foo.dll failed with 0x5") {
				t.Errorf("%q of %s: %s %q", message, id, d.ID, d.Summary)
			}
			if strings.Contains(strings.Join(d.Evidence, "\n"), message) {
				t.Errorf("%q is shown as evidence", message)
			}
		}
	}
}

func TestGoodRunsHaveNoCause(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, vm := range []bool{false, true} {
		r := setuplog.Run{Options: []string{"GENERALIZE", "OOBE", "SHUTDOWN"}, Privileged: true, VM: vm, TagDeleted: vm}
		lines := append(append(r.Begin(now), r.Tag()), r.CommandLine()...)
		lines = append(append(append(append(lines, r.ValidateCleanup()...), r.CleanupValid()...), r.ValidateGeneralize()...), r.GeneralizeValid()...)
		for _, phase := range [][][]setuplog.Line{r.Cleanup(), r.GeneralizePhase()} {
			for _, provider := range phase {
				lines = append(lines, provider...)
			}
		}
		lines = append(append(lines, setuplog.Noise()...), setuplog.TagCreated(), setuplog.ShutdownCalled(false))
		lines = append(lines, setuplog.End(now)...)
		// However far it has come, no cause and, once it is over, no hang.
		var tr Tracker
		for i, l := range lines {
			tr.Feed([]byte(l.Format(now)))
			run := tr.Run()
			if d, ok := Diagnose(run); ok {
				t.Fatalf("after %d lines: %s %q", i+1, d.ID, d.Summary)
			}
			if d, ok := Hang(run.Progress); ok && d.ID == "" {
				t.Fatalf("after %d lines: a hang without a name", i+1)
			}
		}
		if d, ok := Hang(tr.Progress()); ok {
			t.Errorf("a run that is over hangs: %s", d.Summary)
		}
	}
}
