package diagnosis

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// samples has a message for every catalogue entry with a pattern, as real
// reports show it where there is one.
var samples = map[string][]string{
	"F01":  {appx("Adobe.XD_57.1.12.2_x64__pc75e8sa7ep4e")},
	"F02":  {"Failed to remove apps for the current user: 0x80070005.", "Exit code of RemoveAllApps thread was 0x5."},
	"F03":  {appx("Microsoft.Winget.Source_2024.414.1454.918_neutral__8wekyb3d8bbwe")},
	"F04":  {appx("Microsoft.DesktopAppInstaller_1.22.11261.0_x64__8wekyb3d8bbwe")},
	"F05":  {appx("Microsoft.MicrosoftEdge.Stable_131.0.2903.99_neutral__8wekyb3d8bbwe")},
	"F06":  {appx("Microsoft.Edge.GameAssist_1.0.3423.0_x64__8wekyb3d8bbwe")},
	"F07":  {appx("Microsoft.Copilot_1.25.1.0_neutral__8wekyb3d8bbwe"), appx("Microsoft.Windows.Copilot_1.0.3.0_neutral__8wekyb3d8bbwe")},
	"F08":  {appx("Microsoft.LanguageExperiencePackzh-CN_19041.26.68.0_neutral__8wekyb3d8bbwe")},
	"F09":  {appx("Microsoft.OneDriveSync_21180.905.7.0_neutral__8wekyb3d8bbwe")},
	"F10":  {appx("Microsoft.WidgetsPlatformRuntime_1.4.0.0_x64__8wekyb3d8bbwe"), appx("MicrosoftWindows.Client.WebExperience_1_x64__cw5n1h2txyewy")},
	"F11":  {appx("MSTeams_24004.1309.2689.2246_x64__8wekyb3d8bbwe"), appx("MicrosoftTeams_21253_x64__8wekyb3d8bbwe")},
	"F12":  {appx("NotepadPlusPlus_1.0.0.0_neutral__7njy0v32s6xk6"), appx("TortoiseSVN_1.0_x64__x"), appx("Microsoft.WindowsTerminal_1.18_x64__8wekyb3d8bbwe")},
	"F13":  {appx("MicrosoftCorporationII.WindowsSubsystemForLinux_2.7.8.0_x64__8wekyb3d8bbwe")},
	"F14":  {appx("Microsoft.WindowsStore_22306.1401.1.0_x64__8wekyb3d8bbwe")},
	"F15":  {"Failed to remove apps for the current user: 0x80073cf2.", "Exit code of RemoveAllApps thread was 0x3cf2."},
	"F16":  {appx("Windows.MiracastView_6.3.0.0_neutral_neutral_cw5n1h2txyewy")},
	"F17":  {`ActionPlatform::LaunchModule: Failure occurred while executing 'SysprepGeneralizeValidate' from C:\Windows\System32\AppxSysprep.dll; dwRet = 0x422`},
	"F18":  {appx("Microsoft.SecHealthUI_1000.25873.9001.0_x64__8wekyb3d8bbwe")},
	"F20":  {"BitLocker-Sysprep: BitLocker is on for the OS volume. Turn BitLocker off to run Sysprep. (0x80310039)", `ActionPlatform::LaunchModule: Failure occurred while executing 'ValidateBitLockerState' from C:\Windows\System32\BdeSysprep.dll`},
	"F21":  {"Sysprep_Clean_Validate_Opk: There are one or more Windows updates that require a reboot. To run Sysprep, reboot the computer and restart the application", `ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Clean_Validate_Opk' from C:\Windows\System32\spopk.dll; dwRet = 0x139f`},
	"F22":  {"Sysprep_Clean_Validate_Opk: Audit mode cannot be turned on if reserved storage is in use. An update or servicing operation may be using reserved storage.; hr = 0x800F0975", `ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Clean_Validate_Opk' from C:\Windows\System32\spopk.dll; dwRet = 0x975`},
	"F23":  {"spopk.dll:: Failed to query pending CBS operations; hr = 0x80080005", `ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Clean_Validate_Opk' from C:\Windows\System32\spopk.dll; dwRet = 0x5`},
	"F28":  {"Sysprep_Clean_Validate_Opk: Audit mode can't be turned on if there is an active scenario.; hr = 0x800F0975"},
	"F30":  {`LaunchDll: Failure occurred while executing 'C:\Windows\System32\slc.dll, SLReArmWindows', returned error code -1073425657`, "WinMain: Hit failure while processing sysprep generalize providers; hr = 0xc004d307"},
	"F31":  {"ActionPlatform::LaunchModule: Failure executing 'SLReArmWindows' from slc.dll; dwRet = 0xc004f075"},
	"F32":  {"RunExternalDlls:Not running DLLs; either the machine is in an invalid state or we couldn't update the recorded state, dwRet = 31", "WinMain:Hit failure while processing sysprep cleanup external providers; hr = 0x8007001f"},
	"F34":  {`LaunchDll:Failure occurred while executing 'msdtcprx.dll,SysPrepDtcGeneralize', returned error code 0x80004005`, `ActionPlatform::LaunchModule: Failure occurred while executing 'SysPrepDtcCleanup' from C:\Windows\System32\msdtcprx.dll; dwRet = 0x2`},
	"F35":  {`LaunchDll:Failure occurred while executing 'C:\Windows\System32\drmv2clt.dll,Sysprep', returned error code -2147024809`, `ActionPlatform::LaunchModule: Failure occurred while executing 'x' from C:\Windows\System32\spwmp.dll; dwRet = 0x5`},
	"F36":  {`ActionPlatform::LaunchModule: Failure occurred while executing 'MSSrch_SysPrep_Cleanup' from C:\Windows\System32\mssrch.dll; dwRet = 0x7a`},
	"F37":  {"LaunchDll:Failure occurred while executing 'DscCore.dll,SysPrep_Cleanup', returned error code 0x2"},
	"F38":  {`ActionPlatform::DeleteValue: Error from RegDeleteValueW for value senseGuid under key HKEY_LOCAL_MACHINE\Software\Microsoft\Windows Advanced Threat Protection; dwRet = 0x5`, "SysprepSession::ExecuteInternal: Error in executing action for Windows-SenseClient-Service; dwRet = 0x5"},
	"F39":  {`LaunchDll:Could not load DLL C:\Windows\SysWOW64\iesysprep.dll`},
	"F40":  {`ActionPlatform::LaunchModule: Failure occurred while executing 'Sysprep_Clean_Validate_Opk' from C:\Windows\System32\spopk.dll; dwRet = 0x2`},
	"F41":  {`LaunchDll:Failure occurred while executing 'C:\Windows\System32\wevtapi.dll,EvtIntSysprepCleanup', returned error code 0x3`},
	"F42":  {`LaunchDll:Failure occurred while executing 'C:\Windows\System32\spbcd.dll,Sysprep_Generalize_Bcd', returned error code 2`},
	"F43":  {"LaunchDll:Could not load DLL VMAgentDisabler.dll", `LaunchDll:Could not load DLL C:\Program Files\Contoso Guard\guardprep.dll`},
	"F45":  {`LaunchDll:Failure occurred while executing 'C:\Windows\system32\capisp.dll,CryptoSysPrep_Specialize', returned error code 0x2`},
	"F46":  {`ActionPlatform::DeleteKey: Error from RegDeleteTreeW for key HKEY_LOCAL_MACHINE\Software\SomeVendor\Agent; dwRet = 0x5`},
	"F47":  {"SysprepSession::ExecuteAction: Failed during deleteFile operation; dwRet = 0x20\r\n2025-01-02 03:04:05, Error                 SYSPRP SysprepSession::ExecuteInternal: Error in executing action for Microsoft-Windows-Security-SPP; dwRet = 0x20"},
	"F48":  {"LaunchDll:Failure occurred while executing 'C:\\Program Files\\Contoso\\agent.dll,Generalize', returned error code 0x5\r\n2025-01-02 03:04:05, Error                 SYSPRP WinMain:Hit failure while processing sysprep generalize external providers; hr = 0x80070005"},
	"F50":  {"ParseCommands:Malformed command line detected; no dash or slash present in option", "WinMain: Unable to parse command-line arguments to sysprep; GLE = 0x0"},
	"F53":  {"ValidatePrivileges:User does not have required privileges to sysprep machine", "ValidateUser:User does not have required privileges to sysprep machine"},
	"F103": {"WinMain:Hit failure while processing sysprep re-specialize internal providers; hr = 0x8007001f"},
	"F60":  {"The provided unattend file is not valid; hrResult = 0x8022001b", "SMI data results dump: Description = The same namespace should not appear twice in a single settings section."},
	"F62":  {"An internal error occurred while loading or searching for an unattend answer file", "status = 0x800705b9"},
	"F64":  {"No unattend file was present, skipping unattend settings passes"},
	"F65":  {"Found already-processed unattend file for pass [oobeSystem]"},
	"F61":  {"[windeploy.exe] Command [x] ended; hr = 0x8030000b", "Windows could not parse or process unattend answer file for pass [specialize]. The answer file is invalid."},
	"F67":  {"[setup.exe] RunSynchronousCommand 2 exited with code [0x5]", "[oobeldr.exe] [Action Queue] : Unattend action failed with exit code 4"},
	"F68":  {"[Shell Unattend] Product key could not be installed [0xc004f050]", "[setup.exe] Failed to install the product key; hr = 0xc004f069"},
	"F105": {"[Shell Unattend] Failed to decode password (0x8007000d)"},
	"F106": {"[Shell Unattend] TimeZone: Unknown time zone 'Tokyo (standard)'"},
	"F107": {`LaunchDll:Failure occurred while executing 'C:\Windows\System32\silsysprep.dll,Sysprep_Generalize_SIL', returned error code 0x2`},
	"F108": {`ActionPlatform::LaunchModule: Could not load DLL C:\Program Files\Contoso Guard\guardprep.dll`, `ActionPlatform::LaunchModule: Could not find function Generalize in DLL C:\Windows\System32\barprep.dll`, `LaunchDll:Could not find function Generalize in DLL C:\Windows\System32\barprep.dll`},
	"F109": {"RemoveUninstall:Failed to instantiate uninstall interface; hr = 0x80070003", "Sysprep_Clean_Opk:Failed to remove Uninstall; hr = 0x80070003"},
	"F110": {"spopk.dll:: Sysprep will not run on an upgraded OS. You can only run Sysprep on a custom (clean) install version of Windows."},
	"F112": {"The provided unattend file is not valid; hrResult = 0x80070002", "The provided unattend file is not valid; hrResult = 0x80070003"},
	"F111": {"Windows could not parse or process unattended answer file [C:\\Windows\\Panther\\unattend.xml]. The answer file is invalid. The error was detected at line 12 column 3 of the answer file."},
	"F66":  {`[setup.exe] SMI data results dump: Source = Name: Microsoft-Windows-Deployment, /settings/RunSynchronous/RunSynchronousCommand[Order="2"]/Path`, `SMI data results dump: Source = Name: Microsoft-Windows-Deployment, /settings/RunSynchronous/RunSynchronousCommand/[Order="2"]/Path`},
	"F113": {"Windows could not parse or process the unattend answer file for pass [oobeSystem]. The settings specified in the answer file cannot be applied. The error was detected while processing settings for component [Contoso-Shell].", "[x] Komponente [Contoso-Windows-Shell] im Durchgang [specialize] abgelehnt"},
	"F114": {"[Shell Unattend] UserAccounts: failed to create user account 'NONE' (0x800708af)", "[Shell Unattend] UserAccounts: failed to add user 'builder' to group 'Administrators' (0x80070560)"},
	"F115": {"[Shell Unattend] ComputerName: failed to set name 'A B' (0x8007007b)", "[NETIOUGC.EXE] TCPIP: Consumer 2 REJECTED the value named 'DhcpEnabled' (under 'Ipv6Settings') with status 0x78.", "[Shell Unattend] DisplaySettings failed (0x80070057)"},
	"F123": {"[oobeldr.exe] Pass has failed status; system is in an invalid state."},
	"F124": {"[taskhostw.exe] OrchestrateUpdateImageState: Updating image state from [IMAGE_STATE_COMPLETE] --> [IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE]"},
	"F125": {"[msoobe.exe] Failed to create the wizard object; hr=0x80040154"},
	"F84":  {"The computer restarted unexpectedly or encountered an unexpected error. Windows installation cannot proceed.", "[windeploy.exe] Setup.exe failed, returning exit code [0x1f]"},
	"F91":  {"Package Contoso.App_1.0.0.0_x64__8wekyb3d8bbwe failed waiting for remove operation: 0x80070490."},
	"F92":  {refusedSetting("Microsoft-Windows-Shell-Setup", "/settings/RunSynchronous", "0x80220001")},
	"F93":  {refusedSetting("Microsoft-Windows-Shell-Setup", "/settings/ComputerName", "0x80220005")},
	"F94":  {`UnattendSearchExplicitPath: [D:\autounattend.xml] does not meet criteria to be used for this unattend pass.`},
	"F95":  {"[audit.exe] EnableLocalUserAccount: Unable to enable local account [Administrator]; status = 0x8c5", "[audit.exe] Unable to enable local account [Administrator]; hr = 0x800708C5", "[msoobe.exe] Failed to create local account 'builder' (0x800708c5)"},
	"F96":  {"[DJOIN.EXE] Unattended Join: NetJoinDomain failed error code is [1355]", "[DJOIN.EXE] Unattended Join: Unable to join; gdwError = 0x54b"},
	"F97":  {"Failed to commit CSI transaction to install the pending transaction. [HRESULT = 0x80070490 - ERROR_NOT_FOUND]", "CbsExecuteStateFailed"},
	"F98":  {"[windeploy.exe] Client OS edition and OEM license detected and no enterprise edition detected, will not run SetupComplete.cmd"},
	"F89":  {"[Shell Unattend] CopyProfile failed (0x80070003)"},
	"F90":  {"BCD: Failed to get system partition. Status: c0000452", "BFSVC: Failed to get partition name. Status = 0xc0000452"},
}

// refusedSetting is the record of a setting that Setup refused.
func refusedSetting(component, path, code string) string {
	const next = "\r\n2025-01-02 03:04:05, Error                 SYSPRP "
	return "SMI data results dump: Source = Name: " + component + ", Language: neutral, ProcessorArchitecture: amd64, PublicKeyToken: 31bf3856ad364e35, VersionScope: nonSxS, " + path +
		next + "SMI data results dump: Description = Die Einstellung ist falsch." + next + "The provided unattend file is not valid; hrResult = " + code
}

func TestEveryCauseHasALineThatTellsIt(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range catalogue() {
		if seen[c.id] {
			t.Errorf("%s is there twice", c.id)
		}
		seen[c.id] = true
		if c.title == "" || c.source == "" || c.name == "" || c.phase == "" || len(c.remedy) == 0 {
			t.Errorf("%s is incomplete: %+v", c.id, c.cause)
		}
		if (c.re != nil || c.weakly != nil) != (len(samples[c.id]) > 0) {
			t.Errorf("%s: pattern %q has %d samples", c.id, c.pattern, len(samples[c.id]))
		}
		for _, message := range samples[c.id] {
			line := "2025-01-02 03:04:05, Error                 SYSPRP " + message
			d, ok := Diagnose(Split(Parse([]byte(line)))[0])
			if !ok || d.ID != c.id {
				t.Errorf("%s: %q is diagnosed as %s", c.id, message, d.ID)
				continue
			}
			for _, text := range append([]string{d.Summary}, d.Remedy...) {
				if regexp.MustCompile(`\{[a-z]+\}|<(package|name|code|why|dll|key|order|language)>| \(\)`).MatchString(text) {
					t.Errorf("%s: a name is missing in %q", c.id, text)
				}
			}
			if len(d.Evidence) == 0 || !strings.HasPrefix(strings.ReplaceAll(line, "\r", ""), d.Evidence[0]) {
				t.Errorf("%s: evidence %q", c.id, d.Evidence)
			}
		}
	}
	for id := range samples {
		if !seen[id] {
			t.Errorf("sample for %s, which is not in the catalogue", id)
		}
	}
}

// A cause that nobody tells is inventory.
func TestEveryCauseHasOneWhoTellsIt(t *testing.T) {
	called := callers(t, "../verdict", "../../provisioner/sysprep")
	for _, c := range catalogue() {
		if (c.pattern == "" && c.weak == "") != (c.by != "") || (c.by == byHang) != (c.hang != "") {
			t.Errorf("%s: pattern %q, told by %q: one of the two", c.id, c.pattern, c.by)
		}
		if called[c.id] != (c.by == byVerdict) && c.pattern == "" && c.weak == "" {
			t.Errorf("%s: told by %q, and asked for in the code: %v", c.id, c.by, called[c.id])
		}
		delete(called, c.id)
	}
	for id := range called {
		t.Errorf("%s is asked for in the code, and not in the catalogue", id)
	}
}

// callers lists the ids of causes that the code of some folders names.
func callers(t *testing.T, folders ...string) map[string]bool {
	ids := map[string]bool{}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", folder, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`"(F\d+)"`).FindAllStringSubmatch(string(text), -1) {
				if !strings.HasSuffix(file, "_test.go") {
					ids[m[1]] = true
				}
			}
		}
	}
	return ids
}

// What is written of a cause must be possible to look up.
func TestEverySourceCanBeFollowed(t *testing.T) {
	address := regexp.MustCompile(`^https?://[a-z0-9.-]+\.[a-z]+/\S+$`)
	for _, c := range catalogue() {
		if !address.MatchString(c.source) {
			t.Errorf("%s: source %q is no address", c.id, c.source)
		}
	}
}

func TestADiagnosisIsWrittenInSnakeCase(t *testing.T) {
	d, _ := ByID("F70")
	text, err := json.Marshal(d)
	want := `{"id":"F70","name":"DOMAIN_JOINED","severity":"warn","holds":false,"subject":"guest",` +
		`"summary":"the machine is joined to a domain; sysprep removes it from the domain, but the domain's policies stay in the image",` +
		`"remedy":["Build in a workgroup and join at deployment."],"source":"` + docOverview + `","phase":"silent"}`
	if err != nil || string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	page, err := os.ReadFile("../../docs/report.md")
	if err != nil || !strings.Contains(string(page), ".phase`") {
		t.Errorf("docs/report.md does not describe phase: %v", err)
	}
}
