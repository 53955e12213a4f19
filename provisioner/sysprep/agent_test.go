package sysprep

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/cloudagent"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// agentRun is a guest with an agent, and a run with it.
func agentRun(t *testing.T, name string, how winsim.Agent, options map[string]any) *guestRun {
	t.Helper()
	all := map[string]any{"agent": name}
	for k, v := range options {
		all[k] = v
	}
	return newGuestRun(t, winsim.Scenario{Agents: []string{name}, Agent: how}, all)
}

// inItsTime lets a run and its guest live in a time that passes faster, with the
// limits of a user.
func (g *guestRun) inItsTime() *guestRun {
	g.options["poll_interval"] = "2s"
	g.scenario.Validate, g.scenario.Generalize = 0, 0
	g.shares(winsim.NewClock(25))
	return g
}

func wantStarts(t *testing.T, g *guestRun, arguments string) {
	t.Helper()
	if got := g.sim.Guest.Starts(); len(got) != 1 || got[0] != simUser+": "+arguments {
		t.Errorf("sysprep was started with %q, want %q", got, arguments)
	}
}

// What each agent gives to sysprep.
var agentArguments = map[string]string{
	"ec2launch-v2":   `/oobe /generalize /quit "/unattend:C:\ProgramData\Amazon\EC2Launch\sysprep\unattend.xml"`,
	"ec2launch":      `/oobe /quit /generalize "/unattend:C:\ProgramData\Amazon\EC2-Windows\Launch\Sysprep\Unattend.xml"`,
	"gcesysprep":     `/generalize /oobe /quit "/unattend:C:\Program Files\Google\Compute Engine\sysprep\unattended.xml"`,
	"cloudbase-init": `/generalize /oobe /quit /quiet "/unattend:C:\Program Files\Cloudbase Solutions\Cloudbase-Init\conf\Unattend.xml"`,
}

func TestEveryAgentRunsItsSysprep(t *testing.T) {
	t.Parallel()
	if len(agentArguments) != len(cloudagent.All()) {
		t.Error("an agent is not tested")
	}
	for name, arguments := range agentArguments {
		for _, own := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, own connection %v", name, own), func(t *testing.T) {
				t.Parallel()
				logs := t.TempDir()
				g := agentRun(t, name, winsim.Agent{Late: seconds(5), Lingers: seconds(5)}, map[string]any{"log_directory": logs, "stall_timeout": "60s"})
				if g.own = own; own {
					g.server = winsim.ServerOptions{NTLM: true, NoBasic: true}
				}
				if err := g.provision(); err != nil {
					t.Fatal(err)
				}
				want(t, g.ui.text(), "Starting "+name+", which starts sysprep", "Windows is generalized", "tag created")
				wantStarts(t, g, arguments)
				wantNothingLeft(t, g)
				if _, err := os.Stat(filepath.Join(logs, "sysprep", "setupact.log")); err != nil {
					t.Error(err)
				}
				agent, _ := cloudagent.ByName(name)
				if _, err := os.Stat(filepath.Join(logs, "agent")); (err == nil) != (len(agent.Logs) > 0 && name != "cloudbase-init") {
					t.Errorf("the agent's logs: %v", err)
				}
				if name == "gcesysprep" { // what it does after sysprep was waited for
					if _, err := os.Stat(g.file("Windows", "Setup", "Scripts", "SetupComplete.cmd")); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func TestAnAgentMayPowerOff(t *testing.T) {
	t.Parallel()
	for _, name := range cloudagent.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := agentRun(t, name, winsim.Agent{}, map[string]any{"action": "shutdown", "shutdown_timeout": "24s", "stall_timeout": "60s"})
			g.scenario.ShutdownTakes = seconds(60)
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			select {
			case <-g.sim.Off():
			default:
				t.Error("the guest is not off")
			}
			want(t, g.ui.text(), "Windows is generalized", "the guest no longer answers")
			wantNothingLeft(t, g)
		})
	}
}

func TestAgentsThatDoNotWork(t *testing.T) {
	notOnWindows(t, "files that an agent holds open cannot be removed, and the test looks for them")
	t.Parallel()
	for name, test := range map[string]struct {
		agent string
		how   winsim.Agent
		head  verdict.Head
		says  []string
	}{
		"it fails before sysprep": {"ec2launch-v2", winsim.Agent{Fails: "before"}, verdict.Head{Class: verdict.NotStarted, Cause: "AGENT_FAILED"},
			[]string{"sysprep was not started: ec2launch-v2 failed before it started sysprep (exit code 1); next: ", "the instance metadata could not be read", `Its log: C:\ProgramData\Amazon\EC2Launch\log\agent.log`}},
		"a script of it fails": {"ec2launch", winsim.Agent{Fails: "before"}, verdict.Head{Class: verdict.NotStarted, Cause: "AGENT_FAILED"}, []string{"(exit code 1)"}},
		"it fails after sysprep": {"gcesysprep", winsim.Agent{Fails: "after"}, verdict.Head{Class: verdict.Broken, Cause: "AGENT_FAILED"},
			[]string{"Windows is generalized, but the image was not finished: gcesysprep failed after sysprep was done (exit code 1)", "the first boot could not be prepared"}},
		"it starts nothing": {"ec2launch-v2", winsim.Agent{Idle: true}, verdict.Head{Class: verdict.NotStarted, Cause: "AGENT_IDLE"},
			[]string{"sysprep was not started: ec2launch-v2 ended without an error and started no sysprep; next: ", "nothing to do"}},
		"it takes too long to start it": {"gcesysprep", winsim.Agent{Late: seconds(3600)}, verdict.Head{Class: verdict.Hung, Cause: "AGENT_LATE"},
			[]string{"sysprep did not finish: gcesysprep has not started sysprep within 10m0s", "it was not ended and may still do so"}},
		"it does not come to its end": {"ec2launch-v2", winsim.Agent{Lingers: seconds(3600)}, verdict.Head{Class: verdict.Hung, Cause: "AGENT_LATE"},
			[]string{"Windows is generalized, but the image is not finished: ec2launch-v2 has not come to its end within 5m0s of sysprep's success"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := agentRun(t, test.agent, test.how, nil).inItsTime()
			err := g.provision()
			if err == nil {
				t.Fatal("no error")
			}
			if head, _ := verdict.ParseHead(err.Error()); head != test.head {
				t.Errorf("the head is %v, want %v", head, test.head)
			}
			want(t, g.ui.text(), test.says...)
			if strings.Contains(g.ui.text(), "the machine is untouched") {
				t.Error("an agent may have changed the machine")
			}
			wantNothingLeft(t, g)
		})
	}
}

// A service or a task that the agent leaves behind may start sysprep after its end.
func TestSysprepMayBeginAfterItsAgentHasEnded(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]float64{"soon": 5, "late": 90} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := agentRun(t, "ec2launch-v2", winsim.Agent{Detached: true, Late: seconds(late)}, nil).inItsTime()
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "Windows is generalized")
		})
	}
}

// What its sysprep says is judged as that of any other.
func TestASysprepThatAnAgentStartsMayFail(t *testing.T) {
	t.Parallel()
	for _, name := range cloudagent.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := agentRun(t, name, winsim.Agent{}, map[string]any{"stall_timeout": "60s"})
			g.scenario.Outcome, g.scenario.Class = winsim.Refused, "F22"
			wantError(t, g.provision(), "[refused/RESERVED_STORAGE] sysprep refused")
			wantNothingLeft(t, g)
		})
	}
}

func TestAnAgentMayRunFromATask(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]winsim.Scenario{"elevated_user": {}, "no Win32_Process.Create": {CreateReturn: 2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := agentRun(t, "ec2launch-v2", winsim.Agent{Late: seconds(20)}, map[string]any{"stall_timeout": "60s"})
			s.Agents, s.Agent, s.Validate, s.Generalize = g.scenario.Agents, g.scenario.Agent, g.scenario.Validate, g.scenario.Generalize
			g.scenario = s
			user := simUser
			if name == "elevated_user" {
				user = "Administrator"
				g.options["elevated_user"] = user
			}
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			if got := g.sim.Guest.Starts(); len(got) != 1 || !strings.HasPrefix(got[0], user+": ") {
				t.Errorf("sysprep was started as %q", got)
			}
			wantNothingLeft(t, g)
		})
	}
}

func TestAnAgentThatIsNotThere(t *testing.T) {
	t.Parallel()
	for _, name := range cloudagent.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{}, map[string]any{"agent": name})
			agent, _ := cloudagent.ByName(name)
			wantError(t, g.provision(), "[not-started/AGENT_MISSING] sysprep was not started, the machine is untouched: "+name+` is not in the guest (C:`+agent.Program+" is missing); next: ")
			if got := g.sim.Guest.Starts(); got != nil {
				t.Errorf("started %q", got)
			}
			wantNothingLeft(t, g)
		})
	}
}

func TestAutoTakesTheAgentThatIsThere(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		there     []string
		says      string
		arguments string
	}{
		"none":                       {nil, "Found no agent", "/generalize /oobe /quit /quiet"},
		"one":                        {[]string{"gcesysprep"}, `Found the agent gcesysprep (C:\Program Files\Google\Compute Engine\sysprep\gcesysprep.bat)`, agentArguments["gcesysprep"]},
		"both of Amazon":             {[]string{"ec2launch", "ec2launch-v2"}, "Found the agent ec2launch-v2", agentArguments["ec2launch-v2"]},
		"one for clouds of any kind": {[]string{"cloudbase-init", "ec2launch"}, "Found the agent ec2launch (", agentArguments["ec2launch"]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Agents: test.there}, map[string]any{"agent": "auto", "stall_timeout": "60s"})
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), test.says)
			wantStarts(t, g, test.arguments)
			wantNothingLeft(t, g)
		})
	}
}

func TestACommandMayStartSysprep(t *testing.T) {
	t.Parallel()
	const sysprep = `"%windir%\System32\Sysprep\sysprep.exe" /generalize /oobe /quiet `
	for name, test := range map[string]struct {
		command string
		options map[string]any
		start   string
	}{
		"it waits for it":    {sysprep + "/quit& exit /b 0", nil, "/generalize /oobe /quiet /quit"},
		"it does not":        {`start "" ` + sysprep + "/quit", nil, "/generalize /oobe /quiet /quit"},
		"it powers off":      {sysprep + "/shutdown", map[string]any{"action": "shutdown", "shutdown_timeout": "24s"}, "/generalize /oobe /quiet /shutdown"},
		"to audit mode":      {`%windir%\System32\Sysprep\sysprep.exe /generalize /audit /quiet /quit`, map[string]any{"mode": "audit"}, "/generalize /audit /quiet /quit"},
		"over our own way":   {sysprep + "/quit", map[string]any{"winrm": map[string]any{"mode": "own"}}, "/generalize /oobe /quiet /quit"},
		"a temporary folder": {`del /f /q %windir%\Temp\* & ` + sysprep + "/quit", nil, "/generalize /oobe /quiet /quit"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := map[string]any{"command": test.command, "stall_timeout": "60s"}
			for k, v := range test.options {
				options[k] = v
			}
			g := newGuestRun(t, winsim.Scenario{ShutdownTakes: seconds(60)}, options)
			if g.own = name == "over our own way"; g.own {
				g.server = winsim.ServerOptions{NTLM: true, NoBasic: true}
			}
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "Starting the command, which starts sysprep", "Windows is generalized")
			wantStarts(t, g, test.start)
			wantNothingLeft(t, g)
		})
	}
	t.Run("it does something else", func(t *testing.T) {
		t.Parallel()
		g := newGuestRun(t, winsim.Scenario{}, map[string]any{"command": "echo of no use & exit /b 7"}).inItsTime()
		wantError(t, g.provision(), "[not-started/AGENT_FAILED] sysprep was not started: the command failed before it started sysprep (exit code 7)")
		want(t, g.ui.text(), "of no use")
		wantNothingLeft(t, g)
	})
}

// After a cancel an agent must not generalize a machine that nobody watches.
func TestAnAgentThatHasNotBegunIsEndedByACancel(t *testing.T) {
	t.Parallel()
	g := agentRun(t, "ec2launch-v2", winsim.Agent{Late: seconds(3000)}, map[string]any{"stall_timeout": "60s"})
	g.builder = ownBuilder
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	g.ctx = ctx
	g.ui.onSay = func(text string) {
		if strings.Contains(text, "waiting for its sysprep") {
			cancel()
		}
	}
	wantError(t, g.provision(), "[cancelled] cancelled: ")
	want(t, g.ui.text(), "Ended ec2launch-v2 (process id ")
	if g.sim.Guest.Runs("ec2launch.exe") {
		t.Error("the agent runs on")
	}
	wantNothingLeft(t, g)
}

func TestTheAgentsOfAzureAreWaitedFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		builder string
		after   float64
		says    string
		fails   string
	}{
		"they start":        {"azure-arm", 300, "Waiting: RdAgent and WindowsAzureGuestAgent of Azure's agent is not running", ""},
		"they do not start": {"azure-arm", 100000, "Waiting: ", "[not-started/AZURE_AGENT_NOT_RUNNING] sysprep was not started, the machine is untouched: RdAgent and WindowsAzureGuestAgent of Azure's agent did not start (waited up to 10m0s, see stall_timeout); next: "},
		"there are none":    {"azure-chroot", 0, "", ""},
		"another builder":   {"null", 100000, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{AzureAgent: seconds(test.after)}, nil).inItsTime()
			g.builder = test.builder
			err := g.provision()
			switch {
			case test.fails == "" && err != nil:
				t.Fatal(err)
			case test.fails != "":
				wantError(t, err, test.fails)
			}
			if said := strings.Contains(g.ui.text(), "of Azure's agent"); said != (test.says != "") {
				t.Errorf("waited: %v", said)
			}
			want(t, g.ui.text(), test.says)
			wantNothingLeft(t, g)
		})
	}
}

func TestAnAgentIsStartedWithoutPowerShellToo(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]struct {
		agent winsim.Agent
		says  string
	}{
		"it works": {winsim.Agent{Late: seconds(5), Lingers: seconds(20)}, "Windows is generalized"},
		"it fails": {winsim.Agent{Fails: "before"}, "ec2launch-v2 failed before it started sysprep (exit code 1)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := agentRun(t, "ec2launch-v2", how.agent, map[string]any{"stall_timeout": "60s"})
			g.scenario.BlockedScripts = []string{"launch", "watch"}
			if err := g.provision(); (err != nil) != (how.agent.Fails != "") {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "PowerShell does not work in the guest", how.says)
			wantNothingLeft(t, g)
		})
	}
}

// In \Windows\Temp the run would lose what it is known by.
func TestWhatWatchesAnAgentSurvivesAnEmptiedTemp(t *testing.T) {
	t.Parallel()
	g := agentRun(t, "gcesysprep", winsim.Agent{Late: seconds(10)}, map[string]any{"stall_timeout": "60s"})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(g.file("Windows", "Temp")); err != nil || len(entries) > 0 {
		t.Errorf("\\Windows\\Temp was not emptied: %v, %v", entries, err)
	}
}

// With quit the guest watches until the agent has ended, with an end that it makes
// itself until success.
func TestTheGuestWatchesUntilTheAgentHasEnded(t *testing.T) {
	for action, want := range map[string]bool{"quit": true, "shutdown": false} {
		c, err := decode(t, map[string]any{"agent": "ec2launch-v2", "action": action})
		if err != nil {
			t.Fatal(err)
		}
		r := newRun(c, &recordUI{}, nil, nil)
		r.plan = c.plan(`C:\Windows`, "id")
		w := r.watching()
		if gone, success := w.Until[0], w.Until[1]; gone.AgentEnded == nil || (success.AgentEnded != nil) != want || w.AgentEnds != want {
			t.Errorf("%s: %+v", action, w)
		}
	}
}

func TestTheAnswerToTheStartOfAnAgentMayBeLost(t *testing.T) {
	t.Parallel()
	g := agentRun(t, "ec2launch-v2", winsim.Agent{Late: seconds(30)}, map[string]any{"stall_timeout": "60s"})
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator {
		return &losesTheAnswer{Communicator: c, text: `launch.ps1`}
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "The answer to the start was lost", "Windows is generalized")
	wantStarts(t, g, agentArguments["ec2launch-v2"])
	wantNothingLeft(t, g)
}
