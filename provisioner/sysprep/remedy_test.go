package sysprep

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// remedyRun is a run with remedies on a machine with faults; r is the run, when it has
// begun.
func remedyRun(t *testing.T, s winsim.Scenario, faults []string, block map[string]any, remedies ...string) (g *guestRun, r **run) {
	t.Helper()
	s.Faults = faults
	if block == nil {
		block = map[string]any{}
	}
	block["remedies"] = remedies
	g = newGuestRun(t, s, map[string]any{"preflight": block})
	r = new(*run)
	g.adjust = func(begun *run) { *r = begun }
	return g, r
}

// state looks at the machine.
func (g *guestRun) state(look func(*machinestate.State)) {
	g.sim.Guest.Machine().View(look)
}

func (g *guestRun) runs(service string) (runs bool) {
	g.state(func(s *machinestate.State) { runs = s.Running[service] })
	return runs
}

// Each remedy makes its checks hold, and then sysprep does what it would have refused.
func TestEachRemedyMakesItsChecksHold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		remedy  string
		faults  []string
		scen    winsim.Scenario
		block   map[string]any
		says    []string
		checks  []string // that are checked to have failed before
		machine func(*machinestate.State) bool
	}{
		{remedy: preflight.RemedyAppx, faults: []string{"appx-per-user"}, says: []string{"removed for all users Contoso.Notes_"}, checks: []string{"appx-per-user"},
			machine: func(s *machinestate.State) bool {
				return !slices.ContainsFunc(s.Packages, func(p machinestate.Package) bool { return p.Name == "Contoso.Notes" })
			}},
		{remedy: preflight.RemedyAppx, faults: []string{"appx-desktopappinstaller"}, says: []string{"removed for new users Microsoft.DesktopAppInstaller_1.21", "removed for all users Microsoft.DesktopAppInstaller_1.22"}, checks: []string{"appx-two-versions"}},
		{remedy: preflight.RemedyBitLocker, faults: []string{"bitlocker"}, says: []string{"began to decrypt C:", "Decrypting C:", "is still encrypted"}, checks: []string{"bitlocker"},
			machine: func(s *machinestate.State) bool { return s.Volumes[0].Drive == "C:" }},
		{remedy: preflight.RemedyReserves, faults: []string{"active-scenario"}, says: []string{"ActiveScenario", "turned reserved storage off"}, checks: []string{"active-scenario"},
			machine: func(s *machinestate.State) bool { return s.ReservedStorage == "Disabled" }},
		{remedy: preflight.RemedyProviders, faults: []string{"provider-missing"}, says: []string{`Generalize\azure`}, checks: []string{"external-provider-missing"}},
		{remedy: preflight.RemedyProviders, faults: []string{"provider-third-party"}, block: map[string]any{"remove_providers": []string{"AGENT"}}, says: []string{`Cleanup\agent`}, checks: []string{"external-provider-other"}},
		{remedy: preflight.RemedyAnswers, faults: []string{"answer-files", "answer-pointer"}, says: []string{`renamed C:\Windows\Panther\unattend.xml`, `HKLM:\SYSTEM\Setup\UnattendFile`}, checks: []string{"answer-file-pointer"}},
		{remedy: preflight.RemedyStartTypes, faults: []string{"appxsvc-disabled", "dmwappushservice-disabled"}, says: []string{`set to 3 HKLM:\SYSTEM\CurrentControlSet\Services\AppXSvc\Start`}, checks: []string{"appxsvc-disabled", "dmwappushservice-disabled"}},
		{remedy: preflight.RemedyAutologon, faults: []string{"autologon"}, says: []string{`Winlogon\DefaultPassword`}, checks: []string{"autologon"}},
		{remedy: preflight.RemedyDomain, faults: []string{"domain-member"}, says: []string{"left the domain example.test"}, checks: []string{"domain-joined"},
			machine: func(s *machinestate.State) bool { return !s.Computer.PartOfDomain }},
		{remedy: preflight.RemedyNPS, faults: []string{"nps"}, says: []string{"removed the RADIUS client switch-1"}, checks: []string{"nps-clients"}, block: map[string]any{"fail_on": "never"},
			machine: func(s *machinestate.State) bool { return len(s.RadiusClients) == 0 }},
		{remedy: preflight.RemedySearch, faults: []string{"search-running"}, says: []string{"stopped the service WSearch"}, checks: []string{"windows-search"},
			machine: func(s *machinestate.State) bool { return !s.Running["WSearch"] }},
	} {
		t.Run(strings.Join(append([]string{c.remedy}, c.faults...), " "), func(t *testing.T) {
			t.Parallel()
			g, r := remedyRun(t, c.scen, c.faults, c.block, c.remedy)
			g.start()
			if err := g.sim.Guest.Machine().Change(func(s *machinestate.State) {
				for i := range s.Volumes {
					s.Volumes[i].DecryptTakes = 25 * time.Second // of the guest's time
				}
			}); err != nil {
				t.Fatal(err)
			}
			err := g.provision()
			said := g.ui.text()
			if err != nil {
				t.Errorf("%v\n%s", err, said)
			}
			want(t, said, append(c.says, "Remedy "+c.remedy+": ", "Remedy "+c.remedy+" has changed: ", "Windows is generalized")...)
			if strings.Contains(said, "must-not-appear") {
				t.Error("a password is shown")
			}
			before, after, cut := strings.Cut(said, "Pre-flight after the remedies")
			for _, check := range c.checks {
				if !cut || !strings.Contains(before, " "+check+":") || strings.Contains(after, " "+check+":") {
					t.Errorf("%s before and after:\n%s", check, said)
				}
			}
			if list := (*r).applied.remedies; len(list) != 1 || list[0].ID != c.remedy || !list[0].Changed || list[0].Verified != preflight.VerifiedHolds && c.remedy != preflight.RemedyAnswers || list[0].Error != "" || list[0].Failed() != 0 {
				t.Errorf("the record is %+v", list)
			}
			ok := true
			g.state(func(s *machinestate.State) { ok = c.machine == nil || c.machine(s) })
			if !ok {
				t.Error("the machine is not as it should be")
			}
		})
	}
}

// A remedy that fails leaves it to the checks to end the run, and says why.
func TestARemedyThatFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		remedy, fault, fails string
		ends                 bool
	}{
		{preflight.RemedyAppx, "appx-per-user", "appx-remove", true},
		{preflight.RemedyBitLocker, "bitlocker", "decrypt", true},
		{preflight.RemedyProviders, "provider-missing", "provider-remove", true},
		{preflight.RemedyAnswers, "answer-pointer", "pointer-remove", true},
		{preflight.RemedyStartTypes, "appxsvc-disabled", "set-3", true},
		{preflight.RemedySearch, "search-running", "service-stop", false},
		{preflight.RemedyAutologon, "autologon", "remove", false},
		{preflight.RemedyDomain, "domain-member", "domain-leave", false},
		{preflight.RemedyReserves, "reserved-storage", "reserved-storage-off", false},
	} {
		t.Run(c.remedy, func(t *testing.T) {
			t.Parallel()
			g, r := remedyRun(t, winsim.Scenario{Repairs: winsim.Repairs{RepairFails: []string{c.fails}}}, []string{c.fault}, nil, c.remedy)
			err := g.provision()
			if c.ends {
				wantError(t, err, "sysprep was not started")
			} else if err != nil {
				t.Error(err)
			}
			want(t, g.ui.text(), "Warning: Remedy "+c.remedy+" has changed", "not done: ", "Access is denied.", "Warning: after the remedy "+c.remedy+" the check ")
			if list := (*r).applied.remedies; len(list) != 1 || list[0].Verified != preflight.VerifiedNot || list[0].Failed() == 0 {
				t.Errorf("the record is %+v", list)
			}
			if c.ends && len(g.sim.Guest.Starts()) > 0 {
				t.Error("sysprep was started")
			}
		})
	}
}

// Nothing is changed unless it was asked for by its id, or is harmless.
func TestWhatWasNotAskedForIsNotDone(t *testing.T) {
	t.Parallel()
	faults := []string{"search-running", "autologon", "provider-missing"}
	g, r := remedyRun(t, winsim.Scenario{}, faults, nil, "suggested")
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	var done []string
	for _, a := range (*r).applied.remedies {
		done = append(done, a.ID)
	}
	if !slices.Equal(done, []string{preflight.RemedyUpdates, preflight.RemedyProviders, preflight.RemedySearch}) {
		t.Errorf("done: %q", done)
	}
	if strings.Contains(g.ui.text(), "Remedy autologon") {
		t.Error("autologon was not asked for")
	}
	g, _ = remedyRun(t, winsim.Scenario{}, faults, map[string]any{"report_only": true}, "suggested", "autologon")
	_ = g.provision()
	want(t, g.ui.text(), "Not applied, because of report_only: remedy windows-search (WSearch)", "remedy autologon")
	if !g.runs("WSearch") || strings.Contains(g.ui.text(), "has changed") {
		t.Error("report_only has changed something")
	}
}

// What was only for the run is undone where no image comes of it.
func TestWhatWasOnlyForTheRunIsUndone(t *testing.T) {
	t.Parallel()
	remedies := []string{preflight.RemedySearch, preflight.RemedyUpdates}
	for name, c := range map[string]struct {
		scen   winsim.Scenario
		faults []string
		cancel string // when this is said
		undone bool
	}{
		"the checks end the run":        {faults: []string{"appx-per-user"}, undone: true},
		"sysprep refuses":               {scen: winsim.Scenario{Outcome: winsim.Refused, Class: "F21"}, undone: true},
		"success":                       {},
		"sysprep breaks the machine":    {scen: winsim.Scenario{Outcome: winsim.Broken, Class: "F36"}},
		"a cancel between the remedies": {scen: winsim.Scenario{Repairs: winsim.Repairs{RepairTakes: seconds(1)}}, cancel: "Remedy windows-search: ", undone: true},
		"a cancel while sysprep checks": {scen: winsim.Scenario{Validate: seconds(300)}, cancel: "validating", undone: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, r := remedyRun(t, c.scen, append([]string{"search-running"}, c.faults...), nil, remedies...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			g.ctx = ctx
			g.ui.onSay = func(line string) {
				if c.cancel != "" && strings.Contains(line, c.cancel) {
					cancel()
				}
			}
			err := g.provision()
			if (err == nil) != (name == "success") {
				t.Fatalf("%v", err)
			}
			if g.runs("WSearch") != c.undone || g.runs("UsoSvc") != c.undone {
				t.Errorf("WSearch runs: %v, UsoSvc: %v", g.runs("WSearch"), g.runs("UsoSvc"))
			}
			for _, a := range (*r).applied.remedies {
				if strings.HasPrefix(a.Undone, "started again") != c.undone || a.Undone == "" {
					t.Errorf("%s: %q", a.ID, a.Undone)
				}
			}
			if said := g.ui.text(); strings.Contains(said, "is undone: services started again: ") != c.undone {
				t.Errorf("%s", said)
			}
			if err != nil && c.cancel == "Remedy windows-search: " {
				want(t, err.Error(), "cancelled", "what hygiene and remedies have changed in the guest stays")
			}
		})
	}
}

// The connection is lost while a remedy works: it is asked again, and has nothing left
// to do.
func TestALostConnectionInTheMiddleOfARemedy(t *testing.T) {
	t.Parallel()
	g, r := remedyRun(t, winsim.Scenario{Repairs: winsim.Repairs{RepairTakes: seconds(5)}}, []string{"autologon"}, nil, preflight.RemedyAutologon)
	g.ui.onSay = func(line string) {
		if strings.HasPrefix(line, "Remedy autologon: ") {
			time.AfterFunc(700*time.Millisecond, func() { g.sim.Faults.LoseShells() })
		}
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	if list := (*r).applied.remedies; len(list) != 1 || list[0].Verified != preflight.VerifiedHolds {
		t.Errorf("the record is %+v", list)
	}
}

func TestADriveThatIsNotDecryptedInTime(t *testing.T) {
	t.Parallel()
	g, r := remedyRun(t, winsim.Scenario{}, []string{"bitlocker"}, map[string]any{"bitlocker_timeout": "1s"}, preflight.RemedyBitLocker)
	g.start()
	if err := g.sim.Guest.Machine().Change(func(s *machinestate.State) { s.Volumes[0].DecryptTakes = 24 * time.Hour }); err != nil {
		t.Fatal(err)
	}
	wantError(t, g.provision(), "[not-started", "sysprep was not started: the drive is not decrypted after 1s (bitlocker_timeout)", "% is still encrypted; next: raise bitlocker_timeout")
	if list := (*r).applied.remedies; len(list) != 1 || list[0].Error == "" || !list[0].Changed {
		t.Errorf("the record is %+v", list)
	}
}

func TestTheOptionsOfRemedies(t *testing.T) {
	for name, c := range map[string]struct {
		block map[string]any
		parts []string
	}{
		"an unknown id":           {map[string]any{"remedies": []string{"appx", "bitlocker", "format"}}, []string{`preflight.remedies: there is no remedy "appx" or "format"; use service-start, update-services, `, "windows-search", `"suggested" for those that are harmless (`}},
		"providers without it":    {map[string]any{"remedies": []string{"bitlocker"}, "remove_providers": []string{"x"}}, []string{"preflight.remove_providers: only the remedy external-providers"}},
		"an empty provider":       {map[string]any{"remedies": []string{"suggested"}, "remove_providers": []string{" "}}, []string{"remove_providers[0] is empty"}},
		"no time":                 {map[string]any{"remedies": []string{"bitlocker"}, "bitlocker_timeout": "5ms"}, []string{"bitlocker_timeout: 5ms is less than a second"}},
		"nothing is looked for":   {map[string]any{"remedies": []string{"suggested"}, "enabled": false}, []string{"remedies are for what the checks find"}},
		"all of them":             {map[string]any{"remedies": append(preflight.RemedyIDs(), "suggested"), "remove_providers": []string{"x"}}, nil},
		"none, and the time runs": {map[string]any{"remedies": []string{}}, nil},
	} {
		_, err := decode(t, map[string]any{"preflight": c.block})
		if (err == nil) != (c.parts == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			want(t, err.Error(), c.parts...)
		}
	}
}
