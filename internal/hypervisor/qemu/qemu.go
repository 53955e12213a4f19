// Package qemu runs a machine in QEMU: hardware that Windows boots on without
// extra drivers, a fate read from QMP events and the process's end, and a
// process that never outlives the plugin.
package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

const (
	// startLimit bounds the time from QEMU's start to its first word.
	startLimit = 30 * time.Second
	// startAttempts: another program may take the forwarded port between our
	// choosing it and QEMU's binding it.
	startAttempts = 3
	// endLimit bounds how long QEMU may take to write back and end after the
	// guest is off or after it was told to quit.
	endLimit = 2 * time.Minute
	// quitLimit is the part of it that a kill grants before SIGKILL.
	quitLimit = 5 * time.Second
)

// Options are what only this driver knows.
type Options struct {
	Binary       string // program name or path; default qemu-system-x86_64
	MachineType  string // pc, q35, a versioned name, or "auto"
	CPUModel     string // -cpu argument, or "auto"
	FirmwareCode string // UEFI code and variables; empty: found
	FirmwareVars string
	// Say tells the user what he should know while it works. May be nil.
	Say func(string)
	// OnEvent is told what happens to a machine that goes on, in order. It must
	// not wait. May be nil.
	OnEvent func(hypervisor.Event)
}

// Driver runs one machine once.
type Driver struct {
	options Options

	mu        sync.Mutex
	process   *process
	monitor   *monitor
	port      int
	scratch   string
	resets    []time.Time
	shutdown  *event
	sentence  *sentence
	expectOff bool
	asked     bool
	killed    bool
	stops     int  // STOP and RESUME so far
	paused    bool // the user knows
}

var _ hypervisor.Hypervisor = (*Driver)(nil)

// New returns a driver that has not touched anything yet.
func New(options Options) *Driver {
	if options.Binary == "" {
		options.Binary = "qemu-system-x86_64"
	}
	if options.Say == nil {
		options.Say = func(string) {}
	}
	if options.OnEvent == nil {
		options.OnEvent = func(hypervisor.Event) {}
	}
	return &Driver{options: options}
}

// Features says that QEMU can do it all.
func (d *Driver) Features() hypervisor.Features {
	return hypervisor.Features{OwnsDisk: true, DiskFormat: "qcow2", Screenshot: true, PowerEvents: true, PowerDown: true, Kill: true}
}

// Start boots the machine; see hypervisor.Hypervisor. It takes at most a
// minute. The context bounds the start only, not the machine's life.
func (d *Driver) Start(ctx context.Context, spec hypervisor.Spec) (<-chan hypervisor.Fate, error) {
	if d.scratch != "" {
		return nil, errors.New("a driver starts one machine only")
	}
	d.scratch = spec.ScratchDir
	m, err := d.prepare(ctx, spec)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		if m.hostPort, err = freePort(); err != nil {
			return nil, err
		}
		err = d.launch(ctx, m)
		if err == nil {
			break
		}
		if attempt == startAttempts || ctx.Err() != nil || !strings.Contains(err.Error(), "host forwarding") {
			return nil, err
		}
	}
	fates := make(chan hypervisor.Fate, 1)
	go d.await(fates)
	return fates, nil
}

// prepare settles everything that was left open in the specification.
func (d *Driver) prepare(ctx context.Context, spec hypervisor.Spec) (machine, error) {
	binary, err := find(d.options.Binary, installed())
	if err != nil {
		return machine{}, fmt.Errorf("finding QEMU: %w; install it (Debian: qemu-system-x86, Windows: https://www.qemu.org/download/#windows) or set qemu_binary", err)
	}
	d.options.Binary = binary
	m := machine{serialLog: filepath.Join(spec.ScratchDir, "serial.log")}
	if m.spec, m.machineType, err = resolve(spec, d.options.MachineType); err != nil {
		return machine{}, err
	}
	var passed []error
	m.accelerator, m.cpuModel, passed, err = chooseAccelerator(ctx, spec.Accelerator, d.options.CPUModel, runtime.GOOS,
		tryAccelerator(binary, m.machineType, spec.ScratchDir))
	if err != nil {
		return machine{}, err
	}
	for _, why := range passed {
		log.Printf("passed over: %s", why)
		line, _, _ := strings.Cut(why.Error(), "\n")
		d.options.Say("Not usable here: " + line)
	}
	if m.accelerator == "tcg" {
		d.options.Say("Emulating the processor in software (TCG): expect the guest to be 10 to 20 times slower.")
	}
	if spec.Firmware == hypervisor.FirmwareUEFI {
		files := firmwareFiles{d.options.FirmwareCode, d.options.FirmwareVars}
		if files == (firmwareFiles{}) {
			if files, err = findFirmware(binary, m.machineType); err != nil {
				return machine{}, err
			}
		}
		vars, err := hostfile.ReadRegular(files.vars, maxFirmwareVars)
		if err != nil {
			return machine{}, fmt.Errorf("reading firmware variables: %w", err)
		}
		m.firmwareCode, m.firmwareVars = files.code, filepath.Join(spec.ScratchDir, "efivars.fd")
		if err := os.WriteFile(m.firmwareVars, vars, 0o600); err != nil {
			return machine{}, fmt.Errorf("copying firmware variables: %w", err)
		}
	}
	return m, nil
}

// maxFirmwareVars bounds a template of firmware variables in bytes; real ones
// have at most a few MiB.
const maxFirmwareVars = 64 << 20

// launch starts QEMU and lets the guest run once its monitor answers.
func (d *Driver) launch(ctx context.Context, m machine) (err error) {
	line, err := newLink()
	if err != nil {
		return err
	}
	m.monitor = line.chardev()
	args, err := m.arguments()
	if err != nil {
		line.close()
		return err
	}
	p, err := startProcess(d.options.Binary, args, line.files())
	if err != nil {
		line.close()
		return err
	}
	log.Printf("QEMU is process %d; %s", p.cmd.Process.Pid, p.describe())

	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	// A QEMU that ends at once must not be waited for.
	watched := make(chan struct{})
	defer close(watched)
	go func() {
		select {
		case <-p.done:
			cancel()
		case <-watched:
		}
	}()
	defer func() {
		if err == nil {
			return
		}
		line.close()
		select {
		case <-p.done:
			err = fmt.Errorf("QEMU ended at once: %w\n%s", errors.Join(p.err, err), p.describe())
		case <-time.After(time.Second):
			p.kill()
			<-p.done
			err = fmt.Errorf("starting QEMU: %w\n%s", err, p.describe())
		}
	}()
	var conn io.ReadWriteCloser
	if conn, err = line.accept(ctx); err != nil {
		return err
	}
	mon, err := openMonitor(ctx, conn, d.onEvent)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.process, d.monitor, d.port = p, mon, m.hostPort
	d.mu.Unlock()
	if err = mon.execute(ctx, "cont", nil); err != nil {
		d.mu.Lock()
		d.process, d.monitor = nil, nil
		d.mu.Unlock()
	}
	return err
}

// await delivers the fate when the process has gone.
func (d *Driver) await(fates chan<- hypervisor.Fate) {
	defer close(fates)
	// The monitor closes first when the guest is off; QEMU then still writes
	// back, which must not take for ever.
	select {
	case <-d.process.done:
	case <-d.monitor.closed:
		select {
		case <-d.process.done:
		case <-time.After(endLimit):
			d.process.kill()
			<-d.process.done
		}
	}
	<-d.monitor.closed // the reader has now seen every event
	d.mu.Lock()
	defer d.mu.Unlock()
	fates <- fateOf(ending{
		shutdown: d.shutdown, sentence: d.sentence, asked: d.asked, killed: d.killed,
		exit: d.process.err, output: d.process.output.String(),
	}, time.Now())
}

// end asks QEMU to quit, and makes it if it does not.
func (d *Driver) end() {
	ctx, cancel := context.WithTimeout(context.Background(), quitLimit)
	defer cancel()
	if err := d.monitor.execute(ctx, "quit", nil); err == nil {
		select {
		case <-d.process.done:
			return
		case <-ctx.Done():
		}
	}
	d.process.kill()
	<-d.process.done
}

func (d *Driver) running() (*process, *monitor, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.process == nil {
		return nil, nil, errors.New("the machine has not been started")
	}
	return d.process, d.monitor, nil
}

// Endpoint is a port of this host's loopback that QEMU forwards.
func (d *Driver) Endpoint(context.Context) (hypervisor.Endpoint, error) {
	if _, _, err := d.running(); err != nil {
		return hypervisor.Endpoint{}, err
	}
	return hypervisor.Endpoint{Host: "127.0.0.1", Port: d.port}, nil
}

// ExpectOff makes a restart of the guest its fate.
func (d *Driver) ExpectOff() {
	d.mu.Lock()
	d.expectOff = true
	d.mu.Unlock()
}

// PowerDown presses the ACPI power button. QEMU reports the press as POWERDOWN.
func (d *Driver) PowerDown(ctx context.Context) error {
	_, mon, err := d.running()
	if err != nil {
		return err
	}
	return mon.execute(ctx, "system_powerdown", nil)
}

// Kill ends QEMU and returns when it has gone.
func (d *Driver) Kill(ctx context.Context) error {
	p, _, err := d.running()
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.killed = true
	d.mu.Unlock()
	go d.end()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("ending QEMU (process %d): %w", p.cmd.Process.Pid, ctx.Err())
	}
}

// Screenshot writes the screen as a PNG.
func (d *Driver) Screenshot(ctx context.Context, path string) error {
	_, mon, err := d.running()
	if err != nil {
		return err
	}
	dump := filepath.Join(d.scratch, "screen.part")
	defer os.Remove(dump)
	// The format argument and PNG came with QEMU 7.1; a build without libpng refuses it.
	if mon.version.atLeast(7, 1) {
		err := mon.execute(ctx, "screendump", map[string]string{"filename": dump, "format": "png"})
		if err == nil {
			return moveFile(ctx, dump, path)
		}
		if refusal := (*commandError)(nil); !errors.As(err, &refusal) {
			return err
		}
	}
	if err := mon.execute(ctx, "screendump", map[string]string{"filename": dump}); err != nil {
		return err
	}
	picture := dump + ".png"
	defer os.Remove(picture)
	if err := ppmToPNG(dump, picture); err != nil {
		return err
	}
	return moveFile(ctx, picture, path)
}

// maxPicture bounds a picture of the screen in bytes.
const maxPicture = 256 << 20

// moveFile renames, through a copy beside the target where the two lie on
// different file systems.
func moveFile(ctx context.Context, from, to string) error {
	if hostfile.Rename(ctx, from, to) == nil {
		return nil
	}
	data, err := hostfile.ReadRegular(from, maxPicture)
	if err != nil {
		return fmt.Errorf("reading %s: %w", from, err)
	}
	return hostfile.WriteFile(ctx, to, data)
}

// Close ends the machine if it still runs. Everything else lies in ScratchDir.
func (d *Driver) Close() error {
	p, mon, err := d.running()
	if err != nil {
		return nil // never started: nothing to release
	}
	select {
	case <-p.done:
	default:
		ctx, cancel := context.WithTimeout(context.Background(), 2*quitLimit)
		defer cancel()
		if err := d.Kill(ctx); err != nil {
			return err
		}
	}
	mon.close()
	return nil
}

// freePort returns a port of the loopback interface that was free a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
