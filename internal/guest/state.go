package guest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// CommandLimit bounds a state query. Starting a process takes a guest that is
// busy generalizing many times as long as an idle one.
const CommandLimit = 30 * time.Second

// ErrNoMark: what the run brought is not there, and nothing was started. Either
// it was removed by the run, or another machine answers.
var ErrNoMark = errors.New("what this run brought into the guest is no longer there")

// ErrUnreadable: the guest answered with something else than was asked for.
var ErrUnreadable = errors.New("the answer could not be read")

// Status is what can be seen in the guest. What could not be read, or read
// only in part, is unknown: nil, or empty.
type Status struct {
	ImageState          windows.State
	GeneralizationState *int
	Tag                 *bool // Sysprep_succeeded.tag exists
	// Processes are the ids of the running sysprep.exe; nil is unknown, empty
	// is none.
	Processes []int
	// SetupType and CmdLine of HKLM\SYSTEM\Setup say what the next boot runs. An
	// absent CmdLine is an empty one.
	SetupType *int
	CmdLine   *string
	// Ours: what the session brought into the guest is there. Nil also before
	// it brought anything, and after it was removed.
	Ours *bool
	// SameBoot: Windows was not started again since the launch; nil: not known.
	SameBoot *bool
	// MayBeRemoved: it is not there, and the run may have removed it itself.
	MayBeRemoved bool

	// Agent is what became of the agent that Launch started; nil: there is none, or
	// it is not known.
	Agent *AgentState

	// Only Look asks for what follows.
	SysprepExe            *bool // exists
	SystemSetupInProgress *int
	OOBEInProgress        *int
	AuditBoot             *int   // absent on most machines
	Architecture          string // as answer files write it: amd64, x86, arm64
	Build                 int    // CurrentBuildNumber, e.g. 20348
	TimeBias              *int   // ActiveTimeBias: UTC minus local time, in minutes
	// AnswerFiles that Windows finds by itself; nil: AnswerFiles has to ask.
	AnswerFiles *AnswerFiles
}

// What is asked. No PowerShell: build machines lock it down.
var (
	askTasks = sync.OnceValue(func() command {
		return all(echo("tasks"), call("tasklist /fi ? /fo csv /nh", "imagename eq "+windows.Process).then(echo("listed")))
	})
	askState = sync.OnceValue(func() command {
		return all(
			query("image", windows.ImageState),
			query("status", windows.GeneralizationState),
			tell("tag", windows.Tag.In("%windir%")),
			askTasks(),
			all(echo("setup"), call("reg query ?"+native, windows.SetupType.Key())), // one program for four values
		)
	})
	askLook = sync.OnceValue(func() command {
		return all(askState(),
			when(windows.SysprepLog.In("%windir%"), countLines(windows.SysprepLog.In("%windir%"))),
			tell("exe", windows.SysprepExe.In("%windir%")),
			query("audit", windows.AuditBoot),
			query("build", windows.CurrentBuild),
			query("zone", windows.ActiveTimeBias),
			echo("windir"), call("echo %windir%"), echo("arch"), call("echo %PROCESSOR_ARCHITECTURE%"),
			askAnswerFiles()) // last: it ends with a loop, whose variable has one percent sign
	})
)

// native is the view of the registry that a 32-bit program would not see.
const native = " /reg:64"

// query asks the registry for a value.
func query(mark string, v windows.Value) command { return all(echo(mark), reg("query", v, "")) }

// reg does something with a value of the registry.
func reg(verb string, v windows.Value, how string) command {
	return call("reg "+verb+" ? /v "+v.Name()+how+native, v.Key())
}

// Poll asks for the state in one cmd.exe line.
func (s *Session) Poll(ctx context.Context) (Status, error) {
	mark := s.mark()
	a, err := s.ask(ctx, all(s.askWith(mark), s.askAgent()), CommandLimit)
	if err != nil {
		return Status{}, fmt.Errorf("asking for the state: %w", err)
	}
	return s.judgeOurs(s.readAll(a), mark), nil
}

// PollRegardless is Poll within a limit, once more before the guest counts as
// lost: also during a rest, and where the connection was given up.
func (s *Session) PollRegardless(ctx context.Context, limit time.Duration) (Status, error) {
	mark := s.mark()
	a, err := s.asked(ctx, all(s.askWith(mark), s.askAgent()), Request{Insist: true}, limit)
	if err != nil {
		return Status{}, fmt.Errorf("asking for the state once more: %w", err)
	}
	return s.judgeOurs(s.readAll(a), mark), nil
}

// judgeOurs: what was removed by ourselves is not missing. A command that
// watches removes it with the tag in place, and its answer may have got lost.
func (s *Session) judgeOurs(state Status, mark string) Status {
	s.mu.Lock()
	removing, agent := s.removing, s.agent
	if state.SameBoot != nil && *state.SameBoot {
		s.bootSeen = true
	} else if !s.bootSeen { // it may not have been possible to write it
		state.SameBoot = nil
	}
	s.mu.Unlock()
	if mark != s.mark() {
		state.Ours = nil
	}
	if removing && state.Ours != nil && !*state.Ours && state.Tag != nil && *state.Tag {
		state.Ours, state.MayBeRemoved = nil, true
		if agent && state.Agent == nil { // nothing is removed before an agent has ended well
			state.Agent = &AgentState{Ended: true}
		}
	}
	return state
}

// askWith asks for the state, for the mark of this boot where there is one, and
// for the mark of the run.
func (s *Session) askWith(mark string) command {
	asks := all(askState(), s.askBoot())
	if mark == "" {
		return asks
	}
	return all(asks, tell("ours", mark))
}

func (s *Session) askBoot() command {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.bootMarked {
		return command{}
	}
	return all(echo("boot"), call("reg query ?"+native, s.bootValue().Key()))
}

// bootValue is what Windows forgets at a restart. It is never on a disk, so
// nobody has to remove it.
func (s *Session) bootValue() windows.Value {
	return windows.Value(windows.ThisBoot + `\` + footprint.Folder.Name(s.id))
}

// putBoot writes it.
func (s *Session) putBoot() command {
	s.mu.Lock()
	s.bootMarked, s.bootSeen = true, false
	s.mu.Unlock()
	return call("reg add ? /v "+s.bootValue().Name()+" /t REG_SZ /d 1 /f"+native+quiet, s.bootValue().Key()).then(echo(bootPut))
}

// bootPut is what putBoot says where it worked.
const bootPut = "boot-put"

// heardBoot takes that from an answer: Windows may restart before it is asked again.
func (s *Session) heardBoot(a answer) {
	if a.has(bootPut) {
		s.mu.Lock()
		s.bootSeen = true
		s.mu.Unlock()
	}
}

// readAll is readState, with what depends on the session.
func (s *Session) readAll(a answer) Status {
	state := readState(a)
	state.SameBoot = s.sameBoot(a)
	return state
}

// sameBoot reads it. That the key was listed at all is told by its other values.
func (s *Session) sameBoot(a answer) *bool {
	v := listed(a.parts["boot"], s.bootValue())
	if v == nil {
		return nil
	}
	same := *v == "1"
	return &same
}

// mark is a file or folder by which the guest is known again: what starts
// sysprep, or where it would be. Empty: nothing of ours is there. Later uploads
// tell nothing, they would arrive on any machine.
func (s *Session) mark() string {
	switch {
	case s.there(s.scriptFile(scripts.Launch)):
		return s.launchers()
	case s.there(s.Folder()):
		return s.Folder()
	}
	return ""
}

// Look asks for everything in Status, and learns where Windows is.
func (s *Session) Look(ctx context.Context) (Status, error) {
	a, err := s.ask(ctx, all(s.askBoot(), askLook()), CommandLimit)
	if err != nil {
		return Status{}, fmt.Errorf("asking for the state: %w", err)
	}
	windir := readWindir(a)
	s.mu.Lock()
	if windir != "" {
		s.windir = windir
	}
	s.oldLines = counted(a)
	s.mu.Unlock()
	state := s.judgeOurs(s.readAll(a), "")
	if found, err := readAnswerFiles(a, s.Windir()); err == nil {
		state.AnswerFiles = &found
	}
	return state, nil
}

var (
	imageState = lazyregexp.New(`^IMAGE_STATE_[A-Z_]{1,60}$`)
	windirPath = lazyregexp.New(`^[A-Za-z]:(\\[A-Za-z0-9_.-]+)+$`)
)

func readWindir(a answer) string {
	if lines := a.parts["windir"]; len(lines) == 1 && windirPath.MatchString(lines[0]) {
		return lines[0]
	}
	return ""
}

// readState reads what was asked. Only what looks exactly as expected counts:
// headings and error texts are in the guest's language.
func readState(a answer) Status {
	parts := a.parts
	state := Status{
		GeneralizationState:   dword(parts["status"], windows.GeneralizationState),
		Tag:                   a.yes("tag"),
		SysprepExe:            a.yes("exe"),
		SystemSetupInProgress: dword(parts["setup"], windows.SystemSetupInProgress),
		OOBEInProgress:        dword(parts["setup"], windows.OOBEInProgress),
		AuditBoot:             dword(parts["audit"], windows.AuditBoot),
		Processes:             processes(a),
		SetupType:             dword(parts["setup"], windows.SetupType),
		CmdLine:               listed(parts["setup"], windows.CmdLine),
		Ours:                  a.yes("ours"),
		Agent:                 readAgent(a),
		TimeBias:              dword(parts["zone"], windows.ActiveTimeBias),
	}
	if b := state.TimeBias; b != nil {
		if *b = int(int32(*b)); *b < -24*60 || *b > 24*60 {
			state.TimeBias = nil
		}
	}
	if v := value(parts["image"], windows.ImageState, "REG_SZ"); imageState.MatchString(v) {
		state.ImageState = windows.State(v)
	}
	if v := value(parts["build"], windows.CurrentBuild, "REG_SZ"); len(v) <= 6 {
		state.Build, _ = strconv.Atoi(v)
	}
	if lines := parts["arch"]; len(lines) == 1 {
		if arch := strings.ToLower(lines[0]); slices.Contains([]string{"amd64", "x86", "arm64"}, arch) {
			state.Architecture = arch
		}
	}
	return state
}
