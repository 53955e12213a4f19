package preflight

import "slices"

// Remedies are all remedies, in the order in which they are done. Their ids are those
// that checks name.
func Remedies() []Remedy {
	return []Remedy{
		{
			ID: RemedyStartTypes, Answers: []string{"appxsvc-disabled", "trustedinstaller-disabled", "wuauserv-disabled", "dmwappushservice-disabled", "software-protection-disabled"}, Groups: []Group{Base}, calls: startTypes,
			Changes: "gives AppXSvc, wuauserv and TrustedInstaller the start type demand, and sppsvc and dmwappushservice delayed-auto, those of them that are disabled: with sc.exe, so that it counts at once",
			Keeps:   "services with any other start type; none is started; the registry, where Windows refuses the change",
			Source:  "reports on dwRet 0x422 of AppxSysprep.dll and on dmwappushservice; GoogleCloudPlatform/compute-image-windows, issue 156",
		},
		{
			ID: RemedyUpdates, Answers: []string{"servicing-busy"}, Groups: []Group{Base}, Harmless: true, ForTheRun: true, calls: stops("update-services-stop", updateServices...),
			Changes: "stops the services wuauserv, UsoSvc, BITS and DoSvc, of those that run",
			Keeps:   "their start types, because sysprep starts some of them: Windows may start them again by itself",
			Source:  "common practice of image builders",
		},
		{
			ID: RemedyDomain, Answers: []string{"domain-joined"}, Groups: []Group{Base}, calls: domain, Unconfirmed: true,
			Changes: "takes the machine out of its domain; it takes effect in full at the next start, and accounts of the domain cannot log in any more",
			Keeps:   "the machine's account in the domain, and what the domain's policies have left",
			Source:  "learn.microsoft.com: Sysprep (Generalize) a Windows installation; Win32_ComputerSystem.UnjoinDomainOrWorkgroup",
		},
		{
			ID: RemedyNPS, Answers: []string{"nps-clients"}, Groups: []Group{Base}, calls: radius,
			Changes: "removes the RADIUS clients of the Network Policy Server, with their shared secrets",
			Keeps:   "remote server groups, for which there is no cmdlet: netsh nps delete remoteservergroup",
			Source:  "learn.microsoft.com: Manage NPS clients",
		},
		{
			ID: RemedyProviders, Answers: []string{"external-provider-missing", "external-provider-other"}, Groups: []Group{Base}, Harmless: true, calls: providers,
			Changes: "removes the values below SysPrepExternal whose DLL is not there, and those that remove_providers names",
			Keeps:   "every other provider, and the DLLs",
			Source:  "Azure/AgentBaker, on VMAgentDisabler.dll",
		},
		{
			ID: RemedyAnswers, Answers: []string{"answer-file-pointer", "answer-files-left"}, Groups: []Group{Base}, calls: answerFiles,
			Changes: "renames the answer files that Windows finds by itself (.packer-<time> is added; they stay in the image, with what secrets they hold), and removes the registry's pointer to one",
			Keeps:   "files on other drives, and the one of answer_file_in_guest",
			Source:  "learn.microsoft.com: Windows Setup Automation Overview",
		},
		{
			ID: RemedyAutologon, Answers: []string{"autologon"}, Groups: []Group{Base}, calls: autologon,
			Changes: `sets Winlogon\AutoAdminLogon to 0, and removes DefaultPassword, AutoLogonCount and AutoLogonSID`,
			Keeps:   "DefaultUserName, and a password that is kept as an LSA secret",
			Source:  "learn.microsoft.com: AutoLogon",
		},
		{
			ID: RemedyReserves, Answers: []string{"active-scenario", "reserved-storage"}, Groups: []Group{Base}, calls: reserved,
			Changes: `sets ReserveManager\ActiveScenario to 0, which only reports support, and turns reserved storage off, in the image too`,
			Keeps:   "everything while updates are at work",
			Source:  "learn.microsoft.com: Set-WindowsReservedStorageState; reports on 0x800F0975",
		},
		{
			ID: RemedyBitLocker, Answers: []string{"bitlocker"}, Groups: []Group{Base}, calls: bitlocker,
			Changes: "decrypts the drive of Windows, and waits for it (bitlocker_timeout)",
			Keeps:   "other drives",
			Source:  "learn.microsoft.com: Win32_EncryptableVolume",
		},
		{
			ID: RemedyAppx, Answers: []string{"appx-per-user", "appx-profile-gone", "appx-two-versions"}, Groups: []Group{Appx}, calls: packages,
			Changes: "removes the Store apps that sysprep would stop at: for all users, and then their provisioned packages; the other way round where two versions of one are there",
			Keeps:   "parts of Windows, frameworks, resource packages and all other apps; where one half fails, the other is not done",
			Source:  "learn.microsoft.com: Sysprep fails after you remove or update Windows Store apps (KB2769827); microsoft/winget-cli, issue 2876",
		},
		{
			ID: RemedySearch, Answers: []string{"windows-search"}, Groups: []Group{Base}, Harmless: true, ForTheRun: true, calls: stops("search-stop", "WSearch"),
			Changes: "stops Windows Search",
			Keeps:   "its start type",
			Source:  "eryph-org/basecatlets-hyperv, sysprep.ps1",
		},
	}
}

var updateServices = []string{"wuauserv", "UsoSvc", "BITS", "DoSvc"}

// restored are the services whose start types a remedy sets (repair.ps1, startTypes).
var restored = []string{"AppXSvc", "dmwappushservice", "wuauserv", "TrustedInstaller", "sppsvc"}

// RemedyOf is the remedy with that id; false: there is none.
func RemedyOf(id string) (Remedy, bool) {
	all := Remedies()
	i := slices.IndexFunc(all, func(r Remedy) bool { return r.ID == id })
	if i < 0 {
		return Remedy{}, false
	}
	return all[i], true
}
