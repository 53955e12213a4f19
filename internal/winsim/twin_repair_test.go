package winsim

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// machineState is what a state of internal/guest/scripts/test says of the machine
// that repair.ps1 asks for.
type machineState struct {
	Extends  string
	Registry map[string]map[string]any
	Services map[string]string
	Appx     []struct {
		Name, FullName, Family, Version, Signature, Location string
		Framework, Resource, NonRemovable                    bool
		Users                                                []machinestate.User
	}
	Provisioned     []struct{ Name, PackageName, Version string }
	ReservedStorage *string
	RadiusClients   []string
	Cim             struct {
		EncryptableVolumes []struct {
			DriveLetter string
			Conversion  int   `json:"_conversion"`
			Percent     int   `json:"_percent"`
			Decrypt     int64 `json:"_decrypt"`
		} `json:"Win32_EncryptableVolume"`
	}
}

// inMachineState is inState, with that.
func inMachineState(t *testing.T, name string, scenario Scenario) *Guest {
	t.Helper()
	g := inState(t, name, scenario)
	layers := []machineState{}
	for next := name; next != ""; {
		text, err := os.ReadFile(filepath.Join(testutil.Root(), "internal", "guest", "scripts", "test", "states", next+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var s machineState
		if err := json.Unmarshal(bytes.ReplaceAll(text, []byte("{C}"), []byte("C:")), &s); err != nil {
			t.Fatal(err)
		}
		layers = append([]machineState{s}, layers...)
		next = s.Extends
	}
	err := g.machine.Change(func(m *machinestate.State) {
		m.Running = map[string]bool{}
		for _, s := range layers {
			for key, values := range s.Registry { // readState takes that of the last layer only
				key = strings.Replace(key, "HKLM:", "HKLM", 1)
				for name, value := range values {
					switch v := value.(type) {
					case string:
						g.reg.SetString(key, name, v)
					case float64:
						g.reg.SetDWord(key, name, uint32(int64(v)))
					}
				}
			}
			for name, status := range s.Services {
				m.Running[name] = status == "Running"
				if !g.reg.Has(keyServices + `\` + name) {
					g.reg.SetDWord(keyServices+`\`+name, "Start", 3)
				}
			}
			if s.Appx != nil {
				m.Packages = nil
				for _, p := range s.Appx {
					m.Packages = append(m.Packages, machinestate.Package{Name: p.Name, FullName: p.FullName, FamilyName: p.Family, Version: p.Version, SignatureKind: p.Signature,
						Framework: p.Framework, Resource: p.Resource, NonRemovable: p.NonRemovable, InstallLocation: p.Location, Users: p.Users})
					for _, u := range p.Users {
						g.reg.SetString(keyProfiles+`\`+u.SID, "ProfileImagePath", `C:\Users\x`)
					}
				}
			}
			if s.Provisioned != nil {
				m.Provisioned = nil
				for _, p := range s.Provisioned {
					m.Provisioned = append(m.Provisioned, machinestate.Provisioned{DisplayName: p.Name, PackageName: p.PackageName, Version: p.Version})
				}
			}
			if s.ReservedStorage != nil {
				m.ReservedStorage = *s.ReservedStorage
			}
			if s.RadiusClients != nil {
				m.RadiusClients, m.NPSTools = s.RadiusClients, true
			}
			if volumes := s.Cim.EncryptableVolumes; volumes != nil {
				m.BitLocker, m.Volumes = true, nil
				for _, v := range volumes {
					m.Volumes = append(m.Volumes, machinestate.Volume{Drive: v.DriveLetter, Conversion: v.Conversion, Percent: v.Percent, DecryptReturn: v.Decrypt, DecryptTakes: 1 << 40})
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const (
	winget = "Microsoft.Winget.Source_2024.414.1454.918_neutral__8wekyb3d8bbwe"
	cbs    = "MicrosoftWindows.Client.CBS_1000.26100.1.0_x64__cw5n1h2txyewy"
	calc   = "Microsoft.WindowsCalculator_2024.1101.0.0_neutral_~_8wekyb3d8bbwe"
)

// What came later ("first", "named", "scenario" and four more ids) is in answers_test.go.
func TestRepairGivesTheGoldens(t *testing.T) {
	for _, c := range []struct {
		golden, state string
		parameters    m
		adjust        func(*machinestate.State)
	}{
		{"repair-appx-remove", "appx-per-user", m{"id": "appx-remove", "packages": []string{winget, cbs, "gone_1"}, "provisioned": []string{calc}}, nil},
		{"repair-search-stop", "clean-win11", m{"id": "search-stop"}, nil},
		{"repair-search-stop-fails", "clean-win11", m{"id": "search-stop"}, func(s *machinestate.State) { s.Stubborn = []string{"WSearch"} }},
		{"repair-update-services-stop", "clean-server-2022", m{"id": "update-services-stop"}, nil},
		{"repair-bitlocker-off", "bitlocker-on", m{"id": "bitlocker-off"}, nil},
		{"repair-reserved-storage-off", "clean-win11", m{"id": "reserved-storage-off"}, func(s *machinestate.State) { s.ReservedStorage = "Enabled" }},
		{"repair-external-provider-remove", "leftovers", m{"id": "external-provider-remove", "providers": []m{{"phase": "Generalize", "name": "azure"}}}, nil},
		{"repair-answer-files-aside", "leftovers", m{"id": "answer-files-aside", "files": []string{`%windir%\Panther\unattend.xml`, `%windir%\none.xml`}, "pointer": true}, nil},
		{"repair-autologon-clear", "leftovers", m{"id": "autologon-clear"}, nil},
		{"repair-everything-throws", "everything-throws", m{"id": "autologon-clear"}, nil},
		{"bad-parameters", "clean-server-2022", m{"id": "nonsense"}, nil},
	} {
		t.Run(c.golden, func(t *testing.T) {
			g := inMachineState(t, c.state, Scenario{})
			if c.adjust != nil {
				if err := g.machine.Change(c.adjust); err != nil {
					t.Fatal(err)
				}
			}
			if !strings.HasSuffix(c.golden, "-throws") && c.golden != "bad-parameters" {
				dry, _ := runScript(t, g, "repair", with(c.parameters, "dryRun", true), "")
				if !strings.Contains(dry, `"changed":false`) || !strings.Contains(dry, `"after":null`) {
					t.Errorf("a dry run: %s", dry)
				}
			}
			out, _ := runScript(t, g, "repair", c.parameters, "")
			compareGolden(t, c.golden, out)
		})
	}
}

func with(p m, name string, value any) m {
	q := m{name: value}
	for k, v := range p {
		q[k] = v
	}
	return q
}

// repaired runs repair.ps1 and returns what it did, "what target error" each.
func repaired(t *testing.T, g *Guest, p m) (did []string) {
	t.Helper()
	out, code := runScript(t, g, "repair", p, "")
	var answer struct {
		OK      bool
		Actions []struct {
			What, Target string
			Done         bool
			Error        *string
		}
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code != 0 || !answer.OK {
		t.Fatalf("%v, code %d: %s", err, code, out)
	}
	for _, a := range answer.Actions {
		text := a.What + " " + a.Target
		if a.Error != nil {
			text += ": " + *a.Error
		}
		if a.Done == (a.Error != nil) {
			t.Errorf("done is %v: %s", a.Done, text)
		}
		did = append(did, text)
	}
	return did
}

// Two versions of an app, of which the older one is provisioned: users first ends
// with 0x80070032, and then the other half is left alone.
func TestPackagesGoInTheOrderThatWorks(t *testing.T) {
	const old, newer = "Microsoft.DesktopAppInstaller_1.21.10120.0_x64__8wekyb3d8bbwe", "Microsoft.DesktopAppInstaller_1.22.10661.0_x64__8wekyb3d8bbwe"
	const provisioned = "Microsoft.DesktopAppInstaller_1.21.10120.0_neutral_~_8wekyb3d8bbwe"
	p := m{"id": "appx-remove", "packages": []string{old, newer}, "provisioned": []string{provisioned}}
	first := with(p, "first", []string{"Microsoft.DesktopAppInstaller_8wekyb3d8bbwe"})
	refused := "Deployment failed with HRESULT: 0x80070032, The request is not supported."

	g := newGuest(t, Options{Scenario: Scenario{Condition: Condition{Faults: []string{"appx-desktopappinstaller"}}}})
	wantActions(t, repaired(t, g, p), "appx-remove "+old+": "+refused, "appx-remove "+newer+": left alone: its provisioned package could not be removed",
		"appx-deprovision "+provisioned+": left alone: a package of its family could not be removed")
	wantActions(t, repaired(t, g, first), "appx-deprovision "+provisioned, "appx-remove "+old, "appx-remove "+newer)
	wantActions(t, repaired(t, g, first))

	g = newGuest(t, Options{Scenario: Scenario{Condition: Condition{Faults: []string{"appx-desktopappinstaller"}}, Repairs: Repairs{RepairFails: []string{"appx-deprovision"}}}})
	left := ": left alone: its provisioned package could not be removed"
	wantActions(t, repaired(t, g, first), "appx-deprovision "+provisioned+": Access is denied.", "appx-remove "+old+left, "appx-remove "+newer+left)
}

func wantActions(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestRepairsOfFaults(t *testing.T) {
	const setup = `HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal\`
	for _, c := range []struct {
		name   string
		faults []string
		p      m
		want   []string
	}{
		{"start types", []string{"dmwappushservice-disabled", "wuauserv-disabled"}, m{"id": "service-enable", "services": []string{"dmwappushservice", "wuauserv", "AppXSvc", "WinRM"}},
			[]string{"start-delayed-auto dmwappushservice", "start-demand wuauserv"}},
		{"only those that are named", []string{"wuauserv-disabled"}, m{"id": "service-enable", "services": []string{"AppXSvc"}}, nil},
		{"RADIUS clients", []string{"nps"}, m{"id": "nps-clients-remove", "clients": []string{"switch-1", "gone"}}, []string{"nps-client-remove switch-1"}},
		{"a member of a domain", []string{"domain-member"}, m{"id": "domain-leave"}, []string{"domain-leave example.test"}},
		{"a domain controller", []string{"domain-controller"}, m{"id": "domain-leave"}, []string{"domain-leave example.test: it is a domain controller"}},
		{"a workgroup", nil, m{"id": "domain-leave"}, nil},
		{"a provider of others", []string{"provider-third-party"}, m{"id": "external-provider-remove", "providers": []m{{"phase": "Cleanup", "name": "agent"}}},
			[]string{"provider-remove " + setup + `Cleanup\agent: its DLL exists, so it is not stale`}},
		{"and it is named", []string{"provider-third-party"}, m{"id": "external-provider-remove", "providers": []m{{"phase": "Cleanup", "name": "agent", "named": true}}},
			[]string{"provider-remove " + setup + `Cleanup\agent`}},
		{"a scenario", []string{"active-scenario"}, m{"id": "reserved-storage-off", "scenario": true},
			[]string{`set-0 HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\ReserveManager\ActiveScenario`, "reserved-storage-off "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGuest(t, Options{Scenario: Scenario{Condition: Condition{Faults: c.faults}}})
			if len(c.want) > 0 {
				out, _ := runScript(t, g, "repair", with(c.p, "dryRun", true), "")
				if !strings.Contains(out, `"changed":false`) {
					t.Errorf("a dry run: %s", out)
				}
			}
			wantActions(t, repaired(t, g, c.p), c.want...)
			for _, a := range repaired(t, g, c.p) {
				if !strings.Contains(a, ": ") {
					t.Errorf("a second time it does %s", a)
				}
			}
		})
	}
}

// A start type in the registry counts from the next start on; sc.exe changes it at once,
// where the service is not protected.
func TestTheServiceControlManagerReadsTheRegistryAtTheStart(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{Condition: Condition{Faults: []string{"wuauserv-disabled"}}}})
	p := m{"id": "service-enable", "services": []string{"wuauserv"}}
	c := &cmdshell.Call{Name: "reg.exe", Dir: g.profile(), Env: g.environment("packer"), Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{},
		Args: `add HKLM\SYSTEM\CurrentControlSet\Services\wuauserv /v Start /t REG_DWORD /d 3 /f`}
	if _, run := g.prepare(context.Background(), c, "packer"); run() != 0 {
		t.Fatal(c.Stderr)
	}
	if n, _ := g.reg.GetDWord(keyServices+`\wuauserv`, "Start"); n != 3 || !g.disabled("wuauserv") {
		t.Errorf("Start is %d, and it is disabled: %v", n, g.disabled("wuauserv"))
	}
	if out, _ := runScript(t, g, "repair", with(p, "dryRun", true), ""); !strings.Contains(out, `"before":{"wuauserv":{"start":3,"delayed":null,"mode":"Disabled"}}`) {
		t.Error(out)
	}
	wantActions(t, repaired(t, g, p), "start-demand wuauserv")
	wantActions(t, repaired(t, g, p))
	if g.disabled("wuauserv") {
		t.Error("it is disabled")
	}
	if err := g.machine.Change(func(s *machinestate.State) { s.Protected = []string{"wuauserv"} }); err != nil {
		t.Fatal(err)
	}
	g.reg.SetDWord(keyServices+`\wuauserv`, "Start", 4)
	wantActions(t, repaired(t, g, p), "start-demand wuauserv: sc.exe ended with exit code 5: Access is denied.")
	if n, _ := g.reg.GetDWord(keyServices+`\wuauserv`, "Start"); n != 4 {
		t.Errorf("Start is %d", n)
	}
}

func TestOldPowerShellDoesNotTellStartTypes(t *testing.T) {
	for version, want := range map[string]string{"2012r2": `"mode":null`, "2022": `"mode":"Manual"`} {
		g := newGuest(t, Options{Scenario: Scenario{Unkind: Unkind{Windows: version}}})
		if out, _ := runScript(t, g, "repair", m{"id": "service-enable", "services": []string{"wuauserv"}, "dryRun": true}, ""); !strings.Contains(out, want) {
			t.Errorf("%s: %s", version, out)
		}
	}
}
