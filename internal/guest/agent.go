package guest

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Agent is a program of the guest that starts sysprep itself.
type Agent struct {
	// Lines are those of a batch file.
	Lines []string
	// Quiet throws away what it prints: nothing may hold a file of the session
	// open where the agent takes Windows down.
	Quiet bool
}

// AgentState is what became of a program that starts sysprep.
type AgentState struct {
	Ended bool
	Exit  *int // its exit code; nil: not known
}

// What lies beside the agent's batch file. The exit code comes under another name
// first, so that it is there whole or not at all.
const (
	agentLines  = "agent.cmd"
	agentRun    = "run.cmd"
	agentBegun  = "begun"
	agentOutput = "output"
	agentPart   = "exit.part"
	agentExit   = "exit"
	cmdExe      = windows.Path(`\System32\cmd.exe`)
)

// Durable puts what the session brings where programs that clear temporary
// folders do not look: to be called before anything is brought.
func (s *Session) Durable() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.durable = true
}

func (s *Session) agentFolder() string          { return s.Folder() + `\agent` }
func (s *Session) agentFile(name string) string { return s.agentFolder() + `\` + name }

// hasAgent says whether the agent is in the guest.
func (s *Session) hasAgent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agent
}

// BringAgent brings what Launch runs with Launch.Agent, within the limit. Its lines
// may hold secrets: only SYSTEM and administrators can read them.
func (s *Session) BringAgent(ctx context.Context, a Agent) error {
	files := []File{
		{Path: s.agentFile(agentLines), Content: []byte("@echo off\r\n" + strings.Join(a.Lines, "\r\n") + "\r\n"), Private: true},
		{Path: s.agentFile(agentRun), Content: []byte(s.agentRun(a.Quiet)), Private: true},
	}
	if placer, ok := s.transport.(Placer); ok {
		ctx, cancel := s.within(ctx, uploadLimit)
		defer cancel()
		if err := placer.Place(ctx, files...); err != nil {
			return fmt.Errorf("bringing the agent's lines: %w", err)
		}
	} else {
		if err := s.MakePrivate(ctx, s.agentFolder()); err != nil {
			return err
		}
		for _, file := range files {
			if err := s.Upload(ctx, file.Path, file.Content, uploadLimit); err != nil {
				return err
			}
		}
	}
	// Where PowerShell is locked down, Packer's upload fails without a word.
	there, err := s.Exists(ctx, s.agentFile(agentRun))
	switch {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("%w: the agent's lines did not arrive: Packer's upload needs PowerShell in the guest", ErrNotFound)
	}
	s.mu.Lock()
	s.agent = true
	s.mu.Unlock()
	return nil
}

// agentRun is the batch file that runs the agent and keeps its exit code. The
// folder has no blanks.
func (s *Session) agentRun(quiet bool) string {
	out := s.agentFile(agentOutput)
	if quiet {
		out = "nul"
	}
	return strings.Join([]string{
		"@echo off",
		"(echo begun)>" + s.agentFile(agentBegun),
		s.in(cmdExe) + " /d /c " + s.agentFile(agentLines) + " <nul >" + out + " 2>&1",
		"(echo %errorlevel%)>" + s.agentFile(agentPart),
		"move /y " + s.agentFile(agentPart) + " " + s.agentFile(agentExit) + " >nul",
	}, "\r\n") + "\r\n"
}

// program is what Launch starts, and its arguments.
func (s *Session) program(l Launch) (path, arguments string) {
	if l.Agent {
		return s.in(cmdExe), "/d /c " + s.agentFile(agentRun)
	}
	return s.in(windows.SysprepExe), l.Arguments
}

// askBegun asks whether the agent was started.
func (s *Session) askBegun() command {
	if !s.hasAgent() {
		return command{}
	}
	return tell("begun", s.agentFile(agentBegun))
}

// askAgent asks what became of the agent.
func (s *Session) askAgent() command {
	if !s.hasAgent() {
		return command{}
	}
	exit := s.agentFile(agentExit)
	return all(tell("agent", exit), tell("agent-there", s.agentFile(agentRun)), when(exit, echo("exit"), call("type ?", exit)))
}

// readAgent reads the answer; nil: it was not asked, or is not known.
func readAgent(a answer) *AgentState {
	ended := a.yes("agent")
	if ended == nil {
		return nil
	}
	state := AgentState{Ended: *ended}
	if there := a.yes("agent-there"); !state.Ended && (there == nil || !*there) {
		return nil // it was removed, or may have been
	}
	if lines := a.parts["exit"]; len(lines) == 1 {
		state.Exit = exitCode(lines[0])
	}
	return &state
}

func exitCode(text string) *int {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return nil
	}
	code := int(n)
	return &code
}

// AgentOutput is the end of what the agent has printed, at most so many bytes.
func (s *Session) AgentOutput(ctx context.Context, most int) ([]byte, error) {
	return s.Fetch(ctx, s.agentFile(agentOutput), most)
}

// Services asks for the state of services: true is one that runs. Those that
// are not installed, or were turned off, are not in the answer.
func (s *Session) Services(ctx context.Context, names ...string) (map[string]bool, error) {
	var asks []command
	for i, name := range names {
		// The numbers are the same in every language: state 4 runs, start 4 is off.
		there := call("sc query ?"+quiet, name)
		running := call("sc query ?", name).text + " | " + call("findstr /c:?>nul", ": 4 ").text
		off := call("reg query ? /v Start"+native, `HKLM\SYSTEM\CurrentControlSet\Services\`+name).text + " 2>nul | " + call("findstr /c:?>nul", "0x4").text
		asks = append(asks, there.then(all(echo(fmt.Sprintf("service=%d", i)),
			command{text: running}.then(echo(fmt.Sprintf("runs=%d", i))), command{text: off}.then(echo(fmt.Sprintf("off=%d", i)))).group()))
	}
	a, err := s.ask(ctx, all(asks...), CommandLimit)
	if err != nil {
		return nil, fmt.Errorf("asking for services: %w", err)
	}
	found := map[string]bool{}
	marked := map[string][]int{}
	for _, mark := range []string{"service", "runs", "off"} {
		if marked[mark], err = a.numbers(mark, len(names)); err != nil {
			return nil, fmt.Errorf("asking for services: %w", err)
		}
	}
	for _, i := range marked["service"] {
		found[names[i]] = false
	}
	for _, i := range marked["off"] {
		delete(found, names[i])
	}
	for _, i := range marked["runs"] {
		found[names[i]] = true
	}
	return found, nil
}

// Present says which of some files are in the guest.
func (s *Session) Present(ctx context.Context, paths ...string) ([]string, error) {
	var asks []command
	for i, path := range paths {
		asks = append(asks, when(path, echo(fmt.Sprintf("file=%d", i))))
	}
	a, err := s.ask(ctx, all(asks...), CommandLimit)
	if err != nil {
		return nil, fmt.Errorf("looking for files: %w", err)
	}
	numbers, err := a.numbers("file", len(paths))
	if err != nil {
		return nil, fmt.Errorf("looking for files: %w", err)
	}
	var found []string
	for _, i := range numbers {
		found = append(found, paths[i])
	}
	return found, nil
}
