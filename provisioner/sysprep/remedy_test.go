package sysprep

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
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
	g = newOwnRun(t, s, map[string]any{"preflight": block})
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

// remedied are the remedies with faults that each is for: what is said when it is
// applied, the checks that fail without it, and the change that fails in a test.
var remedied = []struct {
	remedy string
	faults []string
	says   []string
	checks []string
	fails  string
}{
	{preflight.RemedyStartTypes, []string{"appxsvc-disabled", "dmwappushservice-disabled"}, []string{"set to start demand: the service AppXSvc", "set to start delayed-auto: the service dmwappushservice"}, []string{"appxsvc-disabled", "dmwappushservice-disabled"}, "start-demand"},
	{preflight.RemedyUpdates, nil, []string{"stopped the service UsoSvc"}, nil, ""},
	{preflight.RemedyDomain, []string{"domain-member"}, []string{"left the domain example.test"}, []string{"domain-joined"}, "domain-leave"},
	{preflight.RemedyNPS, []string{"nps"}, []string{"removed the RADIUS client switch-1"}, []string{"nps-clients"}, "nps-client-remove"},
	{preflight.RemedyProviders, []string{"provider-missing", "provider-third-party"}, []string{`removed HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\SysPrepExternal\Generalize\azure`, `SysPrepExternal\Cleanup\agent`}, []string{"external-provider-missing", "external-provider-other"}, "provider-remove"},
	{preflight.RemedyAnswers, []string{"answer-files", "answer-pointer"}, []string{`renamed C:\Windows\Panther\unattend.xml`, `removed HKLM:\SYSTEM\Setup\UnattendFile`}, []string{"answer-file-pointer"}, "pointer-remove"},
	{preflight.RemedyAutologon, []string{"autologon"}, []string{`Winlogon\DefaultPassword`}, []string{"autologon"}, "set-0"},
	{preflight.RemedyReserves, []string{"active-scenario"}, []string{`set to 0 HKLM:\SOFTWARE\Microsoft\Windows\CurrentVersion\ReserveManager\ActiveScenario`, "turned reserved storage off"}, []string{"active-scenario"}, "set-0"},
	{preflight.RemedyBitLocker, []string{"bitlocker"}, []string{"began to decrypt C:"}, []string{"bitlocker"}, "decrypt"},
	{preflight.RemedyAppx, []string{"appx-per-user", "appx-desktopappinstaller"}, []string{"removed for new users Microsoft.DesktopAppInstaller_1.21", "removed for all users Microsoft.DesktopAppInstaller_1.22", "removed for all users Contoso.Notes_"}, []string{"appx-per-user", "appx-two-versions"}, "appx-remove"},
	{preflight.RemedySearch, []string{"search-running"}, []string{"stopped the service WSearch"}, []string{"windows-search"}, "service-stop"},
}

// all are the remedies of the table, and their faults.
func all() (remedies, faults []string) {
	for _, c := range remedied {
		remedies, faults = append(remedies, c.remedy), append(faults, c.faults...)
	}
	return remedies, faults
}

func machine(t *testing.T, g *guestRun, change func(*machinestate.State)) {
	t.Helper()
	g.start()
	if err := g.sim.Guest.Machine().Change(change); err != nil {
		t.Fatal(err)
	}
}

// section is what is said of a remedy, up to the next one.
func section(said, remedy string) string {
	_, rest, _ := strings.Cut(said, "Remedy "+remedy+" has changed")
	mine, _, _ := strings.Cut(rest, "\nRemedy ")
	return mine
}

// All remedies on a machine that needs all of them: each makes its checks hold, in an
// order that works, and sysprep does what it would have refused.
func TestEachRemedyMakesItsChecksHold(t *testing.T) {
	t.Parallel()
	remedies, faults := all()
	if !slices.Equal(remedies, preflight.RemedyIDs()) {
		t.Fatalf("the table has %q, there are %q", remedies, preflight.RemedyIDs())
	}
	g, r := remedyRun(t, winsim.Scenario{}, faults, map[string]any{"remove_providers": []string{"AGENT"}}, remedies...)
	machine(t, g, func(s *machinestate.State) {
		s.Volumes[0].DecryptTakes = 10 * time.Second // of the guest's time
		s.RemoteGroups = nil
	})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	said := g.ui.text()
	want(t, said, "Decrypting C:, of which ", "% is still encrypted (waiting up to 2h0m0s, see bitlocker_timeout)", "Windows is generalized")
	if strings.Contains(said, "must-not-appear") {
		t.Error("a password is shown")
	}
	before, after, cut := strings.Cut(said, "Pre-flight after the remedies")
	if len((*r).applied.remedies) != len(remedied) || !cut {
		t.Fatalf("the record is %+v", (*r).applied.remedies)
	}
	for i, c := range remedied {
		want(t, section(said, c.remedy), c.says...)
		want(t, before, "Remedy "+c.remedy+": ")
		for _, check := range c.checks {
			if !strings.Contains(before, " "+check+":") || strings.Contains(after, " "+check+":") {
				t.Errorf("%s before and after:\n%s", check, said)
			}
		}
		// Copies of answer files that sysprep itself leaves are not looked for again.
		if a := (*r).applied.remedies[i]; a.ID != c.remedy || !a.Changed || a.Verified != preflight.VerifiedHolds || a.Error != "" || a.Failed() != 0 {
			t.Errorf("the record is %+v", a)
		}
	}
	g.state(func(s *machinestate.State) {
		for _, p := range s.Packages {
			if strings.HasPrefix(p.Name, "Contoso.") || p.Name == "Microsoft.DesktopAppInstaller" {
				t.Errorf("%s is there", p.FullName)
			}
		}
		if s.Computer.PartOfDomain || len(s.RadiusClients) > 0 || s.ReservedStorage != "Disabled" || s.Running["WSearch"] {
			t.Errorf("the machine is %+v", s)
		}
	})
}

// Remedies that fail leave it to the checks to end the run, and each says why.
func TestARemedyThatFails(t *testing.T) {
	t.Parallel()
	remedies, faults := all()
	var fails []string
	for _, c := range remedied {
		fails = append(fails, c.fails)
	}
	g, r := remedyRun(t, winsim.Scenario{Repairs: winsim.Repairs{RepairFails: fails}}, faults, nil, remedies...)
	wantError(t, g.provision(), "sysprep was not started; what the remedies have changed stays", "bitlocker: ", "appx-per-user: ", "appxsvc-disabled: ")
	said := g.ui.text()
	if len(g.sim.Guest.Starts()) > 0 || len((*r).applied.remedies) != len(remedied) {
		t.Fatalf("sysprep was started, or not all is recorded: %+v", (*r).applied.remedies)
	}
	for i, c := range remedied {
		a := (*r).applied.remedies[i]
		if a.Failed() == 0 || a.ID != c.remedy || len(c.checks) > 0 && a.Verified != preflight.VerifiedNot {
			t.Errorf("the record is %+v", a)
		}
		want(t, said, "Warning: Remedy "+c.remedy+" has changed")
		want(t, section(said, c.remedy), "not done: ", "Access is denied.")
		for _, check := range c.checks {
			switch check {
			case "dmwappushservice-disabled": // its change has worked
			case "appx-two-versions": // one of them is not provisioned any more, which appx-per-user finds
			default:
				want(t, said, "Warning: after the remedy "+c.remedy+" the check "+check+" still says: ")
			}
		}
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

// The service control manager goes by what it read when Windows started: a start type
// that is in the registry alone changes nothing for sysprep, and is told.
func TestAStartTypeInTheRegistryAloneIsNotEnough(t *testing.T) {
	t.Parallel()
	unread := func(s *machinestate.State) { s.Unread = []string{"AppXSvc"} }
	for name, c := range map[string]struct {
		change   func(*machinestate.State)
		remedies []string
		error    []string
		said     []string
	}{
		"it fails":       {change: unread, error: []string{"the service AppXSvc is disabled until Windows is restarted", "windows-restart"}},
		"the remedy":     {change: unread, remedies: []string{preflight.RemedyStartTypes}, said: []string{"set to start demand: the service AppXSvc", "Windows is generalized"}},
		"it is refused":  {change: func(s *machinestate.State) { unread(s); s.Protected = []string{"AppXSvc"} }, remedies: []string{preflight.RemedyStartTypes}, error: []string{"disabled until Windows is restarted"}, said: []string{"not done: AppXSvc (start-demand): sc.exe ended with exit code 5", "still says: the service AppXSvc is disabled until"}},
		"nothing is due": {change: func(*machinestate.State) {}, said: []string{"Windows is generalized"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, r := remedyRun(t, winsim.Scenario{}, nil, nil, c.remedies...)
			machine(t, g, c.change)
			err := g.provision()
			if c.error != nil {
				wantError(t, err, c.error...)
			} else if err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), c.said...)
			if list := (*r).applied.remedies; name == "it is refused" && (len(list) != 1 || list[0].Verified != preflight.VerifiedNot || list[0].Changed) {
				t.Errorf("the record is %+v", list)
			}
		})
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

// The questions of the pre-flight start TiWorker, which is no update when the guest is
// asked again after a remedy.
func TestTheQuestionsAreNoServicing(t *testing.T) {
	t.Parallel()
	wakes := winsim.Scenario{Condition: winsim.Condition{ServicingWakes: seconds(3600)}}
	g, _ := remedyRun(t, wakes, []string{"search-running"}, map[string]any{"severities": map[string]string{"servicing-busy": "fail"}}, preflight.RemedySearch)
	machine(t, g, func(s *machinestate.State) { s.ReservedStorage = "Disabled" })
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	if said := g.ui.text(); !strings.Contains(said, "Pre-flight after the remedies") || !strings.Contains(said, "Windows is generalized") || strings.Contains(said, "servicing-busy") {
		t.Error(said)
	}
}

// What cannot be started again is not called undone.
func TestAServiceThatDoesNotStartAgain(t *testing.T) {
	t.Parallel()
	g, r := remedyRun(t, winsim.Scenario{}, []string{"search-running", "appx-per-user"}, nil, preflight.RemedySearch)
	g.ui.onSay = func(line string) {
		if strings.HasPrefix(line, "Remedy windows-search has changed") {
			if err := g.sim.Guest.Machine().Change(func(s *machinestate.State) { s.Unread = []string{"WSearch"} }); err != nil {
				t.Error(err)
			}
		}
	}
	wantError(t, g.provision(), "appx-per-user: ")
	want(t, g.ui.text(), "Warning: remedy windows-search is not undone: services not started again: WSearch")
	if a := (*r).applied.remedies[0]; !strings.HasPrefix(a.Undone, "not started again: WSearch") {
		t.Errorf("%+v", a)
	}
}

// The connection is lost while a remedy works: it is asked again, and has nothing left
// to do.
func TestALostConnectionInTheMiddleOfARemedy(t *testing.T) {
	t.Parallel()
	g, r := remedyRun(t, winsim.Scenario{Repairs: winsim.Repairs{RepairTakes: seconds(20)}}, []string{"search-running"}, nil, preflight.RemedySearch)
	var commands atomic.Int32
	g.server.OnEvent = func(e wsman.Event) {
		if e.Action == "Command" && strings.Contains(e.Detail, "repair.ps1 ") && commands.Add(1) == 1 {
			go g.sim.Faults.LoseShells()
		}
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	if list := (*r).applied.remedies; len(list) != 1 || list[0].Verified != preflight.VerifiedHolds || list[0].Error != "" {
		t.Errorf("the record is %+v", list)
	}
	if n := commands.Load(); n != 2 || g.runs("WSearch") {
		t.Errorf("the remedy was asked for %d times; WSearch runs: %v", n, g.runs("WSearch"))
	}
}

// The restart into audit mode starts services again.
func TestServicesAreStoppedAgainInAuditMode(t *testing.T) {
	t.Parallel()
	g, r := remedyRun(t, winsim.Scenario{}, []string{"search-running"}, nil, preflight.RemedySearch)
	g.options["through_audit"] = true
	var commands atomic.Int32
	g.server.OnEvent = func(e wsman.Event) {
		if e.Action == "Command" && strings.Contains(e.Detail, "repair.ps1 ") {
			commands.Add(1)
		}
	}
	g.ui.onSay = func(line string) {
		if strings.Contains(line, "back in audit mode") && !strings.Contains(line, "Waiting") {
			if err := g.sim.Guest.Machine().Change(func(s *machinestate.State) { s.Running["WSearch"] = true }); err != nil {
				t.Error(err)
			}
		}
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	if n := commands.Load(); n != 2 || g.runs("WSearch") {
		t.Errorf("repaired %d times; WSearch runs: %v", n, g.runs("WSearch"))
	}
	if a := (*r).applied.remedies[0]; !strings.HasPrefix(a.Undone, "not started again: ") {
		t.Errorf("%+v", a)
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
