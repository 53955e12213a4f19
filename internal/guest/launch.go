package guest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

const launchLimit = 2 * time.Minute // two bounded CIM calls, or 15 s of waiting for a task

// Logon is the account sysprep runs as.
type Logon string

// Logons. All but the first run it from a scheduled task.
const (
	LogonSame     Logon = ""         // the account of the connection, with its token
	LogonS4U      Logon = "s4u"      // User, with highest privileges and without a password
	LogonPassword Logon = "password" // User, with highest privileges and Password
	LogonSystem   Logon = "system"   // LocalSystem
)

// Launch says what to start.
type Launch struct {
	Arguments string // everything after sysprep.exe
	// Agent: what BringAgent has brought is started in sysprep's stead, and starts
	// that itself. Arguments are not used then.
	Agent    bool
	Logon    Logon
	User     string // of LogonS4U and LogonPassword; for LogonSame needed where PowerShell does not work
	Password string // of LogonPassword
	// Watch is how the run is followed by the command that starts it; nil: it is
	// not.
	Watch *Watching
}

// Launched says what was started.
type Launched struct {
	PID        int    // of sysprep; 0: not known
	AgentPID   int    // of what starts sysprep; 0: there is none, or it is not known
	TagDeleted bool   // known with PowerShell only
	Task       string // registered and to be removed; also set with some errors
	// Time is when the launch began, by the guest's clock; known with PowerShell
	// only. OldLines counts the lines of an earlier log that could not be moved
	// away.
	Time     time.Time
	OldLines int
	// OldUncounted: an earlier log could neither be moved away nor be counted.
	// Known without PowerShell only.
	OldUncounted bool
	// OldLogs is where the logs of earlier runs were put; empty when there were
	// none.
	OldLogs Leftovers
	// Brought is what the launch itself brought into the guest, to be removed in
	// any case; also set with errors.
	Brought Leftovers
	// WithoutPowerShell: PowerShell did not work, and Reason says why.
	WithoutPowerShell bool
	Reason            string
	// Follow watches on in the shell that started sysprep; nil where that was not
	// possible.
	Follow *Follow
	// Instead says why sysprep was started by a task though it was to be started
	// by the account of the connection; empty: it was not.
	Instead string
	// Lost says why the answer to the start is not known. That sysprep was
	// started is.
	Lost string
	// Unsaid says why it is not known whether sysprep was started; Follow shows it.
	Unsaid string
}

// ErrNotStarted: Windows would not start sysprep. Nothing runs.
var ErrNotStarted = errors.New("sysprep could not be started")

type launchParameters struct {
	Arguments string `json:"arguments"`
	Mode      string `json:"mode"`
	Logon     string `json:"logon,omitempty"`
	User      string `json:"user,omitempty"`
	TaskName  string `json:"taskName,omitempty"`
	Program   string `json:"program,omitempty"`
}

type launchDocument struct {
	Started    bool   `json:"started"`
	Time       string `json:"time"`
	TagDeleted bool   `json:"tagDeleted"`
	Alive      bool   `json:"alive"`
	LogFolder  string `json:"logFolder"`
	Logs       []struct {
		Path  string `json:"path"`
		Moved bool   `json:"moved"`
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
// It is started at most once: where the answer is not known the guest is asked.
// After ErrNotStarted with an error that is Unanswered it may be called again.
func (s *Session) Launch(ctx context.Context, l Launch) (Launched, error) {
	launched, err := s.launchAs(ctx, l)
	if why := createRefused(err); why != "" && l.Logon == LogonSame && l.User != "" {
		// Hardening rules refuse Win32_Process.Create; the task service starts it.
		l.Logon = LogonS4U
		before := launched
		launched, err = s.launchAs(ctx, l)
		launched.Instead = why
		launched.TagDeleted = launched.TagDeleted || before.TagDeleted
		launched.OldLogs, launched.Brought = before.OldLogs.With(launched.OldLogs), before.Brought.With(launched.Brought)
	}
	return launched, err
}

func (s *Session) launchAs(ctx context.Context, l Launch) (Launched, error) {
	marked, oldLines := s.putMark(ctx)
	launched := Launched{Brought: Leftovers{Files: []string{s.markFile()}}}
	params := launchParameters{Arguments: l.Arguments, Mode: "process"}
	if l.Agent {
		params.Program, params.Arguments = s.program(l)
	}
	if l.Logon != LogonSame {
		params.Mode, params.Logon, params.User, params.TaskName = "task", string(l.Logon), l.User, s.Task()
		launched.Task = s.Task()
	}
	input := ""
	if l.Logon == LogonPassword {
		input = s.secretFile()
		if err := s.putSecret(ctx, input, l.Password); err != nil {
			launched.Task = ""
			return launched, fmt.Errorf("%w: %w", ErrNotStarted, err)
		}
	}
	found, follow, err := s.launchScript(ctx, params, input, l.Watch, launched)
	if err != nil {
		return s.unanswered(ctx, l, launched, marked, err)
	}
	if found == nil {
		launched.Follow, launched.Unsaid = follow, "the guest is already watching, but did not say how the start ended"
		return launched, nil
	}
	launched.TagDeleted = found.TagDeleted
	launched.Time, _ = time.Parse(time.RFC3339, found.Time)
	launched.moved(found)
	switch pid := found.Start.PID; {
	case pid == nil:
	case l.Agent:
		launched.AgentPID = *pid
	default:
		launched.PID = *pid
	}
	if !found.Started {
		if follow != nil {
			follow.cancel()
		}
		return launched, found.notStarted()
	}
	if found.logStays() {
		launched.OldLines = oldLines
	}
	if follow != nil {
		follow.at = After(launched.OldLines)
		launched.Follow = follow
	}
	return launched, nil
}

// launchScript runs launch.ps1, and goes on in the same command to watch. Its
// answer is there when it returns; the command then runs on, if it watches. Without
// an error and an answer it got lost, and the command watches all the same.
func (s *Session) launchScript(ctx context.Context, params launchParameters, input string, watch *Watching, launched Launched) (*launchDocument, *Follow, error) {
	line, err := s.scriptLine(ctx, scripts.Launch, params, input)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	line = all(s.putBoot(), line)
	w := Watching{}
	if watch != nil {
		w = *watch
		w.Remove = w.Remove.With(launched.Brought)
		if launched.Task != "" {
			w.Remove.Tasks = append(slices.Clip(w.Remove.Tasks), launched.Task)
		}
		rest, err := w.line(ctx, s, Cursor{}, false)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", ErrNotSent, err)
		}
		// While the mark is there nothing was started, and nothing is to be watched.
		if both := all(line, unless(s.markFile(), rest)); both.err != nil || len(both.text) <= mostLine {
			line = both
		} else {
			watch = nil
		}
	}
	var found *launchDocument
	script := &documents{name: scripts.Launch, onDoc: func(raw []byte) {
		doc := launchDocument{}
		if json.Unmarshal(raw, &doc) == nil {
			found = &doc
		}
	}}
	f := s.follow(ctx, line, w, script, Cursor{})
	select {
	case <-f.begun:
	case <-f.ended:
	}
	select {
	case <-f.begun:
	default:
		return nil, nil, f.err
	}
	switch {
	case f.lost:
		return nil, f, nil
	case script.failed != nil:
		f.cancel()
		return nil, nil, script.failed
	case found == nil:
		f.cancel()
		return nil, nil, fmt.Errorf("guest script launch: %w", ErrUnreadable)
	case watch == nil:
		f.cancel()
		return found, nil, nil
	}
	return found, f, nil
}

// putSecret writes a line for a script to read from its standard input. Only
// administrators can read the file.
func (s *Session) putSecret(ctx context.Context, path, secret string) error {
	content := []byte(base64.StdEncoding.EncodeToString([]byte(secret)) + "\r\n")
	if placer, ok := s.transport.(Placer); ok {
		ctx, cancel := s.within(ctx, uploadLimit)
		defer cancel()
		return placer.Place(ctx, File{Path: path, Content: content, Private: true})
	}
	if err := s.MakePrivate(ctx, folderOf(path)); err != nil {
		return err
	}
	return s.Upload(ctx, path, content, uploadLimit)
}

// logStays: an earlier log could not be moved away, because another program
// holds it.
func (d *launchDocument) logStays() bool {
	for _, log := range d.Logs {
		if !log.Moved && strings.EqualFold(nameOf(log.Path), windows.ActLog) {
			return true
		}
	}
	return false
}

// moved notes the folder that old logs, and the mark, were moved into.
func (l *Launched) moved(doc *launchDocument) {
	for _, log := range doc.Logs {
		if !log.Moved {
			continue
		}
		if nameOf(log.Path) == l.markName() {
			l.broughtInto(doc.LogFolder)
			continue
		}
		l.OldLogs.Folders = []string{doc.LogFolder}
	}
}

func (l *Launched) markName() string { return nameOf(l.Brought.Files[0]) }

func (l *Launched) broughtInto(folder string) {
	l.Brought.Files = append(l.Brought.Files, folder+`\`+l.markName())
	l.Brought.IfEmpty = append(l.Brought.IfEmpty, folder)
}
