package diagnosis

import "sync"

// cause is one entry of the catalogue. Pattern is RE2, matched without regard
// to case against a line's message; where no log line tells a cause, by says
// who does. Named groups of the pattern fill {placeholders} of title and
// remedy, and so do entry, dll, component, operation, key and code of what
// failed; {name} is the package name before its first underscore, {code} is
// decoded. RE2 wants group names to be unique: a digit at their end does not
// count.
type cause struct {
	id, name string
	phase    Phase
	pattern  string
	// weak is told by what only follows from a cause, and counts where no
	// pattern of another one matches.
	weak string
	// also is told by other lines near the one of the pattern: they fill groups
	// that it lacks, and are evidence.
	also string
	// hang is matched against "entry of dll" of a provider that has begun and
	// does not end.
	hang string
	// module is the DLL, in lower case, of the provider whose failure this cause
	// explains, or noModule; empty: any.
	module string
	// external causes are those of providers of other software.
	external bool
	// asks are the logs that say more of the cause, where its module does not tell.
	asks Source
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
	// anyLevel entries are told by Info lines too. They are worth to be known,
	// and count where nothing failed for another reason.
	anyLevel bool
	// warns: Windows writes the line as a warning; it is the cause where the run
	// failed.
	warns bool
}

// teller is who finds a cause that no log line tells.
type teller string

const (
	byVerdict teller = "verdict" // the first look and the watch, by ByID
	// byPreflight: a check of the guest before the launch that names it (preflight.Check),
	// or nobody yet; docs/causes.md says which.
	byPreflight teller = "pre-flight"
	// byHang: the tracker's step that has not ended, by Hang.
	byHang teller = "hang"
)

// catalogue holds all causes. Order matters where several match one line: the
// specific ones stand before the general ones.
var catalogue = sync.OnceValue(func() []compiled {
	var all []compiled
	for _, list := range [][]cause{appxCauses, servicingCauses, providerCauses, hangCauses, launchCauses, appliedCauses, repeatedCauses, answerFileCauses, configurationCauses, firstBootCauses} {
		for _, c := range list {
			all = append(all, compiled{c, optional(c.pattern), optional(c.weak), optional(c.hang), optional(c.also)})
		}
	}
	return all
})

type compiled struct {
	cause
	re, weakly, hangs, others *pattern // nil without one
}

func optional(text string) *pattern {
	if text == "" {
		return nil
	}
	p := compile(text)
	return &p
}

// kind is what a line is worth that tells a cause, the best first.
type kind uint8

const (
	specific kind = iota
	generic
	weak
	notice
	vagueNotice
)

// of is the pattern of that kind, nil where the cause has none.
func (c compiled) of(k kind) *pattern {
	switch {
	case k == weak:
		return c.weakly
	case c.anyLevel && k == notice && !c.generic, c.anyLevel && k == vagueNotice && c.generic,
		!c.anyLevel && k == specific && !c.generic, !c.anyLevel && k == generic && c.generic:
		return c.re
	}
	return nil
}

// tells returns what the cause's pattern caught in a line.
func (c compiled) tells(s *search, l problem) []string {
	if c.re == nil {
		return nil
	}
	return s.find(*c.re, l)
}

// appxDLL checks and removes app packages.
const appxDLL = "appxsysprep.dll"

const notProvisioned = ` (?:was |is )?installed for a user,? but (?:is |was )?not provisioned for all users`

func appxPattern(names string) string {
	return `Package (?P<package>(?:` + names + `)\S*)` + notProvisioned
}

// inPowerShell begins a command for a machine that validation refused; one that
// broke midway is not to be repaired.
const (
	inPowerShell = "In Windows PowerShell on the guest: "
	onFresh      = "On a fresh machine before sysprep: "
)

var (
	removeAppx = []string{
		inPowerShell + "Get-AppxPackage -AllUsers -Name '{name}' | Remove-AppxPackage -AllUsers",
		"Then: Get-AppxProvisionedPackage -Online | Where-Object DisplayName -eq '{name}' | Remove-AppxProvisionedPackage -Online",
	}
	keepStoreOff = "Keep the Store and Windows Update from adding it again before sysprep (policy WindowsStore\\AutoDownload = 2, or no network)."
)

func appxRemedy(more ...string) []string {
	return append(append([]string{}, removeAppx...), more...)
}

const appxTitle = "app package {package} is installed for a user but not provisioned for all users"

var appxCauses = []cause{
	{id: "F03", name: "APPX_WINGET_SOURCE", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Microsoft\.Winget\.Source_`), title: appxTitle + " (the index that winget registers on first use)",
		remedy: []string{"As the last step before sysprep: Get-AppxPackage -AllUsers Microsoft.Winget.Source | Remove-AppxPackage -AllUsers", "Do not call winget after that."}, source: github + "microsoft/winget-cli/issues/5599"},
	{id: "F04", name: "APPX_DESKTOPAPPINSTALLER", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Microsoft\.DesktopAppInstaller_`), title: appxTitle + " (winget itself was updated for one user)",
		remedy: []string{"Two versions are there. In Windows PowerShell on the guest, first the provisioned one: Get-AppxProvisionedPackage -Online | Where-Object DisplayName -eq '{name}' | Remove-AppxProvisionedPackage -Online",
			"Then the users' one (in the other order it fails with 0x80070032): Get-AppxPackage -AllUsers -Name '{name}' | Remove-AppxPackage -AllUsers",
			"Then provision winget again, or clones have none: Add-AppxProvisionedPackage -Online -PackagePath <bundle> -LicensePath <licence> -DependencyPackagePath <dependencies>"}, source: github + "microsoft/winget-cli/issues/2876"},
	{id: "F05", name: "APPX_EDGE_STABLE", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Microsoft\.MicrosoftEdge\.Stable_`), title: appxTitle + " (Edge registered itself)",
		remedy: []string{"In Windows PowerShell on the guest: Get-AppxPackage -AllUsers -Name 'Microsoft.MicrosoftEdge.*' | Where-Object { $_.PackageUserInformation.InstallState -eq 'Installed' } | ForEach-Object { Remove-AppxPackage -AllUsers -Package $_.PackageFullName }", "Do it right before sysprep: Edge comes back with its next update."}, source: github + "rgl/windows-sysprep-playground/blob/HEAD/provision-sysprep.ps1"},
	{id: "F06", name: "APPX_EDGE_GAMEASSIST", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Microsoft\.Edge\.GameAssist_`), title: appxTitle + " (an Edge update installs it, on Server too)",
		remedy: appxRemedy("Do it right before sysprep: the next Edge update brings it back."), source: github + "canonical/packer-maas/issues/335"},
	{id: "F07", name: "APPX_COPILOT", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Microsoft\.(?:Windows\.)?Copilot`), title: appxTitle + " (an update installs Copilot)",
		remedy: appxRemedy("Keep it away with the policy TurnOffWindowsCopilot."), source: github + "vmware/ansible-vsphere-gos-validation/pull/596"},
	{id: "F08", name: "APPX_LANGUAGE_EXPERIENCE_PACK", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Microsoft\.LanguageExperiencePack(?P<language>[A-Za-z-]+)_`), title: appxTitle + " (language {language} came from the Store)",
		remedy: appxRemedy("Install languages for all users instead: Add-AppxProvisionedPackage, lpksetup or a cab file."), source: github + "aka18angel/clase-18-04-24/blob/32521ea3dbb551231e3e5d6893baaf093f48e7ab/setuperr.log"},
	{id: "F09", name: "APPX_ONEDRIVESYNC", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Microsoft\.OneDriveSync_`), title: appxTitle + " (OneDrive set itself up for a user)",
		remedy: []string{`Uninstall OneDrive: %SystemRoot%\System32\OneDriveSetup.exe /uninstall (SysWOW64 on older Windows)`, removeAppx[0]}, source: docCapture},
	{id: "F10", name: "APPX_WIDGETS", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Microsoft\.WidgetsPlatformRuntime_|MicrosoftWindows\.Client\.WebExperience_`), title: appxTitle + " (Widgets)",
		remedy: appxRemedy(keepStoreOff), source: github + "hashicorp/packer-plugin-azure/issues/350"},
	{id: "F11", name: "APPX_TEAMS", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`(?:MSTeams|MicrosoftTeams)_`), title: appxTitle + " (Teams)",
		remedy: appxRemedy("Or provision Teams for all users: teamsbootstrapper.exe -p"), source: github + "ChrisTitusTech/winutil/issues/3639"},
	{id: "F12", name: "APPX_SPARSE_PACKAGES", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`NotepadPlusPlus|TortoiseSVN|TortoiseGit|7-?Zip|WinRAR|Microsoft\.WindowsTerminal|Microsoft\.PowerShell`), title: appxTitle + " (the shell extension of a desktop program)",
		remedy: []string{removeAppx[0], "The program keeps working without the package."}, source: github + "notepad-plus-plus/notepad-plus-plus/issues/13675"},
	{id: "F13", name: "APPX_WINAPPRUNTIME_WSL", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`MicrosoftCorporationII\.(?:WinAppRuntime|WindowsSubsystemForLinux)`), title: appxTitle,
		remedy: appxRemedy("The engine of WSL installed by MSI stays when the package goes."), source: github + "actions/runner-images/issues/14499"},
	{id: "F14", name: "APPX_LTSC_STORE", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Microsoft\.WindowsStore_`), title: appxTitle + " (the Store, put on LTSC by wsreset -i for the current user only)",
		remedy: appxRemedy(), source: sysprepCheckers, unconfirmed: true},
	{id: "F16", name: "APPX_MIRACASTVIEW", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Windows\.MiracastView`), title: appxTitle + " (left behind by the upgrade to Windows 10 1709)",
		remedy: []string{"Restore the package's missing xml in the AppRepository folder from an installation that was not upgraded, then remove the package (KB4057974)."}, source: support + "miracastview-cause-sysprep-error-upgrade-windows-10-1709"},
	{id: "F18", name: "APPX_PROTECTED_REMOVED", phase: PhaseValidate, module: appxDLL, pattern: appxPattern(`Microsoft\.SecHealthUI|MicrosoftWindows\.Client\.CBS|Microsoft\.UI\.Xaml\.CBS|Microsoft\.Windows\.(?:ShellExperienceHost|StartMenuExperienceHost)`), title: "system app {package} lost its provisioning to a clean-up, and it cannot be removed (NonRemovable)",
		remedy: []string{"Provision it again from its payload: Add-AppxProvisionedPackage -Online -PackagePath <its package, from the same build's media or C:\\Windows\\SystemApps> -SkipLicense; and leave it out of the clean-up.",
			"Where its files were damaged: DISM /Online /Cleanup-Image /RestoreHealth, then Add-AppxPackage -Register -DisableDevelopmentMode -Path <its AppxManifest.xml below C:\\Windows\\SystemApps>"}, source: docStoreApps, unconfirmed: true},
	{id: "F01", name: "APPX_NOT_PROVISIONED", phase: PhaseValidate, module: appxDLL, pattern: `Package (?P<package>[^\s._<]*[._<]\S*)` + notProvisioned, title: appxTitle,
		remedy: appxRemedy("The user that installed it must still exist; otherwise remove that profile first.", keepStoreOff), source: docStoreApps},
	{id: "F17", name: "APPXSVC_DISABLED", phase: PhaseValidate, asks: OfApps, pattern: `'SysprepGeneralizeValidate' from .*AppxSysprep\.dll; dwRet = 0x422\b`, title: "the AppX Deployment Service (AppXSvc) is disabled",
		remedy: []string{`reg add HKLM\SYSTEM\CurrentControlSet\Services\AppXSvc /v Start /t REG_DWORD /d 3 /f, then restart the guest`}, source: learn + "windows/win32/debug/system-error-codes--1000-1299-"},
	{id: "F91", name: "APPX_REMOVE_OPERATION_FAILED", phase: PhaseProcess, module: appxDLL, pattern: `Package (?P<package>\S+) failed waiting for \w+ operation: (?P<code>(?:0x)?[0-9a-f]+)|Failed to (?:remove|deprovision|unstage|provision) (?:staged |provisioned )?package (?P<package2>[^\s:]*[^\s:.])[.:]*(?:\s+(?P<code2>0x[0-9a-f]+))?(?:[\s.]|$)`, title: "app package {package} could not be removed ({code})",
		remedy: removeAppx, source: docStoreApps},
	{id: "F15", name: "APPX_22H2_KNOWN_PROBLEM", phase: PhaseValidate, module: appxDLL, pattern: `Failed to remove apps for the current user: (?P<code>0x80073cf2)|Exit code of RemoveAllApps thread was (?P<code2>0x3cf2)`, generic: true, unconfirmed: true,
		title:  "app packages were refused ({code}) and the log names none: on Windows 10 22H2 with KB5032278 or later that is a known problem",
		remedy: []string{"On Windows 10 22H2: install a newer cumulative update.", "Otherwise list what is installed for users only, and remove it: Get-AppxPackage -AllUsers | Where-Object { $_.PackageUserInformation.InstallState -eq 'Installed' }", "DISM /Online /Cleanup-Image /RestoreHealth, then sfc /scannow"}, source: support + "sysprep-fails-remove-or-update-store-apps"},
	{id: "F02", name: "APPX_REMOVE_FAILED", phase: PhaseValidate, module: appxDLL, weak: `Hit failure while pre-validate sysprep generalize .*hr = (?P<code3>0x80073c[ef][0-9a-f])\b`, pattern: `Failed to remove apps for the current user: (?P<code>0x[0-9a-f]+)|Exit code of RemoveAllApps thread was (?P<code2>0x[0-9a-f]+)`, title: "app packages could not be checked or removed ({code})", generic: true,
		remedy: []string{"List what is installed for users only, and remove it: Get-AppxPackage -AllUsers | Where-Object { $_.PackageUserInformation.InstallState -eq 'Installed' }", "DISM /Online /Cleanup-Image /RestoreHealth, then sfc /scannow"}, source: docStoreApps},
}
