package preflight

import (
	"fmt"
	"slices"
	"strings"
)

// mostPackages is how many packages one call removes: their names have to fit on a
// command line, and each takes its time.
const mostPackages = 12

// call is one, where there is something to do it to.
func call(targets []string, repair string, parameters map[string]any) []Call {
	if len(targets) == 0 {
		return nil
	}
	return []Call{{repair, parameters, targets}}
}

func startTypes(f Facts, _ Choice) ([]Call, string) {
	services, known := f.Services.Get()
	if !known {
		return nil, f.Services.Why()
	}
	var names []string
	for _, name := range restored {
		if s, there := services[name]; there && (s.disabled() || s.untilRestart()) {
			names = append(names, name)
		}
	}
	return call(names, "service-enable", map[string]any{"services": names}), ""
}

// stops stops services.
func stops(repair string, names ...string) func(Facts, Choice) ([]Call, string) {
	return func(f Facts, _ Choice) ([]Call, string) {
		services, known := f.Services.Get()
		if !known {
			return nil, f.Services.Why()
		}
		var running []string
		for _, name := range names {
			if services[name].runs() {
				running = append(running, name)
			}
		}
		return call(running, repair, nil), ""
	}
}

func domain(f Facts, _ Choice) ([]Call, string) {
	computer, known := f.Computer.Get()
	switch {
	case !known:
		return nil, f.Computer.Why()
	case !yes(computer.PartOfDomain):
		return nil, ""
	}
	return call([]string{computer.Domain}, "domain-leave", nil), ""
}

func radius(f Facts, _ Choice) ([]Call, string) {
	nps, known := f.NPS.Get()
	if !known {
		return nil, f.NPS.Why()
	}
	return call(nps.Clients, "nps-clients-remove", map[string]any{"clients": nps.Clients}), ""
}

func providers(f Facts, choice Choice) ([]Call, string) {
	external, known := f.ExternalProviders.Get()
	if !known {
		return nil, f.ExternalProviders.Why()
	}
	var list []map[string]any
	var targets []string
	for _, p := range external.List {
		named := slices.ContainsFunc(choice.Providers, func(name string) bool {
			return strings.EqualFold(name, p.Name) || strings.EqualFold(name, p.DLL)
		})
		if no(p.Exists) || named {
			list = append(list, map[string]any{"phase": p.Phase, "name": p.Name, "named": named})
			targets = append(targets, p.Phase+`\`+p.Name+" ("+p.DLL+")")
		}
	}
	return call(targets, "external-provider-remove", map[string]any{"providers": list}), ""
}

func answerFiles(f Facts, choice Choice) ([]Call, string) {
	answers, known := f.AnswerFiles.Get()
	if !known {
		return nil, f.AnswerFiles.Why()
	}
	files := []string{}
	for _, file := range answers.Found {
		kept := slices.ContainsFunc(choice.Keep, func(path string) bool { return strings.EqualFold(path, file.Path) })
		if yes(file.Exists) && file.Media == "fixed" && !kept {
			files = append(files, file.Path)
		}
	}
	pointer := answers.RegistryPointer != nil && *answers.RegistryPointer != ""
	targets := slices.Clone(files)
	if pointer {
		targets = append(targets, `HKLM\SYSTEM\Setup\UnattendFile`)
	}
	return call(targets, "answer-files-aside", map[string]any{"files": files, "pointer": pointer}), ""
}

func autologon(f Facts, _ Choice) ([]Call, string) {
	logon, known := f.Autologon.Get()
	switch {
	case !known:
		return nil, f.Autologon.Why()
	case (logon.AutoAdminLogon == nil || *logon.AutoAdminLogon == "0") && !yes(logon.DefaultPasswordPresent):
		return nil, ""
	}
	return call([]string{`Winlogon`}, "autologon-clear", nil), ""
}

func reserved(f Facts, _ Choice) ([]Call, string) {
	storage, known := f.ReservedStorage.Get()
	if !known {
		return nil, f.ReservedStorage.Why()
	}
	active := storage.ActiveScenario != nil && *storage.ActiveScenario != 0
	on := storage.State != nil && *storage.State == "Enabled"
	switch {
	case !active && storage.StateError != "":
		return nil, "Windows did not tell the state of reserved storage: " + short(storage.StateError)
	case !active && !on:
		return nil, ""
	case !active:
		return call([]string{"reserved storage"}, "reserved-storage-off", nil), ""
	}
	processes, known := f.Processes.Get()
	if !known {
		return nil, "whether updates are at work is not known: " + f.Processes.Why()
	}
	for _, p := range processes.List {
		if name := strings.ToLower(p.Name); slices.Contains(servicing, strings.TrimSuffix(name, ".exe")) {
			return nil, p.Name + " is at work, and reserved storage may be in use: let it finish"
		}
	}
	return call([]string{"ActiveScenario", "reserved storage"}, "reserved-storage-off", map[string]any{"scenario": true}), ""
}

// servicing are programs that may use reserved storage.
var servicing = []string{"tiworker", "trustedinstaller"}

func bitlocker(f Facts, _ Choice) ([]Call, string) {
	state, known := f.BitLocker.Get()
	if !known {
		return nil, f.BitLocker.Why()
	}
	for _, v := range state.Volumes {
		if !strings.EqualFold(v.Drive, state.SystemDrive) || v.Drive == "" {
			continue
		}
		if v.ReturnValue != 0 || v.ConversionStatus == nil {
			return nil, fmt.Sprintf("Windows did not tell how far %s is encrypted (0x%08x)", short(v.Drive), uint32(v.ReturnValue))
		}
		if *v.ConversionStatus != 0 {
			return call([]string{v.Drive}, "bitlocker-off", map[string]any{"drives": []string{v.Drive}}), ""
		}
	}
	return nil, ""
}

// packages removes what is installed for a user and not provisioned, and what is
// there in several versions of which one is provisioned.
func packages(f Facts, _ Choice) ([]Call, string) {
	strays, known, why := f.Strays()
	if !known {
		return nil, why
	}
	doubles, known, why := f.Doubles()
	if !known {
		return nil, why
	}
	var all []Call
	for _, double := range doubles {
		var full []string
		for _, p := range double {
			if len(p.installed()) > 0 {
				full = append(full, p.FullName)
			}
		}
		provisioned, _ := f.AppxProvisioned.Get()
		names := provisioned.named(double[0].Name)
		all = add(all, full, names, []string{family(names[0])})
	}
	for _, stray := range strays {
		// A package of a name that is provisioned is no stray, so there is nothing to
		// deprovision.
		all = add(all, []string{stray.FullName}, nil, nil)
	}
	return all, ""
}

// add adds the packages of an app to the last call, or makes another one.
func add(all []Call, full, provisioned, first []string) []Call {
	size := 0
	if n := len(all); n > 0 {
		size = len(all[n-1].Targets)
	}
	if size == 0 || size+len(full)+len(provisioned) > mostPackages {
		all = append(all, Call{Repair: "appx-remove", Parameters: map[string]any{"packages": []string{}, "provisioned": []string{}, "first": []string{}}})
	}
	c := &all[len(all)-1]
	c.Targets = slices.Concat(c.Targets, full, provisioned)
	last := c.Parameters
	for name, more := range map[string][]string{"packages": full, "provisioned": provisioned, "first": first} {
		last[name] = append(last[name].([]string), more...)
	}
	return all
}

// family is that of a full name, or of a provisioned package: its first and its last
// part (repair.ps1, Get-Family).
func family(fullName string) string {
	parts := strings.Split(fullName, "_")
	return parts[0] + "_" + parts[len(parts)-1]
}
