package winsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
)

// Agent is how an agent of a cloud that runs sysprep goes, whichever it is; the
// zero value is one that works.
type Agent struct {
	// Fails is when it ends with exit code 1: "before" it starts sysprep, or "after".
	Fails string `json:"fails,omitempty"`
	// Idle: it ends well and starts nothing.
	Idle bool `json:"idle,omitempty"`
	// Late is how long it takes until it starts sysprep, Lingers how long after
	// sysprep it goes on.
	Late    Duration `json:"late,omitempty"`
	Lingers Duration `json:"lingers,omitempty"`
	// Detached: it ends at once, and something else starts sysprep.
	Detached bool `json:"detached,omitempty"`
}

// installed is an agent as it lies on the drive.
type installed struct {
	files map[string]string // their contents by their paths
	log   string            // it writes to; empty: to its output only
}

const (
	folderEC2v2     = `\Program Files\Amazon\EC2Launch`
	folderEC2v1     = `\ProgramData\Amazon\EC2-Windows\Launch`
	folderGCE       = `\Program Files\Google\Compute Engine\sysprep`
	folderCloudbase = `\Program Files\Cloudbase Solutions\Cloudbase-Init`
	noAnswers       = `<unattend xmlns="urn:schemas-microsoft-com:unattend"></unattend>`
	ofAnAgent       = "# of an agent\r\n" // what a script of it does is simulated by its path
)

var installable = map[string]installed{
	"ec2launch-v2": {map[string]string{
		folderEC2v2 + `\EC2Launch.exe`: "MZ", `\ProgramData\Amazon\EC2Launch\sysprep\unattend.xml`: noAnswers,
	}, `\ProgramData\Amazon\EC2Launch\log\agent.log`},
	"ec2launch": {map[string]string{
		folderEC2v1 + `\Scripts\InitializeInstance.ps1`: ofAnAgent, folderEC2v1 + `\Scripts\SysprepInstance.ps1`: ofAnAgent, folderEC2v1 + `\Sysprep\Unattend.xml`: noAnswers,
	}, folderEC2v1 + `\Log\Ec2Launch.log`},
	"gcesysprep": {map[string]string{
		folderGCE + `\gcesysprep.bat`:  "@powershell.exe -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -File \"%~dp0sysprep.ps1\" %*\r\n@exit /b\r\n",
		folderGCE + `\sysprep.ps1`:     ofAnAgent,
		folderGCE + `\unattended.xml`:  noAnswers,
		`\Windows\Temp\of-another.tmp`: "x",
	}, ""},
	"cloudbase-init": {map[string]string{
		folderCloudbase + `\bin\SetSetupComplete.cmd`: "@mkdir \"%windir%\\Setup\\Scripts\"\r\n@(echo net start cloudbase-init)>\"%windir%\\Setup\\Scripts\\SetupComplete.cmd\"\r\n",
		folderCloudbase + `\conf\Unattend.xml`:        noAnswers,
	}, folderCloudbase + `\log\cloudbase-init.log`},
}

func (s Scenario) checkAgents() error {
	var errs []error
	for _, name := range s.Agents {
		if _, ok := installable[name]; !ok {
			errs = append(errs, fmt.Errorf("unknown agent %q", name))
		}
	}
	if !slices.Contains([]string{"", "before", "after"}, s.Agent.Fails) {
		errs = append(errs, fmt.Errorf("unknown agent.fails %q", s.Agent.Fails))
	}
	return errors.Join(errs...)
}

// seedAgents installs the agents, and the services of Azure's.
func (g *Guest) seedAgents() error {
	for _, name := range g.scenario.Agents {
		for path, content := range installable[name].files {
			if err := g.drive.WriteFile(path, []byte(content)); err != nil {
				return fmt.Errorf("installing %s: %w", name, err)
			}
		}
	}
	if g.scenario.AzureAgent != 0 {
		for _, name := range azureServices {
			g.reg.SetDWord(keyServices+`\`+name, "Start", 2)
		}
	}
	return nil
}

var azureServices = []string{"RdAgent", "WindowsAzureGuestAgent"}

// azureService is a service of Azure's agent, which starts some time after boot.
func (g *Guest) azureService(name string) (service, bool) {
	i := slices.IndexFunc(azureServices, func(s string) bool { return strings.EqualFold(s, name) })
	if i < 0 || g.scenario.AzureAgent == 0 {
		return service{}, false
	}
	// A second between the two of them: one of them runs alone for a while.
	after := time.Duration(g.scenario.AzureAgent) + time.Duration(i)*time.Second
	return service{azureServices[i], 2, time.Since(g.born) >= g.scaled(after)}, true
}

// ec2launchV2 is EC2Launch.exe with SYSPREP.
func (g *Guest) ec2launchV2(ctx context.Context, c *call) int {
	args := c.Argv()
	shutdown := slices.Contains(args, "--shutdown")
	if len(args) == 0 || args[0] != "sysprep" || !slices.Contains(args, "--block") || len(args) > 3 {
		return g.badSyntax(c, "EC2Launch")
	}
	return g.agentRuns(ctx, c, "ec2launch-v2", `/oobe /generalize `+endSwitch(shutdown)+` "/unattend:`+g.full(`\ProgramData\Amazon\EC2Launch\sysprep\unattend.xml"`))
}

func endSwitch(shutdown bool) string {
	if shutdown {
		return "/shutdown"
	}
	return "/quit"
}

// agentScript is a script of an agent, known by its path.
func (g *Guest) agentScript(ctx context.Context, c *call, path string, args []string) (code int, known bool) {
	is := func(name string) bool { return strings.EqualFold(path, g.full(name)) }
	switch argument := strings.ToLower(strings.Join(args, " ")); {
	case is(folderEC2v1+`\Scripts\InitializeInstance.ps1`) && argument == "-schedule":
		g.reg.SetDWord(`HKLM\SOFTWARE\Amazon\EC2Launch`, "Scheduled", 1)
		return 0, true
	case is(folderEC2v1+`\Scripts\SysprepInstance.ps1`) && (argument == "" || argument == "-noshutdown"):
		return g.agentRuns(ctx, c, "ec2launch", `/oobe `+endSwitch(argument == "")+` /generalize "/unattend:`+g.full(folderEC2v1+`\Sysprep\Unattend.xml"`)), true
	case is(folderGCE+`\sysprep.ps1`) && (argument == "" || argument == "-no_shutdown"):
		return g.gcesysprep(ctx, c, argument == ""), true
	}
	return 0, false
}

// gcesysprep clears what is temporary, runs sysprep, waits for its tag and arms the
// first boot in its own way.
func (g *Guest) gcesysprep(ctx context.Context, c *call, shutdown bool) int {
	temp := folderWindows + `\Temp`
	entries, _ := g.drive.ReadDir(temp)
	for _, e := range entries {
		_ = g.drive.RemoveAll(temp + `\` + e.Name())
	}
	c.say("GCESysprep: Beginning GCESysprep.")
	code := g.agentRuns(ctx, c, "gcesysprep", `/generalize /oobe /quit "/unattend:`+g.full(folderGCE+`\unattended.xml"`))
	if code != 0 || g.scenario.Agent.Idle || g.scenario.Agent.Detached {
		return code
	}
	for !g.drive.IsFile(fileTag) {
		if !g.sleep(ctx, 15*time.Second) {
			return 1
		}
	}
	g.reg.SetString(keySetup, "CmdLine", `"`+g.full(folderGCE)+`\windeploy.cmd"`)
	if err := g.drive.WriteFile(folderWindows+`\Setup\Scripts\SetupComplete.cmd`, []byte("powershell.exe\r\n")); err != nil {
		c.say("GCESysprep: %v", err)
		return 1
	}
	if shutdown {
		g.beginShutdown(PowerOff, 0)
	}
	return 0
}

// agentRuns is what all agents have in common: it starts sysprep and waits for it.
func (g *Guest) agentRuns(ctx context.Context, c *call, name, arguments string) int {
	if g.replay != nil {
		return g.replayRun(ctx)
	}
	how := g.scenario.Agent
	say := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		c.say("%s: %s", name, text)
		if log := installable[name].log; log != "" {
			if err := g.drive.Append(log, []byte(text+"\r\n")); err != nil {
				g.logf("%s: %v", name, err)
			}
		}
	}
	if how.Fails == "before" {
		say("ERROR: the instance metadata could not be read")
		return 1
	}
	if how.Idle {
		say("nothing to do")
		return 0
	}
	run := func(ctx context.Context) int {
		if !g.sleep(ctx, time.Duration(how.Late)) {
			return 1
		}
		sysprep := &cmdshell.Call{Name: g.full(folderSysprep) + `\sysprep.exe`, Args: arguments, Dir: g.full(folderSysprep), Env: c.Env, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}
		_, main := g.prepareAs(ctx, sysprep, c.user, c.filtered)
		return main()
	}
	if how.Detached {
		session := g.session()
		g.goDo(func() { run(session) })
		return 0
	}
	say("starting sysprep %s", arguments)
	code := run(ctx)
	if !g.sleep(ctx, time.Duration(how.Lingers)) {
		return 1
	}
	switch {
	case code != 0 && name == "gcesysprep": // the others do not look at it
		say("ERROR: sysprep ended with %d", code)
		return 1
	case how.Fails == "after":
		say("ERROR: the first boot could not be prepared")
		return 1
	}
	return 0
}
