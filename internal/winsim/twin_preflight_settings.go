package winsim

import (
	"path"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
)

// settingFacts are the facts of the base group from the roles on.
var settingFacts = []fact{
	{"base", "hyperv", func(g *gathering) (any, error) {
		list := []document{}
		for _, s := range g.s.Switches {
			list = append(list, document{{"name", s.Name}, {"type", s.Type}})
		}
		return document{{"cmdlet", g.s.HyperVTools}, {"switches", list}}, nil
	}},
	{"base", "nps", func(g *gathering) (any, error) {
		installed, err := g.key(keyServices + `\IAS`)
		clients, remote := []string{}, []string{}
		if installed {
			if g.s.NPSTools {
				clients = append(clients, g.s.RadiusClients...)
			}
			remote = append(remote, g.s.RemoteGroups...)
		}
		return document{{"installed", installed}, {"clients", clients}, {"remoteServerGroups", remote}}, err
	}},
	{"base", "cluster", func(g *gathering) (any, error) {
		there, err := g.key(keyCluster)
		return document{{"key", there}}, err
	}},
	{"base", "defender", func(g *gathering) (any, error) {
		return document{
			{"senseGuid", g.value(keySense, "senseGuid") != nil}, {"onboardingState", g.value(keySense+`\Status`, "OnboardingState")},
			{"tamperProtection", g.value(`HKLM\SOFTWARE\Microsoft\Windows Defender\Features`, "TamperProtection")},
		}, g.try("Test-Path")
	}},
	{"base", "dsc", func(g *gathering) (any, error) {
		d, err := g.registryMap(keyDSC, "AgentId")
		folder := g.windows(`\System32\Configuration`)
		return append(d, member{"currentMof", g.file(folder + `\Current.mof`)}, member{"pendingMof", g.file(folder + `\Pending.mof`)}), err
	}},
	{"base", "profiles", func(g *gathering) (any, error) {
		list := []document{}
		keys, _ := g.below(keyProfiles)
		for _, sid := range keys {
			path, _ := g.value(keyProfiles+`\`+sid, "ProfileImagePath").(string)
			list = append(list, document{{"sid", sid}, {"path", path}, {"exists", path != "" && g.g.drive.IsDir(g.full(path))}})
		}
		return document{{"list", list}}, g.try("Get-ChildItem")
	}},
	{"base", "disk", func(g *gathering) (any, error) {
		d := g.s.Disk
		return document{{"drive", g.c.Env.Get("SystemDrive")}, {"fileSystem", d.FileSystem}, {"size", d.Size}, {"free", d.Free}}, g.try("Get-CimInstance")
	}},
	{"base", "autologon", func(g *gathering) (any, error) {
		d, err := g.registryMap(keyWinlogon, "AutoAdminLogon", "AutoLogonCount", "DefaultUserName", "DefaultDomainName")
		return append(d, member{"defaultPasswordPresent", g.value(keyWinlogon, "DefaultPassword") != nil}), err
	}},
	{"base", "externalProviders", (*gathering).externalProviders},
	{"base", "licensingRegistry", func(g *gathering) (any, error) { return g.registryMap(keyLicensing, "SkipRearm") }},
	{"base", "storePolicy", func(g *gathering) (any, error) {
		return document{
			{"autoDownload", g.value(`HKLM\SOFTWARE\Policies\Microsoft\WindowsStore`, "AutoDownload")},
			{"turnOffCopilot", g.value(`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsCopilot`, "TurnOffWindowsCopilot")},
			{"hiberbootEnabled", g.value(keySessions+`\Power`, "HiberbootEnabled")},
		}, g.try("Test-Path")
	}},
	{"base", "packerLeftovers", func(g *gathering) (any, error) {
		tasks := []string{}
		entries, _ := g.g.drive.ReadDir(folderTasks)
		for _, e := range entries {
			if strings.HasPrefix(strings.ToLower(e.Name()), "packer-") {
				tasks = append(tasks, e.Name())
			}
		}
		return document{{"tasks", tasks}}, nil
	}},
	{"base", "pageFile", func(g *gathering) (any, error) {
		key := keySessions + `\Memory Management`
		files := []string{}
		if v, ok := g.g.reg.Get(key, "PagingFiles"); ok {
			files = append(files, slices.DeleteFunc(v.Strings(), func(s string) bool { return s == "" })...)
		}
		return document{{"files", files}, {"clearAtShutdown", g.value(key, "ClearPageFileAtShutdown")}}, g.try("Test-Path")
	}},
	{"base", "clock", func(g *gathering) (any, error) {
		return document{
			{"utc", utc(g.g.now())}, {"zone", g.value(keyTimeZone, "TimeZoneKeyName")}, {"bias", g.value(keyTimeZone, "ActiveTimeBias")},
			{"universal", g.value(keyTimeZone, "RealTimeIsUniversal")}, {"ntp", g.value(keyServices+`\W32Time\Parameters`, "Type")},
		}, g.try("Test-Path")
	}},
	{"base", "winrm", (*gathering).winrm},
	{"base", "bootEntries", (*gathering).bootEntries},
}

func (g *gathering) externalProviders() (any, error) {
	list := []document{}
	for _, phase := range []string{"Cleanup", "Generalize", "Specialize"} {
		key := keyExternal + `\` + phase
		_, names := g.below(key)
		for _, name := range names {
			data, _ := g.value(key, name).(string)
			first, _, _ := strings.Cut(data, ",")
			dll := g.full(strings.Trim(strings.TrimSpace(first), `"`))
			if len(dll) < 2 || dll[1] != ':' {
				dll = g.windows(`\System32\` + dll)
			}
			exists := g.g.drive.IsFile(dll)
			var company any
			if name, ok := g.s.Companies[strings.ToLower(dll)]; ok && exists {
				company = name
			}
			list = append(list, document{{"phase", phase}, {"name", name}, {"data", data}, {"dll", dll}, {"exists", exists}, {"company", company}})
		}
	}
	return document{{"list", list}}, g.try("Test-Path")
}

// firewallPorts are those of WinRM and SSH in a rule of the firewall.
func firewallPorts(rule string) bool {
	for _, part := range strings.Split(rule, "|") {
		if part == "LPort=5985" || part == "LPort=5986" || part == "LPort=22" {
			return true
		}
	}
	return false
}

func (g *gathering) winrm() (any, error) {
	names := []string{"allow_unencrypted", "auth_basic", "auth_credssp", "allow_remote_requests"}
	service, err := g.registryMap(keyWSMan+`\Service`, names[:3]...)
	if err != nil {
		return nil, err
	}
	client, _ := g.registryMap(keyWSMan+`\Client`, "allow_unencrypted", "auth_basic", "trusted_hosts")
	policy, _ := g.registryMap(`HKLM\SOFTWARE\Policies\Microsoft\Windows\WinRM\Service`, "AllowBasic", "AllowUnencryptedTraffic", "AllowAutoConfig")
	listeners := []document{}
	keys, _ := g.below(keyWSMan + `\Listener`)
	for _, name := range keys {
		key := keyWSMan + `\Listener\` + name
		listeners = append(listeners, document{{"name", name}, {"port", g.value(key, "Port")}, {"certificate", g.value(key, "certThumbprint")}})
	}
	rules := []document{}
	_, values := g.below(keyFirewall)
	for _, name := range values {
		rule, _ := g.value(keyFirewall, name).(string)
		if firewallPorts(rule) {
			rules = append(rules, document{{"name", name}, {"rule", rule}})
		}
	}
	return document{{"service", service}, {"client", client}, {"policy", policy}, {"listeners", listeners}, {"firewall", rules}}, nil
}

// bootEntries are the loaders of the boot configuration.
func (g *gathering) bootEntries() (any, error) {
	there, err := g.key(keyBCD)
	list := []document{}
	keys, _ := g.below(keyBCD)
	for _, id := range keys {
		object := keyBCD + `\` + id
		if n, _ := g.g.reg.GetDWord(object+`\Description`, "Type"); n != windowsLoader {
			continue
		}
		var winpe any
		if v, ok := g.g.reg.Get(object+`\Elements\26000022`, "Element"); ok && v.Kind == registry.Binary {
			winpe = len(v.Data) > 0 && v.Data[0] != 0
		}
		list = append(list, document{{"id", path.Base(id)}, {"description", g.value(object+`\Elements\12000004`, "Element")}, {"winpe", winpe == true}})
	}
	return document{{"key", there}, {"list", list}}, err
}
