package sysprep

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/preflight"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

func on(more ...string) map[string]any {
	block := map[string]any{"enabled": true}
	for i := 0; i+1 < len(more); i += 2 {
		block[more[i]] = more[i+1]
	}
	return block
}

// A guest with twelve faults gets all of them in one run, and is left as it was.
func TestTwelveFaultsAtOnce(t *testing.T) {
	t.Parallel()
	faults := []string{
		"appx-per-user", "appx-of-a-lost-profile", "appxsvc-disabled", "bitlocker", "updates-pending", "rearm-exhausted", "provider-missing", // fail
		"search-running", "defender-onboarded", "domain-member", "autologon", "disk-full", // warn
	}
	want := []string{
		"fail reboot-pending", "fail bitlocker", "fail appxsvc-disabled", "fail appx-per-user", "fail appx-profile-gone", "fail rearm", "fail external-provider-missing",
		"warn disk-space", "warn windows-search", "warn defender-onboarded", "warn domain-joined", "warn autologon",
	}
	g := newOwnRun(t, winsim.Scenario{Condition: winsim.Condition{Faults: faults}}, map[string]any{"preflight": on()})
	var made *run
	g.adjust = func(r *run) { made = r }
	counts := g.count()
	marks := map[string]int{}
	g.ui.onSay = func(line string) {
		counts.mu.Lock()
		defer counts.mu.Unlock()
		for _, at := range []string{"Looking for what speaks against", "Pre-flight: "} {
			if strings.HasPrefix(line, at) {
				marks[at], _ = counts.beside()
			}
		}
	}
	err := g.provision()
	if err == nil {
		t.Fatalf("a guest with twelve faults passes:\n%s", g.ui.text())
	}
	if first, _, _ := strings.Cut(err.Error(), "\n"); !strings.Contains(first, "7 of ") || !strings.Contains(first, " checks fail, 5 warn: sysprep was not started, the machine is untouched; reboot-pending: ") || !strings.Contains(first, "next: reboot-pending: Restart") {
		t.Errorf("%s", first)
	}
	if list := made.checked.findings(); len(list) < 40 || list[0].ID != "reboot-pending" || list[0].Severity != finding.Fail || (*checked)(nil).findings() != nil {
		t.Errorf("%d findings: %+v", len(list), list[:1])
	}
	for _, w := range want[1:7] {
		if id := strings.TrimPrefix(w, "fail "); !strings.Contains(err.Error(), id) {
			t.Errorf("the error does not name %s:\n%s", id, err)
		}
	}
	if got := shown(g.ui.lines); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q\n%s", got, want, g.ui.text())
	}
	if strings.Contains(g.ui.text(), "must-not-appear") {
		t.Error("a password is shown")
	}
	counts.mu.Lock()
	defer counts.mu.Unlock()
	requests, bytes := counts.beside()
	if n := marks["Pre-flight: "] - marks["Looking for what speaks against"]; n < 4 || n > 20 {
		t.Errorf("%d requests for the pre-flight, want at most 20", n)
	} else {
		t.Logf("%d requests for the pre-flight, %d and %d bytes with the login, the look and the clean-up", n, requests, bytes)
	}
	g.wantState("IMAGE_STATE_COMPLETE")
	if ours := g.ours(); ours != nil {
		t.Errorf("left in the guest: %q", ours)
	}
}

// shown are the lines of the table that fail or warn.
func shown(lines []string) (rows []string) {
	for _, line := range lines {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if id, _, ok := strings.Cut(strings.TrimSpace(rest), ":"); ok && (word == "fail" || word == "warn") && strings.HasPrefix(line, "  "+word) {
			rows = append(rows, word+" "+id)
		}
	}
	return rows
}

// A guest in order: the pre-flight says so and the run goes on.
func TestAPreflightThatPasses(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]bool{"own": true, "Packer's communicator": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{}, map[string]any{"preflight": on()})
			if own {
				g = newOwnRun(t, winsim.Scenario{}, map[string]any{"preflight": on()})
			}
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			if text := g.ui.text(); !strings.Contains(text, "Pre-flight: 0 of ") || !strings.Contains(text, "checks hold") || len(shown(g.ui.lines)) > 0 {
				t.Errorf("%s", text)
			}
		})
	}
}

// What fail_on and severities mean for a run.
func TestWhatEndsARun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults []string
		block  map[string]any
		ends   string // a word of the error; empty: the run goes on
	}{
		"a warning goes on":       {[]string{"search-running"}, on(), ""},
		"fail_on warn":            {[]string{"search-running"}, on("fail_on", "warn"), `lower it: preflight { severities = { "windows-search" = "info" } }`},
		"a severity that is fail": {[]string{"search-running"}, map[string]any{"severities": map[string]string{"windows-search": "fail"}}, `lower it: preflight { severities = { "windows-search" = "warn" } }`},
		"a severity that is off":  {[]string{"search-running"}, map[string]any{"fail_on": "warn", "severities": map[string]string{"windows-search": "off"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newOwnRun(t, winsim.Scenario{Condition: winsim.Condition{Faults: c.faults}}, map[string]any{"preflight": c.block})
			err := g.provision()
			if (err == nil) != (c.ends == "") || err != nil && !strings.Contains(err.Error(), c.ends) {
				t.Errorf("%v\n%s", err, g.ui.text())
			}
		})
	}
}

// fail_on = "never" leaves it to sysprep to refuse.
func TestNeverLeavesItToSysprep(t *testing.T) {
	t.Parallel()
	g := newOwnRun(t, winsim.Scenario{Condition: winsim.Condition{Faults: []string{"bitlocker"}}}, map[string]any{"preflight": on("fail_on", "never")})
	err := g.provision()
	if err == nil || !strings.Contains(g.ui.text(), "fail    bitlocker") || !strings.Contains(err.Error(), "BITLOCKER_ON") || strings.Contains(err.Error(), "checks fail") {
		t.Errorf("%v\n%s", err, g.ui.text())
	}
}

// A pre-flight that cannot be made does not keep sysprep from running.
func TestAPreflightThatCannotBeMade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scenario winsim.Scenario
		own      bool
		says     string
	}{
		"no fact can be read":        {winsim.Scenario{Condition: winsim.Condition{Unreadable: winsim.FactNames()}}, true, "could not tell"},
		"PowerShell is locked":       {winsim.Scenario{Unkind: winsim.Unkind{ConstrainedLanguage: true}}, true, "Warning: the pre-flight could not ask all: PowerShell does not work in the guest"},
		"and Packer's communicator":  {winsim.Scenario{Unkind: winsim.Unkind{ConstrainedLanguage: true}}, false, "Warning: the pre-flight could not ask all: PowerShell does not work in the guest"},
		"one group breaks":           {winsim.Scenario{Condition: winsim.Condition{Unreadable: []string{"appx", "appxProvisioned"}}}, true, "unknown appx-per-user: could not tell whether"},
		"PowerShell's output is cut": {winsim.Scenario{PowerShell: winsim.PowerShellOutput{Silent: true}}, true, "Warning: the pre-flight could not"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := map[string]any{"preflight": on("fail_on", "warn")}
			g := newGuestRun(t, c.scenario, options)
			if c.own {
				g = newOwnRun(t, c.scenario, options)
			}
			if err := g.provision(); err != nil {
				t.Errorf("%v\n%s", err, g.ui.text())
			}
			if text := g.ui.text(); !strings.Contains(text, c.says) || len(shown(g.ui.lines)) > 0 {
				t.Errorf("%s", text)
			}
		})
	}
}

// A guest that gives no answer to a question is asked no other one, and the run goes on when it
// answers again.
func TestAPreflightThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	for group, says := range map[string]string{
		"base": "Warning: the pre-flight could not be made, so it says nothing for or against: ",
		"appx": "Warning: the pre-flight could not ask all: ",
	} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Condition: winsim.Condition{GroupTakes: map[string]winsim.Duration{group: winsim.Duration(time.Hour)}}}, map[string]any{"preflight": on(), "poll_interval": "2s"})
			g.shares(winsim.NewClock(25))
			var commands atomic.Int32
			g.server.OnEvent = func(e wsman.Event) {
				if e.Action == "Command" && strings.Contains(e.Detail, "preflight.ps1 ") {
					commands.Add(1)
				}
			}
			if err := g.provision(); err != nil {
				t.Errorf("%v\n%s", err, g.ui.text())
			}
			text := g.ui.text()
			if strings.Count(text, says) != 1 || strings.Contains(text, "unknown rearm") != (group == "appx") {
				t.Errorf("%s", text)
			}
			if want := map[string]int32{"base": 1, "appx": 2}[group]; commands.Load() != want {
				t.Errorf("%d commands, want %d", commands.Load(), want)
			}
		})
	}
}

// The machine is left alone while something is at work that wait_for names.
func TestWaitFor(t *testing.T) {
	t.Parallel()
	scenario := winsim.Scenario{Condition: winsim.Condition{Faults: []string{"servicing"}}}
	block := func(what, timeout string) map[string]any {
		return map[string]any{"wait_for": map[string]any{what: true, "timeout": timeout}}
	}
	t.Run("it ends", func(t *testing.T) {
		t.Parallel()
		g := newGuestRun(t, scenario, map[string]any{"preflight": block("servicing", "10m")})
		g.start()
		var once sync.Once
		g.ui.onSay = func(line string) {
			if strings.Contains(line, "Waiting: TiWorker") {
				once.Do(func() { g.inGuest("taskkill /f /im TiWorker.exe") })
			}
		}
		if err := g.provision(); err != nil {
			t.Errorf("%v", err)
		}
		if text := g.ui.text(); strings.Count(text, "Waiting: TiWorker (process id") != 1 || strings.Contains(text, "servicing-busy") {
			t.Errorf("%s", text)
		}
	})
	t.Run("it does not end", func(t *testing.T) {
		t.Parallel()
		g := newOwnRun(t, scenario, map[string]any{"preflight": block("servicing", "1s")})
		err := g.provision()
		if err == nil || !strings.Contains(err.Error(), "sysprep was not started, the machine is untouched: TiWorker") || !strings.Contains(err.Error(), "preflight.wait_for.timeout") {
			t.Errorf("%v\n%s", err, g.ui.text())
		}
		g.wantState("IMAGE_STATE_COMPLETE")
		if ours := g.ours(); ours != nil {
			t.Errorf("left in the guest: %q", ours)
		}
	})
	t.Run("the questions do not keep it at work", func(t *testing.T) {
		t.Parallel()
		wakes := winsim.Scenario{Condition: winsim.Condition{Faults: []string{"servicing"}, ServicingWakes: seconds(3600)}}
		g := newGuestRun(t, wakes, map[string]any{"preflight": block("servicing", "20s")})
		machine(t, g, func(s *machinestate.State) { s.ReservedStorage = "Disabled" })
		var once sync.Once
		g.ui.onSay = func(line string) {
			if strings.Contains(line, "Waiting: TiWorker") {
				once.Do(func() { g.inGuest("taskkill /f /im TiWorker.exe") })
			}
		}
		if err := g.provision(); err != nil || strings.Contains(g.ui.text(), "servicing-busy") {
			t.Errorf("%v\n%s", err, g.ui.text())
		}
	})
	t.Run("it is not waited for", func(t *testing.T) {
		t.Parallel()
		g := newOwnRun(t, scenario, map[string]any{"preflight": block("agents", "1s")})
		if err := g.provision(); err != nil || !slices.Equal(shown(g.ui.lines), []string{"warn servicing-busy"}) {
			t.Errorf("%v\n%s", err, g.ui.text())
		}
	})
	t.Run("a first boot", func(t *testing.T) {
		t.Parallel()
		g := newGuestRun(t, winsim.Scenario{}, map[string]any{"preflight": block("first_boot", "1s")})
		g.start()
		g.inGuest(`reg add HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State /v ImageState /t REG_SZ /f /d IMAGE_STATE_UNDEPLOYABLE`)
		err := g.provision()
		if err == nil || !strings.Contains(err.Error(), "waited up to 1s, see preflight.wait_for.timeout") {
			t.Errorf("%v\n%s", err, g.ui.text())
		}
	})
}

// A guest that is looked at only is waited for, too.
func TestADoctorWaits(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"preflight": map[string]any{"report_only": true, "wait_for": map[string]any{"first_boot": true, "timeout": "10m"}}})
	g.start()
	const state = `reg add HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State /v ImageState /t REG_SZ /f /d IMAGE_STATE_`
	g.inGuest(state + "UNDEPLOYABLE")
	var once sync.Once
	g.ui.onSay = func(line string) {
		if strings.Contains(line, "Waiting: Windows Setup is at work") {
			once.Do(func() { g.inGuest(state + "COMPLETE") })
		}
	}
	if err := g.provision(); err != nil || strings.Count(g.ui.text(), "Waiting: ") != 1 || !strings.Contains(g.ui.text(), "sysprep was not run") {
		t.Errorf("%v\n%s", err, g.ui.text())
	}
}

// A doctor that could not look is no clean bill of health.
func TestADoctorThatCouldNotLookFails(t *testing.T) {
	t.Parallel()
	for failOn, fails := range map[string]bool{"fail": true, "never": false} {
		g := newGuestRun(t, winsim.Scenario{Condition: winsim.Condition{GroupTakes: map[string]winsim.Duration{"base": winsim.Duration(time.Hour)}}},
			map[string]any{"poll_interval": "2s", "preflight": map[string]any{"report_only": true, "fail_on": failOn}})
		g.shares(winsim.NewClock(25))
		if err := g.provision(); (err != nil) != fails || fails && !strings.Contains(err.Error(), "nothing is known of it") {
			t.Errorf("%s: %v", failOn, err)
		}
	}
}

func TestTheOptionsOfThePreflight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		block map[string]any
		want  string
	}{
		"nothing":         {map[string]any{}, ""},
		"all":             {map[string]any{"enabled": true, "fail_on": "warn", "report_only": true, "severities": map[string]string{"bitlocker": "warn"}, "wait_for": map[string]any{"servicing": true, "timeout": "3m"}}, ""},
		"fail_on":         {map[string]any{"fail_on": "error"}, `preflight: fail_on: "error" is not one of fail, warn, never`},
		"a check":         {map[string]any{"severities": map[string]string{"bit-locker": "warn"}}, "preflight.severities: no check is called bit-locker; use one of sysprep-missing, "},
		"a severity":      {map[string]any{"severities": map[string]string{"bitlocker": "error"}}, `preflight.severities: bitlocker = "error" is not one of`},
		"nothing at all":  {map[string]any{"enabled": false, "report_only": true}, "would do nothing at all"},
		"for nothing":     {map[string]any{"wait_for": map[string]any{"timeout": "3m"}}, "nothing is waited for"},
		"no time":         {map[string]any{"wait_for": map[string]any{"servicing": true, "timeout": "3ms"}}, "less than a second"},
		"without a check": {map[string]any{"enabled": false, "wait_for": map[string]any{"agents": true}}, "leaves out"},
		"first boot":      {map[string]any{"enabled": false, "wait_for": map[string]any{"first_boot": true}}, ""},
	} {
		var config Config
		err := config.decode(map[string]any{"preflight": c.block})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err == nil && c.block["report_only"] == true && (config.failOn() != finding.Warn || !config.reportOnly() || config.awaits().Timeout.String() != "3m0s" || config.Preflight.severities["bitlocker"] != finding.Warn) {
			t.Errorf("%s: %+v", name, config.Preflight)
		}
	}
}

// What the checks are told of a run follows from its options.
func TestThePlanOfThePreflight(t *testing.T) {
	t.Parallel()
	const skips = `<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="generalize"><component name="Microsoft-Windows-Security-SPP" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"><SkipRearm>1</SkipRearm></component></settings></unattend>`
	usual := preflight.Plan{Generalize: true}
	with := func(change func(*preflight.Plan)) preflight.Plan {
		p := usual
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		options map[string]any
		want    preflight.Plan
	}{
		"none":           {nil, usual},
		"audit":          {map[string]any{"mode": "audit", "generalize": false}, with(func(p *preflight.Plan) { p.Generalize, p.Audit = false, true })},
		"through audit":  {map[string]any{"through_audit": true}, usual},
		"vm_mode":        {map[string]any{"vm_mode": true}, with(func(p *preflight.Plan) { p.VMMode = true })},
		"another user":   {map[string]any{"elevated_user": "admin"}, with(func(p *preflight.Plan) { p.OtherUser = true })},
		"system":         {map[string]any{"run_as": "system"}, with(func(p *preflight.Plan) { p.AsSystem = true })},
		"an answer file": {map[string]any{"answer_file_content": testAnswer}, with(func(p *preflight.Plan) { p.AnswerFile = true })},
		"SkipRearm":      {map[string]any{"answer_file_content": skips}, with(func(p *preflight.Plan) { p.AnswerFile, p.SkipRearm = true, true })},
		"removes others": {map[string]any{"remove_answer_files": true}, with(func(p *preflight.Plan) { p.RemovesAnswerFiles = true })},
		"only reports":   {map[string]any{"remove_answer_files": true, "preflight": map[string]any{"report_only": true}}, usual},
		"deletes cached": {map[string]any{"delete_cached_answer_file": true}, with(func(p *preflight.Plan) { p.SetupComplete = true })},
		"an agent":       {map[string]any{"agent": "cloudbase-init"}, with(func(p *preflight.Plan) { p.OtherAnswer = true })},
		"a command":      {map[string]any{"command": "C:\\go.cmd"}, with(func(p *preflight.Plan) { p.OtherAnswer = true })},
		"Azure":          {map[string]any{"packer_builder_type": "azure-arm"}, with(func(p *preflight.Plan) { p.Azure = true })},
	} {
		r := &run{}
		if err := r.config.decode(c.options); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := r.preflightPlan(); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
