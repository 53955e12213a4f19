package winsim

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
)

// fault is something that is wrong with a machine. It is a state, which both a
// pre-flight and sysprep meet.
type fault struct {
	name string
	// class is the failure of a run that meets it (setuplog); empty: sysprep does
	// not mind.
	class string
	state func(*Guest, *machinestate.State)
	// onDisk changes registry and files, once.
	onDisk  func(*Guest) error
	process string // runs from the start
	// again: it is in a hive that has no file, so it is made at every start.
	again bool
}

// Faults lists the names for Condition.Faults, in the order in which they are made.
func Faults() []string {
	var names []string
	for _, f := range faults {
		names = append(names, f.name)
	}
	return names
}

// FaultClass is the failure class of a run that meets the fault; empty: none.
func FaultClass(name string) string {
	for _, f := range faults {
		if f.name == name {
			return f.class
		}
	}
	return ""
}

const (
	keyPolicies  = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System`
	keyCBS       = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`
	keyReserve   = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\ReserveManager`
	keyExternal  = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal`
	keyProfiles  = keyVersion + `\ProfileList`
	keyWinlogon  = keyVersion + `\Winlogon`
	keyLicensing = keyVersion + `\SoftwareProtectionPlatform`
	keySense     = `HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection`
	keyDSC       = `HKLM\SOFTWARE\Microsoft\DesiredStateConfiguration`
	keyCluster   = `HKLM\Cluster`
	keySessions  = `HKLM\SYSTEM\CurrentControlSet\Control\Session Manager`
	keyWSMan     = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WSMAN`
	keyChannels  = `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\WINEVT\Channels`
	keyFirewall  = `HKLM\SYSTEM\CurrentControlSet\Services\SharedAccess\Parameters\FirewallPolicy\FirewallRules`
	keyProduct   = `HKLM\SYSTEM\CurrentControlSet\Control\ProductOptions`
	keyBCD       = `HKLM\BCD00000000\Objects`

	folderDSC     = `\Windows\System32\Configuration`
	fileUnattend  = `\Windows\System32\Sysprep\unattend.xml`
	filePending   = `\Windows\WinSxS\pending.xml`
	agentDisabler = `\Windows\System32\VMAgentDisabler.dll`
)

func app(p machinestate.Package, forAll bool) func(*Guest, *machinestate.State) {
	return func(g *Guest, s *machinestate.State) { g.install(s, p, forAll) }
}

// started is a service with how it starts, and whether it runs.
func started(name string, start uint32, runs bool) fault {
	return fault{
		state:  func(_ *Guest, s *machinestate.State) { s.Running[name] = runs },
		onDisk: func(g *Guest) error { g.reg.SetDWord(keyServices+`\`+name, "Start", start); return nil },
	}
}

func (f fault) named(name, class string) fault { f.name, f.class = name, class; return f }

// values sets DWORD or text values.
func values(key string, pairs ...any) func(*Guest) error {
	return func(g *Guest) error {
		g.reg.Create(key)
		for i := 0; i+1 < len(pairs); i += 2 {
			name, _ := pairs[i].(string)
			switch v := pairs[i+1].(type) {
			case int:
				g.reg.SetDWord(key, name, uint32(v))
			case string:
				g.reg.SetString(key, name, v)
			}
		}
		return nil
	}
}

func writes(path, content string) func(*Guest) error {
	return func(g *Guest) error { return g.drive.WriteFile(path, []byte(content)) }
}

func both(a, b func(*Guest) error) func(*Guest) error {
	return func(g *Guest) error { return errors.Join(a(g), b(g)) }
}

func encrypted(percent, protection int) func(*Guest, *machinestate.State) {
	return func(g *Guest, s *machinestate.State) {
		s.BitLocker = true
		s.Volumes = []machinestate.Volume{{Drive: g.drive.Name(), Conversion: 1, Percent: percent, Protection: protection, DecryptTakes: 10 * time.Minute}}
	}
}

func roles(names ...string) func(*Guest, *machinestate.State) {
	return func(_ *Guest, s *machinestate.State) {
		s.ServerManager = true
		s.Roles = append(slices.Clone(s.Roles), names...)
	}
}

// notFor leaves a provisioned package out.
func notFor(s *machinestate.State, name string) {
	s.Provisioned = slices.DeleteFunc(s.Provisioned, func(p machinestate.Provisioned) bool { return p.DisplayName == name })
	s.Packages = slices.DeleteFunc(s.Packages, func(p machinestate.Package) bool { return p.Name == name })
}

// goneSID is that of a user whose profile is gone.
const goneSID = machineSID + "-1009"

var faults = []fault{
	{name: "appx-per-user", class: "F01", state: app(machinestate.Package{Name: "Contoso.Notes", Version: "1.0.0.0"}, false)},
	{name: "appx-newer", state: func(g *Guest, s *machinestate.State) { // than what is provisioned
		g.install(s, machinestate.Package{Name: "Contoso.Painter", Version: "2.0.0.0"}, false)
		s.Provisioned = append(s.Provisioned, machinestate.Provisioned{DisplayName: "Contoso.Painter", PackageName: "Contoso.Painter_1.0.0.0_neutral_~_8wekyb3d8bbwe", Version: "1.0.0.0"})
	}},
	{name: "appx-of-a-lost-profile", class: "F01", state: app(machinestate.Package{Name: "Contoso.Mail", Version: "1.0.0.0", Users: []machinestate.User{{SID: goneSID, State: "Installed"}}}, false)},
	{name: "appx-sechealthui", class: "F18", state: func(g *Guest, s *machinestate.State) {
		notFor(s, "Microsoft.SecHealthUI")
		g.install(s, machinestate.Package{Name: "Microsoft.SecHealthUI", Version: "1000.25873.9001.0", NonRemovable: true}, false)
	}},
	{name: "appx-desktopappinstaller", class: "F04", state: func(g *Guest, s *machinestate.State) { // two versions, of which the older is provisioned
		notFor(s, "Microsoft.DesktopAppInstaller")
		g.install(s, machinestate.Package{Name: "Microsoft.DesktopAppInstaller", Version: "1.21.10120.0"}, true)
		g.install(s, machinestate.Package{Name: "Microsoft.DesktopAppInstaller", Version: "1.22.10661.0"}, false)
	}},
	started("AppXSvc", 4, false).named("appxsvc-disabled", "F17"),
	started("dmwappushservice", 4, false).named("dmwappushservice-disabled", ""), // the run is slow
	started("wuauserv", 4, false).named("wuauserv-disabled", ""),                 // the run hangs
	started("TrustedInstaller", 4, false).named("trustedinstaller-disabled", "F23"),
	started("sppsvc", 4, false).named("sppsvc-disabled", "F31"),
	started("WSearch", 2, true).named("search-running", ""),
	started("WMPNetworkSvc", 2, true).named("wmp-sharing", "F35"),
	started("cdrom", 4, false).named("cdrom-disabled", ""),
	{name: "bitlocker", class: "F20", state: encrypted(100, 1)},
	{name: "device-encryption", class: "F20", state: func(g *Guest, s *machinestate.State) { // waits for a Microsoft account
		encrypted(100, 0)(g, s)
		yes := true
		s.TPM = &yes
	}},
	{name: "tpm", state: func(_ *Guest, s *machinestate.State) { yes := true; s.TPM = &yes }},
	{name: "reserved-storage", state: func(_ *Guest, s *machinestate.State) { s.ReservedStorage = "Enabled" }, onDisk: values(keyReserve, "ActiveScenario", 0, "ShippedWithReserves", 1)},
	{name: "active-scenario", class: "F22", state: func(_ *Guest, s *machinestate.State) { s.ReservedStorage = "Enabled" }, onDisk: values(keyReserve, "ActiveScenario", 1, "ShippedWithReserves", 1)},
	{name: "updates-pending", class: "F21", onDisk: both(values(keyRebootPending), values(keyRebootRequired))},
	{name: "packages-pending", class: "F24", onDisk: both(values(keyCBS+`\PackagesPending`), writes(filePending, "<PendingTransaction/>"))},
	{name: "file-renames", onDisk: func(g *Guest) error {
		g.reg.Set(keySessions, registry.MultiValue("PendingFileRenameOperations", `\??\C:\Windows\Temp\a.tmp`, `\??\C:\Windows\Temp\b.tmp`))
		return nil
	}},
	{name: "servicing", process: "TiWorker.exe"},
	{name: "rearm-exhausted", class: "F30", state: func(_ *Guest, s *machinestate.State) { s.Rearm, s.Products[0].Rearm = 0, 0 }},
	{name: "rearm-last", state: func(_ *Guest, s *machinestate.State) { s.Rearm = 1 }},
	{name: "evaluation-expired", state: func(g *Guest, s *machinestate.State) {
		s.Products[0].EvaluationEnd, s.Products[0].LicenseStatus, s.Products[0].GraceMinutes = g.born.AddDate(0, 0, -3), 5, 0
		s.Products[0].Description = "Windows(R) Operating System, TIMEBASED_EVAL channel"
	}},
	{name: "dsc", class: "F37", onDisk: both(values(keyDSC), writes(folderDSC+`\Current.mof`, "x"))},
	{name: "defender-onboarded", class: "F38", state: func(_ *Guest, s *machinestate.State) { s.Running["Sense"] = true }, onDisk: both(
		both(values(keySense, "senseGuid", "11111111-2222-3333-4444-555555555555"), values(keySense+`\Status`, "OnboardingState", 1)), values(keyServices+`\Sense`, "Start", 3))},
	{name: "event-log-moved", class: "F41", onDisk: values(keyServices+`\EventLog\Application`, "File", `D:\Logs\Application.evtx`)},
	{name: "provider-missing", class: "F43", onDisk: func(g *Guest) error {
		return values(keyExternal+`\Generalize`, "azure", g.full(agentDisabler)+",Generalize")(g)
	}},
	{name: "provider-third-party", state: func(g *Guest, s *machinestate.State) {
		s.Companies = map[string]string{strings.ToLower(g.full(`\Program Files\Contoso\agent.dll`)): "Contoso Ltd."}
	}, onDisk: both(writes(`\Program Files\Contoso\agent.dll`, "MZ"), func(g *Guest) error {
		return values(keyExternal+`\Cleanup`, "agent", g.full(`\Program Files\Contoso\agent.dll`)+",Cleanup")(g)
	})},
	{name: "upgraded", onDisk: values(keySetup+`\Source OS (Updated on 6/14/2025 10:39:22)`, "ProductName", "Windows Server 2019")},
	{name: "domain-member", state: func(_ *Guest, s *machinestate.State) {
		s.Computer.PartOfDomain, s.Computer.Domain, s.Computer.DomainRole = true, "example.test", s.Computer.DomainRole+1
	}},
	{name: "domain-controller", state: func(g *Guest, s *machinestate.State) {
		s.Computer.PartOfDomain, s.Computer.Domain, s.Computer.DomainRole, s.OS.ProductType = true, "example.test", 5, 2
		roles("AD-Domain-Services", "DNS")(g, s)
	}, onDisk: values(keyProduct, "ProductType", "LanmanNT")},
	{name: "role-unsupported", state: roles("DHCP", "UpdateServices")},
	{name: "hyperv-switches", state: func(g *Guest, s *machinestate.State) {
		roles("Hyper-V")(g, s)
		s.HyperVTools, s.Switches = true, []machinestate.Switch{{Name: "External", Type: "External"}}
	}},
	{name: "nps", state: func(g *Guest, s *machinestate.State) {
		roles("NPAS")(g, s)
		s.Running["IAS"], s.NPSTools, s.RadiusClients = true, true, []string{"switch-1"}
		s.RemoteGroups = []string{"Remote RADIUS server group configuration:", "---", "Name = group-1", "Ok."}
	}, onDisk: values(keyServices+`\IAS`, "Start", 2)},
	{name: "cluster", again: true, state: func(_ *Guest, s *machinestate.State) { s.Running["ClusSvc"] = true }, onDisk: both(values(keyServices+`\ClusSvc`, "Start", 2), values(keyCluster, "ClusterName", "c"))},
	{name: "answer-files", onDisk: both(writes(fileAnswers, "<unattend/>"), writes(fileUnattend, "<unattend/>"))},
	{name: "answer-pointer", onDisk: func(g *Guest) error {
		return values(keySetup, "UnattendFile", g.full(`\gone\unattend.xml`))(g)
	}},
	{name: "answer-media", state: func(_ *Guest, s *machinestate.State) {
		s.Media = append(s.Media, machinestate.Media{Drive: "E:", Type: 5, Files: map[string]string{"Autounattend.xml": "<unattend/>"}})
	}},
	{name: "profile-lost", onDisk: func(g *Guest) error {
		g.reg.Set(keyProfiles+`\`+goneSID, registry.ExpandValue("ProfileImagePath", `%SystemDrive%\Users\gone`))
		return nil
	}},
	{name: "disk-full", state: func(_ *Guest, s *machinestate.State) { s.Disk.Free = 500 << 20 }},
	{name: "encrypted-files", state: func(g *Guest, s *machinestate.State) { s.Encrypted = []string{g.profile() + `\secret.txt`} }},
	{name: "autologon", onDisk: values(keyWinlogon, "AutoAdminLogon", "1", "DefaultUserName", "packer", "DefaultPassword", "must-not-appear", "AutoLogonCount", 3)},
	{name: "physical", state: func(_ *Guest, s *machinestate.State) {
		no := false
		s.Computer.Manufacturer, s.Computer.Model, s.Computer.HypervisorPresent = "Dell Inc.", "PowerEdge R750", &no
	}},
	{name: "page-file-moved", onDisk: func(g *Guest) error {
		g.reg.Set(keySessions+`\Memory Management`, registry.MultiValue("PagingFiles", `D:\pagefile.sys 0 0`))
		return nil
	}},
	{name: "winrm-open", onDisk: both(
		both(values(keyWSMan+`\Service`, "allow_unencrypted", 1, "auth_basic", 1), values(keyWSMan+`\Listener\*+HTTP`, "uriprefix", "wsman", "Port", 5985)),
		values(keyFirewall, "packer-winrm", "v2.31|Action=Allow|Active=TRUE|Dir=In|Protocol=6|LPort=5985|Name=Packer WinRM|"))},
	{name: "packer-leftovers", onDisk: writes(folderTasks+`\packer-1234`, "<Task/>")},
	{name: "second-system", again: true, onDisk: both(both(values(keyBCD+`\{11111111-1111-1111-1111-111111111111}\Description`, "Type", 0x10200003),
		values(keyBCD+`\{11111111-1111-1111-1111-111111111111}\Elements\12000004`, "Element", "Windows Server 2022")), both(values(keyBCD+`\{22222222-2222-2222-2222-222222222222}\Description`, "Type", 0x10200003),
		values(keyBCD+`\{22222222-2222-2222-2222-222222222222}\Elements\12000004`, "Element", "Windows Server 2019")))},
	{name: "skip-rearm", onDisk: values(keyLicensing, "SkipRearm", 1)},
	{name: "no-token-policy", onDisk: func(g *Guest) error { g.reg.DeleteValue(keyPolicies, "LocalAccountTokenFilterPolicy"); return nil }},
}
