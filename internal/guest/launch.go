package guest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
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
	Logon     Logon
	User      string // of LogonS4U and LogonPassword; for LogonSame needed where PowerShell does not work
	Password  string // of LogonPassword
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
	// Brought is what the launch itself brought into the guest, to be removed in
	// any case; also set with errors.
	Brought Leftovers
	// WithoutPowerShell: PowerShell did not work, and Reason says why.
	WithoutPowerShell bool
	Reason            string
	// Lost says why the answer to the start is not known. That sysprep was
	// started is.
	Lost string
}

// ErrNotStarted: Windows would not start sysprep. Nothing runs.
var ErrNotStarted = errors.New("sysprep could not be started")

// AccountError says that the guest does not take the user or the password of a task.
// Nothing runs.
type AccountError struct {
	User string
	Code string
}

// accountCodes are what Windows answers to a task with an account it does not
// take (winerror.h): wrong name or password, a restriction, no such account, no
// right to log on as a batch job.
var accountCodes = []string{"0x8007052e", "0x8007052f", "0x80070534", "0x80070569"}

func (e *AccountError) Error() string {
	return fmt.Sprintf("the guest does not take the account %q (%s)", e.User, e.Code)
}

// registration is how Windows reports a task that it does not register: by the
// id of the error, which no language changes.
var registration = regexp.MustCompile(`(?i)(0x[0-9a-f]{8}),Register-ScheduledTask$`)

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
func (s *Session) Launch(ctx context.Context, l Launch) (Launched, error) {
	marked := s.putMark(ctx)
	launched := Launched{Brought: Leftovers{Files: []string{s.markFile()}}}
	params := launchParameters{Arguments: l.Arguments, Mode: "process"}
	if l.Logon != LogonSame {
		params = launchParameters{l.Arguments, "task", string(l.Logon), l.User, s.Task()}
		launched.Task = s.Task()
	}
	input := ""
	if l.Logon == LogonPassword {
		input = s.Folder() + `\private\logon` // goes with the folder
		if err := s.putSecret(ctx, input, l.Password); err != nil {
			launched.Task = ""
			return launched, fmt.Errorf("%w: %w", ErrNotStarted, err)
		}
	}
	var found *launchDocument
	err := s.script(ctx, scripts.Launch, params, input, func(raw []byte) {
		doc := launchDocument{}
		if json.Unmarshal(raw, &doc) == nil {
			found = &doc
		}
	}, launchLimit)
	if err == nil && found == nil {
		err = fmt.Errorf("guest script launch: %w", ErrUnreadable)
	}
	if err != nil {
		return s.unanswered(ctx, l, launched, marked, err)
	}
	launched.TagDeleted = found.TagDeleted
	launched.Time, _ = time.Parse(time.RFC3339, found.Time)
	launched.moved(found)
	if found.Start.PID != nil {
		launched.PID = *found.Start.PID
	}
	if !found.Started {
		return launched, fmt.Errorf("%w: %s", ErrNotStarted, found.reason())
	}
	return launched, nil
}

// putSecret writes a line for a script to read from its standard input. Only
// administrators can read the file.
func (s *Session) putSecret(ctx context.Context, path, secret string) error {
	if err := s.MakePrivate(ctx, path[:strings.LastIndexByte(path, '\\')]); err != nil {
		return err
	}
	return s.Upload(ctx, path, []byte(base64.StdEncoding.EncodeToString([]byte(secret))+"\r\n"), uploadLimit)
}

// moved notes the folder that old logs, and the mark, were moved into.
func (l *Launched) moved(doc *launchDocument) {
	for _, log := range doc.Logs {
		if !log.Moved {
			continue
		}
		if name := log.Path[strings.LastIndexByte(log.Path, '\\')+1:]; name == l.markName() {
			l.broughtInto(doc.LogFolder)
			continue
		}
		l.OldLogs.Folders = []string{doc.LogFolder}
	}
}

func (l *Launched) markName() string {
	file := l.Brought.Files[0]
	return file[strings.LastIndexByte(file, '\\')+1:]
}

func (l *Launched) broughtInto(folder string) {
	l.Brought.Files = append(l.Brought.Files, folder+`\`+l.markName())
	l.Brought.IfEmpty = append(l.Brought.IfEmpty, folder)
}

// unanswered decides after a start without a document.
func (s *Session) unanswered(ctx context.Context, l Launch, launched Launched, marked bool, err error) (Launched, error) {
	var said *ScriptError
	isScript := errors.As(err, &said)
	switch {
	case isScript && said.Name != "script":
		return launched, err // refused
	case isScript && registration.MatchString(said.ID):
		launched.Task = "" // it was not registered
		if code := strings.ToLower(registration.FindStringSubmatch(said.ID)[1]); slices.Contains(accountCodes, code) {
			err = fmt.Errorf("%w: %w", &AccountError{User: l.User, Code: code}, err)
		}
		return s.findMark(ctx, launched), fmt.Errorf("%w: %w", ErrNotStarted, err)
	case errors.Is(err, errNotSent) && errors.Is(err, ErrNoDocument):
		return s.launchWithout(ctx, l, launched, err) // the upload failed
	case errors.Is(err, errNotSent):
		return launched, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	// A command that came to its end starts nothing more; one that was cut off
	// may be about to.
	ended := errors.Is(err, ErrNoDocument) || errors.Is(err, ErrUnreadable) || isScript
	start, pid := s.started(ctx, marked, ended)
	switch {
	case start == startYes:
		launched.PID, launched.Lost = pid, err.Error()
		return s.findMark(ctx, launched), nil
	case start == startNo && errors.Is(err, ErrNoDocument):
		return s.launchWithout(ctx, l, launched, err)
	}
	return s.findMark(ctx, launched), err
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
func (s *Session) launchWithout(ctx context.Context, l Launch, launched Launched, why error) (Launched, error) {
	launched.WithoutPowerShell, launched.Reason, launched.Task = true, why.Error(), ""
	user := `"` + l.User + `" /np`
	switch {
	case l.Logon == LogonSystem:
		user = "SYSTEM"
	case l.Logon == LogonPassword:
		return launched, fmt.Errorf("%w: PowerShell does not work (%w), and schtasks would show the password; leave the password out", ErrNotStarted, why)
	// In quotes nothing else means anything to cmd.exe and schtasks.
	case l.User == "" || strings.ContainsAny(l.User, "\"%\r\n") || strings.HasSuffix(l.User, `\`):
		return launched, fmt.Errorf("%w: PowerShell does not work (%w) and user %q cannot be given to schtasks", ErrNotStarted, why, l.User)
	}
	if strings.ContainsAny(l.Arguments, "\"%^&|<>\r\n") {
		return launched, fmt.Errorf("%w: PowerShell does not work (%w) and the arguments %q cannot be given to schtasks", ErrNotStarted, why, l.Arguments)
	}
	folder := s.Windir() + `\System32\Sysprep`
	tag := folder + `\Sysprep_succeeded.tag`
	// The old log keeps its lines under another name: they may explain an earlier failure.
	ours := s.Folder() // what the guest is known by from now on
	out, err := s.Run(ctx, `md "`+ours+`"& (if exist "`+ours+`" (echo ours-^there))& del /f /q "`+tag+`" "`+s.markFile()+`"& ren "`+folder+`\Panther\setupact.log" setupact.packer-`+s.id+`.log& `+
		`(if exist "`+folder+`\Panther\setupact.log" (find /c /v "" "`+folder+`\Panther\setupact.log"))& `+
		`(if exist "`+tag+`" (echo `+hidden("tag-left")+`) else (echo `+hidden("tag-gone")+`))`, CommandLimit)
	if err != nil {
		return launched, fmt.Errorf("%w: deleting the old tag: %w", ErrNotStarted, err)
	}
	switch {
	case said(out.Stdout, "tag-gone"):
	case said(out.Stdout, "tag-left"):
		return launched, &ScriptError{Script: scripts.Launch, Name: "tag-not-deleted", Message: short(string(out.Stderr))}
	default:
		return launched, fmt.Errorf("%w: deleting the old tag: %w: %q", ErrNotStarted, ErrUnreadable, short(string(out.Stdout)))
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
	create := `schtasks /create /f /tn ` + s.Task() + ` /tr "` + folder + `\sysprep.exe ` + l.Arguments + `" /sc once /st 00:00 /rl highest /ru ` + user
	if out, err = s.Run(ctx, create+"&& echo "+hidden("done"), CommandLimit); err != nil || !said(out.Stdout, "done") {
		return launched, fmt.Errorf("%w: %w", ErrNotStarted, noTask("registering", out, err))
	}
	out, err = s.Run(ctx, `schtasks /run /tn `+s.Task()+"&& echo "+hidden("done"), CommandLimit)
	switch {
	case err == nil && said(out.Stdout, "done"):
	case err == nil && out.Exit != 0: // it came to its end and says that it failed
		return launched, fmt.Errorf("%w: %w", ErrNotStarted, noTask("running", out, err))
	default: // the word after it is missing, so what else is missing is not known
		if start, pid := s.started(ctx, false, err == nil); start == startYes {
			launched.PID = pid
			return launched, nil
		}
		return launched, noTask("running", out, err)
	}
	return launched, nil
}

func noTask(doing string, out Result, err error) error {
	if err == nil {
		err = fmt.Errorf("%w: %q", ErrUnreadable, short(string(out.Stdout)+" "+string(out.Stderr)))
	}
	return fmt.Errorf("%s a scheduled task for sysprep by schtasks: %w", doing, err)
}

// Stop ends a program by its process id.
func (s *Session) Stop(ctx context.Context, pid int, limit time.Duration) error {
	if _, err := s.Run(ctx, fmt.Sprintf("taskkill /f /pid %d", pid), limit); err != nil {
		return fmt.Errorf("ending process %d: %w", pid, err)
	}
	return nil
}
