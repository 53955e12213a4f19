package preflight

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// licenceChecks: what a rearm needs, and what a licence means for clones.
var licenceChecks = []Check{
	{ID: "rearm", Causes: []string{"F30"}, Group: Licensing, Severity: finding.Fail, When: "warn where one is left, where only the edition's own count is used up, or where sysprep gets an answer file that is not known", Source: support + "error-occurs-when-running-sysprep-generalize",
		Asserts: "a rearm of the licence is left", Means: "Each generalize uses one up, unless SkipRearm is set. At zero it fails midway, and the machine is lost. Where the count begins: " + budgets + ".",
		Steps: []Step{person("Build from the original media: the count cannot be raised."), person("Or keep the state of the licence: SkipRearm = 1 in the answer file (Microsoft-Windows-Security-SPP, pass generalize); clones then share their KMS client id.")},
		judge: generalizing(func(q inquiry) answer {
			if r, known := q.LicensingRegistry.Get(); q.SkipRearm || known && nonZero(r.SkipRearm) {
				return skip()
			}
			l, known := q.Licensing.Get()
			count := l.RemainingWindowsReArmCount
			if !known || count == nil {
				why := q.Licensing.Why()
				if known {
					why = "Windows did not tell it"
				}
				return cannot("how many rearms are left is not known (" + why + "); " + q.budget())
			}
			a := fails(fmt.Sprintf("%s left", rearms(*count))).seen("RemainingWindowsReArmCount = " + said(count)).noted(q.budget())
			for _, p := range l.Products {
				if p.RemainingSKUReArmCount != nil {
					a = a.seen(fmt.Sprintf("%s: RemainingSkuReArmCount = %d", short(p.Name), *p.RemainingSKUReArmCount))
				}
			}
			used := slices.ContainsFunc(l.Products, func(p Product) bool { return p.RemainingSKUReArmCount != nil && *p.RemainingSKUReArmCount == 0 })
			switch {
			case *count <= 0 && q.foreignAnswer(): // EC2's, for one, sets SkipRearm
				return a.as(finding.Warn).noted("sysprep gets an answer file that is not known here, and needs none if SkipRearm = 1 is set there; " + q.budget())
			case *count <= 0:
				return a
			case *count == 1:
				return a.as(finding.Warn)
			case used:
				a.text = "the rearms of this edition are used up"
				return a.as(finding.Warn)
			}
			return pass()
		})},
	{ID: "software-protection-disabled", Causes: []string{"F31"}, Group: Base, Severity: finding.Fail, Source: docSkip, Unconfirmed: true,
		Asserts: "the service sppsvc is not disabled", Means: "The rearm fails midway (0xc004f075), and the machine is lost.",
		Steps: append(enabling("sppsvc", "delayed-auto", 2), person("Or SkipRearm = 1 in the answer file.")),
		judge: generalizing(func(q inquiry) answer {
			if q.SkipRearm {
				return skip()
			}
			return disabled("sppsvc")(q)
		})},
	{ID: "skip-rearm", Causes: []string{"F87"}, Group: Base, Severity: finding.Warn, Source: docSkip,
		Asserts: "the licence is reset", Means: "With SkipRearm = 1 all clones have the same KMS client id, and a KMS host counts them as one machine.",
		Steps: []Step{person(`Let the last generalize run without it: SkipRearm = 0 in the answer file and below HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform.`)},
		judge: generalizing(func(q inquiry) answer {
			if q.SkipRearm {
				return fails("the answer file sets SkipRearm = 1")
			}
			r, known := q.LicensingRegistry.Get()
			if !known {
				return cannot(q.LicensingRegistry.Why())
			}
			return when(nonZero(r.SkipRearm), fails("SkipRearm = 1 is set in the registry"))
		})},
	{ID: "evaluation-end", Group: Licensing, Severity: finding.Warn, Source: learn + "windows-server/get-started/upgrade-conversion-options",
		Asserts: "the evaluation period does not end within two weeks", Means: "When it is over, Windows shuts down every hour, in the build as in clones.",
		Steps: []Step{person("Use newer evaluation media, or a licensed edition.")},
		judge: on(func(f Facts) Fact[LicenceState] { return f.Licensing }, func(l LicenceState, q inquiry) answer {
			now := q.Now
			if now.IsZero() {
				now = q.Time
			}
			evaluation := false
			for _, p := range l.Products {
				end, err := time.Parse(time.RFC3339, p.EvaluationEnd)
				if err != nil || end.Year() < 1900 || now.IsZero() { // 1601: there is none
					continue
				}
				evaluation = true
				if left := end.Sub(now); left <= 14*24*time.Hour {
					text := fmt.Sprintf("the evaluation of %s ends on %s", short(p.Name), end.Format(time.DateOnly))
					if left <= 0 {
						text = fmt.Sprintf("the evaluation of %s has ended on %s", short(p.Name), end.Format(time.DateOnly))
					}
					return fails(text)
				}
			}
			return q.only(evaluation, pass())
		})},
	{ID: "oem-key", Causes: []string{"F98"}, Group: Licensing, Severity: finding.Warn, Source: desktop + "add-a-custom-script-to-windows-setup",
		Asserts: "SetupComplete.cmd is run with this product key", Means: "Asked for with setup_complete and delete_cached_answer_file only: Windows does not run it on a client with an OEM product key, except on Enterprise editions.",
		Steps: []Step{person("Use a volume licence key, or first_logon_commands instead.")},
		judge: client(func(q inquiry) answer {
			l, known := q.Licensing.Get()
			os, _ := q.OS.Get()
			switch {
			case !q.SetupComplete || strings.Contains(strings.ToLower(os.EditionID), "enterprise"):
				return skip()
			case !known:
				return cannot(q.Licensing.Why())
			}
			for _, p := range l.Products {
				if strings.Contains(strings.ToUpper(p.Description), "OEM") {
					return fails("SetupComplete.cmd will not be run: the product key is an OEM one").seen(short(p.Description))
				}
			}
			return pass()
		})},
}

// foreignAnswer reports whether sysprep may take an answer file whose content is not known:
// that of an agent or a command, or one that Windows finds by itself.
func (q inquiry) foreignAnswer() bool {
	found, _ := q.AnswerFiles.Get()
	return q.OtherAnswer || !q.AnswerFile && !q.RemovesAnswerFiles && (len(found.Found) > 0 || found.RegistryPointer != nil && *found.RegistryPointer != "")
}

// budgets is what is known of where the count of rearms begins.
const budgets = "3 on Windows 7 and Server 2008 R2 and older; 1001 reported for Windows 8 to Windows 10 1803 and Server 2012 to 2016; 8 by Microsoft's page on sysprep; fewer on evaluation editions"

// budget says where the count begins on this Windows.
func (f Facts) budget() string {
	v, known := f.Version()
	switch {
	case !known:
		return "where it begins depends on the version: " + budgets
	case v.Eval:
		return "an evaluation edition begins with a few only (1 to 6 were reported)"
	case v.Build <= builds2008R2:
		return "this Windows begins with 3"
	case v.Build <= build1803:
		return "this Windows begins with 1001, as is reported; Microsoft's page on sysprep says 8"
	}
	return "this Windows begins with 8 by Microsoft's page on sysprep; older ones were seen with 1001"
}

func rearms(n int64) string {
	switch n {
	case 0:
		return "no rearm of the licence is"
	case 1:
		return "1 rearm of the licence is"
	}
	return fmt.Sprintf("%d rearms of the licence are", n)
}

// systemChecks: other software, the domain and roles.
var systemChecks = []Check{
	{ID: "external-provider-missing", Causes: []string{"F43"}, Group: Base, Severity: finding.Fail, When: "warn for a DLL without its folder, which may be elsewhere", Source: agentBaker,
		Asserts: "the DLL of every external provider is there", Means: "sysprep calls it in the middle of generalize: it stalls for 14 minutes, or fails and the machine is lost.",
		Steps: []Step{by(RemedyProviders, `Delete its value below HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal`)},
		judge: on(func(f Facts) Fact[ExternalProviders] { return f.ExternalProviders }, func(e ExternalProviders, q inquiry) answer {
			a, unsure, certain := fails(""), false, false
			for _, p := range e.List {
				if unsure = unsure || p.Exists == nil; no(p.Exists) {
					a = a.seen(p.Phase + `\` + p.Name + ": " + p.Data)
					certain = certain || p.placed()
				}
			}
			if !certain { // Windows searches more folders than were looked in
				a = a.as(finding.Warn)
			}
			if engine, _ := q.Engine.Get(); engine.redirected() && a.evidence != nil {
				return cannot("PowerShell runs as a 32-bit process on a 64-bit Windows and is shown other folders")
			}
			if a.evidence == nil {
				return listed(e.List, when(unsure, incomplete()))
			}
			a.text = fmt.Sprintf("%d external providers have no DLL", len(a.evidence))
			if len(a.evidence) == 1 {
				a.text = "an external provider has no DLL"
			}
			return a
		})},
	{ID: "external-provider-other", Causes: []string{"F48", "F49"}, Group: Base, Severity: finding.Warn, Source: agentBaker, Unconfirmed: true,
		Asserts: "no provider of other software takes part in generalize", Means: "Where it hangs or fails, the machine is lost; where it works, all is well.",
		Steps: []Step{person("Know what it is and that it works with generalize, and set this check to \"off\"; or install that software at deployment."), by(RemedyProviders, "Delete its value.")},
		judge: on(func(f Facts) Fact[ExternalProviders] { return f.ExternalProviders }, func(e ExternalProviders, _ inquiry) answer {
			a := fails("")
			var names []string
			for _, p := range e.List {
				if !p.Windows() && !no(p.Exists) {
					a = a.seen(p.Phase + `\` + p.Name + ": " + p.Data)
					names = append(names, short(p.base()))
				}
			}
			a.text = "other software takes part in generalize: " + strings.Join(names[:min(3, len(names))], ", ")
			return listed(e.List, when(len(names) > 0, a))
		})},
	{ID: "defender-onboarded", Causes: []string{"F38"}, Group: Base, Severity: finding.Warn, Source: github + "actions/runner-images/issues/9659",
		Asserts: "Defender for Endpoint is not onboarded", Means: "It protects its registry values, so that generalize fails midway, and the machine is lost; and clones would report as one machine.",
		Steps: []Step{person("Run the offboarding script and restart the guest."), person("Onboard in the deployed machine.")},
		judge: on(func(f Facts) Fact[Defender] { return f.Defender }, func(d Defender, _ inquiry) answer {
			if !yes(d.SenseGUID) && !nonZero(d.OnboardingState) {
				return when(d.SenseGUID == nil, incomplete())
			}
			return fails("Defender for Endpoint is onboarded").seen(fmt.Sprintf("senseGuid set: %t, OnboardingState %s", yes(d.SenseGUID), said(d.OnboardingState)))
		})},
	{ID: "dsc", Causes: []string{"F37"}, Group: Base, Severity: finding.Warn, Source: github + "MicrosoftDocs/azure-docs/issues/80346",
		Asserts: "no DSC configuration is applied", Means: "Microsoft does not support to generalize such a machine, and its provider was seen to fail midway.",
		Steps: []Step{person(`reg add HKLM\SOFTWARE\Microsoft\DesiredStateConfiguration /v AgentId /t REG_SZ /d "" /f and delete C:\Windows\System32\Configuration\*.mof`)},
		judge: on(func(f Facts) Fact[DSC] { return f.DSC }, func(d DSC, _ inquiry) answer {
			a := fails("a DSC configuration is applied to this machine")
			for _, file := range []File{d.CurrentMOF, d.PendingMOF} {
				if yes(file.Exists) {
					a = a.seen(file.Path)
				}
			}
			if a.evidence == nil {
				return when(d.CurrentMOF.Exists == nil, incomplete())
			}
			return a
		})},
	{ID: "event-logs-moved", Causes: []string{"F41"}, Group: Events, Severity: finding.Warn, Source: "https://pt.ittrip.xyz/windows/windows-server/sysprep-erro-eventlog-2019", Unconfirmed: true,
		Asserts: "event logs are where Windows puts them", Means: "Where the folder of one does not exist, generalize fails midway, and the machine is lost.",
		Steps: []Step{person(`Point the File values back to %SystemRoot%\System32\Winevt\Logs, or make sure that the folders exist.`)},
		judge: on(func(f Facts) Fact[EventLogs] { return f.EventLogs }, func(e EventLogs, _ inquiry) answer {
			a := fails(fmt.Sprintf("%d event logs are elsewhere", len(e.Elsewhere)))
			for _, l := range e.Elsewhere[:min(20, len(e.Elsewhere))] {
				a = a.seen(l.Channel + ": " + l.File)
			}
			return listed(e.Elsewhere, when(len(e.Elsewhere) > 0, a))
		})},
	{ID: "upgraded", Causes: []string{"F27"}, Group: Base, Severity: finding.Info, When: "warn before Windows 10 1607", Source: docOverview,
		Asserts: "Windows was installed, not upgraded", Means: "sysprep supports upgraded installations from Windows 10 1607 and Server 2016 on. What the old Windows left stays in the image.",
		Steps: []Step{person("Build from a clean installation.")},
		judge: on(func(f Facts) Fact[Setup] { return f.Setup }, func(s Setup, q inquiry) answer {
			if len(s.UpgradedFrom) == 0 {
				return listed(s.UpgradedFrom, pass())
			}
			a := fails("Windows was upgraded in place").seen(s.UpgradedFrom...)
			v, known := q.Version()
			switch {
			case !known:
				return cannot("Windows was upgraded in place, and its version is not known")
			case v.Build < build1607:
				return a.as(finding.Warn) // not supported; that sysprep refuses has no source
			}
			return a
		})},
	{ID: "domain-controller", Causes: []string{"F71"}, Group: Base, Severity: finding.Fail, Source: docRoles,
		Asserts: "the machine is no domain controller", Means: "sysprep does not support Active Directory Domain Services in any version, and the domain loses a controller.",
		Steps: []Step{person("Promote at deployment, not in the image.")},
		judge: on(func(f Facts) Fact[Computer] { return f.Computer }, func(c Computer, _ inquiry) answer {
			if c.DomainRole == nil {
				return incomplete()
			}
			return when(*c.DomainRole >= 4, fails("the machine is a domain controller of "+short(c.Domain)))
		})},
	{ID: "domain-joined", Causes: []string{"F70"}, Group: Base, Severity: finding.Warn, Source: docOverview,
		Asserts: "the machine is in a workgroup", Means: "sysprep removes it from the domain, but the domain's policies stay in the image, and its account in the domain. On Windows 11 apps of domain users were reported to keep sysprep from running.",
		Steps: []Step{by(RemedyDomain, "Leave the domain and restart the guest."), person("Build in a workgroup, and join at deployment.")},
		judge: on(func(f Facts) Fact[Computer] { return f.Computer }, func(c Computer, q inquiry) answer {
			switch {
			case c.PartOfDomain == nil:
				return incomplete()
			case c.DomainRole != nil && *c.DomainRole >= 4:
				return skip()
			}
			a := fails("the machine is joined to the domain " + short(c.Domain))
			if v, known := q.Version(); known && v.Client && v.Build >= buildWindows11 {
				a = a.noted("Windows 11: look for app packages of domain users, too (appx-per-user)")
			}
			return when(yes(c.PartOfDomain), a)
		})},
	{ID: "cluster", Causes: []string{"F72"}, Group: Base, Severity: finding.Warn, Source: "https://technet.microsoft.com/en-us/library/cc757070(v=ws.10).aspx", Unconfirmed: true,
		Asserts: "the machine is no node of a failover cluster", Means: "A clone of a node cannot be used as one.",
		Steps: []Step{person("Join the cluster at deployment.")},
		judge: on(func(f Facts) Fact[Cluster] { return f.Cluster }, func(c Cluster, _ inquiry) answer {
			if c.Key == nil {
				return incomplete()
			}
			return when(*c.Key, fails("the machine is a node of a failover cluster").seen(`HKLM\Cluster`))
		})},
	{ID: "hyperv-switches", Causes: []string{"F73"}, Group: Base, Severity: finding.Warn, Source: docRoles,
		Asserts: "there are no virtual switches of Hyper-V", Means: "They do not survive generalize.",
		Steps: []Step{person("Get-VMSwitch | Remove-VMSwitch -Force before sysprep, and make them anew at deployment.")},
		judge: on(func(f Facts) Fact[HyperV] { return f.HyperV }, func(h HyperV, _ inquiry) answer {
			a := fails("there are virtual switches of Hyper-V")
			for _, s := range h.Switches {
				a = a.seen(s.Name + " (" + s.Type + ")")
			}
			return listed(h.Switches, when(len(h.Switches) > 0, a))
		})},
	{ID: "unsupported-role", Causes: []string{"F74", "F71"}, Group: Roles, Severity: finding.Warn, Source: docRoles,
		Asserts: "no role is installed that sysprep does not support", Means: "sysprep does not refuse, and the role may not work in clones. Microsoft's table ends with Server 2012; later versions are judged by that column.",
		Steps: []Step{person("Install and configure the role at deployment.")}, judge: roles},
	{ID: "nps-clients", Causes: []string{"F75"}, Group: Base, Severity: finding.Warn, Source: docNPS,
		Asserts: "NPS has no RADIUS clients and no remote server groups", Means: "They stay in the image with their shared secrets.",
		Steps: []Step{by(RemedyNPS, "Remove them before sysprep (Remove-NpsRadiusClient, netsh nps delete remoteservergroup)."), person("Import them at deployment.")},
		judge: on(func(f Facts) Fact[NPS] { return f.NPS }, func(n NPS, _ inquiry) answer {
			switch {
			case n.Installed == nil:
				return incomplete()
			case no(n.Installed):
				return skip()
			}
			a := fails(fmt.Sprintf("NPS has %d RADIUS clients", len(n.Clients))).seen(n.Clients[:min(20, len(n.Clients))]...)
			groups := 0
			for _, line := range n.RemoteServerGroups { // netsh's words are the guest's
				if strings.Contains(line, "=") {
					groups++
				}
			}
			if groups > 0 {
				a.text = "NPS has RADIUS clients or remote server groups"
				a = a.seen(n.RemoteServerGroups[:min(10, len(n.RemoteServerGroups))]...)
			}
			return listed(n.Clients, when(len(n.Clients) > 0 || groups > 0, a))
		})},
}

// windowsProviders are DLLs of Windows itself that register as external providers.
var windowsProviders = []string{"dsccore.dll", "iesysprep.dll", "msdtcprx.dll", "spwmp.dll", "drmv2clt.dll", "wevtapi.dll", "mssrch.dll", "capisp.dll", "sppnp.dll", "slc.dll", "wuaueng.dll"}

// Windows reports whether the provider is one of Windows itself.
func (p Provider) Windows() bool {
	if p.Company != nil {
		return strings.HasPrefix(*p.Company, "Microsoft")
	}
	place := strings.ToLower(p.DLL)
	return slices.Contains(windowsProviders, p.base()) && strings.Contains(place, `\windows\`)
}

// placed reports whether the registry says in which folder the DLL is.
func (p Provider) placed() bool {
	dll := strings.TrimLeft(p.Data, ` "`)
	return drivePath.MatchString(dll) || strings.HasPrefix(dll, "%") || strings.HasPrefix(dll, `\\`)
}

func (p Provider) base() string {
	return strings.ToLower(p.DLL[strings.LastIndexByte(p.DLL, '\\')+1:])
}
