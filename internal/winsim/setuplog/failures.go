package setuplog

import "fmt"

// Phase is where a failure strikes.
type Phase byte

// The phases of a failure that leaves lines in setupact.log.
const (
	Validation Phase = 'V' // nothing has been changed
	Provider   Phase = 'P' // a provider failed midway
	Command    Phase = 'C' // the command line or the launch
)

// Failure is one class of failing runs.
type Failure struct {
	Class string
	Phase Phase
	// Cleanup: in the cleanup phase, otherwise in generalize.
	Cleanup bool
	// Lines are the error lines from the first to the last, without the end
	// of the log. Packages are used by the Appx classes.
	Lines func(packages []string) []Line
}

// Find returns the failure class of that name. A class that the log cannot
// tell from another one (F19 is F01 at an unlucky moment) has its lines.
func Find(class string) (Failure, bool) {
	for _, f := range failures {
		if f.Class == class {
			return f, true
		}
	}
	return Failure{}, false
}

// All returns every class that can be produced, in order.
func All() []Failure { return failures }

// hresult is the HRESULT that WinMain reports for a provider's code: Win32
// codes get facility 7, HRESULTs stay. Codes that sysprep cut to 16 bits are
// given whole.
func hresult(code uint32) uint32 {
	if code < 0x10000 {
		return 0x80070000 | code
	}
	return code
}

// invalid is the chain of a provider that refused in validation. ret is what
// the provider returned, hr what WinMain makes of it.
func invalid(phase, entry, dll string, ret, hr uint32, cause ...Line) []Line {
	file := general
	if phase == "cleanup" {
		file = cleanup
	}
	return append(cause,
		fail(fmt.Sprintf("ActionPlatform::LaunchModule: Failure occurred while executing '%s' from %s%s; dwRet = 0x%x", entry, system32, dll, ret)),
		fail(fmt.Sprintf("SysprepSession::Validate: Error in validating actions from %s; dwRet = 0x%x", file, ret)),
		fail(fmt.Sprintf("RunPlatformActions:Failed while validating Sysprep session actions; dwRet = 0x%x", ret)),
		failCode(0x0f0070, fmt.Sprintf("RunDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x%x", ret)),
		failCode(0x0f00d8, fmt.Sprintf("WinMain:Hit failure while pre-validate sysprep %s internal providers; hr = 0x%08x", phase, hr)),
	)
}

// broken is the chain of an internal provider that failed while it changed
// the machine.
func broken(phase, entry, dll string, ret, hr uint32, cause ...Line) []Line {
	cause = append(cause, failCode(0x0f0082,
		fmt.Sprintf("ActionPlatform::LaunchModule: Failure occurred while executing '%s' from %s%s; dwRet = 0x%x", entry, system32, dll, ret)))
	return halted(phase, ret, hr, cause...)
}

func halted(phase string, ret, hr uint32, cause ...Line) []Line {
	file, code := general, uint32(0x0f00a8)
	if phase == "cleanup" {
		file, code = cleanup, 0x0f00aa
	}
	return append(cause,
		fail(fmt.Sprintf("ActionPlatform::ExecuteAction: Error in executing action; dwRet = 0x%x", ret)),
		fail(fmt.Sprintf("ActionPlatform::ExecuteActionList: Error in execute actions; dwRet = 0x%x", ret)),
		fail(fmt.Sprintf("SysprepSession::Execute: Error in executing actions from %s; dwRet = 0x%x", file, ret)),
		fail(fmt.Sprintf("RunPlatformActions:Failed while executing SysprepSession actions; dwRet = 0x%x", ret)),
		failCode(0x0f0070, fmt.Sprintf("RunExternalDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x%x", ret)),
		failCode(code, fmt.Sprintf("WinMain:Hit failure while processing sysprep %s internal providers; hr = 0x%08x", phase, hr)),
	)
}

// external is the chain of a provider registered under SysPrepExternal.
func external(phase, provider string, ret uint32, cause ...Line) []Line {
	code := uint32(0x0f00ae)
	if phase == "generalize" {
		code = 0x0f00ac
	}
	return append(cause,
		failCode(0x0f0082, fmt.Sprintf("LaunchDll:Failure occurred while executing '%s', returned error code 0x%x", provider, ret)),
		failCode(0x0f0070, fmt.Sprintf("RunExternalDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 0x%x[gle=0x00000006]", ret)),
		failCode(code, fmt.Sprintf("WinMain:Hit failure while processing sysprep %s external providers; hr = 0x%08x[gle=0x00000006]", phase, hresult(ret))),
	)
}

// appx refuses because of a package. Only the first one is reported.
func appx(def string) func([]string) []Line {
	return func(packages []string) []Line {
		name := def
		if len(packages) > 0 {
			name = packages[0]
		}
		var cause []Line
		if name != "" {
			cause = append(cause, fail("Package "+name+" was installed for a user, but not provisioned for all users. This package will not function properly in the sysprep image."))
		}
		return appxRefused(cause...)
	}
}

func appxRefused(cause ...Line) []Line {
	lines := []Line{launch("SysprepGeneralizeValidate", system32+"AppxSysprep.dll"), info(appxEnter)}
	lines = append(lines, cause...)
	lines = append(lines,
		fail("Failed to remove apps for the current user: 0x80073cf2."),
		fail("Exit code of RemoveAllApps thread was 0x3cf2."))
	return invalid("generalize", "SysprepGeneralizeValidate", "AppxSysprep.dll", 0x3cf2, 0x80073cf2, lines...)
}

func fixed(lines []Line) func([]string) []Line { return func([]string) []Line { return lines } }

func appxClass(class, name string) Failure { return Failure{class, Validation, false, appx(name)} }

func rebootRequired() []Line {
	return invalid("cleanup", "Sysprep_Clean_Validate_Opk", "spopk.dll", 0x36b7, 0x800736b7,
		fail("Sysprep_Clean_Validate_Opk: There are one or more Windows updates that require a reboot. To run Sysprep, reboot the computer and restart the application.[gle=0x000036b7]"))
}

func validateOpk(code, hr uint32, cause ...Line) []Line {
	return invalid("cleanup", "Sysprep_Clean_Validate_Opk", "spopk.dll", code, hr, cause...)
}

// senseKey is where the agent of Defender for Endpoint keeps its identity.
const senseKey = `HKEY_LOCAL_MACHINE\Software\Microsoft\Windows Advanced Threat Protection`

var failures = []Failure{
	appxClass("F01", "Contoso.Notes_1.0.0.0_x64__8wekyb3d8bbwe"),
	{"F02", Validation, false, fixed(invalid("generalize", "SysprepGeneralizeValidate", "AppxSysprep.dll", 0x5, 0x80070005,
		launch("SysprepGeneralizeValidate", system32+"AppxSysprep.dll"), info(appxEnter),
		fail("Failed to remove apps for the current user: 0x80070005."), fail("Exit code of RemoveAllApps thread was 0x5.")))},
	appxClass("F03", "Microsoft.Winget.Source_2024.414.1454.918_neutral__8wekyb3d8bbwe"),
	appxClass("F04", "Microsoft.DesktopAppInstaller_1.22.10661.0_x64__8wekyb3d8bbwe"),
	appxClass("F05", "Microsoft.MicrosoftEdge.Stable_131.0.2903.99_neutral__8wekyb3d8bbwe"),
	appxClass("F06", "Microsoft.Edge.GameAssist_1.0.3423.0_x64__8wekyb3d8bbwe"),
	appxClass("F07", "Microsoft.Copilot_1.25034.133.0_neutral__8wekyb3d8bbwe"),
	appxClass("F08", "Microsoft.LanguageExperiencePackzh-CN_19041.26.68.0_neutral__8wekyb3d8bbwe"),
	appxClass("F09", "Microsoft.OneDriveSync_21180.905.7.0_neutral__8wekyb3d8bbwe"),
	appxClass("F10", "Microsoft.WidgetsPlatformRuntime_1.4.0.0_x64__8wekyb3d8bbwe"),
	appxClass("F11", "MSTeams_24004.1309.2689.2246_x64__8wekyb3d8bbwe"),
	appxClass("F12", "NotepadPlusPlus_1.0.0.0_neutral__7njy0v32s6xk6"),
	appxClass("F13", "MicrosoftCorporationII.WindowsSubsystemForLinux_2.0.9.0_x64__8wekyb3d8bbwe"),
	appxClass("F14", "Microsoft.WindowsStore_22309.1401.4.0_x64__8wekyb3d8bbwe"),
	appxClass("F15", ""),
	appxClass("F16", "Windows.MiracastView_6.3.0.0_neutral_neutral_cw5n1h2txyewy"),
	{"F17", Validation, false, fixed(invalid("generalize", "SysprepGeneralizeValidate", "AppxSysprep.dll", 0x422, 0x80070422,
		launch("SysprepGeneralizeValidate", system32+"AppxSysprep.dll"), info(appxEnter)))},
	appxClass("F18", "Microsoft.SecHealthUI_1000.25873.9001.0_x64__8wekyb3d8bbwe"),
	appxClass("F19", "Microsoft.WindowsCalculator_11.2307.4.0_x64__8wekyb3d8bbwe"),
	{"F20", Validation, false, fixed(invalid("generalize", "ValidateBitLockerState", "BdeSysprep.dll", 0x80310039, 0x80310039,
		launch("ValidateBitLockerState", system32+"BdeSysprep.dll"),
		fail("BitLocker-Sysprep: BitLocker is on for the OS volume. Turn BitLocker off to run Sysprep. (0x80310039)")))},
	{"F21", Validation, true, fixed(rebootRequired())},
	{"F22", Validation, true, fixed(validateOpk(0x975, 0x80070975,
		fail("Sysprep_Clean_Validate_Opk: Audit mode cannot be turned on if reserved storage is in use. An update or servicing operation may be using reserved storage.; hr = 0x800F0975")))},
	{"F23", Validation, true, fixed(validateOpk(0x5, 0x80070005,
		failCode(0x0f00b0, "spopk.dll:: Failed to query pending CBS operations; hr = 0x80080005")))},
	{"F24", Validation, true, fixed(rebootRequired())},
	{"F26", Validation, true, fixed(rebootRequired())},
	{"F30", Provider, false, fixed(broken("generalize", "SLReArmWindows", "slc.dll", 0xc004d307, 0xc004d307))},
	{"F31", Provider, false, fixed(halted("generalize", 0xc004f075, 0xc004f075,
		failCode(0x0f0082, "ActionPlatform::LaunchModule: Failure executing 'SLReArmWindows' from slc.dll; dwRet = 0xc004f075")))},
	{"F32", Command, true, fixed([]Line{
		failCode(0x0f0073, "RunExternalDlls:Not running DLLs; either the machine is in an invalid state or we couldn't update the recorded state, dwRet = 31"),
		failCode(0x0f00ae, "WinMain:Hit failure while processing sysprep cleanup external providers; hr = 0x8007001f"),
	})},
	{"F34", Provider, true, fixed(broken("cleanup", "SysPrepDtcCleanup", "msdtcprx.dll", 0x80000003, 0x80000003))},
	{"F35", Provider, false, fixed(broken("generalize", "Sysprep_Generalize_WMP", "spwmp.dll", 0x5, 0x80070005))},
	{"F36", Provider, true, fixed(broken("cleanup", "MSSrch_SysPrep_Cleanup", "mssrch.dll", 0x5, 0x80070005))},
	{"F37", Provider, true, fixed(external("cleanup", "DscCore.dll,SysPrep_Cleanup", 0x2))},
	{"F38", Provider, false, fixed(halted("generalize", 0x5, 0x80070005,
		fail("ActionPlatform::DeleteValue: Error from RegDeleteValueW for value senseGuid under key "+senseKey+"; dwRet = 0x5"),
		fail("SysprepSession::ExecuteInternal: Error in executing action for Windows-SenseClient-Service; dwRet = 0x5")))},
	{"F39", Provider, false, fixed(broken("generalize", "Sysprep_Generalize_IE", "iesysprep.dll", 0xc1, 0x800700c1,
		failCode(0x0f0085, `LaunchDll:Could not load DLL C:\Windows\SysWOW64\iesysprep.dll[gle=0x000000c1]`)))},
	{"F40", Validation, true, fixed(validateOpk(0x2, 0x80070002))},
	{"F41", Provider, true, fixed(broken("cleanup", "EvtIntSysprepCleanup", "wevtapi.dll", 0x3, 0x80070003))},
	{"F42", Provider, false, fixed([]Line{
		failCode(0x0f0082, `LaunchDll:Failure occurred while executing 'C:\Windows\System32\spbcd.dll,Sysprep_Generalize_Bcd', returned error code 2[gle=0x00000012]`),
		failCode(0x0f0070, "RunExternalDlls:An error occurred while running registry sysprep DLLs, halting sysprep execution. dwRet = 2[gle=0x00000012]"),
		failCode(0x0f00a8, "WinMain:Hit failure while processing sysprep generalize internal providers; hr = 0x80070002[gle=0x00000012]"),
	})},
	{"F43", Provider, false, fixed(external("generalize", `C:\Windows\System32\VMAgentDisabler.dll,Generalize`, 0x7e,
		failCode(0x0f0085, `LaunchDll:Could not load DLL C:\Windows\System32\VMAgentDisabler.dll[gle=0x0000007e]`)))},
	{"F46", Provider, false, fixed(halted("generalize", 0x5, 0x80070005,
		fail(`ActionPlatform::DeleteKey: Error from RegDeleteTreeW for key HKEY_LOCAL_MACHINE\Software\Contoso\Endpoint Agent; dwRet = 0x5`)))},
	{"F50", Command, false, fixed(Malformed())},
	{"F53", Command, false, fixed(nil)}, // known only by the privileges line that is missing
	{"F60", Validation, false, fixed([]Line{
		fail("SMI data results dump: Source = Name: Microsoft-Windows-Shell-Setup, Language: neutral, ProcessorArchitecture: amd64, PublicKeyToken: 31bf3856ad364e35, VersionScope: nonSxS, /settings"),
		fail("SMI data results dump: Description = The same namespace should not appear twice in a single settings section."),
		fail("The provided unattend file is not valid; hrResult = 0x8022001b"),
		fail("WinMain: Unable to parse command-line arguments to sysprep; GLE = 0x0"),
	})},
}

// Noise are error lines that good runs have as well.
func Noise() []Line {
	return []Line{
		{Level: Warning, Text: "WinMain: File operations pending"},
		fail("BCD: BiUpdateEfiEntry failed c000000d"),
		fail("Error 0x-2147417850: Failed to re-enable Compat-Gentel custom trigger.[gle=0x0000047e]"),
	}
}
