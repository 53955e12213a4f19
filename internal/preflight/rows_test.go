package preflight

import "github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"

const (
	user  = `{"sid":"S-1-5-21-1004336348-1177238915-682003330-1001","name":"packer","state":"Installed"}`
	ghost = `{"sid":"S-1-5-21-1-2-3-1009","name":"","state":"Installed"}`
)

// app is a package for users.
func app(name, version, more, users string) string {
	return `{"name":"` + name + `","fullName":"` + name + "_" + version + `_x64__8wekyb3d8bbwe","version":"` + version + `","signatureKind":"Store"` + more + `,"users":[` + users + `]}`
}

const (
	staged               = `{"sid":"S-1-5-18","state":"Staged"}`
	installerProvisioned = `appxProvisioned.packages=[{"displayName":"Microsoft.DesktopAppInstaller","packageName":"p"}]`
)

// twoOf is two packages of the app installer: the end of the full name, version and users
// of each.
func twoOf(endA, versionA, usersA, endB, versionB, usersB string) string {
	one := func(end, version, users string) string {
		return `{"name":"` + appInstaller + `","fullName":"` + appInstaller + "_" + end + `","version":"` + version + `","signatureKind":"Store","users":[` + users + `]}`
	}
	return `appx.packages=[` + one(endA, versionA, usersA) + "," + one(endB, versionB, usersB) + `]`
}

var appRows = []row{
	{id: "appx-per-user", on: win11, want: Passed},
	{id: "appx-per-user", on: server, want: Passed},
	{id: "appx-per-user", on: "appx-per-user", want: Failed, as: finding.Fail, says: "Microsoft.Winget.Source_2024.414.1454.918_neutral__8wekyb3d8bbwe (DESKTOP-PACKER\\packer)"},
	{id: "appx-per-user", on: "appx-per-user", want: Failed, as: finding.Fail, says: "2 app packages are installed for users"}, // not the system app
	{id: "appx-per-user", on: "appx-before-1709", want: Failed, as: finding.Fail, says: "2 app packages"},
	{id: "appx-per-user", on: "server-core-2012", want: Skipped},
	{id: "appx-per-user", on: win11, edits: []string{`appx.available=false`, `appx.packages=[]`}, want: CannotTell},
	{id: "appx-per-user", on: "appx-per-user", edits: []string{`appx!`}, want: CannotTell},
	{id: "appx-per-user", on: "appx-per-user", edits: []string{`appxProvisioned!`}, want: CannotTell},
	{id: "appx-per-user", on: "appx-per-user", edits: []string{`appxProvisioned={"available":false,"packages":[]}`}, want: CannotTell},
	{id: "appx-per-user", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", "") + `]`}, want: CannotTell, says: "for which users"},
	{id: "appx-per-user", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", `,"framework":true`, user) + `,` + app("Microsoft.Y", "1.0", `,"nonRemovable":true`, user) + `,` + app("Microsoft.Z", "1.0", `,"installLocation":"C:\\Windows\\SystemApps\\z"`, user) + `]`}, want: Passed},
	{id: "appx-per-user", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", `{"sid":"S-1-5-18","state":"Staged"}`) + `]`}, want: Passed},
	{id: "appx-per-user", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", ghost) + `]`}, want: Passed},
	{id: "appx-per-user", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", ghost+","+user) + `]`}, want: Failed, as: finding.Fail},
	{id: "appx-per-user", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", ghost) + `]`, `profiles!`}, want: Failed, as: finding.Fail},

	// Windows Server 2016 has these for every user, with neither SignatureKind nor NonRemovable.
	{id: "appx-per-user", on: "appx-before-1709", edits: []string{`appx.packages=[` + app("Windows.PrintDialog", "6.2", `,"signatureKind":"","installLocation":"C:\\Windows\\PrintDialog"`, user) + `,` + app("Windows.MiracastView", "6.3", `,"signatureKind":"","installLocation":"c:\\WINDOWS\\MiracastView"`, user) + `]`}, want: Passed},
	{id: "appx-per-user", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", `,"installLocation":"D:\\WindowsApps\\x"`, user) + `]`}, want: Failed, as: finding.Fail},
	{id: "appx-per-user", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", `{"sid":"S-1-5-18","state":"NotInstalled"}`) + `]`}, want: Passed},
	{id: "appx-per-user", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", `{"sid":"S-1-5-18","state":"Installed(pending removal)"}`) + `]`}, want: Failed, as: finding.Fail},
	{id: "appx-per-user", on: "appx-per-user", plan: func(p *Plan) { p.Generalize = false }, want: Skipped}, // apps are looked at in generalize

	{id: "appx-profile-gone", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", ghost) + `]`}, plan: func(p *Plan) { p.Generalize = false }, want: Skipped},
	{id: "appx-profile-gone", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", `{"sid":"S-1-12-1-1-2-3-4","state":"Installed"}`) + `]`}, want: Failed, as: finding.Fail, says: "S-1-12-1"}, // of Entra ID
	{id: "appx-profile-gone", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", `{"sid":"S-1-5-18","state":"Installed"}`) + `]`}, want: Passed},
	{id: "appx-profile-gone", on: win11, want: Passed},
	{id: "appx-profile-gone", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", ghost) + `]`}, want: Failed, as: finding.Fail, says: "S-1-5-21-1-2-3-1009"},
	{id: "appx-profile-gone", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", user) + `]`}, want: Passed},
	{id: "appx-profile-gone", on: win11, edits: []string{`appx.packages=[` + app("Microsoft.X", "1.0", "", ghost) + `]`, `profiles!`}, want: CannotTell, says: "profiles"},

	{id: "appx-two-versions", on: win11, want: Passed},
	{id: "appx-two-versions", on: win11, edits: []string{`appx.packages=[` + app(appInstaller, "1.0", "", user) + `,` + app(appInstaller, "2.0", "", user) + `]`, `appxProvisioned.packages=[{"displayName":"Microsoft.DesktopAppInstaller","packageName":"p"}]`}, want: Failed, as: finding.Warn, says: "_2.0_"},
	{id: "appx-two-versions", on: win11, edits: []string{`appx.packages=[` + app(appInstaller, "1.0", "", user) + `,` + app(appInstaller, "1.0", "", user) + `]`, `appxProvisioned.packages=[{"displayName":"Microsoft.DesktopAppInstaller","packageName":"p"}]`}, want: Passed},
	{id: "appx-two-versions", on: win11, edits: []string{twoOf("1.0_x86__p", "1.0", user, "1.0_x64__p", "1.0", user), installerProvisioned}, want: Passed},                                    // two architectures
	{id: "appx-two-versions", on: win11, edits: []string{twoOf("1.0_x64__p", "1.0", user, "2.0_neutral_~_p", "2.0", user), installerProvisioned}, want: Passed},                               // its bundle has its own number
	{id: "appx-two-versions", on: win11, edits: []string{twoOf("1.0_x64__p", "1.0", user, "2.0_neutral_split.scale-100_p", "2.0", user), installerProvisioned}, want: Passed},                 // a resource package
	{id: "appx-two-versions", on: win11, edits: []string{twoOf("1.0_x64__p", "1.0", staged, "2.0_x64__p", "2.0", staged), installerProvisioned}, want: Passed},                                // of no user
	{id: "appx-two-versions", on: win11, edits: []string{twoOf("1.0_x64__p", "1.0", user, "2.0_x64__q", "2.0", user), installerProvisioned}, want: Passed},                                    // of two publishers
	{id: "appx-two-versions", on: win11, edits: []string{twoOf("1.0_x64__p", "1.0", staged, "2.0_x64__p", "2.0", user), installerProvisioned}, want: Failed, as: finding.Warn, says: "_2.0_"}, // the Store's update
	{id: "appx-two-versions", on: win11, edits: []string{twoOf("1.0_x86__p", "1.0", user, "2.0_x64__p", "2.0", user), installerProvisioned}, want: Failed, as: finding.Warn, says: "_x86_"},
	{id: "appx-two-versions", on: win11, edits: []string{`appxProvisioned-`}, want: CannotTell},

	{id: "appx-newer", on: win11, want: Passed}, // its bundle is numbered by the year
	{id: "appx-newer", on: win11, edits: []string{`appxProvisioned.packages=[{"displayName":"Microsoft.WindowsCalculator","packageName":"p","version":"10.2502.9.9"}]`}, want: Failed, as: finding.Warn, says: "11.2401"},
	{id: "appx-newer", on: win11, edits: []string{`appxProvisioned.packages=[{"displayName":"Microsoft.WindowsCalculator","packageName":"p","version":"11.2401.0.0"}]`}, want: Passed},
	{id: "appx-newer", on: win11, edits: []string{`appxProvisioned.packages=[{"displayName":"Microsoft.WindowsCalculator","packageName":"p","version":"1.2.3.4.5"}]`}, want: Passed},
	{id: "appx-newer", on: win11, edits: []string{`appxProvisioned!`}, want: CannotTell},

	{id: "appx-system-unprovisioned", on: win11, want: Passed},
	{id: "appx-system-unprovisioned", on: win11, edits: []string{`appx.packages=[` + app(secHealthUI, "1000.0", `,"nonRemovable":true`, user) + `]`}, want: Failed, as: finding.Warn, says: "lost its provisioning"}, // one report
	{id: "appx-system-unprovisioned", on: win11, edits: []string{`appx.packages=[` + app(secHealthUI, "1000.0", `,"nonRemovable":true`, user) + `]`}, plan: func(p *Plan) { p.Generalize = false }, want: Skipped},
	{id: "appx-system-unprovisioned", on: win11, edits: []string{`appx.packages=[` + app(secHealthUI, "1000.0", `,"nonRemovable":true`, user) + `]`, `appxProvisioned.packages=[{"displayName":"Microsoft.SecHealthUI","packageName":"p"}]`}, want: Passed},
	{id: "appx-system-unprovisioned", on: win11, edits: []string{`appx.packages=[` + app(secHealthUI, "1000.0", `,"nonRemovable":true`, user) + `]`, `appxProvisioned!`}, want: CannotTell},

	{id: "store-updates", on: win11, want: Passed},
	{id: "store-updates", on: win11, edits: []string{`storePolicy.autoDownload=null`}, want: Failed, as: finding.Info},
	{id: "store-updates", on: server, want: Skipped},
	{id: "store-updates", on: win11, edits: []string{`os={"CurrentBuildNumber":"22631","InstallationType":"Client"}`, `storePolicy.autoDownload=4`}, want: Failed, as: finding.Info}, // without CIM
	{id: "store-updates", on: win11, edits: []string{`storePolicy!`}, want: CannotTell},
}

var systemRows = []row{
	{id: "rearm", on: server, want: Passed},
	{id: "rearm", on: "low-rearm", edits: []string{`licensingRegistry.SkipRearm=null`}, want: Failed, as: finding.Fail, says: "no rearm of the licence is left"},
	// EC2's answer file sets SkipRearm, and one that Windows finds by itself may.
	{id: "rearm", on: "low-rearm", edits: []string{`licensingRegistry.SkipRearm=null`}, plan: func(p *Plan) { p.OtherAnswer = true }, want: Failed, as: finding.Warn, says: "that is not known here"},
	{id: "rearm", on: "low-rearm", edits: []string{`licensingRegistry.SkipRearm=null`, `answerFiles.found=[{"path":"C:\\Windows\\Panther\\unattend.xml","exists":true}]`}, plan: func(p *Plan) { p.AnswerFile = false }, want: Failed, as: finding.Warn},
	{id: "rearm", on: "low-rearm", edits: []string{`licensingRegistry.SkipRearm=null`, `answerFiles.registryPointer="C:\\u.xml"`}, plan: func(p *Plan) { p.AnswerFile = false }, want: Failed, as: finding.Warn},
	{id: "rearm", on: "low-rearm", edits: []string{`licensingRegistry.SkipRearm=null`, `answerFiles.registryPointer="C:\\u.xml"`}, plan: func(p *Plan) { p.AnswerFile, p.RemovesAnswerFiles = false, true }, want: Failed, as: finding.Fail},
	{id: "rearm", on: server, edits: []string{`licensing.remainingWindowsReArmCount=1`}, want: Failed, as: finding.Warn, says: "an evaluation edition begins with a few"},
	{id: "rearm", on: win11, edits: []string{`licensing.remainingWindowsReArmCount=1`, `os.EditionID="Enterprise"`}, want: Failed, as: finding.Warn, says: "begins with 8"},
	{id: "rearm", on: "server-core-2012", edits: []string{`licensing.remainingWindowsReArmCount=1`, `os.EditionID="ServerStandard"`}, want: Failed, as: finding.Warn, says: "begins with 1001"},
	{id: "rearm", on: server, edits: []string{`licensing!`, `os.CurrentBuildNumber="7601"`, `os.EditionID="Enterprise"`}, want: CannotTell, says: "begins with 3"},
	{id: "rearm", on: server, edits: []string{`licensing.products=[{"name":"x","remainingSkuReArmCount":0}]`}, want: Failed, as: finding.Warn, says: "of this edition"},
	{id: "rearm", on: server, edits: []string{`licensing.remainingWindowsReArmCount=null`}, want: CannotTell, says: "did not tell"},
	{id: "rearm", on: "low-rearm", want: Skipped},
	{id: "rearm", on: "low-rearm", edits: []string{`licensingRegistry.SkipRearm=null`}, plan: func(p *Plan) { p.SkipRearm = true }, want: Skipped},
	{id: "rearm", on: "low-rearm", edits: []string{`licensingRegistry.SkipRearm=null`}, plan: func(p *Plan) { p.Generalize = false }, want: Skipped},

	{id: "software-protection-disabled", on: server, edits: []string{`services.sppsvc.mode="Disabled"`}, want: Failed, as: finding.Fail, says: "disabled until Windows is restarted"},
	{id: "software-protection-disabled", on: server, edits: []string{`services.sppsvc.mode="Disabled"`}, want: Failed, as: finding.Fail, says: "Start = 2, which the service control manager has not read yet"},
	{id: "software-protection-disabled", on: server, edits: []string{`services.sppsvc.mode=null`}, want: Passed},
	{id: "software-protection-disabled", on: server, edits: []string{`services.sppsvc.start=4`}, want: Failed, as: finding.Fail, says: "sppsvc is disabled"},
	{id: "software-protection-disabled", on: server, want: Passed},
	{id: "software-protection-disabled", on: server, edits: []string{`services.sppsvc={"start":4}`}, want: Failed, as: finding.Fail},
	{id: "software-protection-disabled", on: server, edits: []string{`services.sppsvc={"start":4}`}, plan: func(p *Plan) { p.SkipRearm = true }, want: Skipped},
	{id: "software-protection-disabled", on: server, edits: []string{`services!`}, want: CannotTell},

	{id: "skip-rearm", on: server, want: Passed},
	{id: "skip-rearm", on: server, edits: []string{`licensingRegistry.SkipRearm=1`}, want: Failed, as: finding.Warn, says: "registry"},
	{id: "skip-rearm", on: server, plan: func(p *Plan) { p.SkipRearm = true }, want: Failed, as: finding.Warn, says: "answer file"},
	{id: "skip-rearm", on: server, edits: []string{`licensingRegistry!`}, want: CannotTell},

	{id: "evaluation-end", on: server, want: Skipped},
	{id: "evaluation-end", on: server, edits: []string{`licensing.products=[{"name":"x","evaluationEnd":"2026-06-01T00:00:00.0000000Z"}]`}, want: Passed},
	{id: "evaluation-end", on: server, edits: []string{`licensing.products=[{"name":"x","evaluationEnd":"2026-01-10T00:00:00.0000000Z"}]`}, want: Failed, as: finding.Warn, says: "ends on 2026-01-10"},
	{id: "evaluation-end", on: server, edits: []string{`licensing.products=[{"name":"x","evaluationEnd":"2025-01-10T00:00:00.0000000Z"}]`}, want: Failed, as: finding.Warn, says: "has ended on 2025-01-10"},
	{id: "evaluation-end", on: server, edits: []string{`licensing!`}, want: CannotTell},

	{id: "oem-key", on: win11, want: Skipped},
	{id: "oem-key", on: win11, edits: []string{`os.EditionID="Professional"`}, plan: func(p *Plan) { p.SetupComplete = true }, want: Passed},
	{id: "oem-key", on: win11, edits: []string{`os.EditionID="Professional"`, `licensing.products=[{"name":"x","description":"OEM_DM channel"}]`}, plan: func(p *Plan) { p.SetupComplete = true }, want: Failed, as: finding.Warn, says: "OEM_DM"},
	{id: "oem-key", on: win11, edits: []string{`os.EditionID="Enterprise"`, `licensing.products=[{"name":"x","description":"OEM_DM channel"}]`}, plan: func(p *Plan) { p.SetupComplete = true }, want: Skipped},
	{id: "oem-key", on: win11, edits: []string{`os.EditionID="Professional"`, `licensing!`}, plan: func(p *Plan) { p.SetupComplete = true }, want: CannotTell},

	{id: "external-provider-missing", on: server, want: Passed},
	{id: "external-provider-missing", on: "leftovers", edits: []string{`externalProviders.list=[{"phase":"Generalize","name":"azure","data":"C:\\Windows\\System32\\VMAgentDisabler.dll,x","dll":"C:\\x.dll","exists":false}]`}, want: Failed, as: finding.Fail, says: `Generalize\azure: C:\Windows\System32\VMAgentDisabler.dll`},
	{id: "external-provider-missing", on: server, edits: []string{`externalProviders.list=[{"data":"%windir%\\a.dll,x","dll":"a","exists":false},{"data":"b.dll,x","dll":"b","exists":false}]`}, want: Failed, as: finding.Fail, says: "2 external providers"},
	{id: "external-provider-missing", on: server, edits: []string{`externalProviders.list=[{"data":"\"C:\\a b.dll\",x","dll":"a","exists":false}]`}, want: Failed, as: finding.Fail},
	{id: "external-provider-missing", on: server, edits: []string{`externalProviders.list=[{"data":"agent.dll,x","dll":"C:\\Windows\\System32\\agent.dll","exists":false}]`}, want: Failed, as: finding.Warn}, // one that is found by PATH
	{id: "external-provider-missing", on: server, edits: []string{`externalProviders.list=[{"dll":"a","exists":false}]`, `engine.process64=false`}, want: CannotTell},
	{id: "external-provider-missing", on: server, edits: []string{`externalProviders.list=[{"dll":"a"}]`}, want: CannotTell},
	{id: "external-provider-missing", on: server, edits: []string{`externalProviders!`}, want: CannotTell},

	{id: "external-provider-other", on: server, want: Passed},
	{id: "external-provider-other", on: server, edits: []string{`externalProviders.list=[{"phase":"Generalize","name":"agent","data":"C:\\Windows\\System32\\agentprov.dll,Generalize","dll":"C:\\Windows\\System32\\agentprov.dll","exists":true}]`}, want: Failed, as: finding.Warn, says: "agentprov.dll"},
	{id: "external-provider-other", on: server, edits: []string{`externalProviders.list=[{"dll":"C:\\Windows\\System32\\DscCore.dll","exists":true,"company":"Contoso"}]`}, want: Failed, as: finding.Warn},
	{id: "external-provider-other", on: server, edits: []string{`externalProviders.list=[{"dll":"C:\\x.dll","exists":true,"company":"Microsoft Corporation"}]`}, want: Passed},
	{id: "external-provider-other", on: server, edits: []string{`externalProviders.list=[{"data":"DscCore.dll,SysPrep_Cleanup","dll":"C:\\Windows\\System32\\DscCore.dll","exists":true}]`}, want: Passed},
	{id: "external-provider-other", on: server, edits: []string{`externalProviders.list=[{"data":"x","dll":"D:\\evil\\DscCore.dll","exists":true}]`}, want: Failed, as: finding.Warn},
	{id: "external-provider-other", on: server, edits: []string{`externalProviders-`}, want: CannotTell},

	{id: "defender-onboarded", on: server, want: Passed},
	{id: "defender-onboarded", on: "leftovers", want: Failed, as: finding.Warn, says: "OnboardingState 1"},
	{id: "defender-onboarded", on: server, edits: []string{`defender.senseGuid=true`}, want: Failed, as: finding.Warn},
	{id: "defender-onboarded", on: server, edits: []string{`defender={}`}, want: CannotTell},

	{id: "dsc", on: server, want: Passed},
	{id: "dsc", on: "leftovers", want: Failed, as: finding.Warn, says: "Current.mof"},
	{id: "dsc", on: server, edits: []string{`dsc={}`}, want: CannotTell},

	{id: "event-logs-moved", on: server, want: Passed},
	{id: "event-logs-moved", on: "leftovers", want: Failed, as: finding.Warn, says: `D:\Logs\Application.evtx`},
	{id: "event-logs-moved", on: server, edits: []string{`eventLogs!`}, want: CannotTell},

	{id: "upgraded", on: server, want: Passed},
	{id: "upgraded", on: "leftovers", want: Failed, as: finding.Info, says: "Source OS"},
	{id: "upgraded", on: "leftovers", edits: []string{`os.CurrentBuildNumber="10586"`}, want: Failed, as: finding.Warn}, // not supported; that sysprep refuses has no source
	{id: "upgraded", on: "leftovers", edits: []string{`os.CurrentBuildNumber="x"`}, want: CannotTell},

	{id: "domain-controller", on: server, want: Passed},
	{id: "domain-controller", on: "domain-controller", want: Failed, as: finding.Fail, says: "example.test"},
	{id: "domain-controller", on: server, edits: []string{`computer.domainRole=null`}, want: CannotTell},
	{id: "domain-joined", on: server, want: Passed},
	{id: "domain-joined", on: win11, edits: []string{`computer.partOfDomain=true`, `computer.domainRole=1`, `computer.domain="corp.example"`}, want: Failed, as: finding.Warn, says: "Windows 11"},
	{id: "domain-joined", on: "domain-controller", want: Skipped},
	{id: "domain-joined", on: server, edits: []string{`computer.partOfDomain=null`}, want: CannotTell},
	{id: "cluster", on: server, want: Passed},
	{id: "cluster", on: "domain-controller", want: Failed, as: finding.Warn},
	{id: "cluster", on: server, edits: []string{`cluster={}`}, want: CannotTell},
	{id: "hyperv-switches", on: server, want: Passed},
	{id: "hyperv-switches", on: "domain-controller", want: Failed, as: finding.Warn, says: "External (Internal)"},
	{id: "hyperv-switches", on: server, edits: []string{`hyperv!`}, want: CannotTell},

	{id: "unsupported-role", on: server, want: Passed},
	{id: "unsupported-role", on: win11, want: Skipped},
	{id: "unsupported-role", on: "domain-controller", want: Failed, as: finding.Warn, says: "Active Directory Domain Services: not supported"},
	{id: "unsupported-role", on: "domain-controller", want: Failed, as: finding.Warn, says: "DNS Server: Microsoft does not say"},
	{id: "unsupported-role", on: server, edits: []string{`roles.installed=["DHCP"]`}, want: Failed, as: finding.Warn, says: "DHCP"},
	{id: "unsupported-role", on: server, edits: []string{`roles.installed=["DHCP"]`, `os.CurrentBuildNumber="6002"`}, want: Passed},
	{id: "unsupported-role", on: server, edits: []string{`roles.installed=["WDS"]`}, want: Failed, as: finding.Warn, says: "wdsutil"},
	{id: "unsupported-role", on: server, edits: []string{`roles.installed=["WDS"]`, `os.CurrentBuildNumber="7601"`}, want: Failed, as: finding.Warn, says: "Windows Deployment Services: not supported"},
	{id: "unsupported-role", on: server, edits: []string{`roles.installed=["Web-Server"]`}, want: Passed},
	{id: "unsupported-role", on: server, edits: []string{`roles={"source":"none","installed":[]}`, `optionalFeatures.installed=["UpdateServices"]`}, want: Failed, as: finding.Warn, says: "Update Services"},
	{id: "unsupported-role", on: server, edits: []string{`roles={"source":"none","installed":[]}`, `optionalFeatures!`}, want: CannotTell},
	{id: "unsupported-role", on: server, edits: []string{`roles!`, `optionalFeatures!`}, want: CannotTell},

	{id: "nps-clients", on: server, want: Skipped},
	{id: "nps-clients", on: "nps", want: Failed, as: finding.Warn, says: "switch-1"},
	{id: "nps-clients", on: "nps", edits: []string{`nps.clients=[]`}, want: Failed, as: finding.Warn, says: "group-1"},
	{id: "nps-clients", on: "nps", edits: []string{`nps.clients=[]`, `nps.remoteServerGroups=["Remote RADIUS server group configuration:","Ok."]`}, want: Passed},
	{id: "nps-clients", on: server, edits: []string{`nps={}`}, want: CannotTell},

	{id: "answer-file-pointer", on: server, want: Passed},
	{id: "answer-file-pointer", on: "leftovers", want: Failed, as: finding.Warn, says: `C:\gone\unattend.xml`},
	{id: "answer-file-pointer", on: "leftovers", plan: func(p *Plan) { p.RemovesAnswerFiles = true }, want: Skipped},
	{id: "answer-file-pointer", on: server, edits: []string{`answerFiles!`}, want: CannotTell},
	{id: "answer-files-left", on: server, want: Passed},
	{id: "answer-files-left", on: "leftovers", want: Failed, as: finding.Info, says: "3 answer files"},
	{id: "answer-files-left", on: "leftovers", plan: func(p *Plan) { p.AnswerFile = false }, want: Failed, as: finding.Warn},
	{id: "answer-files-left", on: "leftovers", plan: func(p *Plan) { p.RemovesAnswerFiles = true }, want: Failed, as: finding.Info, says: `C:\media\unattend.xml (cdrom)`},
	{id: "answer-files-left", on: server, edits: []string{`answerFiles!`}, want: CannotTell},

	{id: "autologon", on: server, want: Passed},
	{id: "autologon", on: "leftovers", want: Failed, as: finding.Warn, says: "DefaultPassword"},
	{id: "autologon", on: server, edits: []string{`autologon.AutoAdminLogon="1"`}, want: Failed, as: finding.Warn, says: "logged on automatically"},
	{id: "autologon", on: server, edits: []string{`autologon={}`}, want: CannotTell},

	{id: "orphaned-profiles", on: server, want: Passed},
	{id: "orphaned-profiles", on: win11, want: Passed}, // of SYSTEM
	{id: "orphaned-profiles", on: "leftovers", want: Failed, as: finding.Warn, says: `C:\Users\gone`},
	{id: "orphaned-profiles", on: server, edits: []string{`profiles!`}, want: CannotTell},

	{id: "cdrom", on: server, want: Passed},
	{id: "cdrom", on: server, edits: []string{`services.cdrom={"start":4}`}, want: Failed, as: finding.Info},
	{id: "cdrom", on: server, edits: []string{`services.cdrom={"start":4}`}, plan: func(p *Plan) { p.Azure = true }, want: Failed, as: finding.Fail},
	{id: "cdrom", on: server, edits: []string{`services.cdrom={"start":3}`}, plan: func(p *Plan) { p.Azure = true }, want: Failed, as: finding.Info, says: "does not start with Windows"}, // it is loaded for a drive
	{id: "cdrom", on: server, edits: []string{`services.cdrom={}`}, want: CannotTell},

	{id: "azure-agent", on: server, edits: []string{`services.RdAgent={"start":2,"status":"Stopped"}`}, want: Skipped},
	{id: "azure-agent", on: server, edits: []string{`services.RdAgent={"start":2,"status":"Stopped"}`}, plan: func(p *Plan) { p.Azure = true }, want: Failed, as: finding.Warn, says: "RdAgent"},
	{id: "azure-agent", on: server, edits: []string{`services.RdAgent={"start":2,"status":"Running"}`}, plan: func(p *Plan) { p.Azure = true }, want: Passed},
	{id: "azure-agent", on: server, plan: func(p *Plan) { p.Azure = true }, want: CannotTell, says: "not installed"}, // no pass for what is not there
	{id: "azure-agent", on: server, edits: []string{`services.RdAgent={"start":2}`}, plan: func(p *Plan) { p.Azure = true }, want: CannotTell},
	{id: "azure-agent", on: server, edits: []string{`services!`}, plan: func(p *Plan) { p.Azure = true }, want: CannotTell},

	{id: "efs", on: server, want: Passed},
	{id: "efs", on: "leftovers", want: Failed, as: finding.Warn, says: "secret.txt"},
	{id: "efs", on: server, edits: []string{`encryptedFiles!`}, want: CannotTell},

	{id: "packer-leftovers", on: server, want: Passed},
	{id: "packer-leftovers", on: "leftovers", want: Failed, as: finding.Warn, says: "packer-1234"},
	{id: "packer-leftovers", on: server, edits: []string{`packerLeftovers.tasks=["packer-sysprep-0a1b"]`}, want: Passed},
	{id: "packer-leftovers", on: server, edits: []string{`packerLeftovers!`}, want: CannotTell},

	{id: "page-file", on: server, want: Passed},
	{id: "page-file", on: server, edits: []string{`pageFile.files=["D:\\pagefile.sys 4096 4096"]`}, want: Failed, as: finding.Info, says: "D:"},
	{id: "page-file", on: server, edits: []string{`pageFile!`}, want: CannotTell},

	{id: "winrm", on: server, want: Passed},
	{id: "winrm", on: server, edits: []string{`winrm.service.allow_unencrypted=1`}, want: Failed, as: finding.Warn, says: "AllowUnencrypted"},
	{id: "winrm", on: server, edits: []string{`winrm.service.auth_basic=1`}, want: Failed, as: finding.Warn, says: "Basic"},
	{id: "winrm", on: server, edits: []string{`winrm={}`}, want: CannotTell},
	{id: "winrm-certificate", on: server, want: Passed},
	{id: "winrm-certificate", on: server, edits: []string{`winrm.listeners=[{"name":"*+HTTPS","certificate":"AB"}]`}, want: Failed, as: finding.Info, says: "*+HTTPS"},
	{id: "winrm-certificate", on: server, edits: []string{`winrm!`}, want: CannotTell},

	{id: "several-systems", on: server, want: Passed},
	{id: "several-systems", on: server, edits: []string{`bootEntries.list=[{"description":"Windows 10"},{"description":"Windows 7"}]`}, want: Failed, as: finding.Warn, says: "Windows 7"},
	{id: "several-systems", on: server, edits: []string{`bootEntries={"key":false}`}, want: CannotTell},

	{id: "fast-startup", on: win11, want: Passed},
	{id: "fast-startup", on: win11, edits: []string{`storePolicy.hiberbootEnabled=1`}, want: Failed, as: finding.Info},
	{id: "fast-startup", on: server, edits: []string{`storePolicy.hiberbootEnabled=1`}, want: Skipped},
	{id: "fast-startup", on: win11, edits: []string{`storePolicy!`}, want: CannotTell},
}
