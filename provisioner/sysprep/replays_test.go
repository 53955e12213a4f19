package sysprep

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/replay"
)

// endings are one of each kind in which a run can end, and what it ends as.
var endings = map[string]struct {
	scenario winsim.Scenario
	options  map[string]any
	builder  string
	machine  bool
	cancelAt string // a line of the user interface
	want     string // class/cause
}{
	"lost within a short stall_timeout":    {scenario: winsim.Scenario{WinRMDies: winsim.WinRMBlackHole}, options: map[string]any{"stall_timeout": "60s"}, want: "lost"},
	"generalized":                          {want: "generalized"},
	"generalized, shut down":               {options: map[string]any{"action": "shutdown"}, want: "generalized"},
	"generalized, restarted":               {options: map[string]any{"action": "reboot"}, want: "generalized"},
	"generalized, before_shutdown":         {options: map[string]any{"action": "shutdown", "before_shutdown": []string{"ver >nul", "ver >nul"}}, want: "generalized"},
	"a line of before_shutdown fails":      {options: map[string]any{"before_shutdown": []string{"ver >nul", "exit 7"}}, want: "at-the-end"},
	"generalized before":                   {scenario: winsim.Scenario{Start: winsim.Generalized}, want: "generalized"},
	"generalized after Setup has ended":    {scenario: winsim.Scenario{Start: winsim.SetupRunning, SetupFor: seconds(120)}, want: "generalized"},
	"through audit mode":                   {options: map[string]any{"through_audit": true}, want: "generalized"},
	"our own builder, powered off":         {options: map[string]any{"action": "shutdown"}, builder: ownBuilder, machine: true, want: "generalized"},
	"refused: a package":                   {scenario: winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{"Contoso.App_1.2.3.4_x64__8wekyb3d8bbwe"}}, want: "refused/APPX_NOT_PROVISIONED"},
	"refused: reserved storage":            {scenario: winsim.Scenario{Outcome: winsim.Refused, Class: "F22", StaleTag: true}, want: "refused/RESERVED_STORAGE"},
	"refused: not elevated":                {scenario: winsim.Scenario{Outcome: winsim.Refused, Class: "F53"}, want: "refused"},
	"broken midway":                        {scenario: winsim.Scenario{Outcome: winsim.Broken, Class: "F38"}, want: "broken/DEFENDER_FOR_ENDPOINT"},
	"broken midway, another provider":      {scenario: winsim.Scenario{Outcome: winsim.Broken, Class: "F35"}, want: "broken/WMP_NETWORK_SHARING"},
	"hung in validation":                   {scenario: winsim.Scenario{Outcome: winsim.Hang, HangIn: "validate"}, want: "hung/HANG_SERVICING_CHECK"},
	"hung in generalize":                   {scenario: winsim.Scenario{Outcome: winsim.Hang}, options: map[string]any{"stall_timeout": "3m"}, want: "hung/HANG"},
	"a dialog that nobody sees":            {scenario: winsim.Scenario{Outcome: winsim.Hang, HangIn: "dialog"}, want: "hung/HANG"},
	"out of time":                          {scenario: winsim.Scenario{Outcome: winsim.Slow}, options: map[string]any{"generalize_timeout": "5m"}, want: "hung/HANG"},
	"lost: the port is closed":             {scenario: winsim.Scenario{WinRMDies: winsim.WinRMClosed}, want: "lost"},
	"lost: nothing comes back":             {scenario: winsim.Scenario{WinRMDies: winsim.WinRMBlackHole}, want: "lost"},
	"lost, and proven by our builder":      {scenario: winsim.Scenario{WinRMDies: winsim.WinRMReset}, builder: ownBuilder, want: "lost"},
	"WinRM comes back":                     {scenario: winsim.Scenario{WinRMDies: winsim.WinRMReset, WinRMBack: seconds(40)}, want: "generalized"},
	"no new shells":                        {scenario: winsim.Scenario{WinRMDies: winsim.WinRMNoShells}, want: "generalized"},
	"stands still":                         {scenario: winsim.Scenario{Unkind: winsim.Unkind{Freeze: winsim.Freeze{At: winsim.AtGeneralize, For: seconds(120)}}}, want: "generalized"},
	"generalized, and it does not go down": {scenario: winsim.Scenario{ShutdownTakes: seconds(3600)}, options: map[string]any{"action": "shutdown"}, want: "hung"},
	"no new shells from the tag":           {scenario: winsim.Scenario{Unkind: winsim.Unkind{NoNewShellsFrom: winsim.AtTag}}, options: map[string]any{"action": "shutdown"}, want: "generalized"},
	"undone":                               {scenario: winsim.Scenario{Afterwards: winsim.BecomesUndone, Lingers: seconds(60)}, options: map[string]any{"action": "shutdown"}, want: "undone"},
	"failed after success":                 {scenario: winsim.Scenario{Afterwards: winsim.BecomesFailed, Lingers: seconds(60)}, options: map[string]any{"action": "shutdown"}, want: "broken/WMP_NETWORK_SHARING"},
	"restarted instead of powering off":    {scenario: winsim.Scenario{RestartsInstead: true, FirstBoot: winsim.FirstBootDone}, options: map[string]any{"action": "shutdown"}, want: "undone/RESTARTED"},
	"restarted, as the hypervisor tells":   {scenario: winsim.Scenario{RestartsInstead: true}, options: map[string]any{"action": "shutdown"}, builder: ownBuilder, machine: true, want: "undone/RESTARTED"},
	"not armed":                            {scenario: winsim.Scenario{Unarmed: true}, want: "unarmed"},
	"not started: Setup runs on":           {scenario: winsim.Scenario{Start: winsim.SetupRunning, SetupFor: seconds(7200)}, want: "not-started"},
	"not started: another sysprep":         {scenario: winsim.Scenario{Start: winsim.SysprepOpen}, want: "not-started/ALREADY_RUNNING"},
	"not started: failed before":           {scenario: winsim.Scenario{Start: winsim.Unfinished}, want: "not-started/"},
	"not started: undeployable":            {scenario: winsim.Scenario{Start: winsim.Undeployable}, want: "not-started/"},
	"not started: no sysprep.exe":          {scenario: winsim.Scenario{Start: winsim.NoSysprep}, want: "not-started/SYSPREP_MISSING"},
	"not started: a filtered token":        {scenario: winsim.Scenario{Unkind: winsim.Unkind{FilteredToken: true}}, want: "not-started/NOT_ADMIN"},
	"not started: Azure's agent":           {scenario: winsim.Scenario{AzureAgent: seconds(100000)}, builder: "azure-arm", want: "not-started/AZURE_AGENT_NOT_RUNNING"},
	"an agent fails":                       {scenario: winsim.Scenario{Agents: []string{"ec2launch-v2"}, Agent: winsim.Agent{Fails: "before"}}, options: map[string]any{"agent": "ec2launch-v2"}, want: "not-started/AGENT_FAILED"},
	"an agent starts nothing":              {scenario: winsim.Scenario{Agents: []string{"ec2launch-v2"}, Agent: winsim.Agent{Idle: true}}, options: map[string]any{"agent": "ec2launch-v2"}, want: "not-started/AGENT_IDLE"},
	"an agent is late":                     {scenario: winsim.Scenario{Agents: []string{"ec2launch-v2"}, Agent: winsim.Agent{Late: seconds(3600)}}, options: map[string]any{"agent": "ec2launch-v2"}, want: "hung/AGENT_LATE"},
	"an agent fails after sysprep":         {scenario: winsim.Scenario{Agents: []string{"gcesysprep"}, Agent: winsim.Agent{Fails: "after"}}, options: map[string]any{"agent": "gcesysprep"}, want: "broken/AGENT_FAILED"},
	"an agent does not end":                {scenario: winsim.Scenario{Agents: []string{"ec2launch-v2"}, Agent: winsim.Agent{Lingers: seconds(3600)}}, options: map[string]any{"agent": "ec2launch-v2"}, want: "hung/AGENT_LATE"},
	"an agent works":                       {scenario: winsim.Scenario{Agents: []string{"ec2launch"}}, options: map[string]any{"agent": "ec2launch"}, want: "generalized"},
	"cancelled at the first look":          {cancelAt: "Looking at the guest", want: "cancelled"},
	"cancelled at the upload":              {cancelAt: "Uploading the answer file", want: "cancelled"},
	"cancelled at the start":               {cancelAt: "Starting sysprep", want: "cancelled"},
	"cancelled while it validates":         {cancelAt: "checking servicing state", want: "cancelled"},
	"cancelled while it generalizes":       {cancelAt: "working on app packages", want: "cancelled"},
}

// What a user reports becomes a test: the guest made of a run's file ends the run as
// it ended. Both runs take no time.
func TestEveryEndingIsReplayed(t *testing.T) {
	t.Parallel()
	for name, c := range endings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := c.scenario
			if s.Validate == 0 {
				s.Validate = seconds(30)
			}
			if s.Generalize == 0 {
				s.Generalize = seconds(210)
			}
			builder := c.builder
			if builder == "" {
				builder = "null"
			}
			raw := map[string]any{"packer_builder_type": builder, "packer_build_name": "test", "winrm": map[string]any{"mode": winrmCommunicator}}
			if c.options["agent"] == nil {
				raw["answer_file_content"] = testAnswer
			}
			for k, v := range c.options {
				raw[k] = v
			}
			b := &bubbleRun{scenario: s, options: raw, machine: c.machine}
			if c.cancelAt != "" {
				b.onSay = func(line string, cancel func()) {
					if strings.Contains(line, c.cancelAt) {
						cancel()
					}
				}
			}
			recorded := b.do(t)
			got := recorded.Verdict.Class
			if recorded.Verdict.Cause != "" {
				got += "/" + recorded.Verdict.Cause
			}
			if got != c.want && (!strings.HasSuffix(c.want, "/") || !strings.HasPrefix(got, c.want)) {
				t.Fatalf("the recorded run ended as %s (%s), want %s", got, recorded.Verdict.FirstLine, c.want)
			}
			wantReplay(t, recorded)
		})
	}
}

// scenarioOf finds the guests of the end-to-end tests.
var scenarioOf = regexp.MustCompile(`winsim\.Scenario\{((?:[^{}]|\{[^{}]*\})*)\}`)

// e2eEndings are the endings here that those guests come to there, by what makes them
// so; the first that fits counts. A guest that has nothing of it ends well, unless it
// is cancelled.
var e2eEndings = []struct{ of, ending string }{
	{`Outcome: winsim.Refused, Class: "F01"`, "refused: a package"},
	{`Outcome: winsim.Refused, Class: "F22"`, "refused: reserved storage"},
	{`Outcome: winsim.Broken, Class: "F38"`, "broken midway"},
	{`HangIn: "dialog"`, "a dialog that nobody sees"},
	{`Outcome: winsim.Hang`, "hung in generalize"},
	{`Outcome: winsim.Slow`, "cancelled while it generalizes"}, // or killed, with the builder's words
	{`Start: winsim.Generalized`, "generalized before"},
	{`Start: winsim.SetupRunning`, "generalized after Setup has ended"},
	{`Start: winsim.SysprepOpen`, "not started: another sysprep"},
	{`Start: winsim.Unfinished`, "not started: failed before"},
	{`Start: winsim.NoSysprep`, "not started: no sysprep.exe"},
	{`WinRMDies: winsim.WinRMBlackHole`, "lost: nothing comes back"},
	{`WinRMDies: winsim.WinRMClosed`, "lost: the port is closed"},
	{`RestartsInstead: true, FirstBoot`, "restarted instead of powering off"},
	{`RestartsInstead: true`, "restarted, as the hypervisor tells"},
	{`ShutdownTakes: winsim.Duration(time.Hour)`, "generalized, and it does not go down"},
	{`NoNewShellsFrom: winsim.AtTag`, "no new shells from the tag"},
	{`LogonTakes`, "through audit mode"},
	{`Agents: c.agents`, "an agent works"},
	{`SSH: `, "generalized"}, // the way to the guest is another, the guest is not
	{`PowerButtonPresses`, "generalized"},
	{`Generalize: winsim.Duration`, "generalized"},
	{`WinRMDelay: winsim.Duration(1e12)`, "generalized"}, // the builder waits in vain: no run begins
}

// A kind of ending that only the end-to-end tests have would not be replayed here.
func TestTheEndingsOfTheEndToEndTestsAreAmongThem(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "e2e", "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no end-to-end tests: %v", err)
	}
	used := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range scenarioOf.FindAllStringSubmatch(string(text), -1) {
			at := slices.IndexFunc(e2eEndings, func(e struct{ of, ending string }) bool { return strings.Contains(m[1], e.of) })
			if at < 0 && m[1] != "" {
				t.Errorf("%s has the guest {%s}: name the ending that it comes to in e2eEndings", filepath.Base(file), m[1])
			}
			if at >= 0 {
				used[e2eEndings[at].of] = true
			}
		}
	}
	for _, e := range e2eEndings {
		if _, ok := endings[e.ending]; !ok {
			t.Errorf("%q is no ending", e.ending)
		}
		if !used[e.of] {
			t.Errorf("no end-to-end test has a guest with %s any more", e.of)
		}
	}
}

// As `winsim replay` serves it, over WinRM.
func TestARunIsReplayedOverWinRM(t *testing.T) {
	t.Parallel()
	for name, scenario := range map[string]winsim.Scenario{
		"refused": {Outcome: winsim.Refused, Class: "F01", Packages: []string{"Contoso.App_1.2.3.4_x64__8wekyb3d8bbwe"}, Validate: seconds(10)},
		"lost":    {WinRMDies: winsim.WinRMClosed, Validate: seconds(10), Generalize: seconds(60)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := map[string]any{"packer_builder_type": "null", "packer_build_name": "test", "winrm": map[string]any{"mode": winrmCommunicator}, "answer_file_content": testAnswer, "stall_timeout": "2m"}
			recorded := (&bubbleRun{scenario: scenario, options: options}).do(t)
			again, err := replay.Scenario(recorded)
			if err != nil {
				t.Fatal(err)
			}
			g := newGuestRun(t, again, map[string]any{"answer_file_content": testAnswer, "stall_timeout": "6s"})
			ended := g.provision()
			if ended == nil {
				t.Fatal("no error")
			}
			head, _ := verdict.ParseHead(ended.Error())
			if got, want := head.Class.String()+"/"+head.Cause, recorded.Verdict.Class+"/"+recorded.Verdict.Cause; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
