package diagnosis

import (
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// reading reads a log of a collection.
func reading(name, text string) Log {
	r := NewReading(name, 0)
	if _, err := r.Write([]byte(text)); err != nil {
		panic(err)
	}
	return r.Log()
}

// at gives the lines of a log another day.
func at(day, log string) string { return strings.ReplaceAll(log, "2025-07-22", day) }

func TestTheLogsOfOneMachineAreJudgedTogether(t *testing.T) {
	booted := stamp(setupStarts, "Error                        [setup.exe] SMI data results dump: Source = Name: Microsoft-Windows-Shell-Setup, Language: neutral, /settings/RunSynchronous",
		"Error      [0x060432] IBS    The provided unattend file is not valid; hrResult = 0x80220001")
	bootedErrors := strings.Join(strings.SplitAfter(booted, "\n")[1:], "")
	installed := stamp(setupStarts, "Info       [0x0601dc] IBS    Setup has completed phase 4")
	skipped := stamp("Info       [0x0601c5] IBS    Callback_Unattend_InitiatePass: No unattend file was present, skipping unattend settings passes", "Info       [0x0601dc] IBS    Setup has completed phase 4")
	refusedErrors := ""
	for _, line := range strings.SplitAfter(refusedRun, "\n") {
		if strings.Contains(line, ", Error") {
			refusedErrors += line
		}
	}
	const before, after = "2025-07-20", "2025-07-25"
	for name, test := range map[string]struct {
		logs    []Log
		outcome Outcome
		id, log string
	}{
		"sysprep refused":                        {[]Log{reading("Sysprep/Panther/setupact.log", refusedRun), reading("Panther/setupact.log", at(before, installed))}, Failed, "F06", "Sysprep/Panther/setupact.log"},
		"the errors alone":                       {[]Log{reading("setuperr.log", refusedErrors)}, Failed, "F06", "setuperr.log"},
		"both, whole log first":                  {[]Log{reading("setupact.log", refusedRun), reading("setuperr.log", refusedErrors)}, Failed, "F06", "setupact.log"},
		"errors of an earlier run, then success": {[]Log{reading("setupact.log", at(after, goodRun)), reading("setuperr.log", refusedErrors)}, Succeeded, "", "setupact.log"},
		"the same in another order":              {[]Log{reading("setuperr.log", refusedErrors), reading("setupact.log", at(after, goodRun))}, Succeeded, "", "setupact.log"},
		"a clone that hangs":                     {[]Log{reading("sysprep/setupact.log", goodRun), reading("setup/setupact.log", at(after, stamp(setupStarts, begins("Sysprep_Specialize_Pnp", "sppnp.dll"))))}, Hanging, "F104", "setup/setupact.log"},
		"what a clone did not need":              {[]Log{reading("sysprep/setupact.log", goodRun), reading("setup/setupact.log", at(after, skipped))}, Succeeded, "F64", "setup/setupact.log"},
		"a clone that failed":                    {[]Log{reading("sysprep/setupact.log", goodRun), reading("setup/setupact.log", at(after, booted))}, Failed, "F92", "setup/setupact.log"},
		"a clone in another time zone":           {[]Log{reading("sysprep/setupact.log", goodRun), reading("setup/setupact.log", at(before, booted))}, Failed, "F92", "setup/setupact.log"},
		"old errors of the installation":         {[]Log{reading("sysprep/setupact.log", goodRun), reading("setup/setuperr.log", at(before, bootedErrors))}, Succeeded, "", "sysprep/setupact.log"},
		"sysprep failed, and old errors":         {[]Log{reading("sysprep/setupact.log", refusedRun), reading("setup/setupact.log", at(before, booted))}, Failed, "F06", "sysprep/setupact.log"},
		"what the installation did not need":     {[]Log{reading("sysprep/setupact.log", goodRun), reading("setup/setupact.log", at(before, skipped))}, Succeeded, "", "sysprep/setupact.log"},
		"a run that was not ended":               {[]Log{reading("setupact.log", stamp(append(append([]string{}, opening...), begins("Foo", "foo.dll"))...))}, Hanging, "F102", "setupact.log"},
		"Windows Setup alone":                    {[]Log{reading("setupact.log", installed)}, Succeeded, "", "setupact.log"},
		"no known log":                           {[]Log{reading("notes.log", "hello\nworld\n"), reading("CBS.log", stamp("Info                  CBS    Starting"))}, NoLog, "", ""},
		"a sysprep log of another name":          {[]Log{reading("29-appx-22h2.log", refusedRun), reading("cbs.log", refusedErrors)}, Failed, "F06", "29-appx-22h2.log"},
		"one that was called after the error":    {[]Log{reading("dism-sysprep-failure.log", refusedErrors)}, Failed, "F06", "dism-sysprep-failure.log"},
		"nothing":                                {nil, NoLog, "", ""},
		"errors that nobody knows":               {[]Log{reading("setuperr.log", stamp("Error                 SYSPRP Contoso: it did not answer"))}, Undecided, "", "setuperr.log"},
		"the same beside a log without":          {[]Log{reading("setupact.log", stamp(opening[:5]...)), reading("setuperr.log", stamp("Error                 SYSPRP Contoso: it did not answer"))}, Undecided, "", "setuperr.log"},
		"the same beside a success":              {[]Log{reading("setupact.log", goodRun), reading("setuperr.log", at(before, stamp("Error                 SYSPRP Contoso: it did not answer")))}, Succeeded, "", "setupact.log"},
		"the same in a run that succeeded":       {[]Log{reading("setupact.log", strings.Replace(goodRun, opening[5], opening[5]+"\r\n2025-07-22 21:00:06, Error                 SYSPRP Contoso: it did not answer", 1))}, Succeeded, "", "setupact.log"},
		"warnings that nobody knows":             {[]Log{reading("setuperr.log", stamp("Warning               SYSPRP Contoso: it did not answer"))}, Unfailed, "", "setuperr.log"},
		"noise alone":                            {[]Log{reading("setuperr.log", stamp("Error                 SYSPRP MRTGeneralize:98 - ERROR: Failed ConnectServer"))}, Unfailed, "", "setuperr.log"},
	} {
		f := Collect(test.logs)
		id := ""
		if f.Diagnosis != nil {
			id = f.Diagnosis.ID
		}
		if f.Outcome != test.outcome || id != test.id || f.Log.Name != test.log {
			t.Errorf("%s: %s %s of %q", name, f.Outcome, id, f.Log.Name)
		}
		if f.Diagnosis != nil && f.Diagnosis.Where.File != test.log {
			t.Errorf("%s: the place is %q", name, f.Diagnosis.Where.File)
		}
	}
}

// A run that closed its log and has no tag did not go well, whatever its log says.
func TestARunThatEndedWithoutItsTag(t *testing.T) {
	const closed = "Info       [0x0f0052] SYSPRP Shutting down SysPrep log"
	begun := opening[:5]
	for name, test := range map[string]struct {
		lines   []string
		outcome Outcome
		id      string
		phase   Phase
	}{
		"no word of rights":        {append(slices.Clone(begun), closed), Failed, "F53", PhaseLaunch},
		"rights that are missing":  {append(slices.Clone(begun), fault+"ValidatePrivileges:User does not have required privileges to sysprep machine", closed), Failed, "F53", PhaseLaunch},
		"ended while it checked":   {append(slices.Clone(opening), closed), Failed, "F00", PhaseValidate},
		"ended while it worked":    {append(slices.Clone(opening), processing, closed), Failed, "F00", PhaseProcess},
		"rights, and nothing more": {append(slices.Clone(opening[:6]), closed), Failed, "F00", PhaseValidate},
		"a window that was closed": {append(slices.Clone(opening[:6]), fault+"WinMain:The sysprep dialog box returned FALSE", closed), Unfailed, "", ""},
		"respecialize":             {append(slices.Clone(opening[:6]), "Info       [0x0f005f] SYSPRP ParseCommands:Found supported command line option 'RESPECIALIZE'", closed), Unfailed, "", ""},
		"not closed":               {begun, Hanging, "F00", PhaseValidate},
		"the tag":                  {append(slices.Clone(opening), "Info SYSPRP FCreateTagFile:Successfully created tag file x", closed), Succeeded, "", ""},
	} {
		f := Collect([]Log{reading("setupact.log", stamp(test.lines...))})
		var d Diagnosis
		if f.Diagnosis != nil {
			d = *f.Diagnosis
		}
		if f.Outcome != test.outcome || d.ID != test.id || d.Phase != test.phase || d.ID != "" && (len(d.Evidence) == 0 || len(d.Remedy) == 0) {
			t.Errorf("%s: %s %+v", name, f.Outcome, d)
		}
	}
	// What setuperr.log has is of an older run, or of a newer one.
	var refused string
	for _, l := range strings.SplitAfter(refusedRun, "\n") {
		if strings.Contains(l, ", Error") {
			refused += l
		}
	}
	for day, want := range map[string]string{"2025-07-20": "F53", "2025-07-25": "F06"} {
		f := Collect([]Log{reading("setuperr.log", at(day, refused)), reading("setupact.log", stamp(append(slices.Clone(begun), closed)...))})
		if f.Diagnosis == nil || f.Diagnosis.ID != want {
			t.Errorf("%s: %s %+v", day, f.Outcome, f.Diagnosis)
		}
	}
}

// CBS.log and the events of app deployment are asked where the cause points to
// them, and not otherwise.
func TestOtherLogsAreConsulted(t *testing.T) {
	cbs := reading(`C:\Windows\Logs\CBS\CBS.log`, stamp("Info                  CBS    Starting", "Error                 CBS    Failed to get the session. [HRESULT = 0x80080005]", "Error                 CSI    00000001 (F) #1# from UnloadStore(target = NULL)"))
	apps := reading("appx-events.txt", "Event[0]\r\n  Description: error 0x80073CFA: removing Microsoft.Edge.GameAssist_1.0 failed\r\nEvent[1]\r\n  error 0x80070002: Other.App_2.0 failed\r\n")
	query := stamp(append(append([]string{}, opening...), begins("Sysprep_Clean_Validate_Opk", "spopk.dll"),
		"Error      [0x0f00b0] SYSPRP spopk.dll:: Failed to query pending CBS operations; hr = 0x80080005",
		`Error      [0x0f0082] SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Clean_Validate_Opk' from C:\Windows\System32\spopk.dll; dwRet = 0x5`,
		"Error      [0x0f00d8] SYSPRP WinMain:Hit failure while pre-validate sysprep cleanup internal providers; hr = 0x80070005")...)
	servicing := Collect([]Log{reading("setupact.log", query), cbs, apps}).Diagnosis
	if all := strings.Join(servicing.Evidence, "\n"); servicing.ID != "F23" || !strings.Contains(all, "Failed to get the session") || strings.Contains(all, "GameAssist") || strings.Contains(all, "UnloadStore") || !strings.Contains(servicing.Note, "CBS.log") {
		t.Errorf("%s %q %q", servicing.ID, servicing.Evidence, servicing.Note)
	}
	if !strings.HasSuffix(servicing.Note, `CBS.log: 0x80080005: the COM server did not start (CO_E_SERVER_EXEC_FAILURE)`) {
		t.Errorf("%q", servicing.Note)
	}
	old := reading("CBS.log", at("2024-07-22", stamp("Error                 CBS    Failed to resolve package: Package_for_KB5034441~31bf3856ad364e35~amd64~~1.3 [HRESULT = 0x800f0922]")))
	if d := Collect([]Log{reading("setupact.log", query), old}).Diagnosis; d.Note != "" || strings.Contains(strings.Join(d.Evidence, "\n"), "KB5034441") {
		t.Errorf("what servicing said a year ago: %q %q", d.Note, d.Evidence)
	}
	app := Collect([]Log{reading("setupact.log", refusedRun), cbs, apps}).Diagnosis
	if all := strings.Join(app.Evidence, "\n"); app.ID != "F06" || !strings.Contains(all, "0x80073CFA") || strings.Contains(all, "Other.App") || strings.Contains(all, "session") || !strings.Contains(app.Note, "appx-events.txt") {
		t.Errorf("%s %q %q", app.ID, app.Evidence, app.Note)
	}
}

func TestACauseAsksTheLogsThatKnowMore(t *testing.T) {
	for id, want := range map[string]Source{"F01": OfApps, "F91": OfApps, "F17": OfApps, "F21": OfServicing, "F29": OfServicing, "F97": OfServicing, "F30": OfNothing, "F00": OfNothing} {
		got := Diagnosis{Finding: finding.Finding{ID: id}}.Asks()
		if want == OfNothing && len(got) != 0 || want != OfNothing && !slices.Equal(got, []Source{want}) {
			t.Errorf("%s asks %q", id, got)
		}
	}
}

func TestWhichFilesAreLogs(t *testing.T) {
	for name, want := range map[string]bool{
		"setupact.log": true, `Sysprep\Panther\SetupErr.LOG`: true, "a/setupact.log.old": true, "CBS.log": true, "dism.log": true, "appx-events.txt": true, "setupact_1.log": true,
		"diagerr.xml": false, "setup.etl": false, "cbs.cab": false, "notes.txt": false, "setupact.xml": false, "appx.evtx": false,
	} {
		if got := IsLog(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
