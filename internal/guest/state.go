package guest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// CommandLimit bounds a state query. Starting a process takes a guest that is
// busy generalizing many times as long as an idle one.
const CommandLimit = 30 * time.Second

// ErrNoMark: what the run brought is not there, and nothing was started. Either
// it was removed by the run, or another machine answers.
var ErrNoMark = errors.New("what this run brought into the guest is not there any more")

// ErrUnreadable: the guest answered with something else than was asked for.
var ErrUnreadable = errors.New("the answer could not be read")

// State is what can be seen in the guest. What could not be read, or read
// only in part, is unknown: nil, or empty.
type State struct {
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
	// MayBeRemoved: it is not there, and the run may have removed it itself.
	MayBeRemoved bool

	// Only Look asks for what follows.
	SysprepExe            *bool // exists
	SystemSetupInProgress *int
	OOBEInProgress        *int
	AuditBoot             *int   // absent on most machines
	Architecture          string // as answer files write it: amd64, x86, arm64
	Build                 int    // CurrentBuildNumber, e.g. 20348
	TimeBias              *int   // ActiveTimeBias: UTC minus local time, in minutes
}

// Parts of the query lines. No PowerShell: build machines lock it down. Each
// part begins with a marker; the last marker shows that nothing was cut off.
const (
	marker     = "packer-part:"
	partImage  = `echo packer-part:image& reg query "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State" /v ImageState /reg:64`
	partStatus = `echo packer-part:status& reg query "HKLM\SYSTEM\Setup\Status\SysprepStatus" /v GeneralizationState /reg:64`
	partTag    = `echo packer-part:tag& (if exist "%windir%\System32\Sysprep\Sysprep_succeeded.tag" (echo yes) else (echo no))`
	partTasks  = `echo packer-part:tasks& tasklist /fi "imagename eq sysprep.exe" /fo csv /nh&& echo read`
	partExe    = `echo packer-part:exe& (if exist "%windir%\System32\Sysprep\sysprep.exe" (echo yes) else (echo no))`
	partSetup  = `echo packer-part:setup& reg query "HKLM\SYSTEM\Setup" /reg:64` // one program for four values
	partAudit  = `echo packer-part:audit& reg query "HKLM\SYSTEM\Setup\Status" /v AuditBoot /reg:64`
	partBuild  = `echo packer-part:build& reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v CurrentBuildNumber /reg:64`
	partZone   = `echo packer-part:zone& reg query "HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation" /v ActiveTimeBias /reg:64`
	partOurs   = `echo packer-part:ours& (if exist "%s" (echo yes) else (echo no))`
	partWindir = `echo packer-part:windir& echo %windir%`
	partArch   = `echo packer-part:arch& echo %PROCESSOR_ARCHITECTURE%`
	partEnd    = `echo packer-part:end`
)

var (
	pollParts = strings.Join([]string{partImage, partStatus, partTag, partTasks, partSetup}, "& ")
	lookLine  = strings.Join([]string{partImage, partStatus, partTag, partTasks, partExe, partSetup, partAudit,
		partBuild, partZone, partWindir, partArch, partEnd}, "& ")
)

// Poll asks for the state in one cmd.exe line.
func (s *Session) Poll(ctx context.Context) (State, error) {
	mark := s.mark()
	state, _, err := s.query(ctx, pollLine(mark))
	return s.judgeOurs(state, mark), err
}

// judgeOurs: what was removed by ourselves is not missing. A command that
// watches removes it with the tag in place, and its answer may have got lost.
func (s *Session) judgeOurs(state State, mark string) State {
	s.mu.Lock()
	removing := s.removing
	s.mu.Unlock()
	if mark != s.mark() {
		state.Ours = nil
	}
	if removing && state.Ours != nil && !*state.Ours && state.Tag != nil && *state.Tag {
		state.Ours, state.MayBeRemoved = nil, true
	}
	return state
}

// pollLine asks for the state, and for the mark where there is one.
func pollLine(mark string) string {
	if mark == "" {
		return pollParts + "& " + partEnd
	}
	return pollParts + "& " + fmt.Sprintf(partOurs, mark) + "& " + partEnd
}

// mark is a file or folder by which the guest is known again: what starts
// sysprep, or where it would be. Empty: nothing of ours is there. Later uploads
// tell nothing, they would arrive on any machine.
func (s *Session) mark() string {
	folder := s.Folder()
	launcher := folder + `\` + scripts.Launch
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.scripts[launcher+".ps1"]:
		return launcher + ".*" // not the script's name: this is no line that runs it
	case s.scripts[folder]:
		return folder
	}
	return ""
}

// Look asks for everything in State, and learns where Windows is.
func (s *Session) Look(ctx context.Context) (State, error) {
	state, windir, err := s.query(ctx, lookLine)
	if err == nil && windir != "" {
		s.mu.Lock()
		s.windir = windir
		s.mu.Unlock()
	}
	return state, err
}

func (s *Session) query(ctx context.Context, line string) (State, string, error) {
	result, err := s.Run(ctx, line, CommandLimit)
	if err != nil {
		return State{}, "", fmt.Errorf("asking for the state: %w", err)
	}
	state, windir, err := parseState(string(result.Stdout))
	if err != nil {
		return State{}, "", fmt.Errorf("asking for the state: %w", err)
	}
	return state, windir, nil
}

var (
	registryValue = regexp.MustCompile(`^ {4}(\S+) {4}(REG_SZ|REG_EXPAND_SZ|REG_DWORD)(?: {4}(.*))?$`) // an empty text ends with its type
	imageState    = regexp.MustCompile(`^IMAGE_STATE_[A-Z_]{1,60}$`)
	processLine   = regexp.MustCompile(`(?i)^"sysprep\.exe","(\d{1,10})",`)
	windirPath    = regexp.MustCompile(`^[A-Za-z]:(\\[A-Za-z0-9_.-]+)+$`)
)

// maxAnswer is more than any answer in parts holds, in bytes.
const maxAnswer = 256 << 10

// cutParts cuts an answer at its markers. Without the last one it is not whole.
// What comes before a marker in its line is not ours: a banner, escape codes.
func cutParts(text string) (map[string][]string, error) {
	if len(text) > maxAnswer {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrUnreadable, len(text))
	}
	parts := map[string][]string{}
	name := ""
	for _, line := range strings.Split(strings.ReplaceAll(text, "\x00", ""), "\n") {
		line = strings.TrimRight(line, "\r ")
		if _, rest, ok := strings.Cut(line, marker); ok {
			name = rest
			parts[name] = nil
			continue
		}
		if line != "" {
			parts[name] = append(parts[name], line)
		}
	}
	if _, ok := parts["end"]; !ok {
		return nil, fmt.Errorf("%w: it ends early, after %d characters", ErrUnreadable, len(text))
	}
	return parts, nil
}

// parseState reads the answer to a query line. Only what looks exactly as
// expected counts: headings and error texts are in the guest's language.
func parseState(text string) (State, string, error) {
	parts, err := cutParts(text)
	if err != nil {
		return State{}, "", err
	}
	state := State{
		GeneralizationState:   dword(parts["status"], "GeneralizationState"),
		Tag:                   yesNo(parts["tag"]),
		SysprepExe:            yesNo(parts["exe"]),
		SystemSetupInProgress: dword(parts["setup"], "SystemSetupInProgress"),
		OOBEInProgress:        dword(parts["setup"], "OOBEInProgress"),
		AuditBoot:             dword(parts["audit"], "AuditBoot"),
		Processes:             processes(parts["tasks"]),
		SetupType:             dword(parts["setup"], "SetupType"),
		CmdLine:               listed(parts["setup"], "CmdLine"),
		Ours:                  yesNo(parts["ours"]),
		TimeBias:              dword(parts["zone"], "ActiveTimeBias"),
	}
	if b := state.TimeBias; b != nil {
		if *b = int(int32(*b)); *b < -24*60 || *b > 24*60 {
			state.TimeBias = nil
		}
	}
	if v := value(parts["image"], "ImageState", "REG_SZ"); imageState.MatchString(v) {
		state.ImageState = windows.State(v)
	}
	if v := value(parts["build"], "CurrentBuildNumber", "REG_SZ"); len(v) <= 6 {
		state.Build, _ = strconv.Atoi(v)
	}
	if lines := parts["arch"]; len(lines) == 1 {
		if arch := strings.ToLower(lines[0]); slices.Contains([]string{"amd64", "x86", "arm64"}, arch) {
			state.Architecture = arch
		}
	}
	windir := ""
	if lines := parts["windir"]; len(lines) == 1 && windirPath.MatchString(lines[0]) {
		windir = lines[0]
	}
	return state, windir, nil
}

func value(lines []string, name, kind string) string {
	for _, line := range lines {
		if m := registryValue.FindStringSubmatch(line); m != nil && strings.EqualFold(m[1], name) && m[2] == kind {
			return m[3]
		}
	}
	return ""
}

// listed reads a text value of a key whose values were all listed: one that is
// not among them is absent, which means the same as empty.
func listed(lines []string, name string) *string {
	any := false
	for _, line := range lines {
		m := registryValue.FindStringSubmatch(line)
		any = any || m != nil
		if m != nil && strings.EqualFold(m[1], name) {
			if m[2] == "REG_DWORD" {
				return nil
			}
			return &m[3]
		}
	}
	if !any {
		return nil
	}
	return new(string)
}

func dword(lines []string, name string) *int {
	digits, ok := strings.CutPrefix(value(lines, name, "REG_DWORD"), "0x")
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil {
		return nil
	}
	v := int(n)
	return &v
}

func yesNo(lines []string) *bool {
	if len(lines) != 1 || lines[0] != "yes" && lines[0] != "no" {
		return nil
	}
	v := lines[0] == "yes"
	return &v
}

// processes reads tasklist's lines. That there are none is said in the guest's
// language, so the word after a tasklist that worked has to be there.
func processes(lines []string) []int {
	if len(lines) == 0 || lines[len(lines)-1] != "read" {
		return nil
	}
	ids := []int{}
	for _, line := range lines {
		if m := processLine.FindStringSubmatch(line); m != nil {
			id, err := strconv.Atoi(m[1])
			if err != nil {
				return nil
			}
			ids = append(ids, id)
		}
	}
	return ids
}
