package diagnosis

import "sync"

// cause is one entry of the catalogue. Pattern is RE2, matched without regard
// to case against a line's message; where no log line tells a cause, by says
// who does. Named groups of the pattern fill {placeholders} of title and
// remedy; {name} is the package name before its first underscore, {code} is
// decoded. RE2 wants group names to be unique: a digit at their end does not
// count.
type cause struct {
	id, name string
	phase    Phase
	pattern  string
	// by is who tells a cause without a pattern.
	by     teller
	title  string
	remedy []string
	// source is what the entry rests on (sources.go).
	source string
	// unconfirmed: neither vendor documentation nor a complete log supports it.
	unconfirmed bool
	// generic entries name a module or a code only; they lose to all others.
	generic bool
	// anyLevel entries are told by Info lines too.
	anyLevel bool
}

// teller is who finds a cause that no log line tells.
type teller string

const (
	byVerdict teller = "verdict" // the first look and the watch, by ByID
	// byPreflight: the checks of the guest before the launch, which are to come;
	// their remedies wait here.
	byPreflight teller = "pre-flight"
)

// catalogue holds all causes. Order matters where several match one line: the
// specific ones stand before the general ones.
var catalogue = sync.OnceValue(func() []compiled {
	var all []compiled
	for _, list := range [][]cause{appxCauses, servicingCauses, providerCauses, launchCauses, answerFileCauses, configurationCauses, firstBootCauses} {
		for _, c := range list {
			e := compiled{cause: c}
			if c.pattern != "" {
				re := compile(c.pattern)
				e.re = &re
			}
			all = append(all, e)
		}
	}
	return all
})

type compiled struct {
	cause
	re *pattern // nil without one
}

// noise are lines that good runs have as well; they are never a cause
// (azure-docs #43893, winget-cli #5599, field reports).
var noise = compile(`Failed to re-enable Compat-Gentel custom trigger` +
	`|setupdigetclassdevs failed with error 0\b` +
	`|MRTGeneralize:\d+ - ERROR: Failed DeleteInstance AntiSpywareProduct` +
	`|BiUpdateEfiEntry failed c000000d|BiExportBcdObjects failed|BiExportStoreAlterationsToEfi failed` +
	`|Failed to export alterations to firmware\. Status: c000000d` +
	`|SPPNP: Failed to queue enumerated driver packages\. Err = 0x57` +
	`|Unable to uninstall device ROOT\\.*Err = 0xE0000231` +
	`|WinMain: File operations pending` +
	`|Shim considered .*STATUS_OBJECT_PATH_NOT_FOUND` +
	`|CFirstUXWnd::OpenExisting failed with error 80070490`)

const notProvisioned = ` was installed for a user, but not provisioned for all users`

func appxPattern(names string) string {
	return `Package (?P<package>(?:` + names + `)\S*)` + notProvisioned
}

var (
	removeAppx = []string{
		"In Windows PowerShell on the guest: Get-AppxPackage -AllUsers -Name '{name}' | Remove-AppxPackage -AllUsers",
		"Then: Get-AppxProvisionedPackage -Online | Where-Object DisplayName -eq '{name}' | Remove-AppxProvisionedPackage -Online",
	}
	keepStoreOff = "Keep the Store and Windows Update from adding it again before sysprep (policy WindowsStore\\AutoDownload = 2, or no network)."
)

func appxRemedy(more ...string) []string {
	return append(append([]string{}, removeAppx...), more...)
}

const appxTitle = "app package {package} is installed for a user but not provisioned for all users"

var appxCauses = []cause{
	{id: "F03", name: "APPX_WINGET_SOURCE", phase: PhaseValidate, pattern: appxPattern(`Microsoft\.Winget\.Source_`), title: appxTitle + " (the index that winget registers on first use)",
		remedy: []string{"As the last step before sysprep: Get-AppxPackage -AllUsers Microsoft.Winget.Source | Remove-AppxPackage -AllUsers", "Do not call winget after that."}, source: github + "microsoft/winget-cli/issues/5599"},
	{id: "F04", name: "APPX_DESKTOPAPPINSTALLER", phase: PhaseValidate, pattern: appxPattern(`Microsoft\.DesktopAppInstaller_`), title: appxTitle + " (winget itself was updated for one user)",
		remedy: appxRemedy("Or provision the same version: Add-AppxProvisionedPackage -Online -PackagePath <bundle> -LicensePath <licence> -DependencyPackagePath <dependencies>"), source: github + "microsoft/winget-cli/issues/2876"},
	{id: "F05", name: "APPX_EDGE_STABLE", phase: PhaseValidate, pattern: appxPattern(`Microsoft\.MicrosoftEdge\.Stable_`), title: appxTitle + " (Edge registered itself)",
		remedy: []string{"In Windows PowerShell on the guest: Get-AppxPackage -AllUsers -Name 'Microsoft.MicrosoftEdge.*' | Where-Object { $_.PackageUserInformation.InstallState -eq 'Installed' } | ForEach-Object { Remove-AppxPackage -AllUsers -Package $_.PackageFullName }", "Do it right before sysprep: Edge comes back with its next update."}, source: github + "rgl/windows-sysprep-playground/blob/HEAD/provision-sysprep.ps1"},
	{id: "F06", name: "APPX_EDGE_GAMEASSIST", phase: PhaseValidate, pattern: appxPattern(`Microsoft\.Edge\.GameAssist_`), title: appxTitle + " (an Edge update installs it, on Server too)",
		remedy: appxRemedy("Do it right before sysprep: the next Edge update brings it back."), source: "ws2022-setupact-complete-refused-run-appx.log"},
	{id: "F07", name: "APPX_COPILOT", phase: PhaseValidate, pattern: appxPattern(`Microsoft\.(?:Windows\.)?Copilot`), title: appxTitle + " (an update installs Copilot)",
		remedy: appxRemedy("Keep it away with the policy TurnOffWindowsCopilot."), source: github + "vmware/ansible-vsphere-gos-validation/pull/596"},
	{id: "F08", name: "APPX_LANGUAGE_EXPERIENCE_PACK", phase: PhaseValidate, pattern: appxPattern(`Microsoft\.LanguageExperiencePack(?P<language>[A-Za-z-]+)_`), title: appxTitle + " (language {language} came from the Store)",
		remedy: appxRemedy("Install languages for all users instead: Add-AppxProvisionedPackage, lpksetup or a cab file."), source: "w10-19041-setuperr-appx-two-packages.log"},
	{id: "F09", name: "APPX_ONEDRIVESYNC", phase: PhaseValidate, pattern: appxPattern(`Microsoft\.OneDriveSync_`), title: appxTitle + " (OneDrive set itself up for a user)",
		remedy: []string{`Uninstall OneDrive: %SystemRoot%\System32\OneDriveSetup.exe /uninstall (SysWOW64 on older Windows)`, removeAppx[0]}, source: docCapture},
	{id: "F10", name: "APPX_WIDGETS", phase: PhaseValidate, pattern: appxPattern(`Microsoft\.WidgetsPlatformRuntime_|MicrosoftWindows\.Client\.WebExperience_`), title: appxTitle + " (Widgets)",
		remedy: appxRemedy(keepStoreOff), source: github + "hashicorp/packer-plugin-azure/issues/350"},
	{id: "F11", name: "APPX_TEAMS", phase: PhaseValidate, pattern: appxPattern(`(?:MSTeams|MicrosoftTeams)_`), title: appxTitle + " (Teams)",
		remedy: appxRemedy("Or provision Teams for all users: teamsbootstrapper.exe -p"), source: github + "ChrisTitusTech/winutil/issues/3639"},
	{id: "F12", name: "APPX_SPARSE_PACKAGES", phase: PhaseValidate, pattern: appxPattern(`NotepadPlusPlus|TortoiseSVN|TortoiseGit|7-?Zip|WinRAR|Microsoft\.WindowsTerminal|Microsoft\.PowerShell`), title: appxTitle + " (the shell extension of a desktop program)",
		remedy: []string{removeAppx[0], "The program keeps working without the package."}, source: github + "notepad-plus-plus/notepad-plus-plus/issues/13675"},
	{id: "F13", name: "APPX_WINAPPRUNTIME_WSL", phase: PhaseValidate, pattern: appxPattern(`MicrosoftCorporationII\.(?:WinAppRuntime|WindowsSubsystemForLinux)`), title: appxTitle,
		remedy: appxRemedy("The engine of WSL installed by MSI stays when the package goes."), source: github + "actions/runner-images/issues/14499"},
	{id: "F14", name: "APPX_LTSC_STORE", phase: PhaseValidate, pattern: appxPattern(`Microsoft\.WindowsStore_`), title: appxTitle + " (the Store, put on LTSC by wsreset -i for the current user only)",
		remedy: appxRemedy(), source: sysprepCheckers, unconfirmed: true},
	{id: "F16", name: "APPX_MIRACASTVIEW", phase: PhaseValidate, pattern: appxPattern(`Windows\.MiracastView`), title: appxTitle + " (left behind by the upgrade to Windows 10 1709)",
		remedy: []string{"Restore the package's missing xml in the AppRepository folder from an installation that was not upgraded, then remove the package (KB4057974)."}, source: support + "miracastview-cause-sysprep-error-upgrade-windows-10-1709"},
	{id: "F18", name: "APPX_PROTECTED_REMOVED", phase: PhaseValidate, pattern: appxPattern(`Microsoft\.SecHealthUI|MicrosoftWindows\.Client\.CBS|Microsoft\.UI\.Xaml\.CBS`), title: "system app {package} was altered or removed for some users",
		remedy: []string{"DISM /Online /Cleanup-Image /RestoreHealth, then register the package again: Add-AppxPackage -Register -DisableDevelopmentMode -Path <its AppxManifest.xml below C:\\Windows\\SystemApps>", "Leave packages with SignatureKind System or NonRemovable alone."}, source: reported, unconfirmed: true},
	{id: "F01", name: "APPX_NOT_PROVISIONED", phase: PhaseValidate, pattern: `Package (?P<package>\S+)` + notProvisioned, title: appxTitle,
		remedy: appxRemedy("The user that installed it must still exist; otherwise remove that profile first.", keepStoreOff), source: docStoreApps},
	{id: "F17", name: "APPXSVC_DISABLED", phase: PhaseValidate, pattern: `'SysprepGeneralizeValidate' from .*AppxSysprep\.dll; dwRet = 0x422\b`, title: "the AppX Deployment Service (AppXSvc) is disabled",
		remedy: []string{`reg add HKLM\SYSTEM\CurrentControlSet\Services\AppXSvc /v Start /t REG_DWORD /d 3 /f, then restart the guest`}, source: learn + "windows/win32/debug/system-error-codes--1000-1299-"},
	{id: "F02", name: "APPX_REMOVE_FAILED", phase: PhaseValidate, pattern: `Failed to remove apps for the current user: (?P<code>0x[0-9a-f]+)|Exit code of RemoveAllApps thread was (?P<code2>0x[0-9a-f]+)`, title: "app packages could not be checked or removed ({code})", generic: true,
		remedy: []string{"DISM /Online /Cleanup-Image /RestoreHealth, then sfc /scannow", "On Windows 10 22H2 with KB5032278: install a newer cumulative update (known problem).", "List per-user packages: Get-AppxPackage -AllUsers; remove those that are not provisioned."}, source: docStoreApps},
}
