package diagnosis

import (
	"strings"
	"testing"
)

// Lines of a first boot. Those of the action queue, the join, oobeldr.exe, msoobe.exe and
// RunUserProvidedScript have the form that public logs show; those of single commands are
// written as a log may well write them.
const (
	blank       = "Info                         "
	toUnready   = blank + "[setup.exe] OrchestrateUpdateImageState: Updating image state from [IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE] --> [IMAGE_STATE_UNDEPLOYABLE]"
	specialized = blank + "[setup.exe] OrchestrateUpdateImageState: Updating image state from [IMAGE_STATE_UNDEPLOYABLE] --> [IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE]"
	toOOBE      = blank + "[oobeldr.exe] OrchestrateUpdateImageState: Updating image state from [IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE] --> [IMAGE_STATE_UNDEPLOYABLE]"
	complete    = blank + "[oobeldr.exe] OrchestrateUpdateImageState: Updating image state from [IMAGE_STATE_UNDEPLOYABLE] --> [IMAGE_STATE_COMPLETE]"
	queue       = blank + "[setup.exe] [Action Queue] : "
	commands    = queue + `Executing command "C:\Windows\System32\SETUPUGC.EXE"  specialize`
	shellSetup  = queue + `Executing command "C:\Windows\System32\RUNDLL32.EXE" shsetup.dll,SHUnattendedSetup specialize`
	script      = blank + `[windeploy.exe] RunUserProvidedScript: Found script at [C:\Windows\Setup\Scripts\SetupComplete.cmd]`
	screens     = blank + `[oobeldr.exe] Launching [C:\Windows\system32\oobe\msoobe.exe]...`
	rejoin      = "Warning                      [DJOIN.EXE] Unattended Join: NetJoinDomain attempt failed: 0x52e, will retry in 10 seconds..."
)

func TestAFirstBootSaysWhereItStands(t *testing.T) {
	begun := []string{setupStarts, toUnready}
	for name, test := range map[string]struct {
		lines []string
		id    string
		texts []string
		never []string
	}{
		"the commands of specialize": {[]string{commands}, "F119", []string{"Microsoft-Windows-Deployment, pass specialize", "RunSynchronous", "begun at 2025-07-22 21:00:02"}, nil},
		"what comes after them":      {[]string{commands, shellSetup}, "F119", []string{"Microsoft-Windows-Shell-Setup, pass specialize"}, []string{"Deployment"}},
		"one command": {[]string{commands, blank + `[SETUPUGC.EXE] Running RunSynchronousCommand 3, Description=[Install agent]: [cmd.exe /c C:\Setup\agent.exe /install]`},
			"F117", []string{"command 3 of RunSynchronous in the answer file (Install agent), pass specialize: cmd.exe /c C:\\Setup\\agent.exe /install", "limit of time"}, []string{"Microsoft-Windows-Deployment"}},
		"the one after another": {[]string{commands, blank + `[SETUPUGC.EXE] Executing synchronous command [Order=1]: reg add HKLM\x /f`, blank + "[SETUPUGC.EXE] Command exited with code [0x0]", blank + `[SETUPUGC.EXE] Executing synchronous command [Order=2]: msiexec /i C:\a.msi`},
			"F117", []string{"command 2 of", "msiexec /i C:\\a.msi", "begun at 2025-07-22 21:00:05"}, []string{"reg add"}},
		"a command with a secret":         {[]string{blank + `[SETUPUGC.EXE] Running command [net user build S3cret!x /add] in pass [specialize]`}, "F117", []string{"net user build <sensitive>"}, []string{"S3cret"}},
		"a secret that is quoted":         {[]string{blank + `[Shell Unattend] Running 'powershell.exe -Command Set-Thing -Password "S3cret!x" -Name a'`}, "F117", []string{"Set-Thing"}, []string{"S3cret"}},
		"a command without a word for it": {[]string{blank + `[setup.exe] Launching 'C:\Windows\System32\cmd.exe /c pause'`}, "F117", []string{`cmd.exe /c pause`, "pass specialize"}, nil},
		"a command at first logon": {[]string{specialized, toOOBE, screens, complete, blank + `[Shell Unattend] FirstLogonCommands: Running SynchronousCommand 2 (Description: Install tools): powershell.exe -File C:\tools.ps1`},
			"F117", []string{"command 2 of FirstLogonCommands in the answer file (Install tools), pass oobeSystem: powershell.exe -File C:\\tools.ps1"}, nil},
		"SetupComplete.cmd":                {[]string{commands, specialized, script}, "F118", []string{`SetupComplete.cmd: C:\Windows\Setup\Scripts\SetupComplete.cmd`, "log of its own"}, nil},
		"the screens of OOBE":              {[]string{specialized, toOOBE, screens, blank + "[msoobe.exe] Running mandatory tasks"}, "F120", []string{"OOBE", "Just a moment", "look at the screen"}, nil},
		"a domain":                         {[]string{commands, rejoin, rejoin}, "F121", []string{"0x8007052e", "wrong user name or password", "Username, Password", "begun at 2025-07-22 21:00:03"}, nil},
		"a service that is waited for":     {[]string{"Info                  IBS    SecurityTemplateDoOnlineInstall: Waiting for Sam service"}, "F126", []string{"Waiting for Sam service", "pass specialize"}, nil},
		"a command that is not waited for": {[]string{commands, blank + `[SETUPUGC.EXE] Executing RunAsynchronous command 7: C:\a.exe`}, "F119", []string{"Deployment"}, nil},
		"only such a one":                  {[]string{blank + `[SETUPUGC.EXE] Executing RunAsynchronous command 7: C:\a.exe`}, "F117", []string{"command 7 of RunAsynchronous", "C:\\a.exe"}, nil},
		"a notice beside it":               {[]string{blank + "[windeploy.exe] Found no unattend file", commands}, "F119", nil, nil},
		"a licence, and a step":            {[]string{blank + "[windeploy.exe] OEM license detected, will not run SetupComplete.cmd", commands}, "F119", nil, nil},
		"a domain by its name":             {[]string{commands, blank + "[DJOIN.EXE] Unattended Join: Calling DsGetDcName for corp.fabrikam.com...", rejoin}, "F121", []string{"its domain (corp.fabrikam.com)"}, nil},
		"a setting before it":              {[]string{"Error                        [Shell Unattend] RegisteredOwner: failed 0x80070490", commands}, "F119", nil, nil},
		"a pass":                           {[]string{specialized, toOOBE, blank + `[oobeldr.exe] Running oobeSystem pass with discovered unattend file [C:\Windows\panther\unattend.xml]...`}, "F122", []string{"pass oobeSystem of the answer file"}, nil},
		"after a command":                  {[]string{commands, queue + "Command executed successfully"}, "F122", []string{"pass specialize", `stops at "[setup.exe] [Action Queue] : Command executed successfully"`}, nil},
		"the begin only":                   {nil, "F122", []string{"pass specialize", "its end is missing"}, nil},
		"a provider later":                 {[]string{queue + "Command executed successfully", begins("Sysprep_Specialize_Pnp", "sppnp.dll")}, "F104", []string{"sppnp.dll"}, nil},
		"a command after one":              {[]string{begins("Sysprep_Specialize_Pnp", "sppnp.dll"), blank + `[SETUPUGC.EXE] Running command: C:\a.exe`}, "F117", []string{`C:\a.exe`}, nil},
	} {
		log := ReadLog("UnattendGC/setupact.log", []byte(stamp(append(begun, test.lines...)...)))
		found := Collect([]Log{log})
		if found.Outcome != Hanging || found.Diagnosis == nil || found.Diagnosis.ID != test.id || found.Diagnosis.Phase != PhaseFirstBoot || !found.Diagnosis.Unconfirmed {
			t.Errorf("%s: %s %+v", name, found.Outcome, found.Diagnosis)
			continue
		}
		d := found.Diagnosis
		text := strings.Join(append([]string{d.Summary}, d.Remedy...), "\n")
		for _, want := range test.texts {
			if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
				t.Errorf("%s: %q is not in %q", name, want, text)
			}
		}
		all := text + strings.Join(d.Evidence, "\n")
		for _, never := range append(test.never, "{", "<step>", "()") {
			if strings.Contains(all, never) {
				t.Errorf("%s: %q is in %q", name, never, all)
			}
		}
	}
}

func TestAFirstBootThatEndedStandsNowhere(t *testing.T) {
	for name, lines := range map[string][]string{
		"specialize":             {setupStarts, toUnready, commands, queue + "Command executed successfully", specialized},
		"an end in other words":  {setupStarts, toUnready, commands, specialized},
		"all of it":              {setupStarts, toUnready, commands, specialized, script, blank + "[windeploy.exe] RunUserProvidedScript: script exited with code [0x0]", toOOBE, screens, complete},
		"a script, then OOBE":    {setupStarts, toUnready, specialized, script, toOOBE, screens, blank + "[msoobe.exe] Exiting mandatory tasks... [0x0]", complete},
		"Setup's own word":       {setupStarts, toUnready, commands, "Info       [0x0601dc] IBS    Setup has completed phase 4 at 2021-09-27 04:03:58"},
		"the first logon":        {setupStarts, complete, blank + `[Shell Unattend] FirstLogonCommands: Running SynchronousCommand 1: a.exe`, blank + "[Shell Unattend] FirstLogonCommands: SynchronousCommand 1 returned 0x0"},
		"the reading of options": {setupStarts, toUnready, blank + "[windeploy.exe] Found setup.exe completion flag [True]", specialized},
	} {
		found := Collect([]Log{ReadLog("setupact.log", []byte(stamp(lines...)))})
		if found.Outcome != Succeeded || found.Diagnosis != nil {
			t.Errorf("%s: %s %+v", name, found.Outcome, found.Diagnosis)
		}
	}
}

// However a command is begun and ended in the log, it is named while it runs, and is over
// when it says so.
func TestTheLinesOfCommands(t *testing.T) {
	for begin, want := range map[string]string{
		`[SETUPUGC.EXE] Running command: cmd.exe /c "C:\a b\x.cmd" /q`:                                                            `a command of the answer file, pass specialize: cmd.exe /c "C:\a b\x.cmd" /q`,
		`[SETUPUGC.EXE] Running synchronous command 'cmd /c C:\x.cmd' (Order=4, Description='Join the domain')`:                   `command 4 of the answer file (Join the domain), pass specialize: cmd /c C:\x.cmd`,
		`[SETUPUGC.EXE] Executing command (Order 3): powershell -Command "Start-Sleep 99"`:                                        `command 3 of the answer file, pass specialize: powershell -Command "Start-Sleep 99"`,
		`[setup.exe] Executing RunSynchronousCommand[Order="2"] Path = C:\W\cmd.exe /c pause`:                                     `command 2 of RunSynchronous in the answer file, pass specialize: C:\W\cmd.exe /c pause`,
		`[setup.exe] RunSynchronous: Starting command 5 of 7: "C:\Program Files\a.exe" /silent`:                                   `command 5 of RunSynchronous in the answer file, pass specialize: "C:\Program Files\a.exe" /silent`,
		`[Shell Unattend] Running 'command' cmd /c C:\first.cmd`:                                                                  `a command of the answer file, pass specialize: cmd /c C:\first.cmd`,
		`[Shell Unattend] FirstLogonCommands: Launching command [Order=3] [Description=Enable WinRM] [CommandLine=a.exe -File x]`: `command 3 of FirstLogonCommands in the answer file (Enable WinRM), pass oobeSystem: a.exe -File x`,
		`[setup.exe] Starting asynchronous command 2 (Description: Monitor): C:\mon.exe`:                                          `command 2 of RunAsynchronous in the answer file (Monitor), pass specialize: C:\mon.exe`,
		`[windeploy.exe] Started process [C:\W\cmd.exe /c x.cmd], waiting for it to exit`:                                         `a command of the answer file, pass specialize: C:\W\cmd.exe /c x.cmd`,
		`[SETUPUGC.EXE] RunSynchronousCommand 6: 'C:\x.exe' started`:                                                              `command 6 of RunSynchronous in the answer file, pass specialize: C:\x.exe`,
		`[SETUPUGC.EXE] Running command [echo failed, done]`:                                                                      `a command of the answer file, pass specialize: echo failed, done`,
		`[SETUPUGC.EXE] Run synchronous command: C:\x.exe`:                                                                        `a command of the answer file, pass specialize: C:\x.exe`,
		`[windeploy.exe] Launching [%windir%\system32\oobe\setup.exe]...`:                                                         `its program %windir%\system32\oobe\setup.exe, pass specialize`,
		`[windeploy.exe] Executing C:\Windows\Setup\Scripts\SetupComplete.cmd`:                                                    `SetupComplete.cmd: C:\Windows\Setup\Scripts\SetupComplete.cmd`,
	} {
		log := stamp(setupStarts, toUnready, blank+begin)
		if got := ReadLog("setupact.log", []byte(log)).Run.Progress.Standing(); got != want {
			t.Errorf("%s:\n%q, want\n%q", begin, got, want)
		}
		who, _, _ := strings.Cut(begin, "]")
		for _, end := range []string{"Command exited with code [0x0]", "The process returned 0", `Successfully executed command [C:\x.exe]`, "Finished executing command 'a.exe'", "Executing command [a.exe] completed", "Running 'a.exe' failed with 0x5", "Exit code: 0"} {
			line := "2025-07-22 21:00:09, " + blank + who + "] " + end + "\r\n"
			if got := ReadLog("setupact.log", []byte(strings.TrimSpace(log)+"\r\n"+line)).Run.Progress.Standing(); got != "" {
				t.Errorf("%s, and %s: %q", begin, end, got)
			}
		}
	}
}

// What is not begun is no step.
func TestWhatWindowsSetupDoesNotBegin(t *testing.T) {
	for _, line := range []string{
		"[windeploy.exe] Client OS edition and OEM license detected and no enterprise edition detected, will not run SetupComplete.cmd",
		"[windeploy.exe] Not allowed to run the Setupcomplete.cmd, will not run SetupComplete.cmd",
		"[windeploy.exe] Skipping running command [a.exe]", "[setup.exe] Unable to find C:\\a.exe; not running command [a.exe]",
		"[windeploy.exe] Reboot required after setup.exe and PostSysprep commands, before launching OOBE.",
		"[windeploy.exe] Setup will run SetupComplete.cmd later", "[Shell Unattend] FirstLogonCommands: added 3 commands",
	} {
		if got := ReadLog("setupact.log", []byte(stamp(setupStarts, toUnready, blank+line))).Run.Progress.Standing(); got != "" {
			t.Errorf("%s: %q", line, got)
		}
	}
	// The whole of it, as Microsoft's article shows it.
	log := stamp(blank+"[windeploy.exe] OEM Licensing detected: 1", blank+"[windeploy.exe] OEM license detected, will not run SetupComplete.cmd", blank+"[windeploy.exe] Not allowed to run the Setupcomplete.cmd, will not run SetupComplete.cmd")
	if found := Collect([]Log{ReadLog("setupact.log", []byte(log))}); found.Outcome != Unfailed || found.Diagnosis == nil || found.Diagnosis.ID != "F98" {
		t.Errorf("%s %+v", found.Outcome, found.Diagnosis)
	}
}

// Of several logs of a machine the one counts that goes furthest.
func TestALaterLogSaysWhereAFirstBootStands(t *testing.T) {
	later := func(lines ...string) string { return strings.ReplaceAll(stamp(lines...), " 21:", " 22:") }
	panther := stamp(setupStarts, toUnready, specialized)
	stands, over := stamp(setupStarts, toUnready, commands), later(setupStarts, toUnready, specialized)
	for name, test := range map[string]struct {
		first, second string
		want          Outcome
		text          string
	}{
		"specialize ended, then a script":  {panther, later(setupStarts, script), Hanging, "SetupComplete.cmd"},
		"of the same minutes":              {panther, stamp(setupStarts, toUnready, commands, queue+"Command executed successfully", specialized, script), Hanging, "SetupComplete.cmd"},
		"in either order":                  {later(setupStarts, script), panther, Hanging, "SetupComplete.cmd"},
		"a step whose end is in the other": {stands, over, Succeeded, ""},
		"and in either order":              {over, stands, Succeeded, ""},
		"both stand":                       {stands, later(setupStarts, toUnready, shellSetup), Hanging, "Shell-Setup"},
	} {
		logs := []Log{ReadLog("Panther/setupact.log", []byte(test.first)), ReadLog("UnattendGC/setupact.log", []byte(test.second))}
		found := Collect(logs)
		if found.Outcome != test.want || test.text != "" && !strings.Contains(found.Diagnosis.Summary, test.text) {
			t.Errorf("%s: %s %+v", name, found.Outcome, found.Diagnosis)
		}
		d, at, ok := FirstBootStands(logs[0].Run, logs[1].Run)
		if ok != (test.want == Hanging) || ok && (!strings.Contains(d.Summary, test.text) || logs[at].Name != found.Log.Name) {
			t.Errorf("%s: FirstBootStands: %v %d %q", name, ok, at, d.Summary)
		}
	}
	// A machine that was built, and then generalized, does not stand in its own first boot.
	found := Collect([]Log{ReadLog("UnattendGC/setupact.log", []byte(at("2025-07-21", stands))), reading("setupact.log", goodRun)})
	if found.Outcome != Succeeded || found.Log.Of != OfSysprep {
		t.Errorf("a run of sysprep after it: %s of %s", found.Outcome, found.Log.Name)
	}
}

// Why OOBE waits for a person is said where the log knows it.
func TestANoticeSaysWhyOOBEWaits(t *testing.T) {
	log := stamp(setupStarts, blank+"[windeploy.exe] Found no unattend file", specialized, toOOBE, screens)
	if found := Collect([]Log{ReadLog("setupact.log", []byte(log))}); found.Diagnosis == nil || found.Diagnosis.ID != "F64" {
		t.Errorf("%s %+v", found.Outcome, found.Diagnosis)
	}
}

// What is worth to be known of a boot that stands still is in its note, and a log of
// whatever letters is read.
func TestANoticeOfABootThatStands(t *testing.T) {
	log := stamp(setupStarts, blank+"[windeploy.exe] OEM license detected, will not run SetupComplete.cmd", commands, blank+"[DJOIN.EXE] "+strings.Repeat("Ⱥ", 20)+" Calling DsGetDcName for x")
	found := Collect([]Log{ReadLog("setupact.log", []byte(log))})
	if d := found.Diagnosis; d == nil || d.ID != "F119" || !strings.Contains(d.Note, "SetupComplete.cmd was not run") {
		t.Errorf("%s %+v", found.Outcome, d)
	}
}

// A copy that was cut off looks like a boot that stands still, except at its end.
func TestALogThatWasCutOffSaysSo(t *testing.T) {
	whole := stamp(setupStarts, toUnready, commands, blank+`[SETUPUGC.EXE] Running command: [C:\Setup\agent.exe /install]`)
	for name, test := range map[string]struct {
		log  string
		torn bool
	}{
		"whole":                       {whole, false},
		"without its last line's end": {strings.TrimRight(whole, "\r\n"), false},
		"in a command":                {whole[:len(whole)-8], true},
		"in a time":                   {whole + "2025-07-22 21:0", true},
		"in a level":                  {whole + "2025-07-22 21:00:09, In", true},
		"lines of a person":           {whole + "and then it hangs", false},
	} {
		found := Collect([]Log{ReadLog("setupact.log", []byte(test.log))})
		if found.Outcome != Hanging || strings.Contains(found.Diagnosis.Note, "cut off") != test.torn {
			t.Errorf("%s: %s %+v", name, found.Outcome, found.Diagnosis)
		}
	}
	// What ended has ended, wherever the copy does.
	if found := Collect([]Log{ReadLog("setupact.log", []byte(stamp(setupStarts, toUnready, specialized)+"2025-07-22 21:0"))}); found.Outcome != Succeeded {
		t.Errorf("a good one: %s", found.Outcome)
	}
}
