// Package existing is the driver of a machine that somebody else runs: it is
// reached over the network, cannot be switched or photographed, and is taken
// to be off when it answers no more and its disk rests.
package existing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// DefaultSettle is how long a machine has to be silent, with its disk
// unchanged, to be taken for off.
const DefaultSettle = time.Minute

const defaultInterval = 2 * time.Second

// Options say where the machine is.
type Options struct {
	Endpoint hypervisor.Endpoint
	DiskPath string
	Settle   time.Duration // default DefaultSettle
	// Interval between two looks, default 2 s.
	Interval time.Duration
	// Answers says whether the guest's service answers; default is a WinRM probe.
	Answers func(ctx context.Context, endpoint hypervisor.Endpoint) bool
	// OpenDisk opens the disk as it will be read, with the files it is based
	// on, and closes it; default opens the one file.
	OpenDisk func(path string) error
	// Say tells the user what is waited for.
	Say func(string)
}

// Listens is an Options.Answers for services other than WinRM: whether the port
// accepts a connection within 5 seconds.
func Listens(ctx context.Context, e hypervisor.Endpoint) bool {
	dialer := net.Dialer{Timeout: winrm.ProbeLimit}
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(e.Host, strconv.Itoa(e.Port)))
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// Driver watches one machine once.
type Driver struct {
	options   Options
	expectOff func()
	off       chan struct{}

	mu    sync.Mutex
	end   context.CancelFunc
	ended chan struct{}
	held  error // why the disk could not be opened when the machine fell silent
}

var _ hypervisor.Hypervisor = (*Driver)(nil)

// New returns a driver that has not asked anything yet.
func New(options Options) *Driver {
	if options.Settle == 0 {
		options.Settle = DefaultSettle
	}
	if options.Interval == 0 {
		options.Interval = defaultInterval
	}
	if options.Answers == nil {
		options.Answers = func(ctx context.Context, e hypervisor.Endpoint) bool {
			reach, _ := winrm.Probe(ctx, e.Host, e.Port)
			return reach == winrm.Open
		}
	}
	if options.OpenDisk == nil {
		options.OpenDisk = openFile
	}
	if options.Say == nil {
		options.Say = func(string) {}
	}
	off := make(chan struct{})
	return &Driver{options: options, off: off, expectOff: sync.OnceFunc(func() { close(off) })}
}

// Features says that it can do nothing but look.
func (d *Driver) Features() hypervisor.Features { return hypervisor.Features{} }

// Start begins to watch. Nothing is inferred before ExpectOff.
func (d *Driver) Start(_ context.Context, spec hypervisor.Spec) (<-chan hypervisor.Fate, error) {
	if spec.Disk.Path != "" {
		return nil, errors.New("an existing machine brings its own disk")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.end != nil {
		return nil, errors.New("a driver watches one machine only")
	}
	var ctx context.Context
	ctx, d.end = context.WithCancel(context.Background())
	d.ended = make(chan struct{})
	fates := make(chan hypervisor.Fate, 1)
	go func() {
		defer close(d.ended)
		defer close(fates)
		fates <- d.watch(ctx)
	}()
	return fates, nil
}

// look is one observation.
type look struct {
	when     time.Time
	answers  bool
	modified time.Time // of the disk
	size     int64
}

// silence judges a row of looks: since when the machine has been silent with
// an unchanged disk. before is the state after the previous look.
type silence struct {
	since time.Time // zero: not silent
	last  look
}

func (s silence) after(l look) silence {
	switch {
	case l.answers:
		return silence{last: l}
	case s.since.IsZero(), !l.modified.Equal(s.last.modified), l.size != s.last.size:
		return silence{since: l.when, last: l}
	}
	return silence{since: s.since, last: l}
}

func (d *Driver) watch(ctx context.Context) hypervisor.Fate {
	released := hypervisor.Fate{Cause: hypervisor.CauseUnknown, Err: errors.New("the machine was let go while it was still running")}
	select {
	case <-d.off:
	case <-ctx.Done():
		released.When = time.Now()
		return released
	}
	var state silence
	ticker := time.NewTicker(d.options.Interval)
	defer ticker.Stop()
	for {
		l := look{when: time.Now(), answers: d.options.Answers(ctx, d.options.Endpoint)}
		if ctx.Err() != nil {
			released.When = time.Now()
			return released
		}
		info, err := os.Stat(d.options.DiskPath)
		if err != nil {
			return hypervisor.Fate{Cause: hypervisor.CauseUnknown, When: l.when, Err: fmt.Errorf("looking at the machine's disk: %w", err)}
		}
		l.modified, l.size = info.ModTime(), info.Size()
		state = state.after(l)
		if !state.since.IsZero() && l.when.Sub(state.since) >= d.options.Settle && !d.isHeld() {
			return hypervisor.Fate{Cause: hypervisor.CauseGone, When: l.when,
				Detail: fmt.Sprintf("no answer and no write to its disk for %s", d.options.Settle)}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// isHeld says whether another program holds the disk: the machine is not off
// then, or its hypervisor is not done with it. Any other error is for the reader
// of the disk to tell.
func (d *Driver) isHeld() bool {
	err := d.options.OpenDisk(d.options.DiskPath)
	if !Held(err) {
		err = nil
	}
	d.mu.Lock()
	first := d.held == nil
	d.held = err
	d.mu.Unlock()
	if err != nil && first {
		d.options.Say(fmt.Sprintf("The guest answers no more, but another program still holds its disk; waiting until it lets go: %s", err))
	}
	return err != nil
}

func openFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(heldLock(path), f.Close())
}

// WaitingFor is hypervisor.Waiter.
func (d *Driver) WaitingFor() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		return ""
	}
	return fmt.Sprintf("it answers no more, but another program holds its disk: %s", d.held)
}

// Endpoint is where the user said the machine is.
func (d *Driver) Endpoint(context.Context) (hypervisor.Endpoint, error) {
	return d.options.Endpoint, nil
}

// ExpectOff begins to infer power-off.
func (d *Driver) ExpectOff() { d.expectOff() }

// PowerDown is not supported.
func (d *Driver) PowerDown(context.Context) error { return hypervisor.ErrUnsupported }

// Kill is not supported.
func (d *Driver) Kill(context.Context) error { return hypervisor.ErrUnsupported }

// Screenshot is not supported.
func (d *Driver) Screenshot(context.Context, string) error { return hypervisor.ErrUnsupported }

// Close ends the watching, never the machine.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.end != nil {
		d.end()
		<-d.ended
	}
	return nil
}
