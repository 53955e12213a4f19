package sysprep

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/cloudagent"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

const (
	maxOutput   = 4 << 10 // bytes of what an agent printed last
	outputLines = 12      // of them that are shown
)

// newSession makes a session. What starts sysprep instead of us may empty
// temporary folders.
func (r *run) newSession(t guest.Transport) *guest.Session {
	s := r.open(r.counted(t))
	if r.config.startsSysprep() {
		s.Durable()
	}
	return s
}

// folder is where the session keeps what it brings.
func (r *run) folder() footprint.Trace {
	if r.config.startsSysprep() {
		return footprint.DurableFolder
	}
	return footprint.Folder
}

// onDrive is a path below the system drive.
func (r *run) onDrive(path string) string {
	return cloudagent.OnDrive(r.session.Windir()[:2], path)
}

// findAgent looks for the agent in the guest, and makes "auto" one of them, or none.
func (r *run) findAgent(ctx context.Context) error {
	if r.config.Command != "" || r.config.Agent == agentNone {
		return nil
	}
	var paths []string
	for _, a := range cloudagent.All() {
		paths = append(paths, r.onDrive(a.Program))
	}
	var found []string
	err := r.patiently(ctx, func() (err error) {
		found, err = r.session.Present(ctx, paths...)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return errors.New(notStarted)
	case err != nil:
		return untouched(fmt.Errorf("sysprep was not started, the machine is untouched: %w", err), unanswered)
	case r.config.Agent == agentAuto:
		r.config.Agent = agentNone
		for _, a := range cloudagent.All() {
			if slices.Contains(found, r.onDrive(a.Program)) {
				r.config.Agent = a.Name
				r.ui.Sayf("Found the agent %s (%s): it runs sysprep", a.Name, r.onDrive(a.Program))
				return nil
			}
		}
		r.ui.Say("Found no agent that brings a sysprep of its own: sysprep is run itself")
		return nil
	}
	if agent, _ := cloudagent.ByName(r.config.Agent); !slices.Contains(found, r.onDrive(agent.Program)) {
		d, _ := diagnosis.ByID("F59")
		return failed(verdict.Head{Class: verdict.NotStarted, Cause: d.Name}, fmt.Errorf("sysprep was not started, the machine is untouched: %s is not in the guest (%s is missing)", agent.Name, r.onDrive(agent.Program)), nil, d.Remedy...)
	}
	return nil
}

// awaitAzure waits until the agents of Azure run, as the documented loop does, but
// not for ever. A service that is absent or disabled is not waited for.
func (r *run) awaitAzure(ctx context.Context) error {
	if !strings.HasPrefix(r.config.PackerBuilderType, "azure-") {
		return nil
	}
	deadline := r.now().Add(r.config.StallTimeout)
	said := ""
	wait := r.heart.Begin(r.waitingFor("waiting for Azure's agent", ""))
	defer wait.End()
	for {
		services, err := r.session.Services(ctx, cloudagent.AzureServices...)
		if services != nil {
			r.book.Change(func(l *runlog.Log) { l.Services = services })
		}
		var waits []string
		for _, name := range cloudagent.AzureServices {
			if runs, there := services[name]; there && !runs {
				waits = append(waits, name)
			}
		}
		names := strings.Join(waits, " and ")
		if err != nil {
			wait.Set(r.waitingFor("waiting for Azure's agent", "the guest does not answer"))
		} else {
			wait.Set(r.waitingFor("waiting for Azure's agent", names+" not running"))
		}
		switch {
		case ctx.Err() != nil:
			return errors.New(notStarted)
		case err != nil && !guest.Unanswered(err):
			r.ui.Sayf("Warning: could not tell whether %s run: %s", strings.Join(cloudagent.AzureServices, " and "), err)
			return nil
		case err == nil && waits == nil:
			return nil
		case r.now().After(deadline):
			if err != nil {
				return untouched(fmt.Errorf("sysprep was not started, the machine is untouched: %w (waited up to %s, see stall_timeout)", err, r.config.StallTimeout), unanswered)
			}
			d, _ := diagnosis.ByID("F80")
			return failed(verdict.Head{Class: verdict.NotStarted, Cause: d.Name}, fmt.Errorf("sysprep was not started, the machine is untouched: %s of Azure's agent did not start (waited up to %s, see stall_timeout)", names, r.config.StallTimeout), nil, d.Remedy...)
		case err == nil && names != said:
			r.ui.Sayf("Waiting: %s of Azure's agent is not running", names)
			said = names
		}
		if r.pause(ctx, r.config.PollInterval) != nil {
			return errors.New(notStarted)
		}
	}
}

// bringAgent brings what starts sysprep.
func (r *run) bringAgent(ctx context.Context) error {
	if r.plan.Starter == "" {
		return nil
	}
	agent := guest.Agent{Lines: r.plan.Lines, Quiet: r.plan.Action != actionQuit}
	err := r.patiently(ctx, func() error { return r.session.BringAgent(ctx, agent) })
	if err == nil {
		return nil
	}
	next := "connect as an administrator with the elevated token, and allow PowerShell for this build"
	if guest.Unanswered(err) {
		next = unanswered
	}
	return untouched(fmt.Errorf("sysprep was not started, the machine is untouched: %w", err), next)
}

// explainAgent adds what the agent said to the verdict about it.
func (r *run) explainAgent(ctx context.Context, v *verdict.Verdict) {
	if v.Agent == "" || v.Diagnosis == nil {
		return
	}
	for _, log := range r.plan.StarterLogs {
		v.Diagnosis.Remedy = append(v.Diagnosis.Remedy, "Its log: "+r.onDrive(log))
	}
	if !r.answering {
		return
	}
	if r.plan.Action != actionQuit {
		v.Diagnosis.Evidence = append(v.Diagnosis.Evidence, "(what it printed is kept with action = \"quit\" only)")
		return
	}
	out, err := r.session.AgentOutput(ctx, maxOutput)
	if err != nil {
		return
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	v.Diagnosis.Evidence = append(v.Diagnosis.Evidence, lines[max(0, len(lines)-outputLines):]...)
}

// saveAgentLogs puts the agent's own logs into the folder agent of log_directory.
func (r *run) saveAgentLogs(ctx context.Context) (saved int) {
	var paths []string
	for _, log := range r.plan.StarterLogs {
		paths = append(paths, r.onDrive(log))
	}
	if paths == nil {
		return 0
	}
	found, err := r.session.FetchAll(ctx, paths, maxLogFile)
	if err != nil {
		r.ui.Sayf("Could not fetch logs of %s: %s", r.plan.Starter, err)
	}
	for _, path := range slices.Sorted(maps.Keys(found)) {
		if content := found[path]; len(content) > 0 {
			name := path[strings.LastIndexByte(path, '\\')+1:]
			saved += r.savedLog(ctx, filepath.Join(r.config.LogDirectory, "agent", name), content)
		}
	}
	return saved
}

// stopAgent ends an agent that has not started sysprep yet: after a cancel nobody
// would see what it does to the machine.
func (r *run) stopAgent(ctx context.Context, now guest.Status) {
	if r.launched.AgentPID == 0 || !r.answering || now.ImageState != windows.StateComplete || len(now.Processes) > 0 || now.Tag != nil && *now.Tag {
		return
	}
	if err := r.session.StopTree(ctx, r.launched.AgentPID, cancelLimit); err != nil {
		r.ui.Sayf("%s could not be ended: %s", r.plan.Starter, err)
		return
	}
	r.ui.Sayf("Ended %s (process id %d) before it started sysprep", r.plan.Starter, r.launched.AgentPID)
}
