package diagnosis

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// errorsOf makes a setuperr.log of messages.
func errorsOf(messages ...string) Run {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString("2025-01-02 03:04:05, Error                 SYSPRP " + m + "\r\n")
	}
	runs := Split(Parse([]byte(b.String())))
	return runs[len(runs)-1]
}

const (
	halting = "RunDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x5"
	hit     = "WinMain:Hit failure while processing sysprep generalize internal providers; hr = 0x80070005"
)

func TestWhatFailedIsNamedWithAllThatTheLogHas(t *testing.T) {
	for name, test := range map[string]struct {
		run   Run
		texts []string
	}{
		"a module and its component": {errorsOf(`ActionPlatform::LaunchModule: Failure occurred while executing 'Foo' from C:\W\foo.dll; dwRet = 0x2`, "SysprepSession::ExecuteInternal: Error in executing action for Contoso-Foo Bar; dwRet = 0x2", halting, hit),
			[]string{`'Foo' of C:\W\foo.dll (component Contoso-Foo Bar) failed with 0x2 = 0x80070002: file not found`, "what is missing"}},
		"an operation": {errorsOf("SysprepSession::ExecuteAction: Failed during deleteKey operation; dwRet = 0x5", "SysprepSession::ExecuteInternal: Error in executing action for Contoso-Foo; dwRet = 0x5", halting, hit),
			[]string{"the deleteKey action of component Contoso-Foo failed with 0x5", "what denies the access"}},
		"a component alone":       {errorsOf("SysprepSession::ExecuteInternal: Error in executing action for Contoso-Foo; dwRet = 0x7f", halting, hit), []string{"the action of component Contoso-Foo failed with 0x7f"}},
		"nothing but a code":      {errorsOf(halting, hit), []string{"sysprep stopped with 0x5 = 0x80070005: access denied"}},
		"a module without a code": {errorsOf(`ActionPlatform::LaunchModule: Failure occurred while executing 'Foo' from C:\W\foo.dll`, hit), []string{`'Foo' of C:\W\foo.dll failed with 0x80070005: access denied`}},
		"first boot":              {errorsOf("[setup.exe] Some unknown thing went wrong", "[windeploy.exe] Setup.exe failed, returning exit code [0x1f]"), []string{"first boot", `"[setup.exe] Some unknown thing went wrong"`, "0x1f"}},
	} {
		d, ok := Diagnose(test.run)
		for _, text := range test.texts {
			if !ok || !strings.Contains(d.Summary+d.Remedy[0], text) {
				t.Errorf("%s: %q is not in %q / %q", name, text, d.Summary, d.Remedy)
			}
		}
	}
}

func TestACauseMustAgreeWithWhatFailed(t *testing.T) {
	failed := func(dll string) string {
		return "ActionPlatform::LaunchModule: Failure occurred while executing 'Foo' from C:\\W\\" + dll + "; dwRet = 0x5"
	}
	const delete5 = `ActionPlatform::DeleteKey: Error from RegDeleteTreeW for key HKEY_LOCAL_MACHINE\Software\SomeVendor; dwRet = 0x5`
	for name, test := range map[string]struct {
		run  Run
		want string
	}{
		"a package, and the packages' provider":      {errorsOf(appx("A.B_1"), failed("AppxSysprep.dll"), halting, hit), "F01"},
		"a package, and another provider":            {errorsOf(appx("A.B_1"), failed("foo.dll"), halting, hit), "F00"},
		"a package, and no provider named":           {errorsOf(appx("A.B_1"), halting, hit), "F01"},
		"a package, and an operation":                {errorsOf(appx("A.B_1"), "SysprepSession::ExecuteAction: Failed during deleteKey operation; dwRet = 0x5", halting, hit), "F00"},
		"an operation":                               {errorsOf(delete5, halting, hit), "F46"},
		"an operation, and a provider":               {errorsOf(delete5, failed("foo.dll"), halting, hit), "F00"},
		"an operation, and another code failed":      {errorsOf(delete5, strings.Replace(halting, "0x5", "0x2", 1), strings.Replace(hit, "80070005", "80070002", 1)), "F00"},
		"a provider, and what Setup says of it":      {errorsOf(`ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Specialize_Foo' from C:\W\foo.dll; dwRet = 0x2`, "[windeploy.exe] Setup.exe failed, returning exit code [0x1f]"), "F00"},
		"an operation with another code":             {errorsOf(strings.Replace(delete5, "0x5", "0x2", 1), halting, hit), "F00"},
		"noise of the provider that failed":          {errorsOf("SPPNP: boom", failed("sppnp.dll"), halting, hit), "F00"},
		"a consequence, and nothing before":          {errorsOf("RunExternalDlls:Not running DLLs; either the machine is in an invalid state or we couldn't update the recorded state, dwRet = 31", "WinMain:Hit failure while processing sysprep cleanup external providers; hr = 0x8007001f"), "F32"},
		"an answer file, and the parser's complaint": {errorsOf("The provided unattend file is not valid; hrResult = 0x80220005", "WinMain: Unable to parse command-line arguments to sysprep; GLE = 0x0"), "F60"},
		"the parser's complaint alone":               {errorsOf("WinMain: Unable to parse command-line arguments to sysprep; GLE = 0x0"), "F50"},
	} {
		if d, ok := Diagnose(test.run); !ok || d.ID != test.want {
			t.Errorf("%s: %s %q", name, d.ID, d.Summary)
		}
	}
	// A cause that no provider owns is near the failure, and of the same code.
	const search = "An internal error occurred while loading or searching for an unattend answer file; hr = "
	far := append(append([]string{search + "0x80070005"}, slices.Repeat([]string{"something else is wrong"}, above+5)...), failed("foo.dll"), halting, hit)
	for name, test := range map[string]struct {
		run  Run
		want string
	}{
		"near":         {errorsOf(search+"0x80070005", failed("foo.dll"), halting, hit), "F62"},
		"another code": {errorsOf(search+"0x80070002", failed("foo.dll"), halting, hit), "F00"},
		"far above":    {errorsOf(far...), "F00"},
	} {
		if d, ok := Diagnose(test.run); !ok || d.ID != test.want {
			t.Errorf("%s: %s %q", name, d.ID, d.Summary)
		}
	}
	d, _ := Diagnose(errorsOf("SPPNP: boom", failed("sppnp.dll"), halting, hit))
	if !strings.Contains(d.Evidence[0], "SPPNP: boom") {
		t.Errorf("the words of the provider that failed are noise: %q", d.Evidence)
	}
	d, _ = Diagnose(errorsOf("SPPNP: boom", failed("foo.dll"), halting, hit))
	if strings.Contains(d.Evidence[0], "SPPNP: boom") {
		t.Errorf("noise is shown: %q", d.Evidence)
	}
}

// Two runs after one that broke off find the machine broken; the cause is the
// first one's.
func TestTheCauseIsLookedForInTheRunThatBrokeOff(t *testing.T) {
	const invalid = "2014-01-29 10:30:00, Error      [0x0f0073] SYSPRP RunExternalDlls:Not running DLLs; either the machine is in an invalid state or we couldn't update the recorded state, dwRet = 31\r\n" +
		"2014-01-29 10:30:00, Error      [0x0f00ae] SYSPRP WinMain:Hit failure while processing sysprep cleanup external providers; hr = 0x8007001f\r\n"
	for _, banner := range []string{"", "2014-01-29 10:30:00, Info                  SYSPRP ===          Beginning of a new sysprep run          ===\r\n"} {
		log := stampErrors(`ActionPlatform::LaunchModule: Failure occurred while executing 'SysPrepDtcCleanup' from C:\W\msdtcprx.dll; dwRet = 0x80000003`, halting, hit) + banner + invalid + banner + invalid
		d, ok := diagnoseAll([]byte(log))
		if !ok || d.ID != "F34" || !strings.Contains(d.Summary, "earlier") || !strings.Contains(strings.Join(d.Evidence, "\n"), "Not running DLLs") || d.Note == "" {
			t.Errorf("%s %q %q", d.ID, d.Summary, d.Evidence)
		}
		// A run that was refused changed nothing: it is not to blame.
		d, ok = diagnoseAll([]byte(refusedRun + "2014-01-29 10:30:00, Info                  SYSPRP ===          Beginning of a new sysprep run          ===\r\n" + invalid))
		if !ok || d.ID != "F32" {
			t.Errorf("after a refusal: %s", d.ID)
		}
	}
}

func stampErrors(messages ...string) string {
	var b strings.Builder
	for _, m := range messages {
		b.WriteString("2014-01-29 10:00:00, Error                 SYSPRP " + m + "\r\n")
	}
	return b.String()
}

func TestASettingIsSentToItsHome(t *testing.T) {
	for path, want := range map[string]string{
		"Microsoft-Windows-Deployment /settings/OOBE/HideEULAPage":          "Move OOBE to Microsoft-Windows-Shell-Setup.",
		"Microsoft-Windows-Shell-Setup /settings/LocalAccounts":             "Move LocalAccounts below UserAccounts of Microsoft-Windows-Shell-Setup.",
		"Microsoft-Windows-Shell-Setup /settings/InputLocale":               "Move InputLocale to Microsoft-Windows-International-Core.",
		"Microsoft-Windows-Shell-Setup /settings/Identification/JoinDomain": "Move Identification to Microsoft-Windows-UnattendedJoin.",
		"Microsoft-Windows-Shell-Setup /settings/NoSuchThing":               "Remove NoSuchThing from Microsoft-Windows-Shell-Setup, or move it",
	} {
		component, setting, _ := strings.Cut(path, " ")
		d, ok := Diagnose(errorsOf(strings.Split(strings.ReplaceAll(refusedSetting(component, setting, "0x80220001"), "2025-01-02 03:04:05, Error                 SYSPRP ", ""), "\r\n")...))
		if !ok || d.ID != "F92" || !strings.HasPrefix(d.Remedy[0], want) {
			t.Errorf("%s: %s %q", path, d.ID, d.Remedy)
		}
	}
}

// A machine that broke midway is not repaired: what to do is for a fresh one.
func TestWhatToDoFitsThePhase(t *testing.T) {
	appx := sys32 + "AppxSysprep.dll"
	line := "Package Fabrikam.Scanner_3.1.0.0_x64__abcdefghjkmnp was installed for a user, but not provisioned for all users."
	staged := "Failed to remove staged package Fabrikam.Scanner_3.1.0.0_x64__abcdefghjkmnp: 0x80070002."
	for name, test := range map[string]struct {
		lines    []string
		id, next string
	}{
		"refused":            {chain(preGeneral, "SysprepGeneralizeValidate", appx, "0x3cf2", "0x80073cf2", line), "F01", "In Windows PowerShell on the guest: Get-AppxPackage"},
		"broken":             {chain(general, "SysprepGeneralize", appx, "0x3cf2", "0x80073cf2", line), "F01", "On a fresh machine before sysprep: Get-AppxPackage"},
		"staged and refused": {chain(preGeneral, "SysprepGeneralizeValidate", appx, "0x2", "0x80070002", staged), "F91", "In Windows PowerShell on the guest: Get-AppxPackage"},
		"staged and broken":  {chain(general, "SysprepGeneralize", appx, "0x2", "0x80070002", staged), "F91", "On a fresh machine before sysprep: Get-AppxPackage"},
		"a staged one only":  {chain(general, "SysprepGeneralize", appx, "0x2", "0x80070002", "Failed to remove staged package Fabrikam.Scanner_3.1.0.0_x64__abcdefghjkmnp. Failed to remove apps for the current user."), "F91", "On a fresh machine"},
		"servicing, midway":  {chain("processing sysprep cleanup internal providers", "Sysprep_Clean_Validate_Opk", sys32+"spopk.dll", "0x139f", "0x8007139f", "one or more Windows updates that require a reboot"), "F21", "On a fresh machine before sysprep: Restart"},
	} {
		d, ok := Diagnose(Split(Parse([]byte(stamp(append(append([]string{}, opening...), test.lines...)...))))[0])
		if !ok || d.ID != test.id || !strings.HasPrefix(d.Remedy[0], test.next) {
			t.Errorf("%s: %v %s %q", name, ok, d.ID, d.Remedy)
		}
		if name != "servicing, midway" && !strings.Contains(d.Summary, "Fabrikam.Scanner_3.1.0.0_x64__abcdefghjkmnp") {
			t.Errorf("%s: %q", name, d.Summary)
		}
	}
}

// A log of many errors is told in the time of one look at each: what a line stands
// near to is looked up, and not counted anew for each line and cause.
func TestManyErrorsFarAboveAFailureAreTold(t *testing.T) {
	a := &analysis{failure: failure{at: 1_000_000}}
	for i := range 40_000 {
		a.problems = append(a.problems, problem{at: i * 20})
	}
	a.problems = append(a.problems, problem{at: 1_000_000})
	began, near := time.Now(), 0
	for range 5 { // counting takes 5 x 40,000 x 40,000 steps
		near = 0
		for _, p := range a.problems {
			if a.near(p) {
				near++
			}
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	if near != above+1 {
		t.Errorf("%d are near, want %d", near, above+1)
	}
}
