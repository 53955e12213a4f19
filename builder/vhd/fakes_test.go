package vhd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// fakeMachine is the least of a hypervisor.Machine; its end the test decides.
type fakeMachine struct {
	startErr error
	// written is what the guest has written, by the method of this name.
	written atomic.Uint64
	// powerDown is called by the method of this name, if set.
	powerDown func() error

	mu     sync.Mutex
	calls  []string
	spec   hypervisor.Spec
	fates  chan hypervisor.Fate
	closed bool
}

func newFakeMachine() *fakeMachine { return &fakeMachine{fates: make(chan hypervisor.Fate, 1)} }

// ableMachine is a fakeMachine that can do all that a machine can.
type ableMachine struct{ *fakeMachine }

// fakeMaker makes machines that boot disks of a format.
type fakeMaker struct {
	hypervisor.Options
	format string
}

func (m fakeMaker) DiskFormat() string                                         { return m.format }
func (fakeMaker) Doubts(hypervisor.GuestDrivers, hypervisor.Firmware) []string { return nil }

// fakeOverlayer is one that takes any source.
type fakeOverlayer struct{ fakeMaker }

func (fakeOverlayer) Backing(s diskimage.Info) (string, string) { return s.Format.QEMU(), "" }

// fakeTaker takes a machine with a disk.
type fakeTaker struct {
	hypervisor.Options
	disk string
}

func (t fakeTaker) OwnDisk() string { return t.disk }
func (fakeTaker) Held(error) bool   { return false }

func (f *fakeMachine) note(call string) {
	f.mu.Lock()
	f.calls = append(f.calls, call)
	f.mu.Unlock()
}

func (f *fakeMachine) called() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, " ")
}

// end delivers the fate, once.
func (f *fakeMachine) end(fate hypervisor.Fate) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		f.fates <- fate
		close(f.fates)
	}
}

func (f *fakeMachine) Start(_ context.Context, spec hypervisor.Spec) (<-chan hypervisor.Fate, error) {
	f.note("start")
	f.spec = spec
	return f.fates, f.startErr
}
func (f *fakeMachine) Endpoint(context.Context) (hypervisor.Endpoint, error) {
	return hypervisor.Endpoint{Host: "127.0.0.1", Port: 4711}, nil
}
func (f *fakeMachine) ExpectOff() { f.note("expect-off") }
func (f *fakeMachine) Close() error {
	f.note("close")
	f.end(hypervisor.Fate{Cause: hypervisor.CauseKilled, Err: errors.New("closed")})
	return nil
}

func (ableMachine) Report(func(hypervisor.Event)) {}
func (f ableMachine) PowerDown(context.Context) error {
	f.note("power-down")
	if f.powerDown != nil {
		return f.powerDown()
	}
	return nil
}
func (f ableMachine) Written(context.Context) (uint64, error) { return f.written.Load(), nil }
func (f ableMachine) Kill(context.Context) error {
	f.note("kill")
	return nil
}
func (f ableMachine) Screenshot(_ context.Context, path string) error {
	f.note("screenshot")
	return os.WriteFile(path, []byte("picture"), 0o600)
}

var (
	poweredOff = hypervisor.Fate{Cause: hypervisor.CauseGuestShutdown}
	crashed    = hypervisor.Fate{Cause: hypervisor.CauseCrash, Err: errors.New("its kernel fell over")}
)

// bench is a state bag with a run in a temporary folder.
type bench struct {
	*multistep.BasicStateBag
	run  *run
	fake *fakeMachine
	said *packersdk.MockUi
}

func newBench(t *testing.T, changes map[string]any) *bench {
	t.Helper()
	options := valid(t, map[string]any{"output_directory": filepath.Join(t.TempDir(), "out")})
	for k, v := range changes {
		options[k] = v
	}
	b := &bench{BasicStateBag: new(multistep.BasicStateBag), fake: newFakeMachine(), said: &packersdk.MockUi{}}
	c := new(Config)
	if _, err := c.prepare(options); err != nil {
		t.Fatal(err)
	}
	b.run = &run{config: c, driver: c.driver(), newMachine: func() hypervisor.Machine { return ableMachine{b.fake} }, scratch: t.TempDir()}
	ui := &lockedUI{Ui: b.said}
	b.Put("ui", packersdk.Ui(ui))
	b.Put(runKey, b.run)
	heart := newHeart(ui)
	b.run.heart = heart
	t.Cleanup(func() {
		if !heart.Idle() {
			t.Error("a wait was not ended")
		}
	})
	return b
}

// started is a bench whose machine runs.
func started(t *testing.T, changes map[string]any) *bench {
	b := newBench(t, changes)
	m := ableMachine{b.fake}
	b.run.machine = follow(m, resolve(m), b.fake.fates, b.run.happens)
	t.Cleanup(func() { b.fake.Close(); <-b.run.machine.ended })
	return b
}

// over ends the machine and waits until that is known.
func (b *bench) over(fate hypervisor.Fate) {
	b.fake.end(fate)
	<-b.run.machine.ended
}

// wantHalt checks that an action halts with an error that holds all of text.
func (b *bench) wantHalt(t *testing.T, action multistep.StepAction, text ...string) {
	t.Helper()
	err, _ := b.Get("error").(error)
	if action != multistep.ActionHalt || err == nil {
		t.Fatalf("%v with error %v", action, err)
	}
	for _, w := range text {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q is missing in: %v", w, err)
		}
	}
}

func (b *bench) wantContinue(t *testing.T, action multistep.StepAction) {
	t.Helper()
	if action != multistep.ActionContinue {
		t.Fatalf("%v: %v", action, b.Get("error"))
	}
}

// wantQuietHalt checks for a halt without an error: the way of a cancel.
func (b *bench) wantQuietHalt(t *testing.T, action multistep.StepAction) {
	t.Helper()
	if err := b.Get("error"); action != multistep.ActionHalt || err != nil {
		t.Fatalf("%v with error %v", action, err)
	}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// stepFunc is a step of one function, with an optional clean-up.
type stepFunc struct {
	run     func(context.Context, multistep.StateBag) multistep.StepAction
	cleanup func(multistep.StateBag)
}

func (s stepFunc) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	return s.run(ctx, state)
}
func (s stepFunc) Cleanup(state multistep.StateBag) {
	if s.cleanup != nil {
		s.cleanup(state)
	}
}

// untilDone is a step that waits for its context, as the SDK's steps do.
var untilDone = stepFunc{run: func(ctx context.Context, _ multistep.StateBag) multistep.StepAction {
	select {
	case <-ctx.Done():
	case <-time.After(time.Minute):
		panic("the step was not interrupted")
	}
	return multistep.ActionHalt
}}

// commFunc is a communicator that only starts commands.
type commFunc func(ctx context.Context, cmd *packersdk.RemoteCmd) error

func (f commFunc) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error { return f(ctx, cmd) }
func (commFunc) Upload(string, io.Reader, *os.FileInfo) error                { return errors.ErrUnsupported }
func (commFunc) UploadDir(dst string, src string, exclude []string) error {
	return errors.ErrUnsupported
}
func (commFunc) Download(string, io.Writer) error { return errors.ErrUnsupported }
func (commFunc) DownloadDir(src string, dst string, exclude []string) error {
	return errors.ErrUnsupported
}

// rawDisk writes a disk of size bytes whose first sector is an MBR with one
// NTFS partition and a program.
func rawDisk(t *testing.T, size int, program []byte) string {
	t.Helper()
	disk := make([]byte, size)
	copy(disk, program)
	entry := disk[446:]
	entry[0], entry[4] = 0x80, 0x07
	entry[8] = 8                           // first sector
	entry[12] = byte((size/512 - 8) & 255) // sectors
	entry[13] = byte((size/512 - 8) >> 8)
	entry[14] = byte((size/512 - 8) >> 16)
	disk[510], disk[511] = 0x55, 0xaa
	copy(disk[size-4096:], "the end of the disk")
	path := filepath.Join(t.TempDir(), "source, raw.img")
	if err := os.WriteFile(path, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// convertTo writes a copy of a disk in another format.
func convertTo(t *testing.T, from string, o diskimage.Options) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "source."+string(o.Format))
	disk, err := diskimage.Open(from, diskimage.Allow(filepath.VolumeName(from)+string(filepath.Separator)))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if _, err := diskimage.Convert(t.Context(), disk, to, o); err != nil {
		t.Fatal(err)
	}
	return to
}

// hook provisions by its function, and has no error-cleanup-provisioner.
type hook func(context.Context) error

func (h hook) Run(ctx context.Context, name string, _ packersdk.Ui, _ packersdk.Communicator, _ any) error {
	if h == nil || name != packersdk.HookProvision {
		return nil
	}
	return h(ctx)
}

// lockedUI may be used by a step and by what says that it goes on, as Packer's may.
type lockedUI struct {
	packersdk.Ui
	mu sync.Mutex
}

func (u *lockedUI) Say(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.Ui.Say(text)
}

func (u *lockedUI) Sayf(format string, args ...any) { u.Say(fmt.Sprintf(format, args...)) }

func (u *lockedUI) Error(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.Ui.Error(text)
}

func (u *lockedUI) Errorf(format string, args ...any) { u.Error(fmt.Sprintf(format, args...)) }
