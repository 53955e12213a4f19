package winsim

import (
	"regexp"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// iniState is how preflight.ps1 reads State.ini.
var iniState = regexp.MustCompile(`(?im)^\s*ImageState\s*=\s*"?([A-Z_]+)`)

// upgradeKey is what an upgrade leaves.
var upgradeKey = regexp.MustCompile(`(?i)\A(Source OS.*|Upgrade)\z`)

// preflightProcesses are those that preflight.ps1 looks for.
var preflightProcesses = []string{
	"sysprep", "setup", "SetupHost", "windeploy", "oobeldr", "msoobe", "audit", "TiWorker", "TrustedInstaller",
	"MoUsoCoreWorker", "UsoClient", "wuauclt", "msiexec", "Dism", "DismHost", "wusa",
}

// preflightServices are those that preflight.ps1 looks for. Get-Service knows no
// drivers.
var preflightServices = []string{
	"AppXSvc", "WSearch", "sppsvc", "TrustedInstaller", "wuauserv", "UsoSvc", "BITS", "DoSvc", "cdrom", "MSDTC",
	"WMPNetworkSvc", "StateRepository", "ClipSVC", "InstallService", "Sense", "WinDefend", "ClusSvc", "IAS", "EventLog",
	"Schedule", "Winmgmt", "WinRM", "RdAgent", "WindowsAzureGuestAgent", "WindowsAzureTelemetryService", "AmazonSSMAgent",
	"GCEAgent", "cloudbase-init", "sshd", "dmwappushservice",
}

// baseFacts are the facts of the base group up to the services.
var baseFacts = []fact{
	{"base", "engine", (*gathering).engine},
	{"base", "sysprep", func(g *gathering) (any, error) {
		folder := g.windows(`\System32\Sysprep`)
		return document{
			{"exe", g.file(folder + `\sysprep.exe`)}, {"tag", g.file(folder + `\Sysprep_succeeded.tag`)},
			{"log", g.file(folder + `\Panther\setupact.log`)}, {"errorLog", g.file(folder + `\Panther\setuperr.log`)},
		}, nil
	}},
	{"base", "identity", (*gathering).identity},
	{"base", "processes", func(g *gathering) (any, error) {
		if err := g.try("Get-Process"); err != nil {
			return nil, err
		}
		list := []document{}
		for _, name := range preflightProcesses {
			for _, p := range g.g.processes(name + ".exe") {
				var start any = utc(p.start)
				if p.start.IsZero() {
					start = nil
				}
				list = append(list, document{{"name", name}, {"id", p.pid}, {"session", p.session}, {"start", start}})
			}
		}
		return document{{"list", list}}, nil
	}},
	{"base", "imageState", func(g *gathering) (any, error) {
		if err := g.try("Test-Path"); err != nil {
			return nil, err
		}
		var ini any
		if text, err := g.g.drive.ReadFile(fileState); err == nil {
			if m := iniState.FindSubmatch(text); m != nil {
				ini = string(m[1])
			}
		}
		return document{{"registry", g.value(keyState, "ImageState")}, {"stateIni", ini}}, nil
	}},
	{"base", "setup", (*gathering).setup},
	{"base", "os", func(g *gathering) (any, error) {
		d, err := g.registryMap(keyVersion, "ProductName", "CurrentBuildNumber", "UBR", "EditionID", "InstallationType", "DisplayVersion", "ReleaseId")
		if err == nil {
			err = g.try("Get-CimInstance")
		}
		return append(d, member{"productType", g.s.OS.ProductType}, member{"caption", g.s.OS.Caption}, member{"lastBoot", utc(g.s.OS.LastBoot)},
			member{"architecture", g.value(keySessions+`\Environment`, "PROCESSOR_ARCHITECTURE")}), err
	}},
	{"base", "computer", func(g *gathering) (any, error) {
		c := g.s.Computer
		var hypervisor any
		if c.HypervisorPresent != nil {
			hypervisor = *c.HypervisorPresent
		}
		return document{
			{"name", c.Name}, {"partOfDomain", c.PartOfDomain}, {"domainRole", c.DomainRole}, {"domain", c.Domain}, {"manufacturer", c.Manufacturer}, {"model", c.Model},
			{"hypervisorPresent", hypervisor},
		}, g.try("Get-CimInstance")
	}},
	{"base", "rebootPending", func(g *gathering) (any, error) {
		renames := []string{}
		if v, ok := g.g.reg.Get(keySessions, "PendingFileRenameOperations"); ok {
			renames = slices.DeleteFunc(v.Strings(), func(name string) bool { return name == "" })
		}
		return document{
			{"cbsRebootPending", g.g.reg.Has(keyRebootPending)}, {"cbsPackagesPending", g.g.reg.Has(keyCBS + `\PackagesPending`)},
			{"cbsRebootInProgress", g.g.reg.Has(keyCBS + `\RebootInProgress`)}, {"updateRebootRequired", g.g.reg.Has(keyRebootRequired)},
			{"pendingXml", g.file(g.windows(`\WinSxS\pending.xml`))}, {"fileRenames", len(renames)}, {"fileRenameSample", renames[:min(10, len(renames))]},
		}, g.try("Test-Path")
	}},
	{"base", "reservedStorage", func(g *gathering) (any, error) {
		d, err := g.registryMap(keyReserve, "ActiveScenario", "ShippedWithReserves")
		cmdlet := g.s.ReservedStorage != ""
		d = append(d, member{"cmdlet", cmdlet}, member{"state", nil})
		if !cmdlet {
			return d, err
		}
		g.g.wakeServicing()
		if failed := g.try("Get-WindowsReservedStorageState"); failed != nil {
			return append(d, member{"stateError", failed.Error()}), err
		}
		d[len(d)-1].value = g.s.ReservedStorage
		return d, err
	}},
	{"base", "bitlocker", (*gathering).bitlocker},
	{"base", "tpm", func(g *gathering) (any, error) {
		var enabled any
		if g.s.TPM != nil {
			enabled = *g.s.TPM
		}
		return document{{"present", g.s.TPM != nil}, {"enabled", enabled}}, g.try("Get-CimInstance")
	}},
	{"base", "services", func(g *gathering) (any, error) {
		d := document{}
		for _, name := range preflightServices {
			key := keyServices + `\` + name
			if !g.g.reg.Has(key) {
				continue
			}
			var status, mode any = "Stopped", g.g.startType(name)
			switch {
			case name == "cdrom":
				status, mode = nil, nil
			case g.g.serviceRuns(name):
				status = "Running"
			}
			d = append(d, member{name, document{{"start", g.value(key, "Start")}, {"delayed", g.value(key, "DelayedAutoStart")}, {"status", status}, {"mode", mode}}})
		}
		return d, g.try("Get-Service")
	}},
	{"base", "answerFiles", (*gathering).answerFiles},
}

// token is that of the user.
func (g *Guest) token(user string, filtered bool) machinestate.Token {
	var token *machinestate.Token
	g.machine.View(func(s *machinestate.State) { token = s.Token })
	switch {
	case token != nil:
		return *token
	case isSystem(user):
		return machinestate.Token{
			SID: "S-1-5-18", Groups: []string{"S-1-1-0", "S-1-5-11", "S-1-5-32-544", "S-1-16-16384"},
			Privileges: []string{"SeTakeOwnershipPrivilege", "SeBackupPrivilege", "SeRestorePrivilege", "SeShutdownPrivilege", "SeDebugPrivilege"},
		}
	}
	sid := userSID
	if strings.EqualFold(account(user), "Administrator") {
		sid = machineSID + "-500"
	}
	groups := []string{"S-1-1-0", "S-1-5-114", "S-1-5-32-544", "S-1-5-32-545", "S-1-5-2", "S-1-5-11", "S-1-5-15", "S-1-5-113", "S-1-5-64-10"}
	if !g.isAdmin(user, filtered) {
		return machinestate.Token{SID: sid, Groups: append(groups, "S-1-16-8192"), Privileges: []string{"SeChangeNotifyPrivilege"}}
	}
	return machinestate.Token{SID: sid, Groups: append(groups, "S-1-16-12288"), Privileges: []string{
		"SeSecurityPrivilege", "SeTakeOwnershipPrivilege", "SeBackupPrivilege", "SeRestorePrivilege", "SeShutdownPrivilege", "SeDebugPrivilege", "SeSystemEnvironmentPrivilege",
	}}
}

func (g *gathering) identity() (any, error) {
	token := g.g.token(g.c.user, g.c.filtered)
	groups := slices.Clone(token.Groups)
	slices.Sort(groups)
	groups = slices.Compact(groups)
	integrity := ""
	for _, sid := range groups {
		if strings.HasPrefix(sid, "S-1-16-") {
			integrity = sid
		}
	}
	policy, err := g.registryMap(keyPolicies, "EnableLUA", "LocalAccountTokenFilterPolicy", "FilterAdministratorToken")
	if e := g.try("whoami.exe"); e != nil {
		err = e
	}
	return document{
		{"domain", ComputerName}, {"name", account(g.c.user)}, {"sid", token.SID}, {"integritySid", integrity}, {"groupSids", groups}, {"privileges", token.Privileges}, {"policy", policy},
	}, err
}

func (g *gathering) setup() (any, error) {
	children := document{}
	_, names := g.below(keyCompletion)
	for _, name := range names {
		children = append(children, member{name, g.value(keyCompletion, name)})
	}
	upgraded := []string{}
	keys, _ := g.below(keySetup)
	for _, name := range keys {
		if upgradeKey.MatchString(name) {
			upgraded = append(upgraded, name)
		}
	}
	status, err := g.registryMap(keySysprep, "GeneralizationState", "CleanupState", "SysprepCleanupRequired")
	if err != nil {
		return nil, err
	}
	setup, err := g.registryMap(keySetup, "SystemSetupInProgress", "OOBEInProgress", "SetupType", "CmdLine", "UnattendFile")
	return document{
		{"status", status}, {"setup", setup}, {"auditBoot", g.value(keyStatus, "AuditBoot")}, {"childCompletion", children},
		{"sysprepMode", g.value(keySysprepMode, "SysprepMode")}, {"upgradedFrom", upgraded},
	}, err
}

func (g *gathering) bitlocker() (any, error) {
	list := []document{}
	for _, v := range g.s.Volumes {
		list = append(list, document{{"drive", v.Drive}, {"returnValue", 0}, {"conversionStatus", v.Conversion}, {"encryptionPercentage", v.Percent}, {"protectionStatus", v.Protection}})
	}
	return document{
		{"available", g.s.BitLocker}, {"systemDrive", g.c.Env.Get("SystemDrive")}, {"volumes", list},
		{"preventDeviceEncryption", g.value(`HKLM\SYSTEM\CurrentControlSet\Control\BitLocker`, "PreventDeviceEncryption")},
	}, g.try("Test-Path")
}

func (g *gathering) answerFiles() (any, error) {
	found, searched := []document{}, []string{}
	system := g.c.Env.Get("SystemDrive")
	for _, path := range []string{
		g.windows(`\Panther\Unattend\unattend.xml`), g.windows(`\Panther\Unattend\autounattend.xml`), g.windows(`\Panther\unattend.xml`), g.windows(`\System32\Sysprep\unattend.xml`),
		system + `\unattend.xml`, system + `\autounattend.xml`,
	} {
		if f := g.file(path); isThere(f) {
			found = append(found, append(f, member{"media", "fixed"}))
		}
	}
	for _, m := range g.s.Media {
		searched = append(searched, m.Drive)
		kind := map[int]string{2: "removable", 5: "cdrom"}[m.Type]
		for _, name := range []string{"unattend.xml", "autounattend.xml"} {
			for file, content := range m.Files {
				if strings.EqualFold(file, name) {
					found = append(found, document{{"path", m.Drive + `\` + name}, {"exists", true}, {"size", len(content)}, {"mtime", utc(g.g.born)}, {"media", kind}})
				}
			}
		}
	}
	return document{{"registryPointer", g.value(keySetup, "UnattendFile")}, {"found", found}, {"drivesSearched", searched}}, g.try("Get-CimInstance")
}
