package diagnosis

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const pastedPackage = "Contoso.Notes_2.3.4.5_x64__abcdefghjkmnp"

// A log reaches a person by way of a forum, a mail, a terminal, a build's log.
func TestACopiedLogIsReadAsWindowsWroteIt(t *testing.T) {
	const stamp = "2024-05-06 07:08:09, "
	said := "Package " + pastedPackage + " was installed for a user, but not provisioned for all users. This package will not function properly in the sysprep image."
	failed := `ActionPlatform::LaunchModule: Failure occurred while executing 'SysprepGeneralizeValidate' from C:\Windows\System32\AppxSysprep.dll; dwRet = 0x3cf2`
	halted := "RunDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x3cf2"
	each := func(before string) string {
		return before + said + "\n" + before + failed + "\n" + before + halted + "\n"
	}
	for name, text := range map[string]string{
		"as written":                    each(stamp + "Error                 SYSPRP "),
		"without times":                 each("Error SYSPRP "),
		"without times and levels":      each("SYSPRP "),
		"indented":                      each("    Error SYSPRP "),
		"with a colon behind the level": each("Error: SYSPRP "),
		"quoted":                        each("> " + stamp + "Error SYSPRP "),
		"quoted twice":                  each("> > Error SYSPRP "),
		"a comment":                     each("#   Error SYSPRP "),
		"numbered":                      each("  12. " + stamp + "Error SYSPRP "),
		"a list":                        each("- [0x0f0082] SYSPRP "),
		"placeholders":                  each("<Date> <Time>, Error SYSPRP "),
		"escaped placeholders":          each(`> \<Date\> \<Time\>, Error [0x0f0082] SYSPRP `),
		"other placeholders":            each("Date/Time, Error SYSPRP "),
		"an ellipsis for the time":      each("(...) SYSPRP "),
		"from a build's log":            each("==> windows.azure-arm.windows: " + stamp + "Error                 SYSPRP "),
		"from a build's log with times": each("2024/05/06 07:08:10 ui: " + stamp + "Error SYSPRP "),
		"from a log with long prefixes": each("2024-05-06T07:08:10Z: ==> windows image one: output: " + stamp + "Error SYSPRP "),
		"from a search":                 each(`C:\Windows\System32\Sysprep\Panther\setuperr.log:17:` + stamp + "Error SYSPRP "),
		"another form of time":          each("06.05.2024 07:08:09, Error SYSPRP "),
		"a viewer's export, indented":   each("  05-06-2024 07:08:09.000 SYSPRP "),
		"messages alone":                said + "\n" + failed + "\n" + halted + "\n",
		"one message":                   "`" + strings.Replace(said, " was", "", 1) + "`",
		"in the present":                "Error               " + strings.Replace(said, " was", " is", 1) + "\n",
		"one long line":                 strings.ReplaceAll(each(stamp+"Error SYSPRP "), "\n", " "),
		"one long line without times":   strings.ReplaceAll(each("Error [0x0f0082] SYSPRP "), "\n", " "),
		"reflowed":                      stamp + "Error SYSPRP Package\n" + strings.TrimPrefix(said, "Package ") + " " + stamp + "Error SYSPRP " + failed + "\n",
		"wrapped":                       " " + stamp + "Error SYSPRP " + strings.ReplaceAll(said, "user, ", "user,\n ") + "\n " + stamp + "Error SYSPRP " + strings.ReplaceAll(failed, "while ", "while\n ") + "\n",
		"with typographic marks":        strings.NewReplacer("'", "’").Replace(each(stamp + "Error\u00a0SYSPRP ")),
		"as HTML":                       strings.NewReplacer("'", "&#39;", "  ", "&nbsp; ").Replace(each(stamp + "Error SYSPRP ")),
		"with emphasis":                 strings.ReplaceAll(each(stamp+"Error SYSPRP "), pastedPackage, "**"+pastedPackage+"**"),
	} {
		t.Run(name, func(t *testing.T) {
			found := Collect([]Log{ReadLog("paste.txt", []byte(text))})
			if found.Outcome != Failed || found.Diagnosis.ID != "F01" || found.Diagnosis.Phase != PhaseValidate {
				t.Fatalf("%s %+v", found.Outcome, found.Diagnosis)
			}
			if want := "app package " + pastedPackage + " is"; !strings.HasPrefix(found.Diagnosis.Summary, want) {
				t.Errorf("summary %q", found.Diagnosis.Summary)
			}
			if shown := found.Diagnosis.Evidence; strings.Contains(shown[0], "halting") || strings.Contains(strings.Join(shown, ""), "==>") {
				t.Errorf("evidence %q", shown)
			}
			if want := "-Name 'Contoso.Notes' |"; !strings.Contains(found.Diagnosis.Remedy[0], want) {
				t.Errorf("remedy %q", found.Diagnosis.Remedy[0])
			}
		})
	}
}

// A whole log can come in one line, as a form of a web page sends it.
func TestALongLogInOneLineIsReadToItsEnd(t *testing.T) {
	lines := slices.Clone(opening)
	for i := range 2 * maxLine / 100 {
		lines = append(lines, fmt.Sprintf("Info                  SYSPRP ActionPlatform::GetValue: %d has a value that tells nobody anything", i))
	}
	text := stamp(lines...) + strings.Join(strings.SplitAfter(refusedRun, "\n")[len(opening):], "")
	want := Parse([]byte(text))
	for name, log := range map[string]string{
		"with times":    strings.ReplaceAll(text, "\r\n", " "),
		"without times": strings.ReplaceAll(regexp.MustCompile(`(?m)^.{19}, `).ReplaceAllString(text, ""), "\r\n", " "),
	} {
		for _, size := range []int{1, 4096, len(log)} {
			var p Parser
			var got []Line
			for piece := range slices.Chunk([]byte(log), size) {
				got = append(got, p.Feed(piece)...)
			}
			got = append(got, p.Flush()...)
			if len(got) != len(want) || got[len(got)-1].Message != want[len(want)-1].Message {
				t.Errorf("%s in pieces of %d: %d lines, want %d", name, size, len(got), len(want))
			}
			if d, ok := Diagnose(Split(got)[0]); !ok || d.ID != "F06" {
				t.Errorf("%s: %v %s", name, ok, d.ID)
			}
		}
	}
	// The end of one line that is too long is lost, also where it looks like two.
	two := stamp("Error                 SYSPRP " + strings.Repeat("x", maxLine) + stamp("Error                 SYSPRP y"))
	if got := Parse([]byte(two)); len(got) != 1 {
		t.Errorf("%d lines", len(got))
	}
}

// What stands before each line of a quotation is no part of a line that goes on.
func TestAQuotedLineGoesOnWithoutItsMark(t *testing.T) {
	for _, before := range []string{"> ", "    ==> build.vm: ", "# "} {
		text := before + `2024-05-06 07:08:09, Info                  SYSPRP ActionPlatform::LaunchModule: Executing method 'Sysprep_Clean_Validate_Opk'` + "\n" + before + `from C:\Windows\System32\spopk.dll` + "\n" + before + "\n"
		found := Collect([]Log{ReadLog("paste.txt", []byte(text))})
		if found.Outcome != Hanging || found.Diagnosis.ID != "F29" {
			t.Errorf("%q: %s %+v", before, found.Outcome, found.Diagnosis)
		}
	}
}

// A package's name may be left out of what is copied.
func TestAPackageThatIsNotNamedIsNotMadeUp(t *testing.T) {
	log := "SYSPRP Package was installed for a user, but not provisioned for all users.\nSYSPRP Failed to remove apps for the current user: 0x80073cf2\n"
	found := Collect([]Log{ReadLog("paste.txt", []byte(log))})
	if d := found.Diagnosis; d == nil || d.ID != "F15" || strings.Contains(d.Summary+d.Remedy[0], "'was'") {
		t.Errorf("%s %+v", found.Outcome, d)
	}
}

// The dialogs of Windows Setup are copied from its screen.
func TestADialogOfSetupIsReadWithoutALog(t *testing.T) {
	for text, want := range map[string]string{
		"Windows could not parse or process unattend answer file [C:\\Windows\\Panther\\unattend.xml] for pass [oobeSystem]. A component or setting specified in the answer file does not exist.\n": "F61",
		"Windows could not parse or process the unattend answer file. The answer file is invalid. The error was detected at line 9 column 4 of the answer file.\n":                                  "F111",
		"The computer restarted unexpectedly or encountered an unexpected error. Windows installation cannot proceed.\n":                                                                            "F84",
	} {
		found := Collect([]Log{ReadLog("paste.txt", []byte(text))})
		if d := found.Diagnosis; d == nil || d.ID != want || d.Phase != PhaseFirstBoot {
			t.Errorf("%q: %s %+v", text, found.Outcome, d)
		}
	}
}

// A name between typographic marks is a name.
func TestTypographicMarksAreThoseOfWindows(t *testing.T) {
	log := "Error SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing ‘Foo_Generalize’ from C:\\Windows\\System32\\fooprep.dll; dwRet = 0x57\n"
	found := Collect([]Log{ReadLog("paste.txt", []byte(log))})
	if d := found.Diagnosis; d == nil || !strings.HasPrefix(d.Summary, `'Foo_Generalize' of C:\Windows\System32\fooprep.dll failed with 0x57`) {
		t.Errorf("%s %+v", found.Outcome, d)
	}
}

// Windows 7 checks while it processes: what to do is said in the words that fit.
func TestACleanInstallationIsNotARepair(t *testing.T) {
	log := "Error [0x0f0036] SYSPRP spopk.dll:: Sysprep will not run on an upgraded OS. You can only run Sysprep on a custom (clean) install version of Windows.\n" +
		"Error [0x0f0082] SYSPRP LaunchDll:Failure occurred while executing 'C:\\Windows\\System32\\spopk.dll,Sysprep_Clean_Validate_Opk', returned error code 31\n" +
		"Error [0x0f00a8] SYSPRP WinMain:Hit failure while processing sysprep cleanup internal providers; hr = 0x8007001f\n"
	found := Collect([]Log{ReadLog("setuperr.log", []byte(log))})
	if d := found.Diagnosis; d == nil || d.ID != "F110" || !strings.HasPrefix(d.Remedy[0], "Build from a clean installation") {
		t.Errorf("%s %+v", found.Outcome, d)
	}
}

// Prose about sysprep is no log.
func TestProseIsNoLog(t *testing.T) {
	for _, text := range []string{
		"I ran sysprep and it said: fatal error. Where is the log?\n",
		"Error: the build failed\n",
		"==> windows: Provisioning with shell script\n    windows: Package foo was installed\n",
		"<Date> of the meeting: Tuesday\n",
	} {
		if found := Collect([]Log{ReadLog("notes.txt", []byte(text))}); found.Outcome != NoLog {
			t.Errorf("%q: %s %+v", text, found.Outcome, found.Diagnosis)
		}
	}
}

func TestAWordBrokenAtItsHyphenIsWhole(t *testing.T) {
	for want, pieces := range map[string][]string{
		"WinMain:Hit failure while pre-validate sysprep": {"WinMain:Hit failure while pre-", "validate sysprep"},
		"Entering x (Appx) - validating":                 {"Entering x (Appx) -", "validating"},
		"one two":                                        {"one", "two"},
		"two":                                            {"", "two"},
	} {
		if got := joinLines(pieces); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

// Excerpts leave out parts of the records in which Setup refuses an answer file.
func TestAShortenedRefusalNamesItsSetting(t *testing.T) {
	for text, want := range map[string][]string{
		"SMI data results dump: Source = Name: Microsoft-Windows-Shell-Setup, ... /settings/RunAsynchronous\nSMI data results dump: Description = Setting is not defined in this component.\n": {
			"F92", "RunAsynchronous is not a setting of Microsoft-Windows-Shell-Setup"},
		"#   [setup.exe] SMI data results dump: Source = .../RunSynchronousCommand/[Order=\"7\"]/Path\n#   [setup.exe] SMI data results dump: Description = Value is invalid.\n": {
			"F66", "RunSynchronousCommand 7"},
		"[setup.exe] SMI data results dump: Source = Name: Microsoft-Windows-Deployment, ...\n  Settings/RunSynchronousCommand/[Order=\"3\"]/Path\n[setup.exe] SMI data results dump: Description = Nie.\n  Settings/RunSynchronousCommand/[Order=\"5\"]/Path\n" +
			"[0x060565] IBS Callback_Unattend_InitEngine: The provided unattend file\n [C:\\u.xml] is not a valid unattended Setup answer file; hr = 0x1, hrResult = 0x80220005\n": {
			"F66", "RunSynchronousCommand 3"},
		"[setup.exe] SMI data results dump: Source = Name: Microsoft-Windows-TerminalServices\n[setup.exe] SMI data results dump: Description = Value is invalid.\n": {
			"F60", "(Microsoft-Windows-TerminalServices) (Value is invalid.)"},
	} {
		found := Collect([]Log{ReadLog("paste.txt", []byte(text))})
		if found.Diagnosis == nil || found.Diagnosis.ID != want[0] || !strings.Contains(found.Diagnosis.Summary, want[1]) {
			t.Errorf("%q: %s %+v", text, found.Outcome, found.Diagnosis)
		}
	}
}

// What Windows Setup says of a provider that failed is of the same boot.
func TestWhatSetupSaysOfAFailureIsNotAnotherRun(t *testing.T) {
	log := strings.Join([]string{
		`2024-05-06 07:08:09, Error      [0x0f0082] SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Specialize_Foo' from C:\Windows\System32\foosp.dll; dwRet = 0x57`,
		`2024-05-06 07:08:09, Error      [0x0f00a8] SYSPRP WinMain:Hit failure while processing sysprep specialize internal providers; hr = 0x80070057`,
		`2024-05-06 07:08:20, Error      [0x0606cc] IBS    Callback_Specialize: An error occurred while either deciding if we need to specialize or while specializing; dwRet = 0x57`,
	}, "\n")
	found := Collect([]Log{ReadLog("setuperr.log", []byte(log))})
	if found.Diagnosis == nil || found.Diagnosis.ID != unknownID || !strings.Contains(found.Diagnosis.Summary, "foosp.dll") || found.Diagnosis.Phase != PhaseFirstBoot {
		t.Errorf("%s %+v", found.Outcome, found.Diagnosis)
	}
	if runs := Split(Parse([]byte(strings.Replace(log, "07:08:20", "09:08:20", 1)))); len(runs) != 2 {
		t.Errorf("%d runs, two hours apart", len(runs))
	}
}

// The service that a failed provider waits for is named.
func TestADisabledServiceIsNamed(t *testing.T) {
	log := `2024-05-06 07:08:09, Error [0x0f0082] SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'GeneralizeForImaging' from C:\Windows\System32\wuaueng.dll; dwRet = 0x422`
	found := Collect([]Log{ReadLog("setuperr.log", []byte(log))})
	if found.Diagnosis == nil || !strings.Contains(found.Diagnosis.Remedy[0], "wuauserv") {
		t.Errorf("%s %+v", found.Outcome, found.Diagnosis)
	}
}

// The command and the pass of a first boot that failed are named.
func TestAFailedCommandOfTheAnswerFileIsNamed(t *testing.T) {
	log := "2024-05-06 07:08:09, Error                        [setup.exe] [RunSynchronous] Command [cmd /c c:\\x\\do.cmd] failed with exit code [0x643]\n" +
		"2024-05-06 07:08:09, Error      [0x0605ae] IBS    Windows could not parse or process the unattend answer file for pass [specialize].\n"
	found := Collect([]Log{ReadLog("setuperr.log", []byte(log))})
	if d := found.Diagnosis; d == nil || d.ID != "F67" || !strings.Contains(d.Summary, `(cmd /c c:\x\do.cmd)`) || !strings.Contains(d.Summary, "(pass specialize)") {
		t.Errorf("%s %+v", found.Outcome, d)
	}
}
