package files

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// Runner runs commands in a guest: a *winrm.Session, or a *winrm.Shell.
type Runner interface {
	Run(ctx context.Context, c winrm.Command) (int, error)
}

// Options of a Transfer. A zero field means its default.
type Options struct {
	// Note is told, once, why PowerShell is not used, or not given input.
	Note func(why string)
	// Patience is how long a transfer that does not get on, because connections
	// fail, is tried again, 2 min.
	Patience time.Duration
	// Stall is how long the guest may take nothing and say nothing before it is
	// given up, 2 min. PowerShell's start, and what an antivirus does, count.
	Stall time.Duration
	// Folder of the guest in which scripts, and what is not finished, are kept; one
	// of its own (footprint.FilesFolder) when empty. It is removed by Close.
	Folder string
}

// Transfer carries files. It keeps its scripts in a folder of the guest until
// Close, and may be used by several goroutines at once.
type Transfer struct {
	runner  Runner
	options Options
	folder  string // in the guest

	bringing chan struct{} // held by who brings a script
	mu       sync.Mutex
	made     bool            // the folder may be there
	brought  map[string]bool // scripts
	engine   *unfit          // PowerShell is not used any more
	input    *unfit          // PowerShell is not given input any more
	placing  *unfit          // PowerShell does not place files any more
	told     bool            // why that is
	storing  *unfit          // PowerShell does not run store.ps1 any more
}

// New makes a Transfer. Nothing is sent before its first use.
func New(r Runner, o Options) *Transfer {
	if o.Note == nil {
		o.Note = func(string) {}
	}
	if o.Patience == 0 {
		o.Patience = 2 * time.Minute
	}
	if o.Stall == 0 {
		o.Stall = 2 * time.Minute
	}
	if o.Folder == "" {
		o.Folder = footprint.FilesFolder.In("%SystemRoot%", newID())
	}
	return &Transfer{runner: r, options: o, folder: o.Folder, bringing: make(chan struct{}, 1), brought: map[string]bool{}}
}

func newID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand)
	return hex.EncodeToString(id[:])
}

// Close removes what the transfers needed in the guest.
func (t *Transfer) Close(ctx context.Context) error {
	t.mu.Lock()
	made := t.made
	t.made, t.brought = false, map[string]bool{}
	t.mu.Unlock()
	if !made {
		return nil
	}
	if _, err := t.line(ctx, fmt.Sprintf(`rd /s /q "%s"`, t.folder)); err != nil {
		return fmt.Errorf("removing %s from the guest: %w", t.folder, err)
	}
	return nil
}

// noteMade notes that a folder may be there, if it is that of the transfers.
func (t *Transfer) noteMade(folder string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.made = t.made || folder == t.folder
}

// unfit is why PowerShell is not used, or not with input, nil when it is.
func (t *Transfer) unfit(input bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if input && t.input != nil {
		return t.input
	}
	if t.engine != nil {
		return t.engine
	}
	return nil
}

// giveUp takes the classic way from now on, if that is what err is about.
func (t *Transfer) giveUp(err error) bool {
	var u *unfit
	if !errors.As(err, &u) {
		return false
	}
	t.mu.Lock()
	place := &t.engine
	switch {
	case u.placing:
		place = &t.placing
	case u.input:
		place = &t.input
	}
	first := *place == nil
	*place = u
	t.mu.Unlock()
	if first && !u.placing { // Place tells that
		t.options.Note(u.why)
	}
	return true
}

// said is what a command wrote, as much as is of use.
type said struct {
	bytes.Buffer
	most int
}

func (s *said) Write(p []byte) (int, error) {
	if s.Len()+len(p) > s.most {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooMuch, s.most)
	}
	return s.Buffer.Write(p)
}

// first keeps the beginning of what is written.
type first struct{ said }

func (f *first) Write(p []byte) (int, error) {
	_, _ = f.Buffer.Write(p[:max(0, min(len(p), f.most-f.Len()))])
	return len(p), nil
}

const (
	mostLine   = 8000    // cmd.exe ends a line at 8191, after it has expanded it
	mostAnswer = 4 << 20 // more than read.ps1 gives
	mostStderr = 4096
)

// exit is a command that failed.
type exit struct {
	code int
	text string
}

func (e *exit) Error() string { return fmt.Sprintf("exit code %d: %s", e.code, oneLine(e.text)) }

// line runs a line of cmd.exe and returns what it wrote.
func (t *Transfer) line(ctx context.Context, text string) (string, error) {
	return t.longLine(ctx, text, 0)
}

// longLine is one that may take Options.Stall and more.
func (t *Transfer) longLine(ctx context.Context, text string, more time.Duration) (string, error) {
	limited, cancel := context.WithTimeoutCause(ctx, t.options.Stall+more, ErrStalled)
	defer cancel()
	out, errs := said{most: mostAnswer}, first{said{most: mostStderr}}
	code, err := t.runner.Run(limited, winrm.Command{Line: text, Stdout: &out, Stderr: &errs})
	if err != nil {
		return "", stalled(ctx, limited, err)
	}
	if code != 0 {
		return "", &exit{code, out.String() + " " + errs.String()}
	}
	return out.String(), nil
}

// stalled names the reason of an err that came of limited's end.
func stalled(ctx, limited context.Context, err error) error {
	if ctx.Err() == nil && errors.Is(context.Cause(limited), ErrStalled) {
		return fmt.Errorf("%w: look whether it hangs (%w)", ErrStalled, err)
	}
	return err
}

// noFile is PowerShell's exit code when the -File is not there.
const noFile = -196608

// script runs a guest script (contract.md) and reads its document into d. It may be
// silent for Options.Stall and silence more. input, where it is not nil, makes its
// standard input and has to say while it gets on.
func (t *Transfer) script(ctx context.Context, name string, params, d any, silence time.Duration, input func(still func()) *lines) error {
	for again := false; ; again = true {
		if err := t.bring(ctx, name); err != nil {
			return err
		}
		code, err := t.runScript(ctx, name, params, d, t.options.Stall+silence, input)
		if err != nil || code != noFile {
			return err
		}
		t.mu.Lock()
		delete(t.brought, name) // somebody has cleaned up
		t.mu.Unlock()
		if again {
			return &unfit{why: "the script " + name + ".ps1 is gone as soon as it is in the guest: an antivirus may remove it"}
		}
	}
}

func (t *Transfer) runScript(ctx context.Context, name string, params, d any, silence time.Duration, input func(still func()) *lines) (int, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return 0, fmt.Errorf("guest script %s: %w", name, err)
	}
	c := winrm.Command{Line: `powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass `}
	if input == nil {
		c.Line += "-InputFormat None "
	}
	c.Line += `-File "` + t.folder + `\` + name + `.ps1" -Json ` + base64.StdEncoding.EncodeToString(raw)
	if len(c.Line) > mostLine {
		return 0, fmt.Errorf("guest script %s: %w: the path is too long", name, winrm.ErrTooLong)
	}
	return t.run(ctx, name, c, d, silence, input)
}

// run runs a command that answers with the document of a script.
func (t *Transfer) run(ctx context.Context, name string, c winrm.Command, d any, silence time.Duration, input func(still func()) *lines) (int, error) {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(silence, func() { cancel(ErrStalled) })
	defer patience.Stop()
	out, errs := said{most: mostAnswer}, first{said{most: mostStderr}}
	c.Stdout, c.Stderr = &out, &errs
	if input != nil {
		c.Stdin = input(func() { patience.Reset(silence) })
	}
	c.Dependent = true // it holds what the next try writes
	code, err := t.runner.Run(limited, c)
	if err != nil {
		return 0, stalled(ctx, limited, err)
	}
	if code == noFile {
		return code, nil
	}
	return code, document(name, out.Bytes(), d, func() string {
		return fmt.Sprintf("exit code %d: %s", code, oneLine(errs.String()+" "+out.String()))
	})
}

// document finds the document of a script in what it wrote. Without one PowerShell
// itself has refused; otherwise is what is known then.
func document(script string, out []byte, into any, otherwise func() string) error {
	if bytes.IndexByte(out, 0) >= 0 {
		out = bytes.ReplaceAll(out, []byte{0}, nil) // UTF-16 of what is plain ASCII
	}
	for line := range bytes.Lines(out) {
		at := bytes.Index(line, []byte(`{"script":`))
		if at < 0 {
			continue
		}
		var head struct {
			Script string
			OK     bool
			Error  *Error
		}
		line = bytes.TrimSpace(line[at:])
		if json.Unmarshal(line, &head) != nil || head.Script != script {
			continue
		}
		if err := json.Unmarshal(line, into); err != nil {
			return fmt.Errorf("guest script %s: its answer cannot be read: %w", script, err)
		}
		if !head.OK && head.Error != nil {
			return head.Error
		}
		return nil
	}
	return &unfit{why: "PowerShell does not run the script (" + otherwise() + "): its language mode may be constrained"}
}

// bring brings a script, once.
func (t *Transfer) bring(ctx context.Context, name string) error {
	select {
	case t.bringing <- struct{}{}:
		defer func() { <-t.bringing }()
	case <-ctx.Done():
		return fmt.Errorf("bringing a script: %w", ctx.Err())
	}
	t.mu.Lock()
	there := t.brought[name]
	t.mu.Unlock()
	if there {
		return nil
	}
	if err := t.place(ctx, []File{{Path: t.folder + `\` + name + ".ps1", Content: []byte(scripts.Inline(name))}}); err != nil {
		return fmt.Errorf("bringing guest script %s: %w", name, err)
	}
	t.mu.Lock()
	t.brought[name] = true
	t.mu.Unlock()
	return nil
}

// environment is a variable as PowerShell writes it, in which Packer's
// provisioners give paths.
var environment = lazyregexp.New(`(?i)\$(?:\{env:([^{}%"]+)\}|env:(\w+))`)

// windowsPath is a path as scripts and cmd.exe take it. A relative one begins in
// the user's profile, as commands do.
func windowsPath(path string) (string, error) {
	path = environment.ReplaceAllString(strings.Trim(path, `'"`), `%$1$2%`)
	path = strings.ReplaceAll(path, "/", `\`)
	drive := len(path) > 2 && path[1] == ':' && path[2] == '\\'
	rest := path
	if drive {
		rest = path[2:]
	}
	if path == "" || strings.ContainsAny(rest, ":\"<>|*?") || strings.ContainsFunc(path, unicode.IsControl) {
		return "", fmt.Errorf("%q is no path of a file in Windows: give one such as C:\\folder\\file", path)
	}
	switch {
	case drive, strings.HasPrefix(path, `\\`), strings.HasPrefix(path, "%"):
		return path, nil
	case strings.HasPrefix(path, `\`):
		return "%SystemDrive%" + path, nil
	}
	return `%USERPROFILE%\` + path, nil
}
