package winsim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// Repairs is what becomes of remedies.
type Repairs struct {
	// RepairFails are changes of repair.ps1 that fail, by what they do
	// ("appx-remove", "rename").
	RepairFails []string `json:"repair_fails,omitempty"`
	// RepairTakes is how long a change takes.
	RepairTakes Duration `json:"repair_takes,omitempty"`
}

// repairing is a run of repair.ps1.
type repairing struct {
	*twin
	p       repairParameters
	actions []document
	stuck   []string // families that could not be changed, in lower case
	// What Get-Snapshot has found.
	packages    []machinestate.Package
	provisioned []string
}

type repairParameters struct {
	ID                                                             string
	DryRun, Scenario, Pointer, Delete                              bool
	Packages, Provisioned, First, Services, Drives, Files, Clients []string
	Providers                                                      []struct {
		Phase, Name string
		Named       bool
	}
}

// repairs are the ids: what the state is, and what is done about it.
var repairs = map[string]struct {
	state  func(*repairing) (document, error)
	change func(*repairing, document)
}{
	"appx-remove":              {(*repairing).appx, (*repairing).removeAppx},
	"search-stop":              {serviceStates("WSearch"), (*repairing).stopServices},
	"update-services-stop":     {serviceStates("wuauserv", "UsoSvc", "BITS", "DoSvc"), (*repairing).stopServices},
	"service-enable":           {(*repairing).startTypes, (*repairing).enableServices},
	"bitlocker-off":            {(*repairing).volumes, (*repairing).decrypt},
	"reserved-storage-off":     {(*repairing).storage, (*repairing).storageOff},
	"external-provider-remove": {(*repairing).providers, (*repairing).removeProviders},
	"answer-files-aside":       {(*repairing).answerFiles, (*repairing).moveAnswerFiles},
	"autologon-clear":          {(*repairing).autologon, (*repairing).clearAutologon},
	"nps-clients-remove":       {(*repairing).radius, (*repairing).removeRadius},
	"domain-leave":             {(*repairing).domain, (*repairing).leaveDomain},
}

// repair is the twin of repair.ps1.
func (t *twin) repair(encoded string) int {
	r := &repairing{twin: t, actions: []document{}}
	err := parameters(encoded, &r.p)
	todo, known := repairs[r.p.ID]
	if err == nil && !known {
		err = thrown("unknown id '%s'", r.p.ID)
	}
	if err != nil {
		t.write(failed("repair", "bad-parameters", err))
		return 2
	}
	before, err := todo.state(r)
	var after any
	if err == nil {
		todo.change(r, before)
	}
	if err == nil && !r.p.DryRun {
		after, err = todo.state(r)
	}
	if t.ctx.Err() != nil {
		return 1
	}
	if err != nil {
		t.write(failed("repair", "script", cmdletError(err)))
		return 1
	}
	changed, failures := false, 0
	for _, a := range r.actions {
		changed = changed || a[2].value == true
		if a[3].value != nil {
			failures++
		}
	}
	t.write(document{
		{"script", "repair"}, {"schema", 1}, {"ok", true}, {"id", r.p.ID}, {"dryRun", r.p.DryRun}, {"changed", changed}, {"failed", failures},
		{"actions", r.actions}, {"before", before}, {"after", after},
	})
	return 0
}

// change is Invoke-Change.
func (r *repairing) change(what, target string, do func() error) bool {
	a := document{{"what", what}, {"target", target}, {"done", false}, {"error", nil}}
	defer func() { r.actions = append(r.actions, a) }()
	if r.p.DryRun {
		return true
	}
	if d := r.g.scenario.RepairTakes; d > 0 && !r.g.sleep(r.ctx, time.Duration(d)) {
		return false
	}
	var err error
	if slices.Contains(r.g.scenario.RepairFails, what) {
		err = errors.New("Access is denied.") //nolint:staticcheck,revive // as Windows says it
	}
	if err == nil {
		err = do()
	}
	if err != nil {
		a[3].value = err.Error()
		return false
	}
	a[2].value = true
	return true
}

func (r *repairing) skip(what, target, why string) {
	r.actions = append(r.actions, document{{"what", what}, {"target", target}, {"done", false}, {"error", why}})
}

// machine changes the state of the machine.
func (r *repairing) machine(do func(*machinestate.State) error) error {
	var err error
	kept := r.g.machine.Change(func(s *machinestate.State) { err = do(s) })
	return errors.Join(err, kept)
}

// ---- packages

func family(fullName string) string {
	parts := strings.Split(fullName, "_")
	return parts[0] + "_" + parts[len(parts)-1]
}

func contains(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) })
}

func (r *repairing) appx() (document, error) {
	if err := r.try("Get-AppxPackage"); err != nil {
		return nil, err
	}
	r.packages, r.provisioned = nil, nil
	installed := []document{}
	r.g.machine.View(func(s *machinestate.State) {
		for _, p := range s.Packages {
			if !contains(r.p.Packages, p.FullName) {
				continue
			}
			r.packages = append(r.packages, p)
			users := []string{}
			for _, u := range p.Users {
				users = append(users, fmt.Sprintf("%s [%s]: %s", u.SID, u.Name, u.State))
			}
			installed = append(installed, document{{"fullName", p.FullName}, {"signatureKind", p.SignatureKind}, {"nonRemovable", p.NonRemovable}, {"users", users}})
		}
		for _, p := range s.Provisioned {
			if contains(r.p.Provisioned, p.PackageName) {
				r.provisioned = append(r.provisioned, p.PackageName)
			}
		}
	})
	return document{{"installed", installed}, {"provisioned", slices.Concat([]string{}, r.provisioned)}}, nil
}

func (r *repairing) removeAppx(document) {
	packages, provisioned := r.packages, r.provisioned
	for _, name := range provisioned {
		if contains(r.p.First, family(name)) {
			r.deprovision(name)
		}
	}
	for _, p := range packages {
		switch {
		case contains(r.stuck, family(p.FullName)):
			r.skip("appx-remove", p.FullName, "left alone: its provisioned package could not be removed")
		case p.NonRemovable || p.SignatureKind == "System":
			r.skip("appx-remove", p.FullName, "part of Windows, must not be removed")
			r.stuck = append(r.stuck, family(p.FullName))
		case !r.change("appx-remove", p.FullName, func() error { return r.removePackage(p) }):
			r.stuck = append(r.stuck, family(p.FullName))
		}
	}
	for _, name := range provisioned {
		switch {
		case contains(r.p.First, family(name)):
		case contains(r.stuck, family(name)):
			r.skip("appx-deprovision", name, "left alone: a package of its family could not be removed")
		default:
			r.deprovision(name)
		}
	}
}

// removePackage refuses what Windows refuses: of an app that is there in two versions
// one as long as the app is provisioned, and one of a user who is gone.
func (r *repairing) removePackage(p machinestate.Package) error {
	return r.machine(func(s *machinestate.State) error {
		versions := 0
		for _, q := range s.Packages {
			if q.Name == p.Name {
				versions++
			}
		}
		if versions > 1 && slices.ContainsFunc(s.Provisioned, func(q machinestate.Provisioned) bool { return q.DisplayName == p.Name }) {
			return errors.New("Deployment failed with HRESULT: 0x80070032, The request is not supported.") //nolint:staticcheck,revive // as Windows says it
		}
		for _, u := range p.Users {
			if strings.HasPrefix(u.SID, machineSID) && !r.g.reg.Has(keyProfiles+`\`+u.SID) {
				return errors.New("Deployment failed with HRESULT: 0x80073CFA, Removal failed.") //nolint:staticcheck,revive // as Windows says it
			}
		}
		s.Packages = slices.DeleteFunc(s.Packages, func(q machinestate.Package) bool { return q.FullName == p.FullName })
		return nil
	})
}

func (r *repairing) deprovision(name string) {
	done := r.change("appx-deprovision", name, func() error {
		return r.machine(func(s *machinestate.State) error {
			s.Provisioned = slices.DeleteFunc(s.Provisioned, func(q machinestate.Provisioned) bool { return q.PackageName == name })
			return nil
		})
	})
	if !done {
		r.stuck = append(r.stuck, family(name))
	}
}

// ---- services

func serviceStates(names ...string) func(*repairing) (document, error) {
	return func(r *repairing) (document, error) {
		if err := r.try("Get-Service"); err != nil {
			return nil, err
		}
		d := document{}
		for _, name := range names {
			if !r.g.reg.Has(keyServices + `\` + name) {
				continue
			}
			status := "Stopped"
			if r.g.serviceRuns(name) {
				status = "Running"
			}
			d = append(d, member{name, status})
		}
		return d, nil
	}
}

func (r *repairing) stopServices(before document) {
	for _, m := range before {
		if m.value == "Running" {
			r.change("service-stop", m.name, func() error { return r.stopService(m.name) })
		}
	}
}

func (r *repairing) stopService(name string) error {
	return r.machine(func(s *machinestate.State) error {
		if contains(s.Stubborn, name) {
			return fmt.Errorf("Service '%s' cannot be stopped.", name) //nolint:staticcheck,revive // as Windows says it
		}
		for service := range s.Running {
			if strings.EqualFold(service, name) {
				s.Running[service] = false
			}
		}
		return nil
	})
}

// startTypesOf are those of repair.ps1.
var startTypesOf = []struct{ name, start string }{{"AppXSvc", "demand"}, {"dmwappushservice", "delayed-auto"}, {"wuauserv", "demand"}, {"TrustedInstaller", "demand"}, {"sppsvc", "delayed-auto"}}

func (r *repairing) number(key, name string) any {
	if n, ok := r.g.reg.GetDWord(key, name); ok {
		return int32(n)
	}
	return nil
}

func (r *repairing) startTypes() (document, error) {
	if err := r.try("Test-Path"); err != nil {
		return nil, err
	}
	d := document{}
	for _, s := range startTypesOf {
		if contains(r.p.Services, s.name) {
			key := keyServices + `\` + s.name
			d = append(d, member{s.name, document{{"start", r.number(key, "Start")}, {"delayed", r.number(key, "DelayedAutostart")}, {"mode", r.g.startType(s.name)}}})
		}
	}
	return d, nil
}

func (r *repairing) enableServices(before document) {
	for _, m := range before {
		state, _ := m.value.(document)
		if state[0].value != int32(4) && state[2].value != "Disabled" {
			continue
		}
		for _, s := range startTypesOf {
			if s.name == m.name {
				r.change("start-"+s.start, m.name, func() error { return r.g.configureStart(m.name, s.start) })
			}
		}
	}
}

// configureStart is sc.exe config with start=, which the service control manager knows at
// once.
func (g *Guest) configureStart(name, start string) error {
	protected := false
	err := g.machine.Change(func(s *machinestate.State) {
		if protected = contains(s.Protected, name); !protected {
			s.Unread = slices.DeleteFunc(s.Unread, func(u string) bool { return strings.EqualFold(u, name) })
		}
	})
	if protected {
		return errors.New("sc.exe ended with exit code 5: Access is denied.") //nolint:staticcheck,revive // as repair.ps1 says it
	}
	g.reg.SetDWord(keyServices+`\`+name, "Start", map[string]uint32{"demand": 3, "delayed-auto": 2}[start])
	if start == "delayed-auto" {
		g.reg.SetDWord(keyServices+`\`+name, "DelayedAutostart", 1)
	}
	return err
}

// set sets a DWORD below HKLM.
func (r *repairing) set(key, name string, n uint32) {
	r.change(fmt.Sprintf("set-%d", n), `HKLM:\`+key+`\`+name, func() error {
		if err := r.try("Set-ItemProperty"); err != nil {
			return err
		}
		r.g.reg.SetDWord(`HKLM\`+key, name, n)
		return nil
	})
}

// remove removes a value below HKLM.
func (r *repairing) remove(what, key, name string) {
	r.change(what, `HKLM:\`+key+`\`+name, func() error {
		if err := r.try("Remove-ItemProperty"); err != nil {
			return err
		}
		r.g.reg.DeleteValue(`HKLM\`+key, name)
		return nil
	})
}
