package vhd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/boottest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

const (
	// cloneEvery is how often the machine is looked at, and its disk at most. A disk
	// that takes long to read is read more seldom: diskShare times as long is waited.
	cloneEvery = time.Second
	diskShare  = 4
	// cloneScreenEvery is how often the screen is, which the machine draws for it.
	cloneScreenEvery = 10 * time.Second
	// diskLimit bounds one look at a disk.
	diskLimit = 2 * time.Minute
	// askEvery is between two questions over WinRM.
	askEvery = 2 * time.Second
	// cloneOffLimit bounds the power-off of a clone that has booted, failedOffLimit
	// of one that has not: Windows Setup that has failed ignores the power button.
	cloneOffLimit  = 4 * time.Minute
	failedOffLimit = time.Minute
)

// cloneTest is one boot test. Its run is a second one, of the clone's machine.
type cloneTest struct {
	*run
	ui        packersdk.Ui
	block     *BootTest
	image     string // what is tested; only ever read
	before    winimage.SetupState
	want      boottest.Reach
	partition int // whose Windows is looked at; 0: the first
	// inside reads the disk of the clone, as it stands.
	inside   func(context.Context) (winimage.SetupState, error)
	every    time.Duration
	offLimit time.Duration                       // of the power-off; 0: by what came before it
	ask      func(context.Context) windows.State // the guest, over the communicator; nil: nobody asks
	question func(context.Context) windows.State // ask, where it is to be
	says     atomic.Pointer[windows.State]       // its last answer
	state    boottest.State
	screen   string // the last one seen
	shown    time.Time
	read     time.Time // when the disk may be read next
	hinted   string    // the cause that was told
}

// bootTest boots a clone of an image that is proven and has no name yet. The error
// is for an image that must not be handed over.
func (r *run) bootTest(ctx context.Context, ui packersdk.Ui, image string) error {
	block := r.config.BootTest
	if !block.wanted() {
		return nil
	}
	image, err := filepath.Abs(image)
	if err != nil {
		return fmt.Errorf("boot test: %w", err)
	}
	r.log.Begin("boot-test")
	untouched := stampOf(image)
	t := &cloneTest{ui: ui, block: block, image: image, every: cloneEvery}
	t.inside = t.lookInside
	t.question = func(ctx context.Context) windows.State { return stateOverWinRM(ctx, t.run) }
	v, err := t.test(ctx, r)
	err = t.outcome(ctx, untouched, v, err)
	outcome := runlog.OK
	switch {
	case ctx.Err() != nil:
		outcome = runlog.Cancelled
	case err != nil:
		outcome = runlog.Failed
	}
	r.log.End("boot-test", outcome, err)
	return err
}

// test is the whole of it. The error is for a test that could not be made.
func (t *cloneTest) test(ctx context.Context, r *run) (v cloneVerdict, err error) {
	scratch := filepath.Join(r.scratch, "clone")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		return v, noTest("making a folder for the clone", err)
	}
	defer func() {
		if err := os.RemoveAll(scratch); err != nil { // the build removes the folder above it
			log.Printf("removing the clone: %v", err)
		}
	}()
	t.run = &run{config: r.config.clone(), driver: r.driver, heart: r.heart, log: r.log, windows: r.windows, firmware: r.firmware, scratch: scratch}
	if err := t.prepare(ctx); err != nil {
		return v, noTest("preparing the clone", err)
	}
	return t.boot(ctx, r.newClone(func(line string) { t.ui.Say("  clone: " + line) }))
}

// boot is the life of the clone, and what is said of it.
func (t *cloneTest) boot(ctx context.Context, m hypervisor.Machine) (v cloneVerdict, err error) {
	begun := time.Now()
	if err := t.start(ctx, m); err != nil {
		return v, noTest("starting the clone", errors.Join(err, m.Close()))
	}
	stop := t.watch(ctx, begun)
	if ctx.Err() == nil {
		t.switchOff(ctx, stop)
	}
	if err := m.Close(); err != nil {
		t.ui.Errorf("Stopping the clone: %s", err)
	}
	if ctx.Err() != nil {
		return v, ctx.Err()
	}
	return t.judge(ctx, stop, begun), nil
}

// prepare makes the overlay, and notes what the image says before it boots.
func (t *cloneTest) prepare(ctx context.Context) error {
	clearPictures(t.block.LogDirectory)
	if err := os.MkdirAll(t.block.LogDirectory, 0o755); err != nil {
		return fmt.Errorf("boot_test.log_directory: %w", err)
	}
	d, err := diskimage.Open(t.image, diskimage.Until(ctx))
	if err != nil {
		return err
	}
	defer d.Close()
	t.source = d.Info()
	facts, err := winimage.Inspect(ctx, d, winimage.Options{Name: t.image})
	if err != nil {
		return err
	}
	w, err := t.tested(facts)
	if err != nil {
		return err
	}
	t.partition = w.Partition
	decision := boottest.Decide(boottest.Reach(t.block.Reach), t.block.Communicator == "winrm", w)
	t.want = decision.Reach
	if text := decision.Warning(); text != "" {
		t.ui.Sayf("Warning: boot test: %s", text)
	} else if text := decision.Remark(); text != "" {
		t.ui.Sayf("Boot test: %s", text)
	}
	if t.before, err = winimage.ReadSetupState(ctx, d, t.partition, winimage.SetupState{}); err != nil {
		return err
	}
	t.windows.Drivers, t.windows.Clock = driversOf(w), w.Clock
	maker := t.driver.(hypervisor.Maker) //nolint:forcetypeassert // prepareBootTest saw to it
	format, err := diskimage.ParseFormat(maker.DiskFormat())
	if err != nil {
		return err
	}
	path := filepath.Join(t.scratch, "clone."+string(format))
	t.disk = hypervisor.Disk{Path: path, Format: format.QEMU()}
	backing, why := t.overlaid(format)
	if why != "" {
		t.ui.Sayf("Copying the image for its clone, because %s", why)
		return t.copySource(ctx, path, diskimage.Options{Format: format})
	}
	t.disk.BackingFormat = backing
	return diskimage.WriteOverlay(path, t.image, backing, d.Size())
}

// tested is the Windows that is looked at.
func (t *cloneTest) tested(facts winimage.Facts) (winimage.Windows, error) {
	for _, w := range facts.Windows {
		if t.config.Verify.Windows == "" || t.config.Verify.Windows == "all" || t.config.Verify.Windows == fmt.Sprint(w.Partition) {
			return w, nil
		}
	}
	return winimage.Windows{}, winimage.ErrNoWindows
}

func (t *cloneTest) start(ctx context.Context, m hypervisor.Machine) error {
	c := t.config
	port := 0
	if t.block.Communicator == "winrm" {
		port = c.Comm.WinRMPort
		t.ask = t.question
	}
	t.ui.Sayf("Boot test: starting a clone of the image, which has to come to %s within %s; the image itself is only read", t.want, t.block.Timeout)
	can := resolve(m)
	if can.reporter != nil {
		can.reporter.Report(t.happens)
	}
	fates, err := m.Start(ctx, hypervisor.Spec{
		Name: c.OutputName + "-clone", Disk: t.disk, CPUs: c.CPUs, MemoryMB: c.Memory, Firmware: t.firmware,
		Drivers: t.windows.Drivers, GuestPort: port, ScratchDir: t.scratch,
		HardwareClock: hardwareClock(c.RTCTimeBase, t.windows.Clock, time.Now()),
	})
	if err != nil {
		return err
	}
	t.machine = follow(m, can, fates, t.happens)
	return nil
}

// watch looks at the clone until there is a reason to stop.
func (t *cloneTest) watch(ctx context.Context, begun time.Time) boottest.Stop {
	limits := t.block.limits()
	t.state = boottest.Begin(begun, t.want, t.ask != nil)
	facts := heartbeat.Facts{Doing: "booting a clone", Limit: limits.Total, Option: "boot_test.timeout"}
	wait := t.heart.Begin(facts)
	defer wait.End()
	defer t.asking(ctx)()
	for {
		ended := t.machine.awaitEnd(ctx, t.every)
		if ctx.Err() != nil {
			return boottest.Stop{}
		}
		phase := t.state.Phase
		next, stop := t.state.After(t.look(ctx, ended), limits)
		t.state = next
		if t.state.Phase != phase {
			t.ui.Sayf("Boot test: %s, %s after the start", t.state.Phase, t.state.Last.At.Sub(begun).Round(100*time.Millisecond))
			t.picture(ctx, t.state.Phase.File())
		}
		if cause := t.state.Seen().Cause; cause != nil && t.hinted != cause.ID {
			t.hinted = cause.ID
			t.ui.Sayf("Boot test: the log of Windows Setup in the clone names a failure (%s); waiting %s whether Windows Setup goes on", cause.ID, boottest.FailGrace)
		}
		if stop != nil {
			t.picture(ctx, "end")
			return *stop
		}
		facts.Doing, facts.Says = "booting a clone, "+t.state.Phase.String(), t.state.String()
		wait.Set(facts)
	}
}

// asking asks the guest in the background: a port that is forwarded to nobody takes
// its time to say nothing. What it returns ends that, and waits for it.
func (t *cloneTest) asking(ctx context.Context) (end func()) {
	if t.ask == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if said := t.ask(ctx); said != "" {
				t.says.Store(&said)
			}
			select {
			case <-ctx.Done():
			case <-time.After(askEvery):
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// look looks at the clone once.
func (t *cloneTest) look(ctx context.Context, ended bool) boottest.Look {
	events := t.events.Events()
	l := boottest.Look{At: time.Now(), Ended: ended, Restarts: restartsIn(events), Paused: hypervisor.Sum(events).Paused}
	if ended {
		return l
	}
	limited, cancel := context.WithTimeout(ctx, lifeLimit)
	defer cancel()
	m := t.machine
	if m.meter != nil {
		if written, err := m.meter.Written(limited); err == nil {
			l.Written, l.Counted = written, true
		}
	}
	if m.reads != nil && l.Counted {
		if read, err := m.reads.BytesRead(limited); err == nil {
			l.Read = read
		}
	}
	if m.camera != nil && time.Since(t.shown) >= cloneScreenEvery {
		t.shown = time.Now()
		t.screen = t.lifeSign(ctx).screen
	}
	l.Screen = t.screen
	if said := t.says.Load(); said != nil {
		l.Guest = *said
	}
	if begun := time.Now(); begun.After(t.read) {
		if m.flusher != nil {
			if err := m.flusher.Flush(limited); err != nil {
				log.Printf("flushing the disk of the clone: %v", err)
			}
		}
		if seen, err := t.inside(ctx); err != nil {
			log.Printf("looking at the disk of the clone while it runs: %v", err)
		} else if seen.State != "" {
			l.Disk = &seen
		}
		t.read = time.Now().Add(diskShare * time.Since(begun))
	}
	l.At = time.Now()
	return l
}

// lookInside reads the disk of the clone.
func (t *cloneTest) lookInside(ctx context.Context) (winimage.SetupState, error) {
	ctx, cancel := context.WithTimeout(ctx, diskLimit)
	defer cancel()
	d, err := t.open(ctx, t.disk.Path)
	if err != nil {
		return winimage.SetupState{}, err
	}
	defer d.Close()
	return winimage.ReadSetupState(ctx, d, t.partition, t.before)
}

// switchOff presses the power button, and kills a clone that does not go by it.
func (t *cloneTest) switchOff(ctx context.Context, stop boottest.Stop) {
	if t.machine.over() {
		return
	}
	limit := cloneOffLimit
	if stop.Reason != boottest.Arrived {
		limit = failedOffLimit
	}
	limit = cmp.Or(t.offLimit, limit)
	t.ui.Sayf("Boot test: %s; switching the clone off, to read its disk", stop.Text)
	var asked presses
	if t.machine.button != nil && hypervisor.Sum(t.events.Events()).Paused == "" {
		watch := t.awaits(ctx, heartbeat.Facts{Doing: "waiting for the clone to shut down", Limit: limit})
		asked = t.powerButton(ctx, t.ui, t.machine.button, limit)
		watch.end()
	}
	if asked.off || ctx.Err() != nil || t.machine.over() {
		return
	}
	t.ui.Sayf("Boot test: the clone did not shut down by its power button within %s, and is forced off", limit)
	if t.machine.killer != nil {
		if err := t.machine.killer.Kill(ctx); err != nil {
			log.Printf("killing the clone: %v", err)
		}
	}
}
