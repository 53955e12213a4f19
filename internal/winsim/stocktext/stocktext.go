package stocktext

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/communicator"
	"github.com/hashicorp/packer-plugin-sdk/guestexec"
	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	sdkwinrm "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/winrm"
	"github.com/masterzen/winrm"
)

// Kind is what a text is.
type Kind string

// The kinds, with their variable parts.
const (
	Restore   Kind = "restore"   // winrmcp puts an upload together: temporary, target
	Remove    Kind = "remove"    // winrmcp removes its temporary file: temporary
	Download  Kind = "download"  // the communicator reads a file: path
	Connected Kind = "connected" // the connect check
	Elevated  Kind = "elevated"  // the runner of elevated commands: task, log, user, command, password, script
	Inline    Kind = "inline"    // Packer's wrapper around inline statements: body
	Restarted Kind = "restarted" // Packer's check after a restart
)

// Library knows the texts.
type Library struct {
	texts     map[Kind]*template
	connected chan struct{} // closed when the slow recording is over
	check     *template
	err       error
}

var shared = sync.OnceValues(record)

// Recorded returns the library of this process. The texts are recorded once;
// the connect check, which Packer's code sends after a pause of five seconds
// only, arrives in the background.
func Recorded() (*Library, error) { return shared() }

// The markers are told from everything else in the texts.
const (
	markTarget  = `C:\stocktext-marker\target.bin` // winrmcp turns slashes round
	markCommand = `stocktext-marker-command`
	markUser    = `stocktext-marker-user`
	markSecret  = `stocktext-marker-secret`
	path        = `[^"\r\n]+`
	uuid        = `[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`
)

func record() (*Library, error) {
	l := &Library{texts: map[Kind]*template{}, connected: make(chan struct{})}
	if err := l.recordTransfers(); err != nil {
		return nil, fmt.Errorf("recording the texts of winrmcp and the SDK: %w", err)
	}
	if err := l.recordElevated(); err != nil {
		return nil, fmt.Errorf("recording the elevated runner of the SDK: %w", err)
	}
	go func() {
		defer close(l.connected)
		l.check, l.err = recordConnect()
	}()
	return l, nil
}

func (l *Library) add(kind Kind, text string, vars ...variable) error {
	t, err := newTemplate(text, vars...)
	if err != nil {
		return fmt.Errorf("%s: %w", kind, err)
	}
	l.texts[kind] = t
	return nil
}

func (r *recorder) config() *sdkwinrm.Config {
	return &sdkwinrm.Config{
		Host: "recorder.invalid", Port: 5985, Username: "u", Password: "p", Timeout: time.Minute,
		TransportDecorator: func() winrm.Transporter { return r },
	}
}

func (l *Library) recordTransfers() error {
	r := &recorder{}
	comm, err := sdkwinrm.New(r.config())
	if err != nil {
		return err
	}
	if err := comm.Upload(markTarget, strings.NewReader("x"), nil); err != nil {
		return err
	}
	if err := comm.Download(markTarget, io.Discard); err != nil {
		return err
	}
	lines := r.taken()
	if len(lines) != 4 {
		return fmt.Errorf("%d commands where append, restore, remove and download were expected", len(lines))
	}
	temporary := regexp.MustCompile(`winrmcp-` + uuid + `\.tmp`).FindString(lines[0])
	if temporary == "" {
		return errors.New("no temporary file in the first command")
	}
	var scripts [3]string
	for i := range scripts {
		var ok bool
		if scripts[i], ok = encoded(lines[i+1]); !ok {
			return fmt.Errorf("command %d is no encoded script", i+1)
		}
	}
	tmp := variable{"temporary", temporary, `winrmcp-` + uuid + `\.tmp`}
	return errors.Join(
		l.add(Restore, scripts[0], tmp, variable{"target", markTarget, path}),
		l.add(Remove, scripts[1], tmp),
		l.add(Download, scripts[2], variable{"path", markTarget, path}))
}

// elevation is what the SDK asks of an elevated provisioner; the upload gives
// the text away.
type elevation struct {
	packersdk.Communicator
	target string
	text   bytes.Buffer
}

func (e *elevation) ElevatedUser() string     { return markUser }
func (e *elevation) ElevatedPassword() string { return markSecret }

func (e *elevation) Upload(target string, r io.Reader, _ *os.FileInfo) error {
	e.target = target
	_, err := e.text.ReadFrom(r)
	return err
}

type elevatedProvisioner struct{ *elevation }

func (p elevatedProvisioner) Communicator() packersdk.Communicator { return p.elevation }

func (l *Library) recordElevated() error {
	e := &elevation{}
	if _, err := guestexec.GenerateElevatedRunner(markCommand, elevatedProvisioner{e}); err != nil {
		return err
	}
	text := e.text.String()
	task := regexp.MustCompile(`packer-` + uuid).FindString(text)
	if task == "" || e.target == "" {
		return errors.New("no task name in the text")
	}
	// In double quotes, escaped by backticks. Typographic quotes end the string
	// too (PowerShell language specification, 2.3.5.2), and $ begins a variable.
	const quoted = "(?:[^\"\u201c\u201d\u201e`$\r\n]|`[^\r\n])*"
	return l.add(Elevated, text,
		variable{"script", e.target, path}, variable{"task", task, `packer-` + uuid}, variable{"command", markCommand, `[^\r\n]+?`},
		variable{"user", markUser, quoted}, variable{"password", markSecret, quoted})
}

// recordConnect runs the step that waits for WinRM. It pauses five seconds.
func recordConnect() (*template, error) {
	r := &recorder{output: "WinRM connected.\r\n"}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	step := &communicator.StepConnectWinRM{
		Config: &communicator.Config{WinRM: communicator.WinRM{
			WinRMUser: "u", WinRMPassword: "p", WinRMPort: 5985, WinRMTimeout: 30 * time.Second,
			WinRMTransportDecorator: func() winrm.Transporter { return r },
		}},
		Host: func(multistep.StateBag) (string, error) { return "recorder.invalid", nil },
	}
	state := new(multistep.BasicStateBag)
	state.Put("ui", &packersdk.BasicUi{Reader: &bytes.Buffer{}, Writer: io.Discard, ErrorWriter: io.Discard, PB: &packersdk.NoopProgressTracker{}})
	if step.Run(ctx, state) != multistep.ActionContinue {
		return nil, errors.New("recording the connect check: the step did not connect")
	}
	lines := r.taken()
	if len(lines) != 1 {
		return nil, fmt.Errorf("recording the connect check: %d commands", len(lines))
	}
	script, ok := encoded(lines[0])
	if !ok {
		return nil, errors.New("recording the connect check: no encoded script")
	}
	return newTemplate(script)
}

// Match says what a text is. ctx bounds the wait for the recording of the
// connect check, which only an otherwise unknown text has to wait for.
func (l *Library) Match(ctx context.Context, text string) (Kind, map[string]string, error) {
	for kind, t := range l.texts {
		if vars, ok := t.match(text); ok {
			return kind, vars, nil
		}
	}
	if kind, vars, ok := matchPacker(text); ok {
		return kind, vars, nil
	}
	if !strings.Contains(text, "WinRM connected.") {
		return "", nil, nil
	}
	select {
	case <-l.connected:
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	if l.err != nil {
		return "", nil, l.err
	}
	if vars, ok := l.check.match(text); ok {
		return Connected, vars, nil
	}
	return "", nil, nil
}
