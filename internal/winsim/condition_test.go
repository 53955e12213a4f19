package winsim

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
)

// factsOf are the facts of every group, without the clock's.
func factsOf(t *testing.T, g *Guest) map[string]string {
	t.Helper()
	out, code := runScript(t, g, "preflight", m{"groups": preflightGroups}, "")
	var doc struct{ Facts map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(normal(out)), &doc); err != nil || code != 0 {
		t.Fatalf("%v, code %d: %s", err, code, out)
	}
	facts := map[string]string{}
	for name, raw := range doc.Facts {
		facts[name] = string(raw)
	}
	return facts
}

const generalizeQuietly = sysprepExe + " /generalize /oobe /quit /quiet"

// seenIn is where a pre-flight finds what is not in the fact that the name says.
var seenIn = map[string]string{
	"appx-per-user": "appx", "appx-newer": "appx", "appx-of-a-lost-profile": "appx", "appx-sechealthui": "appxProvisioned", "appx-desktopappinstaller": "appx",
	"appxsvc-disabled": "services", "wuauserv-disabled": "services", "bitlocker": "bitlocker", "active-scenario": "reservedStorage", "updates-pending": "rebootPending",
	"servicing": "processes", "rearm-exhausted": "licensing", "evaluation-expired": "licensing", "dsc": "dsc", "defender-onboarded": "defender", "event-log-moved": "eventLogs",
	"provider-missing": "externalProviders", "provider-third-party": "externalProviders", "upgraded": "setup", "domain-member": "computer", "role-unsupported": "roles",
	"hyperv-switches": "hyperv", "nps": "nps", "cluster": "cluster", "answer-files": "answerFiles", "answer-media": "answerFiles", "profile-lost": "profiles", "disk-full": "disk",
	"encrypted-files": "encryptedFiles", "autologon": "autologon", "physical": "computer", "page-file-moved": "pageFile", "winrm-open": "winrm", "second-system": "bootEntries",
	"skip-rearm": "licensingRegistry", "packer-leftovers": "packerLeftovers", "tpm": "tpm", "no-token-policy": "identity",
}

// What a pre-flight finds is what a run of sysprep meets.
func TestEveryFaultIsSeenAndMet(t *testing.T) {
	t.Parallel()
	sound := map[bool]map[string]string{}
	scenario := func(name string) (s Scenario, client bool) {
		client = strings.HasPrefix(name, "appx-") || strings.Contains(name, "encryption") || name == "dmwappushservice-disabled" || name == "tpm"
		if client {
			s.Windows = "11-24h2"
		}
		return s, client
	}
	for _, name := range []string{"", "tpm"} {
		s, client := scenario(name)
		g := newGuest(t, Options{Speed: fast, Scenario: s})
		sound[client] = factsOf(t, g)
		if out, code := do(g, generalizeQuietly); code != 0 || g.imageState() != imageGeneralizedOOBE {
			t.Fatalf("without a fault: code %d, %s: %s", code, g.imageState(), out)
		}
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s, client := scenario(f.name)
			s.Faults = []string{f.name}
			g := newGuest(t, Options{Speed: fast, Scenario: s})
			var differ []string
			for fact, text := range factsOf(t, g) {
				if text != sound[client][fact] {
					differ = append(differ, fact)
				}
			}
			if want := seenIn[f.name]; len(differ) == 0 || want != "" && !slices.Contains(differ, want) {
				t.Errorf("seen in %v, want %s", differ, want)
			}
			if FaultClass(f.name) != f.class {
				t.Errorf("class %q", FaultClass(f.name))
			}
			if f.name == "wuauserv-disabled" {
				return // the run hangs
			}
			_, code := do(g, generalizeQuietly)
			if f.class == "" {
				if code != 0 || g.imageState() != imageGeneralizedOOBE {
					t.Errorf("code %d, %s", code, g.imageState())
				}
				return
			}
			class, _ := setuplog.Find(f.class)
			want := imageComplete
			if class.Phase == setuplog.Provider {
				want = imageUndeployable
			}
			lines := class.Lines(nil)
			if log := text(t, g, fileErrLog); code != 1 || g.imageState() != want || !strings.Contains(log, lines[len(lines)-1].Text) {
				t.Errorf("code %d, %s, want %s and %q:\n%s", code, g.imageState(), want, lines[len(lines)-1].Text, log)
			}
		})
	}
}

// Sysprep names the first package only, and stops at its first objection.
func TestSysprepStopsAtItsFirstObjection(t *testing.T) {
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Condition: Condition{Faults: []string{"rearm-exhausted", "bitlocker", "appx-of-a-lost-profile", "appx-per-user", "updates-pending"}}}})
	refused := func(want string) {
		t.Helper()
		if err := g.drive.RemoveAll(g.full(folderPanther)); err != nil {
			t.Fatal(err)
		}
		if err := g.drive.MkdirAll(g.full(folderPanther)); err != nil {
			t.Fatal(err)
		}
		_, code := do(g, generalizeQuietly)
		if log := text(t, g, fileErrLog); code != 1 || !strings.Contains(log, want) {
			t.Fatalf("code %d, want %q:\n%s", code, want, log)
		}
	}
	change := func(f func(*machinestate.State)) {
		t.Helper()
		if err := g.Machine().Change(f); err != nil {
			t.Fatal(err)
		}
	}
	refused("updates that require a reboot")
	g.reg.DeleteKey(keyRebootPending)
	g.reg.DeleteKey(keyRebootRequired)
	for _, name := range []string{"Contoso.Notes", "Contoso.Mail"} {
		refused("Package " + name + "_1.0.0.0_x64__8wekyb3d8bbwe was installed")
		change(func(s *machinestate.State) { notFor(s, name) })
	}
	refused("BitLocker is on")
	change(func(s *machinestate.State) {
		if code := s.Volumes[0].Decrypt(g.now()); code != 0 {
			t.Errorf("Decrypt returns %d", code)
		}
		s.Volumes[0].DecryptTakes = 0
	})
	// The answer file leaves the licensing state as it is.
	if err := g.drive.WriteFile(fileUnattend, []byte(`<unattend><SkipRearm>1</SkipRearm></unattend>`)); err != nil {
		t.Fatal(err)
	}
	if out, code := do(g, generalizeQuietly+" /unattend:"+g.full(fileUnattend)); code != 0 || g.imageState() != imageGeneralizedOOBE {
		t.Errorf("code %d, %s: %s", code, g.imageState(), out)
	}
}

// What is changed stays when the guest is made again on its drive.
func TestTheStateOfAMachineIsKept(t *testing.T) {
	opt := Options{Root: t.TempDir(), Scenario: Scenario{Condition: Condition{Faults: []string{"bitlocker", "cluster", "autologon"}, Apps: 3}}}
	make := func() *Guest {
		g, err := New(opt)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := make()
	if err := g.Machine().Change(func(s *machinestate.State) { s.Volumes, s.Rearm = nil, 3 }); err != nil {
		t.Fatal(err)
	}
	g.reg.SetString(keyWinlogon, "AutoAdminLogon", "0")
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	g = make()
	defer func() { _ = g.Close() }()
	facts := factsOf(t, g)
	for fact, want := range map[string]string{"bitlocker": `"volumes":[]`, "cluster": `"key":true`, "autologon": `"AutoAdminLogon":"0"`, "appx": "Contoso.Application.Number2", "licensing": `"remainingWindowsReArmCount":3,`} {
		if !strings.Contains(facts[fact], want) {
			t.Errorf("%s: %s, want %s", fact, facts[fact], want)
		}
	}
}

// A run of the past was before the machine became what it is.
func TestAFaultDoesNotChangeThePast(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{Start: Generalized, Condition: Condition{Faults: []string{"bitlocker", "provider-third-party"}}}})
	if g.imageState() != imageGeneralizedOOBE {
		t.Error(g.imageState())
	}
	if got := factsOf(t, g)["externalProviders"]; !strings.Contains(got, `"company":"Contoso Ltd."`) {
		t.Error(got)
	}
	if err := g.drive.Remove(g.full(`\Program Files\Contoso\agent.dll`)); err != nil {
		t.Fatal(err)
	}
	if got := factsOf(t, g)["externalProviders"]; !strings.Contains(got, `"exists":false,"company":null`) {
		t.Error(got)
	}
}

func TestDecryptionGoesOnByItself(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	v := machinestate.Volume{Drive: "C:", Conversion: 1, Percent: 100, DecryptTakes: 10 * time.Minute}
	if same := v.At(at); same != v {
		t.Errorf("%+v", same)
	}
	v.Decrypt(at)
	for after, want := range map[time.Duration][2]int{0: {3, 100}, 5 * time.Minute: {3, 50}, 10 * time.Minute: {0, 0}} {
		if got := v.At(at.Add(after)); got.Conversion != want[0] || got.Percent != want[1] {
			t.Errorf("after %s: %+v", after, got)
		}
	}
	refuses := machinestate.Volume{Conversion: 1, DecryptReturn: 0x80310029}
	if code := refuses.Decrypt(at); code != 0x80310029 || refuses.Conversion != 1 {
		t.Errorf("%d, %+v", code, refuses)
	}
}

func TestAGroupTakesItsTime(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{Condition: Condition{GroupTakes: map[string]Duration{"appx": Duration(time.Minute)}}}})
	var took time.Duration
	g.rest = func(_ context.Context, d time.Duration) { took += d }
	for group, want := range map[string]time.Duration{"base": 0, "appx": time.Minute} {
		took = 0
		if out, code := runScript(t, g, "preflight", m{"groups": []string{group}}, ""); code != 0 || took != want {
			t.Errorf("%s: %s, code %d: %.80s", group, took, code, out)
		}
	}
	for _, bad := range []string{`{"faults":["x"]}`, `{"unreadable":["x"]}`, `{"apps":-1}`, `{"group_takes":{"x":"1s"}}`, `{"group_takes":{"appx":"-1s"}}`} {
		if _, err := ParseScenario(bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
