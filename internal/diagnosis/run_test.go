package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// stamp puts a time before each of our fixtures' lines.
func stamp(lines ...string) string {
	var b strings.Builder
	for i, l := range lines {
		fmt.Fprintf(&b, "2025-07-22 21:%02d:%02d, %s\r\n", i/60, i%60, l)
	}
	return b.String()
}

var opening = []string{
	"Info                  SYSPRP ========================================================",
	"Info                  SYSPRP ===          Beginning of a new sysprep run          ===",
	"Info                  SYSPRP ========================================================",
	"Info       [0x0f004d] SYSPRP The time is now 2025-07-22 21:55:35",
	`Info       [0x0f004e] SYSPRP Initialized SysPrep log at C:\Windows\System32\Sysprep\Panther`,
	"Info       [0x0f0054] SYSPRP ValidatePrivileges:User has required privileges to sysprep machine",
	`Info       [0x0f007e] SYSPRP FCreateTagFile:Tag file C:\Windows\System32\Sysprep\Sysprep_succeeded.tag does not already exist, no need to delete anything`,
	"Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'OOBE'",
	"Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'GENERALIZE'",
	"Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'SHUTDOWN'",
	"Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'MODE'",
	"Info       [0x0f00b7] SYSPRP WinMain:Sysprep mode [vm]; was specified",
	"Info       [0x0f00d7] SYSPRP WinMain:Pre-validing 'cleanup' internal providers.",
}

var (
	refusedRun = stamp(append(slices.Clone(opening),
		`Info                  SYSPRP ActionPlatform::LaunchModule: Executing method 'SysprepGeneralizeValidate' from C:\Windows\System32\AppxSysprep.dll`,
		"Error                 SYSPRP Package Microsoft.Edge.GameAssist_1.0.3423.0_x64__8wekyb3d8bbwe was installed for a user, but not provisioned for all users. This package will not function properly in the sysprep image.",
		"Error                 SYSPRP Failed to remove apps for the current user: 0x80073cf2.",
		"Error                 SYSPRP Exit code of RemoveAllApps thread was 0x3cf2.",
		`Error                 SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'SysprepGeneralizeValidate' from C:\Windows\System32\AppxSysprep.dll; dwRet = 0x3cf2`,
		"Error      [0x0f0070] SYSPRP RunDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x3cf2",
		"Error      [0x0f00d8] SYSPRP WinMain:Hit failure while pre-validate sysprep generalize internal providers; hr = 0x80073cf2",
		"Info       [0x0f0052] SYSPRP Shutting down SysPrep log",
		"Info       [0x0f004d] SYSPRP The time is now 2025-07-22 21:55:35")...)
	goodRun = stamp(append(slices.Clone(opening),
		"Info                  SYSPRP WinMain:Processing 'generalize' internal provider request.",
		`Info                  SYSPRP SysprepSession::Execute: Beginning action execution from C:\Windows\System32\Sysprep\ActionFiles\Generalize.xml`,
		"Error                 SYSPRP BCD: BiUpdateEfiEntry failed c000000d",
		"Error                 SYSPRP Error 0x-2147417850: Failed to re-enable Compat-Gentel custom trigger.[gle=0x0000047e]",
		`Info       [0x0f007c] SYSPRP FCreateTagFile:Successfully created tag file C:\Windows\System32\Sysprep\Sysprep_succeeded.tag`,
		"Info                  SYSPRP ProcessShutdown:Successfully called InitiateSystemShutdownEx to shutdown the computer",
		"Info       [0x0f0052] SYSPRP Shutting down SysPrep log")...)
)

func TestTheFactsOfARun(t *testing.T) {
	var tr Tracker
	tr.Feed([]byte(refusedRun))
	f := tr.Progress()
	if f.Runs != 1 || f.Failure != ValidateFailure || !f.Closed || f.TagCreated || f.Stage != StageValidating {
		t.Errorf("refused run: %+v", f)
	}
	if want := []string{"OOBE", "GENERALIZE", "SHUTDOWN", "MODE"}; !slices.Equal(f.Options, want) {
		t.Errorf("options %v, want %v", f.Options, want)
	}
	if want := time.Date(2025, 7, 22, 21, 0, 1, 0, time.UTC); !f.Start.Equal(want) {
		t.Errorf("start %v, want %v", f.Start, want)
	}
	if !strings.Contains(f.FailureLine, "Hit failure while pre-validate") || !strings.Contains(f.LastLine, "The time is now") {
		t.Errorf("failure line %q, last line %q", f.FailureLine, f.LastLine)
	}
	if !f.HasOption("generalize") || f.HasOption("QUIT") {
		t.Error("HasOption is wrong")
	}

	tr.Feed([]byte(goodRun))
	f = tr.Progress()
	if f.Runs != 2 || f.Failure != NoFailure || !f.Closed || !f.TagCreated || !f.ShutdownRequested || f.Stage != StageDone || f.FailureLine != "" {
		t.Errorf("the good run after it: %+v", f)
	}
	if _, failed := Diagnose(tr.Run()); failed {
		t.Error("a good run with harmless errors was diagnosed as failed")
	}
}

func TestTheLastCompleteLineCountsBeforeItCanBeContinued(t *testing.T) {
	var tr Tracker
	lines := tr.Feed([]byte("SYSPRP ParseCommands:Malformed command line detected; no dash or slash present in option\r\nSYSPRP WinMain: Unable to parse command-line arguments to sysprep; GLE = 0x0\r\n"))
	if len(lines) != 1 {
		t.Fatalf("%d lines came out, want 1", len(lines))
	}
	if f := tr.Progress(); f.Failure != ParseFailure {
		t.Errorf("facts %+v", f)
	}
	if d, ok := Diagnose(tr.Run()); !ok || d.ID != "F50" || len(d.Evidence) != 2 {
		t.Errorf("diagnosis %+v", d)
	}
}

func TestProviderFailuresAreProcessFailures(t *testing.T) {
	for name, test := range map[string]struct {
		line string
		want Failure
	}{
		"internal":                  {"Error [0x0f00a8] SYSPRP WinMain:Hit failure while processing sysprep generalize internal providers; hr = 0x80070005", ProcessFailure},
		"external":                  {"Error [0x0f00ae] SYSPRP WinMain:Hit failure while processing sysprep cleanup external providers; hr = 0x80070002[gle=0x00000006]", ProcessFailure},
		"validation":                {"Error [0x0f00d8] SYSPRP WinMain:Hit failure while pre-validate sysprep cleanup internal providers; hr = 0x80070005", ValidateFailure},
		"earlier run failed midway": {"Error [0x0f0073] SYSPRP RunExternalDlls:Not running DLLs; either the machine is in an invalid state or we couldn't update the recorded state, dwRet = 31", ProcessFailure},
		"an error is no failure":    {"Error SYSPRP MRTGeneralize:107 - ERROR: Failed DeleteInstance", NoFailure},
		"halting without a stage":   {"Error [0x0f0070] SYSPRP RunDlls:An error occurred, halting sysprep execution. dwRet = 0x5", NoFailure},
	} {
		if got := Split(Parse([]byte(test.line)))[0].Progress.Failure; got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestALogWithoutBannersIsCutAfterEachFailure(t *testing.T) {
	var errors []string
	for _, l := range strings.SplitAfter(refusedRun+refusedRun, "\r\n") {
		if strings.Contains(l, ", Error ") {
			errors = append(errors, l)
		}
	}
	runs := Split(Parse([]byte(strings.Join(errors, ""))))
	if len(runs) != 2 || runs[0].Progress.Lines != 6 || runs[1].Progress.Lines != 6 {
		t.Fatalf("%d runs: %+v", len(runs), runs)
	}
	if runs := Split(Parse([]byte(refusedRun + goodRun))); len(runs) != 2 {
		t.Errorf("%d runs with banners, want 2", len(runs))
	}
}

func TestAHugeRunKeepsItsProblemsAndItsEnd(t *testing.T) {
	var b strings.Builder
	b.WriteString(stamp(opening...))
	b.WriteString("2025-07-22 21:55:35, Error                 SYSPRP first problem\r\n")
	for i := range 20000 {
		fmt.Fprintf(&b, "2025-07-22 21:55:35, Info                  SYSPRP line %d\r\n", i)
	}
	run := Split(Parse([]byte(b.String())))[0]
	if len(run.Lines) > maxKept || run.Progress.Lines < 20000 {
		t.Fatalf("%d lines kept of %d", len(run.Lines), run.Progress.Lines)
	}
	if run.Lines[0].Message != "first problem" || run.Lines[len(run.Lines)-1].Message != "line 19999" {
		t.Errorf("first %q, last %q", run.Lines[0].Message, run.Lines[len(run.Lines)-1].Message)
	}
}

func TestProgressIsShortAndReadable(t *testing.T) {
	progress := func(log string) (out []string) {
		for _, l := range Parse([]byte(log)) {
			if text := Milestone(l); text != "" {
				out = append(out, text)
			}
		}
		return out
	}
	for name, test := range map[string]struct {
		log  string
		want []string
	}{
		"good": {goodRun, []string{"sysprep started", "mode vm", "validating: cleanup", "processing: generalize", "tag created", "shutdown requested", "sysprep closed its log"}},
		"refused": {refusedRun, []string{"sysprep started", "mode vm", "validating: cleanup", "checking app packages (SysprepGeneralizeValidate)",
			"not provisioned for all users: Microsoft.Edge.GameAssist_1.0.3423.0_x64__8wekyb3d8bbwe", "failed: SysprepGeneralizeValidate",
			"sysprep failed while pre-validate sysprep generalize internal providers; hr = 0x80073cf2", "sysprep closed its log"}},
		"2012 R2":          {`2021-09-27 04:03:50, Info       [0x0f0080] SYSPRP ActionPlatform::LaunchModule: Found 'Sysprep_Generalize_Bcd' in C:\Windows\System32\spbcd.dll; executing it`, []string{"working on boot configuration (Sysprep_Generalize_Bcd)"}},
		"unknown provider": {`2021-09-27 04:03:50, Info       [0x0f0080] SYSPRP ActionPlatform::LaunchModule: Found 'X' in C:\Windows\System32\other.dll; executing it`, nil},
	} {
		if got := progress(test.log); !slices.Equal(got, test.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, test.want)
		}
	}
}
