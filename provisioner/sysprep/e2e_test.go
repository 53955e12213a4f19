package sysprep

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	sdkwinrm "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/winrm"
	"github.com/masterzen/winrm"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

func TestMain(m *testing.M) {
	if os.Getenv("SYSPREP_TEST_LOG") == "" {
		log.SetOutput(io.Discard) // the communicator logs every command
	}
	os.Exit(m.Run())
}

// recordUI keeps what a user would see.
type recordUI struct {
	packersdk.Ui
	mu    sync.Mutex
	lines []string
	// onSay is called with every line.
	onSay func(string)
}

func (u *recordUI) Say(text string) {
	u.mu.Lock()
	u.lines = append(u.lines, text)
	u.mu.Unlock()
	if u.onSay != nil {
		u.onSay(text)
	}
}
func (u *recordUI) Error(text string)              { u.Say(text) }
func (u *recordUI) Sayf(format string, a ...any)   { u.Say(fmt.Sprintf(format, a...)) }
func (u *recordUI) Errorf(format string, a ...any) { u.Say(fmt.Sprintf(format, a...)) }

func (u *recordUI) text() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return strings.Join(u.lines, "\n")
}

const (
	simUser     = "packer"
	simPassword = "Corr3ct$Horse\"!" // the SDK logs a password that needs quoting
)

// notOnWindows skips a test where it runs on Windows, or under Wine.
func notOnWindows(t *testing.T, why string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skipf("SKIPPED: %s", why)
	}
}

// guestRun is one simulated guest with a provisioner pointed at it.
type guestRun struct {
	t        *testing.T
	scenario winsim.Scenario
	server   winsim.ServerOptions
	options  map[string]any
	builder  string
	ctx      context.Context
	ui       *recordUI
	sim      *winsim.Running
	root     string
	accounts map[string]string
	adjust   func(*run)
	wrap     func(packersdk.Communicator) packersdk.Communicator
	sftp     bool   // over SSH, files go by sftp
	own      bool   // over a connection of our own, not over Packer's communicator
	host     string // where the guest is reached, where that is not its own address
	port     int
	last     *run
	clock    *winsim.Clock // nil: ten times as fast as a real guest, to a run in real time
}

func newGuestRun(t *testing.T, s winsim.Scenario, options map[string]any) *guestRun {
	t.Helper()
	if s.Validate == 0 {
		s.Validate = winsim.Duration(2 * time.Second)
	}
	if s.Generalize == 0 {
		s.Generalize = winsim.Duration(6 * time.Second)
	}
	// Who tests the pre-flight asks for it: it is four PowerShells more in the guest.
	g := &guestRun{t: t, scenario: s, options: map[string]any{"poll_interval": "100ms", "preflight": map[string]any{"enabled": false}}, builder: "null", ctx: t.Context(), ui: &recordUI{}, root: t.TempDir()}
	for k, v := range options {
		g.options[k] = v
	}
	return g
}

// start runs the guest ten times as fast as a real one.
func (g *guestRun) start() *winsim.Running {
	g.t.Helper()
	opt := winsim.Options{Root: g.root, User: simUser, Password: simPassword, Accounts: g.accounts, Scenario: g.scenario, Speed: 10, Clock: g.clock, Log: g.t.Logf}
	sim, err := winsim.Start(context.WithoutCancel(g.ctx), opt, g.server)
	if err != nil {
		g.t.Fatal(err)
	}
	g.sim = sim
	g.t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			g.t.Error(err)
		}
		for _, u := range sim.Guest.Unknown() {
			g.t.Errorf("the guest was sent what it does not know: %s", u)
		}
	})
	return sim
}

// address is where the guest is reached.
func (g *guestRun) address() (host string, port int) {
	if g.host != "" {
		return g.host, g.port
	}
	return g.sim.Host, g.sim.Port
}

func (g *guestRun) communicator() packersdk.Communicator {
	g.t.Helper()
	if g.sim.SSH != nil {
		return g.sshCommunicator()
	}
	host, port := g.address()
	c := &sdkwinrm.Config{Host: host, Port: port, Username: simUser, Password: simPassword, Timeout: 30 * time.Minute,
		Https: g.server.TLS, Insecure: g.server.TLS}
	if g.server.NTLM {
		c.TransportDecorator = func() winrm.Transporter { return &winrm.ClientNTLM{} }
	}
	comm, err := sdkwinrm.New(c)
	if err != nil {
		g.t.Fatal(err)
	}
	return comm
}

// owned is a copy of options with maps and lists of its own: the SDK writes into what
// it is given, and several runs of a test share their options.
func owned(v reflect.Value) reflect.Value {
	switch {
	case v.Kind() == reflect.Interface && !v.IsNil():
		return owned(v.Elem())
	case v.Kind() == reflect.Slice && !v.IsNil():
		list := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			list.Index(i).Set(owned(v.Index(i)))
		}
		return list
	case v.Kind() == reflect.Map && !v.IsNil():
		table := reflect.MakeMap(v.Type())
		for _, key := range v.MapKeys() {
			table.SetMapIndex(key, owned(v.MapIndex(key)))
		}
		return table
	}
	return v
}

func (g *guestRun) provision() error {
	g.t.Helper()
	if g.sim == nil {
		g.start()
	}
	var comm packersdk.Communicator = brokenUpload{errors.New("Packer's communicator is not to be used")}
	if block, _ := g.options["winrm"].(map[string]any); !g.own || block["mode"] != winrmOwn {
		comm = g.communicator()
	}
	if g.wrap != nil {
		comm = g.wrap(comm)
	}
	raw := map[string]any{"packer_builder_type": g.builder, "packer_build_name": "test"}
	if !g.own && g.sim.SSH == nil {
		raw["winrm"] = map[string]any{"mode": winrmCommunicator}
	}
	maps.Copy(raw, owned(reflect.ValueOf(g.options)).Interface().(map[string]any))
	p := &Provisioner{}
	for range 2 { // as Packer does
		if err := p.Prepare(raw); err != nil {
			g.t.Fatal(err)
		}
	}
	host, port := g.address()
	data := map[string]any{"Host": host, "Port": int64(port), "User": simUser, "ConnType": "winrm"}
	if g.own {
		data["Password"] = simPassword
	}
	if g.sim.SSH != nil {
		data["ConnType"], data["Port"], data["Password"] = "ssh", int64(g.sim.SSH.Port()), simPassword
	}
	r := newRun(p.config, g.ui, comm, data)
	if g.adjust != nil {
		g.adjust(r)
	}
	g.last = r
	err := r.provision(g.ctx)
	if !r.heart.Idle() {
		g.t.Error("a wait was not ended")
	}
	if os.Getenv("SYSPREP_TEST_REPLAY") != "" {
		wantReplay(g.t, throughFile(g.t, r))
	}
	if err != nil {
		g.t.Logf("error:\n%v", err)
		wantHead(g.t, err)
	}
	g.t.Logf("ui:\n%s", g.ui.text())
	wantReport(g.t, r, err)
	return err
}

// file returns the path of a file of drive C: on this machine.
func (g *guestRun) file(elem ...string) string {
	return filepath.Join(append([]string{g.root, "C"}, elem...)...)
}

// ours lists what is left of the plugin in the guest.
func (g *guestRun) ours() (found []string) {
	g.t.Helper()
	err := filepath.WalkDir(g.file(), func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.Contains(strings.ToLower(d.Name()), "packer-") {
			found = append(found, strings.TrimPrefix(path, g.root))
		}
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return found
}

func want(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	want(t, err.Error(), parts...)
}

// wantHead: a builder and a script read class and cause at the head of the error.
func wantHead(t *testing.T, err error) {
	t.Helper()
	head, ok := verdict.ParseHead(err.Error())
	if !ok || head.Class == verdict.Running || head.Class == verdict.Generalized || !strings.HasPrefix(err.Error(), head.String()+" ") || strings.Count(err.Error(), head.String()) != 1 {
		t.Errorf("the head of the error is %v: %v", head, err)
	}
}

const testAnswer = `<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend">
  <settings pass="oobeSystem">
    <component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">
      <UserAccounts><AdministratorPassword><Value>Tops3cret-Value</Value><PlainText>true</PlainText></AdministratorPassword></UserAccounts>
    </component>
  </settings>
</unattend>
`

func TestSuccessWithEveryTransport(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]winsim.ServerOptions{
		"Basic": {}, "NTLM": {NTLM: true, NoBasic: true}, "TLS": {TLS: true}, "TLS and NTLM": {TLS: true, NTLM: true, NoBasic: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := t.TempDir()
			g := newGuestRun(t, winsim.Scenario{StaleTag: true}, map[string]any{"answer_file_content": testAnswer, "log_directory": logs})
			g.server = server
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "Deleted the tag of an earlier run", "validating", "tag created", "Windows is generalized", "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")
			if strings.Contains(g.ui.text(), "Tops3cret-Value") {
				t.Error("the answer file's password was shown")
			}
			if left := g.ours(); len(left) > 0 {
				t.Errorf("left in the guest: %q", left)
			}
			if cached, err := os.ReadFile(g.file("Windows", "Panther", "unattend.xml")); err != nil || string(cached) != testAnswer {
				t.Errorf("sysprep did not take the answer file: %v, %q", err, cached)
			}
			saved, err := os.ReadFile(filepath.Join(logs, "sysprep", "setupact.log"))
			if err != nil || !strings.Contains(string(saved), "Successfully created tag file") {
				t.Errorf("the log was not saved: %v, %d bytes", err, len(saved))
			}
		})
	}
}

// lockedDown is a guest whose policy lets no PowerShell run.
type lockedDown struct{ packersdk.Communicator }

func (lockedDown) Upload(string, io.Reader, *os.FileInfo) error {
	return errors.New("restore operation returned code=1")
}

func TestSuccessWithoutPowerShell(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{StaleTag: true}, map[string]any{"log_directory": t.TempDir()})
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator { return lockedDown{c} }
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "PowerShell does not work in the guest", "tag created", "Windows is generalized")
	if left := g.ours(); len(left) > 0 {
		t.Errorf("left in the guest: %q", left)
	}
}

func TestNoSecretIsShownOrLogged(t *testing.T) {
	var logged bytes.Buffer
	before := log.Writer()
	log.SetOutput(&logged)
	defer log.SetOutput(before)
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{
		"answer_file_content": testAnswer, "elevated_user": simUser, "elevated_password": simPassword})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, logged.String(), "starting remote command")
	for _, secret := range []string{"Tops3cret", "Corr3ct"} {
		for where, text := range map[string]string{"log": logged.String(), "user interface": g.ui.text()} {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in the %s", secret, where)
			}
		}
	}
}

func TestErrorsAreScrubbedToo(t *testing.T) {
	c, err := decode(t, map[string]any{"elevated_user": "a", "elevated_password": "l0ng-secret"})
	if err != nil {
		t.Fatal(err)
	}
	comm := brokenUpload{errors.New("cannot write l0ng-secret")}
	ui := &recordUI{}
	r := newRun(c, ui, comm, nil)
	r.plan = c.plan(`C:\Windows`, "id")
	r.scrub = newScrubber(c.secrets())
	if got := r.scrub.text(r.launch(t.Context()).Error()); !strings.Contains(got, "cannot write <sensitive>") {
		t.Errorf("got %q", got)
	}
}

// brokenUpload fails all it is asked.
type brokenUpload struct{ err error }

func (b brokenUpload) Start(context.Context, *packersdk.RemoteCmd) error { return b.err }
func (b brokenUpload) Upload(string, io.Reader, *os.FileInfo) error      { return b.err }
func (b brokenUpload) UploadDir(string, string, []string) error          { return b.err }
func (b brokenUpload) Download(string, io.Writer) error                  { return b.err }
func (b brokenUpload) DownloadDir(string, string, []string) error        { return b.err }

// losesTheAnswer breaks the connection after a command that holds a text, once.
type losesTheAnswer struct {
	packersdk.Communicator
	text string
	done bool
}

func (l *losesTheAnswer) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if l.done || !strings.Contains(cmd.Command, l.text) {
		return l.Communicator.Start(ctx, cmd)
	}
	l.done = true
	quiet := &packersdk.RemoteCmd{Command: cmd.Command, Stdout: io.Discard, Stderr: io.Discard}
	if err := l.Communicator.Start(ctx, quiet); err != nil {
		return err
	}
	return errors.New("unknown error Post: EOF")
}

// failsAt breaks every command that holds a text, which is never sent.
type failsAt struct {
	packersdk.Communicator
	text string
}

func (f failsAt) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if strings.Contains(cmd.Command, f.text) {
		return errors.New("unknown error Post: EOF")
	}
	return f.Communicator.Start(ctx, cmd)
}

func TestALaunchThatNeverArrivedIsAFailure(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, nil)
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator { return failsAt{c, "launch.ps1"} }
	wantError(t, g.provision(), "sysprep is not running, and the outcome of its start is not known", "EOF")
	wantNothingLeft(t, g)
}

func TestALostAnswerToTheLaunchIsNoFailure(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, nil)
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator {
		return &losesTheAnswer{Communicator: c, text: "launch.ps1"}
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "The answer to the start was lost")
}

// swallows takes uploads and does nothing, as happens in constrained language mode.
type swallows struct{ packersdk.Communicator }

func (swallows) Upload(string, io.Reader, *os.FileInfo) error { return nil }

func TestAnAnswerFileThatDoesNotArriveIsAnError(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, map[string]any{"answer_file_content": testAnswer})
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator { return swallows{c} }
	wantError(t, g.provision(), "the answer file did not arrive in the guest")
}
