// Package running is the driver of a machine that somebody else runs: it is
// reached over the network, cannot be switched off or photographed, and is assumed
// to be off when it no longer answers and its disk no longer changes.
package running

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sshport"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
)

// lookEvery is the time between two looks at the machine.
const lookEvery = 2 * time.Second

// answersWinRM says whether the guest's WinRM service answers.
func answersWinRM(ctx context.Context, e hypervisor.Endpoint) bool {
	reach, _ := winrm.Probe(ctx, e.Host, e.Port)
	return reach == winrm.Open
}

// answersSSH is answersWinRM for an SSH server. While the way to it fails, as a
// bastion that is down does, nothing is known, and the guest counts as one that
// answers: it is not taken for off.
func answersSSH(dial sshport.Dial) func(context.Context, hypervisor.Endpoint) bool {
	return func(ctx context.Context, e hypervisor.Endpoint) bool {
		reach, err := sshport.Probe(ctx, dial, e.Host, e.Port)
		return reach == winrm.Open || errors.Is(err, sshport.ErrWay)
	}
}

// Machine is watched once.
type Machine struct {
	at       hypervisor.Endpoint
	disk     string
	settle   time.Duration // how long it has to be silent to be taken for off
	interval time.Duration // between two looks
	answers  func(context.Context, hypervisor.Endpoint) bool
	openDisk func(path string) error
	say      func(string)

	expectOff func()
	off       chan struct{}

	mu    sync.Mutex
	end   context.CancelFunc
	ended chan struct{}
	held  error // why the disk could not be opened when the machine fell silent
}

var _ interface {
	hypervisor.Machine
	hypervisor.Waiter
} = (*Machine)(nil)

func newMachine(o Options, b hypervisor.Build) *Machine {
	answers := answersWinRM
	if b.Communicator != "winrm" {
		answers = answersSSH(b.Dial)
	}
	off := make(chan struct{})
	return &Machine{
		at: b.Guest, disk: o.DiskPath, settle: o.PowerOffSettle, interval: lookEvery, answers: answers, openDisk: b.OpenDisk, say: b.Say,
		off: off, expectOff: sync.OnceFunc(func() { close(off) }),
	}
}

// Start begins to watch. Nothing is inferred before ExpectOff.
func (m *Machine) Start(_ context.Context, spec hypervisor.Spec) (<-chan hypervisor.Fate, error) {
	if spec.Disk.Path != "" {
		return nil, errors.New("an existing machine brings its own disk")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.end != nil {
		return nil, errors.New("a machine can be watched only once")
	}
	var ctx context.Context
	ctx, m.end = context.WithCancel(context.Background())
	m.ended = make(chan struct{})
	fates := make(chan hypervisor.Fate, 1)
	go func() {
		defer close(m.ended)
		defer close(fates)
		fates <- m.watch(ctx)
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

func (m *Machine) watch(ctx context.Context) hypervisor.Fate {
	released := hypervisor.Fate{Cause: hypervisor.CauseUnknown, Err: errors.New("the build stopped watching the machine while it was still running")}
	select {
	case <-m.off:
	case <-ctx.Done():
		released.When = time.Now()
		return released
	}
	var state silence
	ticker := time.NewTicker(m.interval)
	defer ticker.Stop()
	for {
		l := look{when: time.Now(), answers: m.answers(ctx, m.at)}
		if ctx.Err() != nil {
			released.When = time.Now()
			return released
		}
		info, err := os.Stat(m.disk)
		if err != nil {
			return hypervisor.Fate{Cause: hypervisor.CauseUnknown, When: l.when, Err: fmt.Errorf("looking at the machine's disk: %w", err)}
		}
		l.modified, l.size = info.ModTime(), info.Size()
		state = state.after(l)
		if !state.since.IsZero() && l.when.Sub(state.since) >= m.settle && !m.isHeld() {
			return hypervisor.Fate{Cause: hypervisor.CauseGone, When: l.when,
				Detail: fmt.Sprintf("no answer and no write to its disk for %s", m.settle)}
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
func (m *Machine) isHeld() bool {
	err := m.openDisk(m.disk)
	if err == nil {
		err = heldLock(m.disk)
	}
	if !held(err) {
		err = nil
	}
	m.mu.Lock()
	first := m.held == nil
	m.held = err
	m.mu.Unlock()
	if err != nil && first {
		m.say(fmt.Sprintf("The guest no longer answers, but another program still holds its disk; waiting until that program closes it: %s", err))
	}
	return err != nil
}

// WaitingFor is hypervisor.Waiter.
func (m *Machine) WaitingFor() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		return ""
	}
	return fmt.Sprintf("it no longer answers, but another program holds its disk: %s", m.held)
}

// Endpoint is where the user said the machine is.
func (m *Machine) Endpoint(context.Context) (hypervisor.Endpoint, error) {
	return m.at, nil
}

// ExpectOff begins to infer power-off.
func (m *Machine) ExpectOff() { m.expectOff() }

// Close ends the watching, never the machine.
func (m *Machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.end != nil {
		m.end()
		<-m.ended
	}
	return nil
}
