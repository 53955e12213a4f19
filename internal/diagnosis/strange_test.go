package diagnosis

import (
	"slices"
	"strings"
	"testing"
)

const hitFailure = "Error      [0x0f00d8] SYSPRP WinMain:Hit failure while "

// What a stranger brings: codes in every form, only the end of a chain, other causes of
// the same step.
func TestWhatAStrangerBrings(t *testing.T) {
	launched := func(entry, dll, code string) string {
		return "Error      [0x0f0082] SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing '" + entry + "' from " + sys32 + dll + "; dwRet = " + code
	}
	first := func(program, text string) string {
		return "Error                        [" + program + "] " + text
	}
	for name, test := range map[string]struct {
		lines []string
		id    string
		texts []string
		never []string
	}{
		"a decimal code":                 {[]string{launched("SysprepGeneralizeValidate", "AppxSysprep.dll", "1058"), hitFailure + "pre-validate sysprep generalize internal providers; hr = 0x80070422"}, "F17", []string{"AppXSvc", "1058 = 0x80070422"}, nil},
		"one with a sign":                {[]string{"Error                 SYSPRP LaunchDll: Failure occurred while executing 'C:\\Windows\\System32\\slc.dll, SLReArmWindows', returned error code -1073418123"}, "F31", []string{"sppsvc"}, nil},
		"one without":                    {[]string{"Error                 SYSPRP LaunchDll: Failure occurred while executing 'slc.dll,SLReArmWindows', returned error code 3221541639"}, "F30", []string{"rearm"}, nil},
		"BitLocker by its code":          {[]string{hitFailure + "pre-validate sysprep cleanup internal providers; hr = 0x80310039"}, "F20", []string{"manage-bde"}, []string{"catalogue"}},
		"and in decimal":                 {[]string{hitFailure + "pre-validate sysprep cleanup internal providers; hr = -2144272327"}, "F20", nil, []string{"catalogue"}},
		"reserved storage by its code":   {[]string{hitFailure + "pre-validate sysprep cleanup internal providers; hr = 0x800f0975"}, "F22", nil, []string{"catalogue"}},
		"updates by its code":            {[]string{hitFailure + "pre-validate sysprep cleanup internal providers; hr = 0x800736b7"}, "F21", nil, []string{"catalogue"}},
		"the licence by its code":        {[]string{hitFailure + "processing sysprep generalize internal providers; hr = 0xc004f075"}, "F31", nil, []string{"catalogue"}},
		"apps by their code":             {[]string{hitFailure + "pre-validate sysprep generalize internal providers; hr = 0x80073cf2"}, "F02", []string{"Get-AppxPackage -AllUsers"}, []string{"catalogue"}},
		"a code that tells nothing":      {[]string{hitFailure + "pre-validate sysprep generalize internal providers; hr = 0x80070005"}, "F00", []string{"access denied"}, nil},
		"a provider with a service":      {[]string{launched("GeneralizeForImaging", "wuaueng.dll", "0x80240438")}, "F00", []string{"wuaueng.dll (Windows Update)", "whether the service wuauserv"}, nil},
		"devices":                        {[]string{launched("Sysprep_Generalize_Pnp_Drivers", "sppnp.dll", "0x1f")}, "F00", []string{"devices and drivers"}, []string{"service"}},
		"a full disk":                    {[]string{launched("Sysprep_Generalize_Opk", "foo.dll", "0x70")}, "F00", []string{"not enough space", "what fills the system volume"}, nil},
		"a service that does not answer": {[]string{launched("SysprepGeneralizeValidate", "AppxSysprep.dll", "0x6ba")}, "F00", []string{"AppXSvc", "see that it starts"}, nil},
		"a component that is not named":  {[]string{"Error                 SYSPRP ActionPlatform::LaunchModule: Could not load DLL C:\\Windows\\System32\\ContosoPrep.dll; dwRet = 0x7e"}, "F108", []string{"ContosoPrep.dll cannot be loaded"}, []string{"<", "component"}},
		"the exit code of a command":     {[]string{setupBegins, first("SETUPUGC.EXE", "RunSynchronous command 2 [cmd /c exit 3] failed with exit code 3")}, "F67", []string{"(cmd /c exit 3) (order 2) (exit code 3)"}, []string{"path not found"}},
		"one that is known":              {[]string{setupBegins, first("SETUPUGC.EXE", "RunSynchronousCommand command 4: [msiexec /i a.msi] exited with exit code 3010")}, "F67", []string{"exit code 3010: it succeeded, and needs a restart"}, nil},
		"a group of another language":    {[]string{setupBegins, first("Shell Unattend", "UserAccounts: Failed to add [admin] to group [Administrators] (0x80070560)")}, "F114", []string{"(admin)", "other languages"}, nil},
		"a pass that failed before":      {[]string{setupBegins, blank + "[oobeldr.exe] Current pass status for [oobeSystem] is [0x1]", first("oobeldr.exe", "Pass has failed status; system is in an invalid state.")}, "F123", []string{"pass oobeSystem", "deploy a fresh copy"}, nil},
		"the same, and its cause":        {[]string{setupBegins, first("Shell Unattend", "Product key could not be installed [0xc004f050]"), first("oobeldr.exe", "Pass has failed status; system is in an invalid state.")}, "F68", nil, nil},
	} {
		found := Collect([]Log{ReadLog("setuperr.log", []byte(stamp(test.lines...)))})
		d := found.Diagnosis
		if found.Outcome != Failed || d == nil || d.ID != test.id {
			t.Errorf("%s: %s %+v", name, found.Outcome, d)
			continue
		}
		text := d.Summary + "\n" + strings.Join(d.Remedy, "\n")
		for _, want := range test.texts {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in %q", name, want, text)
			}
		}
		for _, never := range append(test.never, "<component>", "<code>", " ()") {
			if strings.Contains(text, never) {
				t.Errorf("%s: %q is in %q", name, never, text)
			}
		}
	}
}

// A machine that restarts by itself in the middle of a first boot says so at the next.
func TestARestartInTheMiddleOfAFirstBoot(t *testing.T) {
	before := stamp(setupStarts, toUnready, commands)
	after := strings.ReplaceAll(stamp(setupStarts, "Error                        [windeploy.exe] The computer restarted unexpectedly or encountered an unexpected error."), " 21:", " 22:")
	found := Collect([]Log{ReadLog("setupact.log", []byte(before+after))})
	d := found.Diagnosis
	if found.Outcome != Failed || d == nil || d.ID != "F84" || !strings.Contains(d.Summary, "Windows Setup was at the settings of Microsoft-Windows-Deployment, pass specialize") || !strings.Contains(d.Remedy[0], "allow_reboot") ||
		!slices.ContainsFunc(d.Evidence, func(l string) bool { return strings.Contains(l, "SETUPUGC.EXE") }) {
		t.Errorf("%s %+v", found.Outcome, d)
	}
	ended := stamp(setupStarts, toUnready, commands, queue+"Command executed successfully")
	if d := Collect([]Log{ReadLog("setupact.log", []byte(ended+after))}).Diagnosis; d == nil || d.ID != "F84" || strings.Contains(d.Summary, "when the machine restarted") {
		t.Errorf("a step that had ended: %+v", d)
	}
}

// What is no log of sysprep or of a first boot is called what it is, and a script of an
// answer file says where it stands.
func TestWhatIsNoLogIsCalledByItsName(t *testing.T) {
	cbs := "2024-05-05 10:00:01, Error                 CBS    Failed to perform operation.  [HRESULT = 0x800f0922 - CBS_E_INSTALLERS_FAILED]\r\n"
	const script = "*** Will now execute command «reg.exe add HKLM\\x».\r\nThe operation completed successfully.\r\n\r\n*** Finished executing command after 8 ms.\r\n"
	for name, test := range map[string]struct {
		file, log string
		want      Outcome
		says      string
	}{
		"servicing under another name": {"setupact.log", cbs, NoLog, "a log of servicing"},
		"servicing":                    {"CBS.log", cbs, NoLog, "a log of servicing"},
		"an upgrade":                   {"setupact.log", "2024-05-05 10:00:00, Info                  MOUPG  SetupHost::Initialize: CmdLine = [/Install]\r\n2024-05-05 10:00:02, Error                 SP     Operation failed: 0x800F081E\r\n", NoLog, "SetupDiag"},
		"servicing, and sysprep":       {"setupact.log", cbs + refusedRun, Failed, ""},
		"servicing, and its errors":    {"setuperr.log", cbs + stamp(hitFailure+"pre-validate sysprep cleanup internal providers; hr = 0x80310039"), Failed, "BitLocker"},
		"servicing, and a setting":     {"setuperr.log", cbs + stamp("Error                        [Shell Unattend] CopyProfile failed (0x80070003)"), Failed, "CopyProfile"},
		"servicing, and a first boot":  {"setupact.log", cbs + stamp(setupStarts, toUnready, commands), Hanging, ""},
		"a dialog in French":           {"a.txt", "L’ordinateur a redémarré de manière inattendue ou a rencontré une erreur inattendue.\n", NoLog, "the first boot failed"},
		"one in Japanese":              {"a.txt", "コンピューターが予期せず再起動されたか、予期しないエラーが発生しました。\n", NoLog, "the first boot failed"},
		"one in Spanish":               {"a.txt", "Windows no pudo completar la instalación.\n", NoLog, "a message of Windows Setup"},
		"a script that ended":          {"Specialize.log", script, NoLog, ""},
		"a script that stands":         {"Specialize.log", script + "*** Will now execute command «msiexec.exe /i C:\\a.msi PASSWORD=S3cret!x».\r\n", Hanging, "msiexec.exe /i C:\\a.msi PASSWORD=<sensitive>"},
		"the same in UTF-16":           {"FirstLogon.log", string(inUTF16(script+"*** Will now execute command «powershell.exe -File C:\\x.ps1».\r\n", 0)), Hanging, "powershell.exe -File C:\\x.ps1"},
	} {
		found := Collect([]Log{ReadLog("Setup/Scripts/"+test.file, []byte(test.log))})
		says := found.Says
		if found.Diagnosis != nil {
			says += found.Diagnosis.Summary
		}
		if found.Outcome != test.want || !strings.Contains(says, test.says) || strings.Contains(says, "S3cret") {
			t.Errorf("%s: %s %q", name, found.Outcome, says)
		}
		if !IsLog(test.file) && test.file != "a.txt" {
			t.Errorf("%s is not looked for in a folder", test.file)
		}
	}
}

// A terminal that breaks lines where it ends breaks words; a mail does not.
func TestALogThatATerminalBroke(t *testing.T) {
	for _, width := range []int{60, 80, 100, 132} {
		var b strings.Builder
		for line := range strings.Lines(strings.ReplaceAll(refusedRun, "\r", "")) {
			for line = strings.TrimSuffix(line, "\n"); len(line) > width; line = line[width:] {
				b.WriteString(line[:width] + "\n")
			}
			b.WriteString(line + "\n")
		}
		runs := Split(Parse([]byte(b.String())))
		whole, _ := Diagnose(Split(Parse([]byte(refusedRun)))[0])
		if d, ok := Diagnose(runs[len(runs)-1]); !ok || d.ID != whole.ID || d.Summary != whole.Summary {
			t.Errorf("%d columns: %v %s %q", width, ok, d.ID, d.Summary)
		}
	}
}

// What is known of a run that was ended by force is known of the runs after it.
func TestARunThatWasEndedByForce(t *testing.T) {
	killed := stamp(append(slices.Clone(opening), processing, executeGeneralize, begins("Sysprep_Generalize_Pnp_Drivers", "sppnp.dll"))...)
	invalid := stamp(append(slices.Clone(opening), "Error      [0x0f0073] SYSPRP RunExternalDlls:Not running DLLs; either the machine is in an invalid state or we couldn't update the recorded state, dwRet = 0x1f", "Error      [0x0f00ae] SYSPRP WinMain:Hit failure while processing sysprep cleanup external providers; hr = 0x8007001f")...)
	found := Collect([]Log{ReadLog("setupact.log", []byte(killed+invalid))})
	if d := found.Diagnosis; d == nil || d.ID != "F101" || !strings.Contains(d.Summary, "was ended before it was done") || !strings.Contains(d.Summary, "sppnp.dll") {
		t.Errorf("%+v", d)
	}
	if d := Collect([]Log{ReadLog("setupact.log", []byte(goodRun+invalid))}).Diagnosis; d == nil || d.ID != "F32" {
		t.Errorf("after a run that ended: %+v", d)
	}
}

func TestOtherFailuresOfTheSameStep(t *testing.T) {
	for name, test := range map[string]struct {
		log, id, text, never string
	}{
		"the state of BitLocker is not known": {stamp("Error      [0x0f0082] SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'ValidateBitLockerState' from C:\\Windows\\System32\\BdeSysprep.dll; dwRet = 0x80041010"), "F00", "0x80041010", "is on for"},
		"an option that sysprep has not":      {stamp(append(slices.Clone(opening), "Error                 SYSPRP ParseCommands:Some option 'GENERALISE' is wrong", "Error                 SYSPRP WinMain: Unable to parse command-line arguments to sysprep; GLE = 0x57")...), "F50", "'GENERALISE'", ""},
		"a language":                          {stamp(setupBegins, "Error                        [MUIUNATTEND.EXE] UILanguage: language de-DE is not installed; hr = 0x80070490"), "F115", "UILanguage", ""},
		"a partition":                         {stamp(setupBegins, "Error                        [SETUPUGC.EXE] ExtendOSPartition: Failed to extend partition; hr = 0x80042585"), "F115", "ExtendOSPartition", ""},
	} {
		d := Collect([]Log{ReadLog("setupact.log", []byte(test.log))}).Diagnosis
		if d == nil || d.ID != test.id || !strings.Contains(d.Summary, test.text) || test.never != "" && strings.Contains(d.Summary, test.never) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}
