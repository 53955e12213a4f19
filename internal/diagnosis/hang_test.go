package diagnosis

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// working is the log of a run that has come to the lines and no further.
func working(lines ...string) Progress {
	var tr Tracker
	tr.Feed([]byte(stamp(append(slices.Clone(opening), lines...)...)))
	return tr.Progress()
}

const (
	executeGeneralize = `Info                  SYSPRP SysprepSession::Execute: Beginning action execution from C:\Windows\System32\Sysprep\ActionFiles\Generalize.xml`
	processing        = "Info       [0x0f00a8] SYSPRP WinMain:Processing 'generalize' internal provider request."
)

func begins(entry, dll string) string {
	return "Info                  SYSPRP ActionPlatform::LaunchModule: Executing method '" + entry + "' from C:\\Windows\\System32\\" + dll
}

func TestAHangSaysWhatItHangsIn(t *testing.T) {
	registered := `Info       [0x0f008b] SYSPRP RunRegistryDlls:Found entrypoint in registry at SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal\Generalize\{1}; will try to launch 'C:\Program Files\Contoso\agent.dll,Generalize'`
	launches := `Info       [0x0f0080] SYSPRP LaunchDll:Found 'C:\Program Files\Contoso\agent.dll,Generalize'; executing it`
	for name, test := range map[string]struct {
		p      Progress
		id     string
		phase  Phase
		texts  []string
		silent time.Duration
	}{
		"servicing":        {working(begins("Sysprep_Clean_Validate_Opk", "spopk.dll")), "F29", PhaseValidate, []string{"Sysprep_Clean_Validate_Opk", "spopk.dll", "begun at 2025-07-22 21:00:13", "nothing was changed"}, 0},
		"Windows Update":   {working(processing, executeGeneralize, begins("GeneralizeForImaging", "wuaueng.dll")), "F100", PhaseProcess, []string{"wuauserv", "being changed"}, 0},
		"devices":          {working(processing, executeGeneralize, begins("Sysprep_Generalize_Pnp_Drivers", "sppnp.dll")), "F101", PhaseProcess, []string{"devices"}, 20 * time.Minute},
		"no provider":      {working(processing, executeGeneralize), "F85", PhaseProcess, []string{"dmwappushservice"}, 40 * time.Minute},
		"validating, none": {working(strings.Replace(executeGeneralize, "Execute", "Validate", 1)), "F102", PhaseValidate, []string{"Generalize.xml"}, 0},
		"after a provider": {working(processing, executeGeneralize, begins("A", "a.dll"), `Info SYSPRP ActionPlatform::LaunchModule: Successfully executed 'A' from C:\Windows\System32\a.dll`), "F85", PhaseProcess, nil, 40 * time.Minute},
		"some provider":    {working(processing, executeGeneralize, begins("Foo", "foo.dll")), "F102", PhaseProcess, []string{"Foo of C:\\Windows\\System32\\foo.dll, begun", "the service that the provider belongs to is"}, 0},
		"Windows Search":   {working(processing, executeGeneralize, begins("MSSrch_SysPrep_Cleanup", "mssrch.dll")), "F102", PhaseProcess, []string{"mssrch.dll (Windows Search)", "service WSearch"}, 0},
		"Windows 8's form": {working(processing, executeGeneralize, `Info       [0x0f0080] SYSPRP ActionPlatform::LaunchModule: Found 'Foo' in C:\Windows\System32\foo.dll; executing it`), "F102", PhaseProcess, []string{"Foo of C:\\Windows\\System32\\foo.dll"}, 0},
		"other software":   {working(processing, registered, launches), "F49", PhaseProcess, []string{`C:\Program Files\Contoso\agent.dll`, "SysPrepExternal"}, 15 * time.Minute},
		"Windows 7's own":  {working(processing, strings.ReplaceAll(strings.Replace(registered, "SysPrepExternal", "SysPrep", 1), `C:\Program Files\Contoso\agent.dll`, `C:\Windows\System32\slc.dll`), strings.Replace(launches, `C:\Program Files\Contoso\agent.dll`, `C:\Windows\System32\slc.dll`, 1)), "F102", PhaseProcess, []string{"slc.dll"}, 0},
	} {
		d, ok := Hang(test.p)
		if !ok || d.ID != test.id || d.Phase != test.phase {
			t.Errorf("%s: %v %s %q %q (%+v)", name, ok, d.ID, d.Phase, d.Summary, test.p.Working)
			continue
		}
		for _, text := range test.texts {
			if !strings.Contains(d.Summary+d.Remedy[0], text) {
				t.Errorf("%s: %q is not in %q / %q", name, text, d.Summary, d.Remedy)
			}
		}
		if got := Silence(test.p.Working); got != test.silent {
			t.Errorf("%s: may be silent for %s, want %s", name, got, test.silent)
		}
	}
}

// Where the begin of the log is missing, the entry says whether it only checks.
func TestAHangInTheEndOfALog(t *testing.T) {
	for line, want := range map[string]Phase{
		begins("GeneralizeForImaging", "wuaueng.dll"): PhaseProcess, begins("Sysprep_Clean_Validate_Opk", "spopk.dll"): PhaseValidate,
	} {
		var tr Tracker
		tr.Feed([]byte(stamp(line)))
		d, ok := Hang(tr.Progress())
		if !ok || d.Phase != want || strings.Contains(d.Summary, "nothing was changed") != (want == PhaseValidate) {
			t.Errorf("%q: %v %s %q", line, ok, d.Phase, d.Summary)
		}
	}
}

func TestWhatIsOverOrHasNotBegunDoesNotHang(t *testing.T) {
	failed := strings.TrimPrefix(strings.Split(refusedRun, "\r\n")[19], "2025-07-22 21:00:19, ")
	for name, p := range map[string]Progress{
		"nothing":    {},
		"an opening": working(),
		"closed":     working(begins("Foo", "foo.dll"), "Info       [0x0f0052] SYSPRP Shutting down SysPrep log"),
		"tagged":     working(begins("Foo", "foo.dll"), "Info SYSPRP FCreateTagFile:Successfully created tag file x"),
		"a failure":  working(begins("Foo", "foo.dll"), failed),
		"a run after one": func() Progress {
			var tr Tracker
			tr.Feed([]byte(stamp(begins("Foo", "foo.dll")) + stamp(opening...)))
			return tr.Progress()
		}(),
	} {
		if d, ok := Hang(p); ok {
			t.Errorf("%s: %s (%+v)", name, d.Summary, p)
		}
	}
}

func TestProvidersOfOtherSoftwareAreProgress(t *testing.T) {
	for line, want := range map[string]string{
		`2026-07-31 10:24:00, Info       [0x0f0080] SYSPRP LaunchDll:Found 'C:\Program Files\Contoso\agent.dll,Generalize'; executing it`:                 `working on other software: C:\Program Files\Contoso\agent.dll (Generalize)`,
		`2026-07-31 10:24:00, Info       [0x0f0080] SYSPRP LaunchDll:Found 'DscCore.dll,SysPrep_Cleanup'; executing it`:                                   `working on other software: DscCore.dll (SysPrep_Cleanup)`,
		`2026-07-31 10:24:00, Info       [0x0f0080] SYSPRP LaunchDll:Found 'C:\Windows\System32\slc.dll,SLReArmWindows'; executing it`:                    "",
		`2026-07-31 10:24:00, Info       [0x0f0081] SYSPRP LaunchDll:Successfully executed 'C:\Program Files\Contoso\agent.dll,Generalize' without error`: `done with other software: C:\Program Files\Contoso\agent.dll (Generalize)`,
		`2026-07-31 10:24:00, Info       [0x0f0081] SYSPRP LaunchDll:Successfully executed 'C:\Windows\System32\slc.dll,SLReArmWindows' without error`:    "",
	} {
		if got := Milestone(Parse([]byte(line))[0]); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

const setupStarts = "Info                         [windeploy.exe] WinDeploy.exe launched with command-line []..."

// Windows starts again after a first boot that failed, and says so only.
func TestTheCauseOfAFirstBootIsInTheBootThatFailed(t *testing.T) {
	smi := []string{
		"Error                        [setup.exe] SMI data results dump: Source = Name: Microsoft-Windows-Shell-Setup, Language: neutral, ProcessorArchitecture: amd64, PublicKeyToken: 31bf3856ad364e35, VersionScope: nonSxS, /settings/RunSynchronous",
		"Error                        [setup.exe] SMI data results dump: Description = x",
		"Error      [0x060432] IBS    The provided unattend file is not valid; hrResult = 0x80220001",
		"Error                        [windeploy.exe] Setup.exe failed, returning exit code [0x1f]",
	}
	good := "Info       [0x0601dc] IBS    Setup has completed phase 4 at 2021-09-27 04:03:58"
	for name, test := range map[string]struct {
		lines []string
		want  string
	}{
		"one boot":            {append([]string{setupStarts}, smi...), "F92"},
		"a boot after it":     {append(append([]string{setupStarts}, smi...), setupStarts, "Info                         [windeploy.exe] Found setup.exe completion flag [True]"), "F92"},
		"one that went well":  {append(append([]string{setupStarts}, smi...), setupStarts, good), ""},
		"all went well":       {[]string{setupStarts, good}, ""},
		"the error log alone": {smi, "F92"},
	} {
		var tr Tracker
		tr.Feed([]byte(stamp(test.lines...)))
		tr.Flush()
		if d, ok := FirstBoot(Run{}, tr.Run()); ok != (test.want != "") || d.ID != test.want {
			t.Errorf("%s: %v %s %q", name, ok, d.ID, d.Summary)
		}
	}
}
