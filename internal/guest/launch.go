package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

const launchLimit = 3 * time.Minute // two bounded CIM calls, or 15 s of waiting for a task

// Logon is the account sysprep runs as.
type Logon string

// Logons. The last two run it from a scheduled task.
const (
	LogonSame   Logon = ""       // the account of the connection, with its token
	LogonS4U    Logon = "s4u"    // User, with highest privileges and without a password
	LogonSystem Logon = "system" // LocalSystem
)

// Launch says what to start.
type Launch struct {
	Arguments string // everything after sysprep.exe
	Logon     Logon
	User      string // of LogonS4U; for LogonSame needed where PowerShell does not work
}

// Launched says what was started.
type Launched struct {
	PID        int    // 0: not known
	TagDeleted bool   // known with PowerShell only
	Task       string // registered and to be removed; also set with some errors
	// Time is when the launch began, by the guest's clock; known with PowerShell
	// only. OldLines counts the lines of an earlier log that could not be renamed,
	// without PowerShell.
	Time     time.Time
	OldLines int
	// OldLogs is where the logs of earlier runs were put; empty when there were
	// none.
	OldLogs Leftovers
	// WithoutPowerShell: PowerShell did not work, and Reason says why.
	WithoutPowerShell bool
	Reason            string
}

// ErrNotStarted: Windows would not start sysprep. Nothing runs.
var ErrNotStarted = errors.New("sysprep could not be started")

type launchParameters struct {
	Arguments string `json:"arguments"`
	Mode      string `json:"mode"`
	Logon     string `json:"logon,omitempty"`
	User      string `json:"user,omitempty"`
	TaskName  string `json:"taskName,omitempty"`
}

type launchDocument struct {
	Started    bool   `json:"started"`
	Time       string `json:"time"`
	TagDeleted bool   `json:"tagDeleted"`
	Alive      bool   `json:"alive"`
	LogFolder  string `json:"logFolder"`
	Logs       []struct {
		Moved bool `json:"moved"`
	} `json:"logs"`
	Start struct {
		ReturnValue    *int64 `json:"returnValue"`
		Meaning        string `json:"meaning"`
		PID            *int   `json:"pid"`
		Task           string `json:"task"`
		LastTaskResult *int64 `json:"lastTaskResult"`
	} `json:"start"`
}

// Launch deletes the old tag and starts sysprep so that it outlives the
// connection. A refusal is a *ScriptError: already-running, sysprep-missing,
// tag-not-deleted. After any error but that and ErrNotStarted sysprep may run.
func (s *Session) Launch(ctx context.Context, l Launch) (Launched, error) {
	return s.launch(ctx, l, nil)
}

// LaunchThrough is Launch with the line that runs the script wrapped, to run it
// under another account.
func (s *Session) LaunchThrough(ctx context.Context, l Launch, wrap func(line string) (string, error)) (Launched, error) {
	return s.launch(ctx, l, wrap)
}

func (s *Session) launch(ctx context.Context, l Launch, wrap func(string) (string, error)) (Launched, error) {
	params := launchParameters{Arguments: l.Arguments, Mode: "process"}
	launched := Launched{}
	if l.Logon != LogonSame {
		params = launchParameters{l.Arguments, "task", string(l.Logon), l.User, s.Task()}
		launched.Task = s.Task()
	}
	var found *launchDocument
	err := s.script(ctx, scripts.Launch, params, wrap, func(raw []byte) {
		doc := launchDocument{}
		if json.Unmarshal(raw, &doc) == nil {
			found = &doc
		}
	}, launchLimit)
	if errors.Is(err, ErrNoDocument) && wrap == nil {
		return s.launchWithout(ctx, l, err)
	}
	if errors.Is(err, errNotSent) {
		return Launched{}, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	if err != nil {
		return launched, err
	}
	if found == nil {
		return launched, fmt.Errorf("guest script launch: %w", ErrUnreadable)
	}
	launched.TagDeleted = found.TagDeleted
	launched.Time, _ = time.Parse(time.RFC3339, found.Time)
	for _, log := range found.Logs {
		if log.Moved {
			launched.OldLogs.Folders = []string{found.LogFolder}
		}
	}
	if found.Start.PID != nil {
		launched.PID = *found.Start.PID
	}
	if !found.Started {
		return launched, fmt.Errorf("%w: %s", ErrNotStarted, found.reason())
	}
	return launched, nil
}

func (d *launchDocument) reason() string {
	if d.Start.ReturnValue != nil {
		return fmt.Sprintf("Win32_Process.Create returned %d (%s)", *d.Start.ReturnValue, d.Start.Meaning)
	}
	if d.Start.LastTaskResult != nil {
		return fmt.Sprintf("the scheduled task ended with 0x%08x", uint32(*d.Start.LastTaskResult))
	}
	return "the guest gives no reason"
}

// lineCount is how find /c ends.
var lineCount = regexp.MustCompile(`(?m): (\d{1,9})\r?$`)

// launchWithout starts sysprep by cmd.exe and a scheduled task. PowerShell ran
// nothing, so nothing has been started yet.
func (s *Session) launchWithout(ctx context.Context, l Launch, why error) (Launched, error) {
	launched := Launched{WithoutPowerShell: true, Reason: why.Error()}
	user := `"` + l.User + `" /np`
	if l.Logon == LogonSystem {
		user = "SYSTEM"
	} else if l.User == "" || strings.ContainsAny(l.User, "\"%^&|<>\r\n") {
		return launched, fmt.Errorf("%w: PowerShell does not work (%w) and user %q cannot be given to schtasks", ErrNotStarted, why, l.User)
	}
	if strings.ContainsAny(l.Arguments, "\"%^&|<>\r\n") {
		return launched, fmt.Errorf("%w: PowerShell does not work (%w) and the arguments %q cannot be given to schtasks", ErrNotStarted, why, l.Arguments)
	}
	folder := s.Windir() + `\System32\Sysprep`
	tag := folder + `\Sysprep_succeeded.tag`
	// The old log keeps its lines under another name: they may explain an earlier failure.
	ours := s.Folder() // what the guest is known by from now on
	out, err := s.Run(ctx, `md "`+ours+`"& (if exist "`+ours+`" (echo ours-there))& del /f /q "`+tag+`"& ren "`+folder+`\Panther\setupact.log" setupact.packer-`+s.id+`.log& `+
		`(if exist "`+folder+`\Panther\setupact.log" (find /c /v "" "`+folder+`\Panther\setupact.log"))& `+
		`(if exist "`+tag+`" (echo tag-left) else (echo tag-gone))`, CommandLimit)
	if err != nil {
		return launched, fmt.Errorf("%w: deleting the old tag: %w", ErrNotStarted, err)
	}
	switch answer := lastLine(out.Stdout); answer {
	case "tag-gone":
	case "tag-left":
		return launched, &ScriptError{Script: scripts.Launch, Name: "tag-not-deleted", Message: short(string(out.Stderr))}
	default:
		return launched, fmt.Errorf("%w: deleting the old tag: %w: %q", ErrNotStarted, ErrUnreadable, short(answer))
	}
	s.mu.Lock()
	clear(s.scripts) // what was uploaded may never have arrived
	s.scripts[ours] = bytes.Contains(out.Stdout, []byte("ours-there"))
	s.mu.Unlock()
	if m := lineCount.FindSubmatch(out.Stdout); m != nil {
		launched.OldLines, _ = strconv.Atoi(string(m[1]))
	}
	launched.OldLogs.Files = []string{folder + `\Panther\setupact.packer-` + s.id + `.log`}
	launched.Task = s.Task()
	steps := []string{
		`schtasks /create /f /tn ` + s.Task() + ` /tr "` + folder + `\sysprep.exe ` + l.Arguments + `" /sc once /st 00:00 /rl highest /ru ` + user + `&& echo done`,
		`schtasks /run /tn ` + s.Task() + `&& echo done`,
	}
	for _, step := range steps {
		out, err := s.Run(ctx, step, CommandLimit)
		if err != nil {
			return launched, fmt.Errorf("starting sysprep from a scheduled task: %w", err)
		}
		if lastLine(out.Stdout) != "done" {
			return launched, fmt.Errorf("%w: schtasks: %s", ErrNotStarted, short(string(out.Stderr)))
		}
	}
	return launched, nil
}

// Stop ends a program by its process id.
func (s *Session) Stop(ctx context.Context, pid int, limit time.Duration) error {
	if _, err := s.Run(ctx, fmt.Sprintf("taskkill /f /pid %d", pid), limit); err != nil {
		return fmt.Errorf("ending process %d: %w", pid, err)
	}
	return nil
}

// lastLine returns the last line that is not empty.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
