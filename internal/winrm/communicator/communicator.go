// Package communicator is Packer's communicator over our own WinRM client: for the
// provisioners of a build whose machine is ours to connect to.
//
// Nothing blocks for ever. A command may be silent as long as it runs, because the
// guest is asked for it all the time; a guest that does not answer at all ends any
// request within Silence. What is known not to have run is an error of Start; a
// command that was lost while it ran ends with packersdk.CmdDisconnect, and a line
// of its standard error says why. A connection that is lost comes back with the
// next request, to where the machine is by then.
package communicator

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm/files"
)

const (
	// Silence is how long a guest may answer nothing to a request, or to the start
	// of a command. A guest that installs updates is slow.
	Silence = 2 * time.Minute
	// checkLimit bounds one Check: the first PowerShell of an emulated Windows is slow.
	checkLimit = 5 * time.Minute
	// backLimit bounds one attempt to connect, and one look whether a guest that was
	// lost is back.
	backLimit = 30 * time.Second
	// refusedPause is the least time between two logins that are refused: provisioners
	// try again every two seconds. The guard of the account may want more.
	refusedPause = 10 * time.Second
	// endLimit is what Close gives commands to end.
	endLimit = 15 * time.Second
	// poll is the Poll of winrm.Limits, which is part of Silence.
	poll = 20 * time.Second
)

// Limits are those of the connection.
func Limits() winrm.Limits { return winrm.Limits{Poll: poll, Header: Silence - poll} }

// Options of a Communicator.
type Options struct {
	// Settings are the ways to connect, in their order; asked whenever a connection
	// is to be made, because a machine may have moved.
	Settings func(context.Context) ([]winrm.Config, error)
	// UI shows the progress of large files; nil: nobody.
	UI Tracker
	// Heart says that a transfer goes on that takes long; nil: nobody.
	Heart *heartbeat.Heart
	// Note is told why files take a slower way; nil: nobody.
	Note func(string)
	// Silence, Back and Refused are in place of the constants, when not 0.
	Silence, Back, Refused time.Duration
}

// Communicator is a packersdk.Communicator.
type Communicator struct {
	options Options
	files   *files.Transfer
	life    context.Context // ends with Close
	end     context.CancelCauseFunc
	work    sync.WaitGroup

	connecting chan struct{}  // held by who connects
	refused    error          // the same: why the last login was refused
	until      time.Time      // the same: when it may be tried again
	guard      *lockout.Guard // the same: of the account that logged in last
	carrying   sync.RWMutex   // held by transfers, and alone by who removes what they needed

	mu     sync.Mutex
	link   *link
	closed bool
	stop   map[int]context.CancelCauseFunc // of the transfers under way
	count  int
}

var _ packersdk.Communicator = (*Communicator)(nil)

var (
	// ErrClosed: the build no longer uses the communicator.
	ErrClosed = errors.New("the communicator is closed: the build has ended")
	// ErrSilent: a command could not be started within Silence.
	ErrSilent = errors.New("the guest did not start the command in time: check that it is still running")
)

// New makes a communicator. Nothing is sent before its first use.
func New(o Options) *Communicator {
	if o.Note == nil {
		o.Note = func(string) {}
	}
	if o.Silence == 0 {
		o.Silence = Silence
	}
	if o.Back == 0 {
		o.Back = backLimit
	}
	if o.Refused == 0 {
		o.Refused = refusedPause
	}
	c := &Communicator{options: o, connecting: make(chan struct{}, 1), stop: map[int]context.CancelCauseFunc{}}
	c.life, c.end = context.WithCancelCause(context.Background())
	c.files = files.New(runner{c}, files.Options{Note: o.Note, Stall: o.Silence, Patience: o.Silence})
	return c
}

// runner is the communicator for package files.
type runner struct{ c *Communicator }

func (r runner) Run(ctx context.Context, cmd winrm.Command) (int, error) { return r.c.run(ctx, cmd) }

// living is a context that ends with ctx and with the communicator.
func (c *Communicator) living(ctx context.Context) (context.Context, context.CancelCauseFunc) {
	both, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.life, func() { cancel(ErrClosed) })
	return both, func(why error) {
		stop()
		cancel(why)
	}
}

// begin counts work that Close waits for, false after Close.
func (c *Communicator) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.work.Add(1)
	return true
}

// Start returns when the command runs. An error says that it did not, and that
// another try may do better. When ctx ends, the command is ended in the guest.
func (c *Communicator) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if !c.begin() {
		cmd.SetExited(packersdk.CmdDisconnect)
		return ErrClosed
	}
	running, cancel := c.living(ctx)
	patience := time.AfterFunc(c.options.Silence, func() { cancel(ErrSilent) })
	started, ended := make(chan struct{}), make(chan error, 1)
	begun := sync.OnceFunc(func() { close(started) })
	r := winrm.Command{Line: cmd.Command, Stdin: cmd.Stdin, Stdout: cmd.Stdout, Stderr: cmd.Stderr}
	r.Started = func() {
		if patience.Stop() {
			begun()
		}
	}
	go func() {
		defer c.work.Done()
		defer cancel(nil)
		defer patience.Stop()
		code, err := c.runAnew(running, r)
		switch {
		case errors.Is(err, winrm.ErrTooLong): // cmd.exe answers with 1; no other try ends otherwise
			begun()
			code = 1
			complain(r.Stderr, "%s", err)
		case err != nil:
			code, err = packersdk.CmdDisconnect, because(running, err)
			if mayHaveRun(err) { // an error of Start would make it run again
				begun()
				switch {
				case ctx.Err() != nil:
				case running.Err() == nil && lost(err) && restarts(cmd.Command):
					code = restarting
					complain(r.Stderr, "The connection ended under a command that restarts the guest: %s", err)
				default:
					complain(r.Stderr, "The command was lost: %s", err)
				}
			}
		}
		// Not the line: it may hold what is nobody's business.
		log.Printf("[INFO] a command in the guest ended with %d (%v)", code, err)
		ended <- err
		cmd.SetExited(code)
	}()
	select {
	case <-started:
		return nil
	case err := <-ended:
		select {
		case <-started: // it was quick
			return nil
		default:
			return err
		}
	}
}

// complain writes a line to the standard error of a command, nil for one without.
func complain(to io.Writer, format string, args ...any) {
	if to != nil {
		fmt.Fprintf(to, "\r\n"+format+"\r\n", args...)
	}
}

// because adds the reason why a context has ended.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}

func mayHaveRun(err error) bool {
	var failed *winrm.CommandError
	return errors.As(err, &failed) && failed.MayHaveRun
}

// connected is the check that Packer's own communicator makes, letter by letter:
// what tells scripts apart by their text knows it.
const connected = `$ProgressPreference = 'SilentlyContinue';if (Test-Path variable:global:ProgressPreference){$ProgressPreference='SilentlyContinue'}; echo "WinRM connected."`

// Check connects, and makes sure that PowerShell runs: Windows may open the port
// before.
func (c *Communicator) Check(ctx context.Context) error {
	ctx, cancel := c.living(ctx)
	defer cancel(nil)
	limited, done := context.WithTimeout(ctx, checkLimit)
	defer done()
	var out, complaint head
	_, err := c.run(limited, winrm.Command{Line: "powershell.exe -EncodedCommand " + encode(connected), Stdout: &out, Stderr: &complaint})
	if err != nil {
		return err
	}
	if !strings.Contains(string(out), "WinRM connected.") {
		return fmt.Errorf("PowerShell does not run in the guest: it says %q", string(out)+string(complaint))
	}
	return nil
}

// head keeps the beginning of what is written to it.
type head []byte

func (h *head) Write(p []byte) (int, error) {
	const most = 512
	*h = append(*h, p[:min(len(p), most-len(*h))]...)
	return len(p), nil
}

// encode is the argument of -EncodedCommand.
func encode(script string) string {
	var raw []byte
	for _, u := range utf16.Encode([]rune(script)) {
		raw = binary.LittleEndian.AppendUint16(raw, u)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// Close ends what is under way and the connection, within seconds. With a ctx that
// has ended nothing more is sent: the guest is gone.
func (c *Communicator) Close(ctx context.Context) {
	c.mu.Lock()
	c.closed = true
	l := c.link
	c.mu.Unlock()
	c.end(ErrClosed)
	if ctx.Err() != nil && l != nil {
		l.client.Close()
	}
	idle := make(chan struct{})
	go func() {
		c.work.Wait()
		close(idle)
	}()
	limit := time.NewTimer(endLimit)
	defer limit.Stop()
	select {
	case <-idle:
	case <-limit.C:
		log.Printf("[WARN] a command still hands on its output; the connection is closed under it")
	}
	c.mu.Lock()
	l, c.link = c.link, nil
	var sessions []*winrm.Session
	if l != nil && !l.suspect && ctx.Err() == nil {
		sessions = append(slices.Clone(l.left), l.session)
	}
	c.mu.Unlock()
	if l == nil {
		return
	}
	for _, session := range sessions {
		if err := session.Close(ctx); err != nil {
			log.Printf("[DEBUG] closing a shell: %v", err)
			break // the others would not be closed, either
		}
	}
	l.client.Close()
}
