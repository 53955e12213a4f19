package winsim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// Condition is what is wrong with the machine before sysprep is started. What a
// pre-flight finds and what a run is refused for are the same state.
type Condition struct {
	// Faults are names of Faults.
	Faults []string `json:"faults,omitempty"`
	// Unreadable are facts of a pre-flight that cannot be gathered, by name.
	Unreadable []string `json:"unreadable,omitempty"`
	// Apps is how many more packages there are, each provisioned for all users.
	Apps int `json:"apps,omitempty"`
	// ServicingWakes is how long TiWorker runs after a question to DISM.
	ServicingWakes Duration `json:"servicing_wakes,omitempty"`
	// GroupTakes is how long a pre-flight gathers the facts of a group, by its name.
	GroupTakes map[string]Duration `json:"group_takes,omitempty"`
}

func (c Condition) check() error {
	var errs []error
	for _, name := range c.Faults {
		if !slices.ContainsFunc(faults, func(f fault) bool { return f.name == name }) {
			errs = append(errs, fmt.Errorf("unknown fault %q, known are %q", name, Faults()))
		}
	}
	for _, name := range c.Unreadable {
		if !slices.Contains(FactNames(), name) {
			errs = append(errs, fmt.Errorf("unreadable: there is no fact %q", name))
		}
	}
	for name, d := range c.GroupTakes {
		if !slices.Contains(preflightGroups, name) || d < 0 {
			errs = append(errs, fmt.Errorf("group_takes: group %q, %s", name, time.Duration(d)))
		}
	}
	if c.Apps < 0 {
		errs = append(errs, fmt.Errorf("apps is %d", c.Apps))
	}
	return errors.Join(errs...)
}

// wakeServicing is what a question to the servicing stack does.
func (g *Guest) wakeServicing() {
	takes := time.Duration(g.scenario.ServicingWakes)
	if takes <= 0 {
		return
	}
	p, boot := g.addProcess("TiWorker.exe", "", "SYSTEM", 0), g.boot
	g.goDo(func() {
		g.sleep(boot, takes)
		g.removeProcess(p)
	})
}

// keySaved keeps a state that something in the guest has changed, as registry and
// files keep theirs.
const keySaved = keyStart + `\Machine`

// Machine is the state that is not in the registry, for tests.
func (g *Guest) Machine() *machinestate.Machine { return g.machine }

// setMachine makes the state of the machine: as it was left, or as a scenario says.
func (g *Guest) setMachine() error {
	state, text := g.sound(), g.reg.GetString(keySaved, "State")
	if text != "" {
		saved, err := machinestate.Parse(text)
		if err != nil {
			return err
		}
		state = saved
	}
	for _, f := range faults {
		if text == "" && f.state != nil && slices.Contains(g.scenario.Faults, f.name) {
			f.state(g, &state)
		}
	}
	g.machine = machinestate.New(state, func(text string) { g.reg.SetString(keySaved, "State", text) })
	return nil
}

// windowsLoader is the type of an entry of the boot configuration.
const windowsLoader = 0x10200003

// setFaults makes what is wrong in registry and files, once, and starts what runs.
func (g *Guest) setFaults() error {
	own := keyBCD + `\{11111111-1111-1111-1111-111111111111}`
	g.reg.SetDWord(own+`\Description`, "Type", windowsLoader)
	g.reg.SetString(own+`\Elements\12000004`, "Element", g.scenario.release().product)
	id := strings.Join(g.scenario.Faults, " ")
	first := id != "" && g.reg.GetString(keyStart, "Faults") != id
	for _, f := range faults {
		if !slices.Contains(g.scenario.Faults, f.name) {
			continue
		}
		if f.onDisk != nil && (first || f.again) {
			if err := f.onDisk(g); err != nil {
				return fmt.Errorf("the fault %s: %w", f.name, err)
			}
		}
		if f.process != "" {
			g.addProcess(f.process, "", "SYSTEM", 0)
		}
	}
	if first {
		g.reg.SetString(keyStart, "Faults", id)
	}
	return nil
}

const (
	userSID    = machineSID + "-1001"
	folderApps = `\Program Files\WindowsApps\`
)

// sound is the state of a machine without faults.
func (g *Guest) sound() machinestate.State {
	r, yes := g.scenario.release(), true
	s := machinestate.State{
		Running: map[string]bool{}, BitLocker: r.client, ServerManager: !r.client, Rearm: 5, HyperVTools: false,
		OptionalFeatures: []string{"NetFx4", "Windows-Defender"},
		OS:               machinestate.OS{ProductType: 3, Caption: "Microsoft " + r.product},
		Computer:         machinestate.Computer{Name: ComputerName, DomainRole: 2, Domain: "WORKGROUP", Manufacturer: "QEMU", Model: "Standard PC (Q35 + ICH9, 2009)", HypervisorPresent: &yes},
		Disk:             machinestate.Disk{FileSystem: "NTFS", Size: 42947571712, Free: 30000000000},
		Products: []machinestate.Product{{
			Name: "Windows(R), " + r.edition + " edition", Description: "Windows(R) Operating System, TIMEBASED_EVAL channel", LicenseStatus: 1, Rearm: 5, GraceMinutes: 180 * 24 * 60,
			EvaluationEnd: g.born.AddDate(0, 6, 0),
		}},
	}
	for _, svc := range services {
		s.Running[svc.name] = svc.running
	}
	if !r.client {
		s.Roles = []string{"FileAndStorage-Services", "Storage-Services", "NET-Framework-45-Core", "PowerShell"}
	}
	if r.client {
		s.OS.ProductType, s.Computer.DomainRole, s.Rearm = 1, 0, 1001
		if r.build >= 22000 {
			s.OS.Caption = "Microsoft Windows 11 Pro"
		}
		s.Volumes = []machinestate.Volume{{Drive: g.drive.Name()}}
		s.Products[0].Description, s.Products[0].Rearm, s.Products[0].EvaluationEnd = "Windows(R) Operating System, RETAIL channel", 1001, noEnd
	}
	s.NoAppx, s.NoNonRemovable = r.kernel != "10.0", r.build < 16299
	if !s.NoAppx {
		g.install(&s, machinestate.Package{Name: "Microsoft.Windows.ShellExperienceHost", Version: "10.0." + fmt.Sprint(r.build) + ".1", SignatureKind: "System", NonRemovable: true}, false)
		g.install(&s, machinestate.Package{Name: "Microsoft.VCLibs.140.00", Version: "14.0.30704.0", Framework: true}, false)
	}
	if r.client {
		g.install(&s, machinestate.Package{Name: "Microsoft.WindowsCalculator", Version: "11.2401.0.0"}, true)
		g.install(&s, machinestate.Package{Name: "Microsoft.SecHealthUI", Version: "1000.25873.9001.0", NonRemovable: true}, true)
		g.install(&s, machinestate.Package{Name: "Microsoft.DesktopAppInstaller", Version: "1.22.10661.0"}, true)
	}
	for i := range g.scenario.Apps {
		g.install(&s, machinestate.Package{Name: fmt.Sprintf("Contoso.Application.Number%d", i), Version: "1.0.0.0"}, true)
	}
	if r.build >= 19041 {
		s.ReservedStorage = "Disabled"
	}
	return s
}

// noEnd is how Windows writes that an evaluation has no end.
var noEnd = time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC)

// install adds a package for the user that packer connects as, and for all users.
func (g *Guest) install(s *machinestate.State, p machinestate.Package, forAll bool) {
	publisher := "8wekyb3d8bbwe"
	if p.SignatureKind == "" {
		p.SignatureKind = "Store"
	}
	if p.SignatureKind == "System" {
		publisher = "cw5n1h2txyewy"
	}
	p.FamilyName = p.Name + "_" + publisher
	p.FullName = p.Name + "_" + p.Version + "_x64__" + publisher
	if p.InstallLocation == "" {
		folder := folderApps
		if p.SignatureKind == "System" {
			folder = folderWindows + `\SystemApps\`
		}
		p.InstallLocation = g.full(folder) + p.FullName
	}
	if p.Users == nil {
		p.Users = []machinestate.User{{SID: userSID, Name: ComputerName + `\` + g.opt.User, State: "Installed"}}
	}
	s.Packages = append(s.Packages, p)
	if forAll {
		s.Provisioned = append(s.Provisioned, machinestate.Provisioned{DisplayName: p.Name, PackageName: p.Name + "_" + p.Version + "_neutral_~_" + publisher, Version: p.Version})
	}
}
