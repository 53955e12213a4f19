package sysprep

import (
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/cloudagent"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

// Values of the option agent, besides the names of agents.
const (
	agentNone = "none"
	agentAuto = "auto"
)

// maxCommand is more than a line of a batch file may have (Microsoft KB 830473).
const maxCommand = 8000

func agentValues() []string { return append([]string{agentNone, agentAuto}, cloudagent.Names()...) }

// theCommand is what the command is called where an agent would be named.
const theCommand = "the command"

// startsSysprep: sysprep is not started by the provisioner itself, or may not be.
func (c *Config) startsSysprep() bool {
	return c.Command != "" || c.Agent != agentNone && c.Agent != ""
}

// checkAgent refuses what an agent, or a command, does not take.
func (c *Config) checkAgent() (errs []error) {
	refuse := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	refuse(c.Command != "" && c.Agent != agentNone && !unknown.In(c.Agent), "command and agent are both set; keep one of them")
	refuse(strings.ContainsAny(c.Command, "\r\n\x00"), "command: it has more than one line; put them into a batch file in an earlier provisioner and name that")
	refuse(len(c.Command) > maxCommand, "command: it has %d characters, more than a line of cmd.exe may have (%d)", len(c.Command), maxCommand)
	if !c.startsSysprep() || c.Command != "" && c.Agent != agentNone || c.Command == "" && !slices.Contains(agentValues(), c.Agent) {
		return errs
	}
	who, instead := `command`, `put it on that command line`
	answers := `the command starts sysprep with arguments of its own; name the answer file there`
	agent, named := cloudagent.ByName(c.Agent)
	if c.Command == "" {
		who, instead = fmt.Sprintf("agent = %q", c.Agent), `remove it, or set agent = "none"`
		answers = `an agent gives sysprep an answer file of its own; set agent = "none" to use this one`
		if named {
			answers = fmt.Sprintf(`%s gives sysprep an answer file of its own, %s, and takes no other; change that file in an earlier provisioner, or set agent = "none"`, c.Agent, cloudagent.OnDrive("C:", agent.AnswerFile))
		}
	}
	for _, option := range []struct {
		name string
		set  bool
	}{{"answer_file", c.AnswerFile != ""}, {"answer_file_content", c.AnswerFileContent != ""}, {"answer_file_in_guest", c.AnswerFileInGuest != ""}, {"unattend", c.Unattend != nil}} {
		refuse(option.set, "%s: not used with %s: %s", option.name, who, answers)
	}
	for _, option := range []struct {
		name string
		set  bool
	}{{"vm_mode", c.VMMode}, {"extra_arguments", len(c.ExtraArguments) > 0}, {"quiet", !c.quiet()}, {"through_audit", c.ThroughAudit}} {
		refuse(option.set, "%s: not used with %s, which gives sysprep arguments of its own; %s", option.name, who, instead)
	}
	if c.Command != "" {
		return errs
	}
	refuse(!c.generalize(), "generalize: agents always generalize; set agent = %q", agentNone)
	refuse(c.Mode == modeAudit, "mode: agents always generalize for the first boot (oobe); set agent = %q", agentNone)
	refuse(c.DeleteCachedAnswerFile, "delete_cached_answer_file: agents write SetupComplete.cmd themselves, or clean up at the first boot; %s", instead)
	refuse(c.Action == actionReboot && !agent.Reboots, "action: %q is nothing that %s can end with; use \"quit\" or \"shutdown\"", c.Action, who)
	return errs
}

// withAgent plans a run in which something else starts sysprep.
func (c *Config) withAgent(p Plan) Plan {
	agent, named := cloudagent.ByName(c.Agent)
	switch {
	case c.Command != "":
		p.Starter, p.Lines = theCommand, []string{c.Command}
	case named:
		p.Starter, p.Lines = agent.Name, agent.Lines(map[verdict.End]cloudagent.End{verdict.Quit: cloudagent.Quit, verdict.Shutdown: cloudagent.Shutdown, verdict.Reboot: cloudagent.Reboot}[p.Expect.End])
		p.StarterLogs = agent.Logs
	default:
		return p
	}
	p.Arguments = ""
	p.Expect.Agent, p.Expect.AgentWithin = p.Starter, c.StallTimeout
	return p
}
