// Package winsim is a simulated Windows guest for tests and the demo: files,
// registry, processes, scheduled tasks, power, a small cmd.exe and sysprep
// with its real states and logs. What it does not know it refuses, says so on
// stderr and records it (Unknown), so that a test cannot pass by accident.
//
// It runs in-process (Start) and as PID 1 of a bootable disk (package boot).
package winsim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// PowerEvent is what the machine does when Windows has shut down.
type PowerEvent int

// The power events.
const (
	PowerOff PowerEvent = iota
	Reboot
)

func (e PowerEvent) String() string {
	if e == Reboot {
		return "reboot"
	}
	return "power off"
}

// Options describes a guest.
type Options struct {
	// Root is the folder that holds the drive of Windows as Root/C, whatever its
	// letter.
	Root string
	// User and Password are the account packer connects as, a member of the
	// Administrators group.
	User, Password string
	// Accounts are further local administrators, and their passwords.
	Accounts map[string]string
	Scenario Scenario
	// Log receives what the guest does, one line a call; nil discards it.
	Log func(format string, args ...any)
	// Power is called once, from its own goroutine, when Windows is down and
	// everything is on disk. Nobody else touches the guest afterwards; after
	// Reboot call Boot, or make a new Guest on the same Root.
	Power func(PowerEvent)
	// WinRM is called when the WinRM service changes; ApplyWinRM does it for a
	// wsman.Server.
	WinRM func(WinRMState)
	// Sync puts what was written onto the disk, where Windows Setup does; nil: nobody
	// looks at the disk while the guest runs.
	Sync func()
	// Moment is called when a Replay has come to a moment, with how often sysprep was
	// started before it.
	Moment func(m Moment, start int)
	// Speed divides what Windows takes; 0 means 1. It does not touch the periods
	// that a client asks for. Clock does both, and Speed is not used then.
	Speed float64
	Clock *Clock
}

// Guest is a simulated Windows machine.
type Guest struct {
	opt      Options
	clock    *Clock // what a client asks for is measured by it
	born     time.Time
	scenario Scenario
	drive    winfs.Drive
	reg      *registry.Registry
	machine  *machinestate.Machine

	mu       sync.Mutex
	unknown  []string
	starts   []string        // of sysprep
	boot     context.Context // ends with the Windows session
	halt     context.CancelFunc
	flushing sync.Mutex
	procs    map[int]*process
	nextPID  int
	tasks    map[string]*task
	acls     map[string][]string // by path in lower case
	held     map[string]bool     // files of the host that a script writes: nobody else may
	shutdown *pendingShutdown
	down     bool
	// inDialogs: the first boot waits for a person.
	inDialogs bool
	settled   chan struct{} // see Settled
	replay    *replaying    // nil: nothing is replayed
	frozen    chan struct{} // closed when the machine goes on; nil while it works
	// Presses of the power button in this boot that count, and the last of them.
	pressed   int
	lastPress time.Time
	logins    map[string]*logins // by account in lower case
	changed   bool               // no password is right
	wg        sync.WaitGroup

	// Tests put something in the way of what the scripts' twins do.
	throws func(cmdlet string) error
	pause  func(context.Context, time.Duration) // of what a client asked for
	rest   func(context.Context, time.Duration) // of real time

	// appErrors are in the event log of app deployment.
	appErrors []appError
}

// New starts a guest. A drive without registry hives gets a minimal Windows
// Server 2022 added to what it holds; otherwise the hives are loaded.
func New(opt Options) (*Guest, error) {
	if err := opt.Scenario.check(); err != nil {
		return nil, err
	}
	if opt.User == "" {
		opt.User = "packer"
	}
	clock := NewClock(1)
	switch {
	case opt.Clock != nil:
		clock, opt.Speed = opt.Clock, opt.Clock.Speed()
	case opt.Speed == 0:
		opt.Speed = 1
	}
	g := &Guest{
		opt: opt, clock: clock, born: time.Now(), scenario: opt.Scenario, drive: winfs.Drive{Root: opt.Root, Letter: opt.Scenario.systemDrive(), InUse: opt.Scenario.inUse}, reg: registry.New(),
		procs: map[int]*process{}, tasks: map[string]*task{}, acls: map[string][]string{},
	}
	g.rest, g.pause = sleepFor, g.wait
	c := filepath.Join(opt.Root, "C")
	if err := os.MkdirAll(c, 0o755); err != nil {
		return nil, fmt.Errorf("making the drive: %w", err)
	}
	var err error
	if g.drive.IsFile(hivePath("SYSTEM")) {
		err = g.load()
	} else {
		err = g.seed()
	}
	if err = errors.Join(err, g.installSSH()); err == nil {
		err = g.setMachine()
	}
	if err != nil {
		return nil, err
	}
	if err := g.Boot(); err != nil {
		return nil, err
	}
	if err := errors.Join(g.setFaults(), g.setStart(), g.beginReplay()); err != nil {
		return nil, err
	}
	return g, g.Flush()
}

// Handler runs what WinRM clients send.
func (g *Guest) Handler() wsman.Handler { return handler{g} }

// Unknown lists everything that was refused because the guest does not know
// it. A test ends with it being empty.
func (g *Guest) Unknown() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.unknown...)
}

// Starts lists every start of sysprep.exe, as its user and arguments.
func (g *Guest) Starts() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]string(nil), g.starts...)
}

func (g *Guest) refuse(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if g.opt.Password != "" { // a refused script may hold it
		text = strings.ReplaceAll(text, g.opt.Password, "<password>")
	}
	g.mu.Lock()
	g.unknown = append(g.unknown, text)
	g.mu.Unlock()
	g.logf("UNKNOWN %s", text)
}

func (g *Guest) logf(format string, args ...any) {
	if g.opt.Log != nil {
		g.opt.Log(format, args...)
	}
}

// WinRMDelay is how long after New or Boot the WinRM service starts; ok is
// false when it never does, because the machine is in the first boot of a
// generalized image (but see Unkind.WinRMInSetup).
func (g *Guest) WinRMDelay() (delay time.Duration, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.scaled(time.Duration(g.scenario.WinRMDelay)), !g.inDialogs || g.scenario.WinRMInSetup
}

// Close ends everything that runs and writes the registry. The power state is
// as after pulling the plug, except that the registry is safe.
func (g *Guest) Close() error {
	g.mu.Lock()
	g.down = true
	g.mu.Unlock()
	g.end()
	g.wg.Wait()
	return g.Flush()
}

// Command runs a cmd.exe line as the account that packer connects as, and waits for
// it; an exit code other than 0 is an error.
func (g *Guest) Command(ctx context.Context, line string) error {
	var out strings.Builder
	code := g.run(ctx, &wsman.Process{User: g.opt.User, Line: line, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out})
	if code != 0 {
		return fmt.Errorf("%s: code %d: %s", line, code, out.String())
	}
	return nil
}
