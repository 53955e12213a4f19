package diagnosis

import (
	"fmt"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/secrets"
)

const shell = "Microsoft-Windows-Shell-Setup"

// Logs of Windows Setup: which cause each has, what must be said of it, and with
// which line the evidence begins.
func TestWhyAFirstBootFailed(t *testing.T) {
	source := func(program, component, path string) string {
		return strings.Replace(fmt.Sprintf(smiOf, component, path), "[setup.exe]", program, 1)
	}
	why := func(program, text string) string {
		return strings.Replace(fmt.Sprintf(smiWhy, text), "[setup.exe]", program, 1)
	}
	const oobe = "[oobeldr.exe]"
	for name, test := range map[string]struct {
		lines []string
		id    string
		texts []string
		first string
	}{
		// jc-tech.info, 2016: the cause is a warning, the errors only follow.
		"a password that is not encoded as Windows does": {[]string{
			"Warning                      [Shell Unattend] Failed to decode password (0x8007000d)",
			"Error                        [oobeldr.exe] [Action Queue] : Unattend action failed with exit code 4",
			"Error                        [oobeldr.exe] Execution of unattend GCs failed; hr = 0x0; pResults->hrResult = 0x8030000b",
			"Error                        [oobeldr.exe] User input error was detected in unattend file. Error: [0x0]",
			`Error                        [windeploy.exe] Command [%windir%\system32\oobe\oobeldr.exe /system] failed with exit code [0x8030000b]`,
			setupFailed}, "F105", []string{"0x8007000d", "PlainText"}, "Failed to decode password"},
		"only what follows from it": {[]string{
			"Error                        [oobeldr.exe] Execution of unattend GCs failed; hr = 0x0; pResults->hrResult = 0x8030000b",
			`Error                        [windeploy.exe] Command [%windir%\system32\oobe\oobeldr.exe /system] failed with exit code [0x8030000b]`},
			"F61", []string{"0x8030000b", "warnings"}, "0x8030000b"},
		// Windows 7: no hrResult, the code of the pass says that the setting does not exist.
		"oobeSystem of Windows 7": {[]string{source(oobe, shell, "AdministratorPassword"), why(oobe, "Setting is not defined in this component."),
			"Error                        [oobeldr.exe] User input error was detected in unattend file. Error: [0x0]",
			"Error                        [oobeldr.exe] Failed to complete RunSMIPass for oobeSystem.  Error: [0x8030000C]"},
			"F92", []string{"AdministratorPassword is not a setting of " + shell, "pass oobeSystem", "Move AdministratorPassword below UserAccounts of " + shell}, "AdministratorPassword"},
		"and in another language": {[]string{source(oobe, shell, "LocalAccounts"), why(oobe, "設定はこのコンポーネントで定義されていません。"),
			"Error                        [oobeldr.exe] Failed to complete RunSMIPass for oobeSystem.  Error: [0x8030000C]"},
			"F92", []string{"LocalAccounts is not a setting", "0x8030000c", "below UserAccounts"}, "LocalAccounts"},
		"the description before the setting": {[]string{why(oobe, "Value is invalid."), source(oobe, shell, "ComputerName"), fmt.Sprintf(smiInvalid, "0x80220005")},
			"F93", []string{"the value of ComputerName of " + shell, "at most 15 characters"}, "SMI data"},
		"and no code":                    {[]string{why(oobe, "Value is invalid."), source(oobe, shell, "ComputerName")}, "F93", []string{"the value of ComputerName of " + shell}, "SMI data"},
		"what is said may hold a secret": {[]string{source(oobe, shell, "AutoLogon"), why(oobe, "cannot use Password=S3cret, it is bad"), fmt.Sprintf(smiInvalid, "0x80220010")}, "F60", []string{"cannot use Password=<sensitive>, it is bad"}, "AutoLogon"},
		"the code before the setting": {[]string{fmt.Sprintf(smiInvalid, "0x80220001"), source("[setup.exe]", "Microsoft-Windows-Deployment", "OOBE"), why("[setup.exe]", "x")},
			"F92", []string{"OOBE is not a setting of Microsoft-Windows-Deployment (0x80220001", "Move OOBE to " + shell}, "0x80220001"},
		"several settings": {[]string{source("[setup.exe]", "Microsoft-Windows-Deployment", "OOBE"), why("[setup.exe]", "x"), source("[setup.exe]", "Microsoft-Windows-Deployment", "UserAccounts"), why("[setup.exe]", "x"), fmt.Sprintf(smiInvalid, "0x80220001")},
			"F92", []string{"OOBE is not a setting", "also refused: UserAccounts of Microsoft-Windows-Deployment", "Move OOBE to", "Move UserAccounts to " + shell}, "/settings/OOBE"},
		"a name with a slip": {[]string{source(oobe, shell, "OOBE/HideOEMRegistrationScreens"), why(oobe, "Setting is not defined in this component")},
			"F92", []string{"OOBE/HideOEMRegistrationScreens", "Write HideOEMRegistrationScreen instead"}, "HideOEM"},
		"a setting too deep": {[]string{source(oobe, shell, "OOBE/UserAccounts"), why(oobe, "Setting is not defined in this component")},
			"F92", []string{"Move UserAccounts out of OOBE, directly below the component " + shell}, "UserAccounts"},
		"a command without its list": {[]string{source("[setup.exe]", "Microsoft-Windows-Deployment", "RunSynchronousCommand"), why("[setup.exe]", "x"), fmt.Sprintf(smiInvalid, "0x80220001")},
			"F92", []string{"Move RunSynchronousCommand below RunSynchronous of Microsoft-Windows-Deployment"}, "RunSynchronousCommand"},
		"a component twice": {[]string{source("[setup.exe]", shell, ""), why("[setup.exe]", "The same namespace should not appear twice in a single settings section."), fmt.Sprintf(smiInvalid, "0x8022001b")},
			"F60", []string{"0x8022001b", shell, "twice"}, "SMI data"},
		"a first dump of another attempt": {[]string{source("[setup.exe]", shell, "RunSynchronous"), why("[setup.exe]", "x"), fmt.Sprintf(smiInvalid, "0x80220001"), childFailed,
			setupBegins, source("[setup.exe]", shell, "SkipRearm"), why("[setup.exe]", "x"), fmt.Sprintf(smiInvalid, "0x80220001"), childFailed},
			"F92", []string{"SkipRearm is not a setting", "Move SkipRearm to Microsoft-Windows-Security-SPP."}, "SkipRearm"},
		"a refused value, shown as hex": {[]string{"Error                 CSI    00000001 (F) 80220005 [Error,Facility=FACILITY_STATE_MANAGEMENT,Code=5] #121# from CWcmScalarInstanceCore::PutCurrentValue(options = 0, value = { type: 8204, bytes ( 18 ): 500040007300730077006f0072006400 })",
			source(oobe, shell, "AutoLogon/Password/Value"), why(oobe, "Value is invalid."), fmt.Sprintf(smiInvalid, "0x80220005")}, "F93", []string{"AutoLogon/Password/Value"}, "AutoLogon/Password/Value"},
		"a path that is too long": {[]string{source("[setup.exe]", "Microsoft-Windows-Deployment", `RunSynchronous/RunSynchronousCommand/[Order="2"]/Path`), why("[setup.exe]", "Die Länge ist falsch."), fmt.Sprintf(smiInvalid, "0x80220005")},
			"F66", []string{"Path of RunSynchronousCommand 2", "259"}, "RunSynchronousCommand"},
		"audit mode and the password policy": {[]string{"Error                        [audit.exe] Unable to enable local account [Administrator]; hr = 0x800708C5",
			`Error                        [audit.exe] Failed to arrange for [C:\Windows\system32\oobe\audit.exe /user] to be called after logon; hr = 0x800708c5`,
			`Error                        [windeploy.exe] Command [%windir%\system32\oobe\audit.exe /system] failed with exit code [0x800708c5]`, setupFailed},
			"F95", []string{"Administrator", "password policy"}, "Unable to enable"},
		"a domain that is not found": {[]string{"Info                         [DJOIN.EXE] Unattended Join: Calling DsGetDcName for corp.fabrikam.com...",
			"Warning                      [DJOIN.EXE] Unattended Join: DsGetDcName failed: 0x54b, last error is 0x0, will retry in 10 seconds...",
			"Error                        [DJOIN.EXE] Unattended Join: NetJoinDomain failed error code is [1355]"}, "F96", []string{"corp.fabrikam.com", "0x8007054b", "No domain controller"}, "NetJoinDomain"},
		"a password that the domain refuses": {[]string{"Error                        [DJOIN.EXE] Unattended Join: NetJoinDomain failed error code is [1326]"}, "F96", []string{"wrong user name or password", "correct Username, Password"}, "1326"},
		"an account that must not be reused": {[]string{"Error                        [DJOIN.EXE] Unattended Join: Unable to join; gdwError = 0xaac"}, "F96", []string{"KB5020276"}, "0xaac"},
		"a product key":                      {[]string{"Error                        [Shell Unattend] Product key VK7JG-NPHTM-C97JM-9MPGT-3V66T could not be installed [0xc004f050]"}, "F68", []string{"0xc004f050", "KMS client key"}, "Product key <sensitive>"},
		"a command":                          {[]string{"Error                        [setup.exe] RunSynchronousCommand 3 exited with code [0x5]", childFailed}, "F67", []string{"a command of the answer file failed (exit code 0x5 = 5)"}, "RunSynchronousCommand 3"},
		"a failed child and no more":         {[]string{"Error                        [setup.exe] Contoso driver package cannot be injected: 0x80070002", childFailed, setupFailed}, "F84", []string{"Contoso driver package"}, "Contoso"},
		"crypto keys":                        {[]string{"Error      [0x0f0082] SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'CryptoSysPrep_Specialize' from C:\\Windows\\System32\\capisp.dll; dwRet = 0x2", "Error      [0x060435] IBS    Callback_Specialize: An error occurred while either deciding if we need to specialize or while specializing; dwRet = 0x2"}, "F45", []string{"domain"}, "CryptoSysPrep_Specialize"},
		"no system partition":                {[]string{"Error                 SYSPRP BCD: Failed to get system partition. Status: c0000452", "Error                 SYSPRP Sysprep_Specialize_Bcd: There was an error opening the system store. Status=[0xC0000452]", "Error      [0x0f0082] SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Specialize_Bcd' from C:\\Windows\\System32\\spbcd.dll; dwRet = 0x3bc3"}, "F90", []string{"system partition"}, "Failed to get system partition"},
	} {
		runs := Split(Parse([]byte(stamp(append([]string{setupBegins}, test.lines...)...))))
		d, ok := Diagnose(runs[len(runs)-1])
		if !ok || d.ID != test.id || d.Phase != PhaseFirstBoot || d.Severity != finding.Fail {
			t.Errorf("%s: %v %s %s %q", name, ok, d.ID, d.Phase, d.Summary)
			continue
		}
		text := d.Summary + "\n" + strings.Join(d.Remedy, "\n")
		for _, want := range test.texts {
			if !strings.Contains(text, want) {
				t.Errorf("%s: %q is not in %q", name, want, text)
			}
		}
		evidence := strings.Join(d.Evidence, "\n")
		if !strings.Contains(d.Evidence[0], test.first) || strings.Contains(text+evidence, "{") || strings.Contains(text+evidence, "VK7JG") || strings.Contains(evidence, "5000400073") {
			t.Errorf("%s: %q\n%s", name, text, evidence)
		}
	}
}

// Lines that are worth to be known, of a first boot that did not fail.
func TestWhatIsWorthToBeKnownOfAFirstBoot(t *testing.T) {
	for name, test := range map[string]struct{ line, id, text string }{
		"an OEM licence":          {"Info                         [windeploy.exe] Client OS edition and OEM license detected and no enterprise edition detected, will not run SetupComplete.cmd", "F98", "SetupComplete.cmd"},
		"the same on older media": {"Info                         [windeploy.exe] OEM license detected, will not run SetupComplete.cmd", "F98", "OEM"},
		"a time zone by its name": {"Warning                      [Shell Unattend] TimeZone: Unknown time zone 'Mitteleuropäische Zeit'", "F106", "Mitteleuropäische Zeit"},
		"no answer file":          {"Info                         [windeploy.exe] Found no unattend file", "F64", "no answer file"},
		"a used answer file":      {"Info       [0x0601d0] IBS    Found already-processed unattend file for pass [oobeSystem]", "F65", "oobeSystem"},
	} {
		d, ok := Diagnose(Split(Parse([]byte(stamp(setupBegins, test.line))))[0])
		if !ok || d.ID != test.id || d.Severity != finding.Warn || !strings.Contains(d.Summary, test.text) {
			t.Errorf("%s: %v %s %q", name, ok, d.ID, d.Summary)
		}
		// A failure counts more.
		d, _ = Diagnose(Split(Parse([]byte(stamp(setupBegins, test.line, "Error                        [Shell Unattend] CopyProfile failed (0x80070003) [gle=0x00000003]"))))[0])
		if d.ID != "F89" {
			t.Errorf("%s, and a failure: %s %q", name, d.ID, d.Summary)
		}
	}
}

// setuperr.log has nothing between two boots: the second one counts.
func TestTheLastRefusalCounts(t *testing.T) {
	record := func(path string) string {
		return stamp(fmt.Sprintf(smiOf, shell, path), fmt.Sprintf(smiWhy, "x"), fmt.Sprintf(smiInvalid, "0x80220001"))
	}
	for name, test := range map[string]struct{ log, want, never string }{
		"a day later":                     {record("RunSynchronous") + at("2025-07-23", record("SkipRearm")), "SkipRearm is not a setting", "RunSynchronous"},
		"the same again":                  {record("RunSynchronous") + at("2025-07-23", record("RunSynchronous")), "RunSynchronous is not a setting", "also refused"},
		"twice in one":                    {stamp(fmt.Sprintf(smiOf, shell, "RunSynchronous"), fmt.Sprintf(smiOf, shell, "RunSynchronous"), fmt.Sprintf(smiInvalid, "0x80220001")), "RunSynchronous is not a setting", "also refused"},
		"a whole one and another at once": {record("RunSynchronous") + record("SkipRearm"), "RunSynchronous is not a setting", "also refused"},
	} {
		runs := Split(Parse([]byte(test.log)))
		d, ok := Diagnose(runs[len(runs)-1])
		if !ok || d.ID != "F92" || !strings.Contains(d.Summary, test.want) || strings.Contains(d.Summary, test.never) {
			t.Errorf("%s: %v %s %q", name, ok, d.ID, d.Summary)
		}
	}
	// The same of two runs of sysprep, the first of which did not understand its
	// answer file.
	var later string
	for _, l := range strings.SplitAfter(at("2025-07-23", refusedRun), "\n") {
		if strings.Contains(l, ", Error") {
			later += l
		}
	}
	first := stamp("Error                 SYSPRP SMI data results dump: Description = The same namespace should not appear twice in a single settings section.", "Error                 SYSPRP The provided unattend file is not valid; hrResult = 0x8022001b", "Error                 SYSPRP WinMain: Unable to parse command-line arguments to sysprep; GLE = 0x0")
	runs := Split(Parse([]byte(first + later)))
	if d, ok := Diagnose(runs[len(runs)-1]); !ok || d.ID != "F06" {
		t.Errorf("a refusal after an answer file that is not valid: %v %s", ok, d.ID)
	}
}

// A record has as many lines as the answer file has faults.
func TestTheEvidenceIsBounded(t *testing.T) {
	lines := []string{setupBegins}
	for i := range 10 * maxEvidence {
		lines = append(lines, fmt.Sprintf(smiOf, shell, fmt.Sprintf("Wrong%d", i)))
	}
	d, ok := Diagnose(Split(Parse([]byte(stamp(append(lines, fmt.Sprintf(smiInvalid, "0x80220001"))...))))[0])
	if n := len(d.Evidence); !ok || n == 0 || n > 2*maxEvidence {
		t.Errorf("%d lines", n)
	}
}

func TestAFirstBootThatDoesNotEnd(t *testing.T) {
	found := Collect([]Log{reading("setupact.log", stamp(setupBegins, begins("Sysprep_Specialize_Pnp", "sppnp.dll")))})
	if found.Outcome != Hanging || found.Diagnosis.ID != "F104" || found.Diagnosis.Phase != PhaseFirstBoot || !strings.Contains(found.Diagnosis.Summary, "Sysprep_Specialize_Pnp of C:\\Windows\\System32\\sppnp.dll (devices and drivers), begun at 2025-07-22 21:00:01") {
		t.Errorf("%s %+v", found.Outcome, found.Diagnosis)
	}
	done := Collect([]Log{reading("setupact.log", stamp(setupBegins, begins("Sysprep_Specialize_Pnp", "sppnp.dll"), `Info SYSPRP ActionPlatform::LaunchModule: Successfully executed 'Sysprep_Specialize_Pnp' from C:\Windows\System32\sppnp.dll`))})
	if done.Outcome != Hanging || done.Diagnosis.ID != "F122" || !strings.Contains(done.Diagnosis.Summary, "its log stops at") {
		t.Errorf("a provider that ended: %s %+v", done.Outcome, done.Diagnosis)
	}
}

// The answer is in another log than the one that is looked at first.
func TestTheCauseIsLookedForInAllLogs(t *testing.T) {
	opening := stamp(opening...)
	invalid := opening + stamp("Error      [0x0f0073] SYSPRP RunExternalDlls:Not running DLLs; either the machine is in an invalid state or we couldn't update the recorded state, dwRet = 0x1f", "Error      [0x0f00ae] SYSPRP WinMain:Hit failure while processing sysprep cleanup external providers; hr = 0x8007001f")
	var errors []string
	for _, l := range chain(general, "SLReArmWindows", sys32+"slc.dll", "0xc004d307", "0xc004d307") {
		if strings.HasPrefix(l, "Error") {
			errors = append(errors, l)
		}
	}
	both := at("2025-07-20", stamp(errors...)) + invalid[len(opening):]
	found := Collect([]Log{reading("setupact.log", invalid), reading("setuperr.log", both)})
	if found.Diagnosis.ID != "F30" || found.Log.Name != "setuperr.log" || !strings.Contains(found.Diagnosis.Summary, "an earlier sysprep run") {
		t.Errorf("%s of %s: %s", found.Diagnosis.ID, found.Log.Name, found.Diagnosis.Summary)
	}
	if alone := Collect([]Log{reading("setupact.log", invalid)}); alone.Diagnosis.ID != "F32" {
		t.Errorf("alone: %s", alone.Diagnosis.ID)
	}
	// The clock was put back between the failure and the success.
	var failed []string
	for _, l := range strings.SplitAfter(at("2025-07-30", refusedRun), "\n") {
		if strings.Contains(l, ", Error") {
			failed = append(failed, l)
		}
	}
	found = Collect([]Log{reading("setupact.log", at("2025-07-30", refusedRun)+goodRun), reading("setuperr.log", strings.Join(failed, ""))})
	if found.Outcome != Succeeded {
		t.Errorf("a clock that was put back: %s %+v", found.Outcome, found.Diagnosis)
	}
	found = Collect([]Log{reading("setupact.log", goodRun), reading("setuperr.log", strings.Join(failed, ""))})
	if found.Outcome != Failed {
		t.Errorf("a failure after the success: %s", found.Outcome)
	}
}

func TestNothingSecretIsShown(t *testing.T) {
	for text, secret := range map[string]string{
		`RunSynchronous: cmd /c net user build S3cret!x /add`:                       "S3cret!x",
		`Process command line: net.exe user "a b" "S3 cret" /active:yes`:            "S3 cret",
		`powershell -Command Set-Thing -Password 'S3cret' -Name x`:                  "S3cret",
		`setx ADMIN_PASSWORD=S3cret /m`:                                             "S3cret",
		`{"password": "S3cret"}`:                                                    "S3cret",
		`net use Z: \\srv\share /user:corp\build S3cret`:                            "S3cret",
		`ConvertTo-SecureString "S3cret" -AsPlainText -Force`:                       "S3cret",
		`cmdkey /add:srv /user:x /pass:S3cret`:                                      "S3cret",
		`slmgr /ipk VK7JG-NPHTM-C97JM-9MPGT-3V66T failed`:                           "VK7JG",
		`powershell.exe -enc ` + strings.Repeat("QUJD", 20):                         "QUJDQUJD",
		`value = { type: 8204, bytes ( 12 ): 530033006300720065007400 }`:            "5300330063",
		`net use Z: \\srv\share S3cret`:                                             "S3cret",
		`psexec.exe \\srv -u adm -p S3cret cmd`:                                     "S3cret",
		`autologon.exe /accepteula user dom S3cret`:                                 "S3cret",
		`"S3cret" | ConvertTo-SecureString -AsPlainText`:                            "S3cret",
		`Set-ItemProperty HKLM:\x -Name DefaultPassword -Type String -Value S3cret`: "S3cret",
		`reg add HKLM\x /v DefaultPassword /t REG_SZ /d S3cret /f`:                  "S3cret",
		`schtasks /create /ru x /rp S3cret /tn y`:                                   "S3cret",
		`build_token = S3cret`:                                                      "S3cret",
		`AdminPass=S3cret`:                                                          "S3cret",
		`<AutoLogon><Password><Value>S3cret</Value>`:                                "S3cret",
		`curl https://me:S3cret@example.com/x`:                                      "S3cret",
		`curl -H token=abcdef0123`:                                                  "abcdef0123",
	} {
		if got := secrets.Scrub(text); strings.Contains(got, secret) || !strings.Contains(got, secrets.Redacted) {
			t.Errorf("%q: %q", text, got)
		}
		line := "Error                        [setup.exe] " + text
		d, ok := Diagnose(Split(Parse([]byte(stamp(setupBegins, line, childFailed))))[0])
		if all := fmt.Sprintf("%+v", d); !ok || strings.Contains(all, secret) {
			t.Errorf("%q is shown: %s", text, all)
		}
	}
	for _, text := range []string{
		"2025-07-22 21:00:19, Error SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'X' from C:\\Windows\\System32\\x.dll; dwRet = 0x5",
		"PublicKeyToken: 31bf3856ad364e35, VersionScope: nonSxS, /settings/UserAccounts/AdministratorPassword/Value",
		"[audit.exe] EnableLocalUserAccount: Unable to enable local account [Administrator]; status = 0x8c5",
		"[Shell Unattend] Failed to decode password (0x8007000d)",
		"Package Microsoft.Winget.Source_2024.414.1454.918_neutral__8wekyb3d8bbwe was installed for a user",
		`Command [net use Z: \\srv\share /persistent:no] ended`, `Command [net use Z: \\srv\share] failed with exit code [2]`,
		"AutoLogon has no such account", "https://example.com:443/x", "mkdir -p x",
		"guid {d68ddc3a-831f-4fae-9e44-da132c1acf46} and dates 2025-07-22",
	} {
		if got := secrets.Scrub(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}
