package winsim

import (
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
)

// preflightIn makes a guest of which everything that preflight.ps1 looks at is as in
// that state.
func preflightIn(t *testing.T, name string) *Guest {
	t.Helper()
	s := readState(t, name)
	g := inState(t, name, Scenario{})
	g.reg = registry.New() // of the state, and nothing else
	setRegistry(g.reg, s.Registry)
	for _, folder := range []string{`\Users`, folderSystem32 + `\config\systemprofile`} {
		if err := g.drive.RemoveAll(g.full(folder)); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range s.Folders {
		if err := g.drive.MkdirAll(windowsPath(folder)); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range g.processes("sysprep.exe") {
		g.removeProcess(p)
	}
	for _, p := range s.Processes {
		q := g.addProcess(p.Name+".exe", "", "", 0)
		q.start = time.Time{}
		if p.Start != nil {
			q.start = *p.Start
		}
		g.mu.Lock()
		delete(g.procs, q.pid)
		q.pid = p.ID
		g.procs[q.pid] = q
		g.mu.Unlock()
	}
	g.machine = machinestate.New(s.machine(t), nil)
	return g
}

var quotedWord = regexp.MustCompile(`"(S-1-[0-9-]+|Se[A-Za-z]+)"`)

// machine is what of the state is neither in the registry nor a file.
func (s fakeState) machine(t *testing.T) machinestate.State {
	m := machinestate.State{Running: map[string]bool{}, Media: s.media(), NoNonRemovable: s.NoNonRemovable, Token: &machinestate.Token{}}
	for name, status := range s.Services {
		m.Running[name] = status == "Running"
	}
	for _, p := range s.Appx {
		q := machinestate.Package{
			Name: p.Name, FullName: p.FullName, FamilyName: p.Family, Version: p.Version, SignatureKind: p.Signature, Framework: p.Framework, Resource: p.Resource,
			NonRemovable: p.NonRemovable, InstallLocation: p.Location,
		}
		for _, u := range p.Users {
			q.Users = append(q.Users, machinestate.User(u))
		}
		m.Packages = append(m.Packages, q)
	}
	for _, p := range s.Provisioned {
		m.Provisioned = append(m.Provisioned, machinestate.Provisioned{DisplayName: p.Name, PackageName: p.PackageName, Version: p.Version})
	}
	has := func(cmdlet string) bool { return !slices.Contains(s.AbsentCommands, cmdlet) }
	if m.NoAppx = !has("Get-AppxPackage"); m.NoAppx {
		m.Packages, m.Provisioned = nil, nil
	}
	if has("Get-WindowsReservedStorageState") {
		m.ReservedStorage = s.ReservedStorage
	}
	m.ServerManager, m.HyperVTools, m.NPSTools = has("Get-WindowsFeature"), has("Get-VMSwitch"), has("Get-NpsRadiusClient")
	m.Roles, m.RadiusClients = s.Features, s.RadiusClients
	for _, name := range s.Switches {
		if m.HyperVTools {
			m.Switches = append(m.Switches, machinestate.Switch{Name: name, Type: "Internal"})
		}
	}
	for _, line := range s.Programs["netsh.exe nps show remoteservergroup"].Out {
		if line != "" {
			m.RemoteGroups = append(m.RemoteGroups, line)
		}
	}
	if cipher := s.Programs["cipher.exe /u /n /h"]; cipher.Code == 0 {
		m.Encrypted = cipher.Out
	}
	words := func(program string) (list []string) {
		for _, match := range quotedWord.FindAllStringSubmatch(strings.Join(s.Programs[program].Out, "\n"), -1) {
			list = append(list, match[1])
		}
		return list
	}
	m.Token.SID, m.Token.Groups, m.Token.Privileges = words("whoami.exe /user /fo csv /nh")[0], words("whoami.exe /groups /fo csv /nh"), words("whoami.exe /priv /fo csv /nh")
	s.instances(t, &m)
	return m
}

// media are the drives beside the system's. The files of one are found whatever the
// case of their names, as on Windows; on the host where the goldens were made they
// were not, so only those count that were.
func (s fakeState) media() (drives []machinestate.Media) {
	for _, disk := range s.Cim["Win32_LogicalDisk"] {
		id, _ := disk["DeviceID"].(string)
		kind, _ := disk["DriveType"].(float64)
		if kind != 2 && kind != 5 {
			continue
		}
		m := machinestate.Media{Drive: strings.ReplaceAll(id, "/", `\`), Type: int(kind), Files: map[string]string{}}
		for name, content := range s.Files {
			if file, ok := strings.CutPrefix(name, strings.TrimPrefix(id, "C:/")+"/"); ok && file == strings.ToLower(file) {
				m.Files[file] = content
			}
		}
		drives = append(drives, m)
	}
	return drives
}

// instances are those of CIM.
func (s fakeState) instances(t *testing.T, m *machinestate.State) {
	read := func(class string, into func() any) {
		for _, properties := range s.Cim[class] {
			text, err := json.Marshal(properties)
			if err == nil {
				err = json.Unmarshal(text, into())
			}
			if err != nil {
				t.Fatalf("%s: %v", class, err)
			}
		}
	}
	os := struct {
		ProductType    int
		Caption        string
		LastBootUpTime time.Time
	}{}
	read("Win32_OperatingSystem", func() any { return &os })
	m.OS = machinestate.OS{ProductType: os.ProductType, Caption: os.Caption, LastBoot: os.LastBootUpTime}
	computer := struct {
		Name, Domain, Manufacturer, Model string
		PartOfDomain                      bool
		DomainRole                        int
		HypervisorPresent                 *bool
	}{}
	read("Win32_ComputerSystem", func() any { return &computer })
	m.Computer = machinestate.Computer{
		Name: computer.Name, PartOfDomain: computer.PartOfDomain, DomainRole: computer.DomainRole, Domain: computer.Domain, Manufacturer: computer.Manufacturer,
		Model: computer.Model, HypervisorPresent: computer.HypervisorPresent,
	}
	disks := []*struct {
		DeviceID, FileSystem string
		Size, FreeSpace      int64
	}{}
	read("Win32_LogicalDisk", func() any {
		disks = append(disks, new(struct {
			DeviceID, FileSystem string
			Size, FreeSpace      int64
		}))
		return disks[len(disks)-1]
	})
	m.Disk = machinestate.Disk{FileSystem: disks[0].FileSystem, Size: disks[0].Size, Free: disks[0].FreeSpace}
	service := struct{ RemainingWindowsReArmCount int }{}
	read("SoftwareLicensingService", func() any { return &service })
	m.Rearm = service.RemainingWindowsReArmCount
	product := struct {
		Name, Description                                           string
		LicenseStatus, RemainingSkuReArmCount, GracePeriodRemaining int
		EvaluationEndDate                                           time.Time
	}{}
	read("SoftwareLicensingProduct", func() any { return &product })
	m.Products = []machinestate.Product{{
		Name: product.Name, Description: product.Description, LicenseStatus: product.LicenseStatus, Rearm: product.RemainingSkuReArmCount, GraceMinutes: product.GracePeriodRemaining,
		EvaluationEnd: product.EvaluationEndDate,
	}}
	for _, f := range s.Cim["Win32_OptionalFeature"] {
		if name, _ := f["Name"].(string); f["InstallState"] == 1.0 {
			m.OptionalFeatures = append(m.OptionalFeatures, name)
		}
	}
	_, m.BitLocker = s.Cim["Win32_EncryptableVolume"]
	for _, v := range s.Cim["Win32_EncryptableVolume"] {
		drive, _ := v["DriveLetter"].(string)
		number := func(name string) int { n, _ := v[name].(float64); return int(n) }
		m.Volumes = append(m.Volumes, machinestate.Volume{Drive: drive, Conversion: number("_conversion"), Percent: number("_percent"), Protection: number("ProtectionStatus")})
	}
	if tpm := s.Cim["Win32_Tpm"]; len(tpm) > 0 {
		enabled := tpm[0]["IsEnabled_InitialValue"] == true
		m.TPM = &enabled
	}
}

// ofTheHost makes equal what test/run.ps1 makes equal, of the engine and its host.
func ofTheHost(s string) string {
	s = regexp.MustCompile(`"version":"[^"]*","languageMode"`).ReplaceAllString(s, `"version":"0.0","languageMode"`)
	return regexp.MustCompile(`"utcOffsetMinutes":-?\d+`).ReplaceAllString(s, `"utcOffsetMinutes":0`)
}

// sayDifferences names the facts that differ: the documents are one line each.
func sayDifferences(t *testing.T, got, want string) {
	t.Helper()
	var a, b struct{ Facts map[string]json.RawMessage }
	if err := errors.Join(json.Unmarshal([]byte(got), &a), json.Unmarshal([]byte(want), &b)); err != nil {
		t.Fatal(err)
	}
	for _, name := range FactNames() {
		if g, w := string(a.Facts[name]), string(b.Facts[name]); g != w {
			t.Errorf("%s\n got %s\nwant %s", name, g, w)
		}
	}
}

func TestPreflightReproducesTheGoldens(t *testing.T) {
	for _, name := range []string{
		"clean-server-2022", "clean-win11", "appx-per-user", "appx-before-1709", "bitlocker-on", "reboot-pending", "undeployable", "already-generalized",
		"domain-controller", "nps", "low-rearm", "system-user", "filtered-token", "leftovers", "server-core-2012", "everything-throws",
	} {
		t.Run(name, func(t *testing.T) {
			g := preflightIn(t, name)
			out, code := runScript(t, g, "preflight", m{"groups": preflightGroups}, "")
			if code != 0 {
				t.Fatalf("code %d: %s", code, out)
			}
			out = ofTheHost(out)
			if sayDifferences(t, normal(out), golden(t, "preflight-"+name)); !t.Failed() {
				compareGolden(t, "preflight-"+name, out)
			}
		})
	}
}

func TestPreflightAnswersTheGroupsThatAreAsked(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{Condition: Condition{Unreadable: []string{"disk"}}}})
	seen := map[string]bool{}
	for _, group := range preflightGroups {
		out, code := runScript(t, g, "preflight", m{"groups": []string{group}}, "")
		doc := struct {
			Facts map[string]struct{ Value, Error any }
		}{}
		if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 {
			t.Fatalf("%s: %v, code %d: %s", group, err, code, out)
		}
		for _, f := range preflightFacts() {
			got, there := doc.Facts[f.name]
			if there != (f.group == group) || there && (got.Error != nil) != (f.name == "disk") {
				t.Errorf("%s: %s is there: %v, %v", group, f.name, there, got.Error)
			}
			seen[f.name] = seen[f.name] || there
		}
	}
	if got := slices.Sorted(maps.Keys(seen)); len(got) != len(FactNames()) {
		t.Errorf("%d facts, want %d", len(got), len(FactNames()))
	}
	if out, code := runScript(t, g, "preflight", m{"groups": []string{"base", "nonsense"}}, ""); code != 1 || !strings.Contains(out, "unknown group 'nonsense'") {
		t.Errorf("code %d: %s", code, out)
	}
}
