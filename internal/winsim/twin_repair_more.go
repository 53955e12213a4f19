package winsim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// ---- registry

const (
	winlogon = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon`
	external = `SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal`
)

func (r *repairing) autologon() (document, error) {
	if err := r.try("Test-Path"); err != nil {
		return nil, err
	}
	d := document{{"AutoAdminLogon", r.text(`HKLM\`+winlogon, "AutoAdminLogon")}}
	for _, name := range []string{"DefaultPassword", "AutoLogonCount", "AutoLogonSID"} {
		_, present := r.g.reg.Get(`HKLM\`+winlogon, name)
		d = append(d, member{name + "Present", present})
	}
	return d, nil
}

func (r *repairing) clearAutologon(before document) {
	if on := before[0].value; on != nil && on != "0" {
		r.change("set-0", `HKLM:\`+winlogon+`\AutoAdminLogon`, func() error {
			r.g.reg.SetString(`HKLM\`+winlogon, "AutoAdminLogon", "0")
			return nil
		})
	}
	for _, m := range before[1:] {
		if m.value == true {
			r.remove("remove", winlogon, strings.TrimSuffix(m.name, "Present"))
		}
	}
}

func (r *repairing) providers() (document, error) {
	if err := r.try("Test-Path"); err != nil {
		return nil, err
	}
	list := []document{}
	for _, p := range r.p.Providers {
		dll, data := "", r.text(`HKLM\`+external+`\`+p.Phase, p.Name)
		if text, ok := data.(string); ok {
			first, _, _ := strings.Cut(text, ",")
			if dll = r.full(strings.Trim(strings.TrimSpace(first), `"`)); !strings.Contains(dll, `:\`) {
				dll = r.c.Env.Get("windir") + `\System32\` + dll
			}
		}
		list = append(list, document{{"phase", p.Phase}, {"name", p.Name}, {"data", data}, {"dll", dll}, {"dllExists", dll != "" && r.g.drive.IsFile(dll)}})
	}
	return document{{"list", list}}, nil
}

func (r *repairing) removeProviders(before document) {
	list, _ := before[0].value.([]document)
	for i, p := range list {
		phase, name := fmt.Sprint(p[0].value), fmt.Sprint(p[1].value)
		switch {
		case p[2].value == nil:
		case p[4].value == true && !r.p.Providers[i].Named:
			r.skip("provider-remove", `HKLM:\`+external+`\`+phase+`\`+name, "its DLL exists, so it is not stale")
		default:
			r.remove("provider-remove", external+`\`+phase, name)
		}
	}
}

func (r *repairing) answerFiles() (document, error) {
	if err := r.try("Test-Path"); err != nil {
		return nil, err
	}
	existing := []string{}
	for _, file := range r.p.Files {
		if full := r.full(file); file != "" && r.g.drive.IsFile(full) {
			existing = append(existing, full)
		}
	}
	return document{{"pointer", r.text(keySetup, "UnattendFile")}, {"existing", existing}}, nil
}

func (r *repairing) moveAnswerFiles(before document) {
	existing, _ := before[1].value.([]string)
	for _, file := range existing {
		if r.p.Delete {
			r.change("delete", file, func() error { return r.g.drive.Remove(file) })
			continue
		}
		r.change("rename", file, func() error {
			return r.g.drive.Rename(file, file+".packer-"+r.g.now().UTC().Format("20060102T150405Z"))
		})
	}
	if r.p.Pointer && before[0].value != nil {
		r.remove("pointer-remove", `SYSTEM\Setup`, "UnattendFile")
	}
}

// ---- the rest

func (r *repairing) volumes() (document, error) {
	if err := r.try("Get-CimInstance"); err != nil {
		return nil, err
	}
	drives := slices.DeleteFunc(slices.Clone(r.p.Drives), func(d string) bool { return d == "" })
	if len(drives) == 0 {
		drives = []string{r.g.drive.Name()}
	}
	r.p.Drives = drives
	d, installed := document{}, false
	r.g.machine.View(func(s *machinestate.State) {
		installed = s.BitLocker
		for _, v := range s.Volumes {
			if v = v.At(r.g.now()); contains(drives, v.Drive) {
				d = append(d, member{v.Drive, document{{"conversionStatus", v.Conversion}, {"encryptionPercentage", v.Percent}}})
			}
		}
	})
	if !installed {
		return nil, &psError{message: "Invalid namespace ", kind: "Microsoft.Management.Infrastructure.CimException", id: "HRESULT 0x8004100e,Microsoft.Management.Infrastructure.CimCmdlets.GetCimInstanceCommand"}
	}
	return d, nil
}

func (r *repairing) decrypt(before document) {
	for _, m := range before {
		if state, _ := m.value.(document); state[0].value == 0 || state[0].value == 3 {
			continue
		}
		r.change("decrypt", m.name, func() error {
			return r.machine(func(s *machinestate.State) error {
				for i := range s.Volumes {
					if !strings.EqualFold(s.Volumes[i].Drive, m.name) {
						continue
					}
					if code := s.Volumes[i].Decrypt(r.g.now()); code != 0 {
						return thrown("Decrypt returned 0x%08x", code)
					}
				}
				return nil
			})
		})
	}
}

const reserves = `SOFTWARE\Microsoft\Windows\CurrentVersion\ReserveManager`

func (r *repairing) storage() (document, error) {
	if err := r.try("Test-Path"); err != nil {
		return nil, err
	}
	state := ""
	r.g.machine.View(func(s *machinestate.State) { state = s.ReservedStorage })
	d := document{{"available", state != ""}, {"state", nil}, {"activeScenario", r.number(`HKLM\`+reserves, "ActiveScenario")}}
	if state != "" {
		d[1].value = state
	}
	return d, nil
}

func (r *repairing) storageOff(before document) {
	if active := before[2].value; r.p.Scenario && active != nil && active != int32(0) {
		r.set(reserves, "ActiveScenario", 0)
	}
	switch {
	case before[0].value == false:
		r.skip("reserved-storage-off", "", "this Windows has no reserved storage cmdlet")
	case before[1].value != "Disabled":
		r.change("reserved-storage-off", "", func() error {
			if n, _ := r.g.reg.GetDWord(`HKLM\`+reserves, "ActiveScenario"); n != 0 {
				return errors.New("The operation is not supported when reserved storage is in use. Please wait for any servicing operations to complete and then try again later.") //nolint:staticcheck,revive // as Windows says it
			}
			return r.machine(func(s *machinestate.State) error { s.ReservedStorage = "Disabled"; return nil })
		})
	}
}

func (r *repairing) radius() (document, error) {
	available, clients := false, []string{}
	r.g.machine.View(func(s *machinestate.State) {
		available = s.NPSTools
		for _, name := range s.RadiusClients {
			if contains(r.p.Clients, name) {
				clients = append(clients, name)
			}
		}
	})
	return document{{"available", available}, {"clients", clients}}, nil
}

func (r *repairing) removeRadius(before document) {
	clients, _ := before[1].value.([]string)
	for _, name := range clients {
		r.change("nps-client-remove", name, func() error {
			return r.machine(func(s *machinestate.State) error {
				s.RadiusClients = slices.DeleteFunc(s.RadiusClients, func(c string) bool { return c == name })
				return nil
			})
		})
	}
}

func (r *repairing) domain() (d document, err error) {
	if err := r.try("Get-CimInstance"); err != nil {
		return nil, err
	}
	r.g.machine.View(func(s *machinestate.State) {
		d = document{{"partOfDomain", s.Computer.PartOfDomain}, {"domain", s.Computer.Domain}, {"domainRole", s.Computer.DomainRole}}
	})
	return d, nil
}

func (r *repairing) leaveDomain(before document) {
	name := fmt.Sprint(before[1].value)
	role, _ := before[2].value.(int)
	switch {
	case before[0].value == false:
	case role >= 4:
		r.skip("domain-leave", name, "it is a domain controller")
	default:
		r.change("domain-leave", name, func() error {
			return r.machine(func(s *machinestate.State) error {
				s.Computer.PartOfDomain, s.Computer.Domain, s.Computer.DomainRole = false, "WORKGROUP", s.Computer.DomainRole-1
				return nil
			})
		})
	}
}
