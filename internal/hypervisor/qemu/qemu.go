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
)

// Machine runs once.
type Machine struct {
	options Options
	say     func(string)           // tells the user what he should know while it works
	tell    func(hypervisor.Event) // is told what happens, in order; it does not wait
	binary  string

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

var _ interface {
	hypervisor.Machine
	hypervisor.Reporter
	hypervisor.PowerDowner
	hypervisor.Killer
	hypervisor.Screenshotter
	hypervisor.Meter
	hypervisor.ReadMeter
	hypervisor.Flusher
} = (*Machine)(nil)

func newMachine(o Options, say func(string)) *Machine {
	return &Machine{options: o, say: say, tell: func(hypervisor.Event) {}}
}

// Report implements hypervisor.Reporter.
func (m *Machine) Report(tell func(hypervisor.Event)) { m.tell = tell }

// Start boots the machine; see hypervisor.Machine. It takes at most a minute. The context bounds the start only, not the machine's life.
func (m *Machine) Start(ctx context.Context, spec hypervisor.Spec) (<-chan hypervisor.Fate, error) {
	if m.scratch != "" {
		return nil, errors.New("a machine can be started only once")
	}
	m.scratch = spec.ScratchDir
	h, err := m.prepare(ctx, spec)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		if h.hostPort, err = freePort(); err != nil {
			return nil, err
		}
		err = m.launch(ctx, h)
		if err == nil {
			break
		}
		if attempt == startAttempts || ctx.Err() != nil || !strings.Contains(err.Error(), "host forwarding") {
			return nil, err
		}
	}
	fates := make(chan hypervisor.Fate, 1)
	go m.await(fates)
	return fates, nil
}

// prepare settles everything that was left open in the specification.
func (m *Machine) prepare(ctx context.Context, spec hypervisor.Spec) (hardware, error) {
	binary, err := m.options.binary()
	if err != nil {
		return hardware{}, err
	}
	m.binary = binary
	h := hardware{spec: spec, serialLog: filepath.Join(spec.ScratchDir, "serial.log")}
	if h.options, err = resolve(m.options, spec.Firmware, spec.Drivers); err != nil {
		return hardware{}, err
	}
	var passed []error
	h.options.Accelerator, h.options.CPUModel, passed, err = chooseAccelerator(ctx, m.options.Accelerator, m.options.CPUModel, runtime.GOOS,
		tryAccelerator(binary, h.options.MachineType, spec.ScratchDir))
	if err != nil {
		return hardware{}, err
	}
	for _, why := range passed {
		log.Printf("passed over: %s", why)
		line, _, _ := strings.Cut(why.Error(), "\n")
		m.say("Not usable here: " + line)
	}
	if h.options.Accelerator == "tcg" {
		m.say("Emulating the processor in software (TCG): expect the guest to be 10 to 20 times slower.")
	}
	if spec.Firmware == hypervisor.FirmwareUEFI {
		files := firmwareFiles{m.options.EFIFirmwareCode, m.options.EFIFirmwareVars}
		if files == (firmwareFiles{}) {
			if files, err = findFirmware(binary, h.options.MachineType); err != nil {
				return hardware{}, err
			}
		}
		vars, err := hostfile.ReadRegular(files.vars, maxFirmwareVars)
		if err != nil {
			return hardware{}, fmt.Errorf("reading firmware variables: %w", err)
		}
		h.firmwareCode, h.firmwareVars = files.code, filepath.Join(spec.ScratchDir, "efivars.fd")
		if err := os.WriteFile(h.firmwareVars, vars, 0o600); err != nil {
			return hardware{}, fmt.Errorf("copying firmware variables: %w", err)
		}
	}
	return h, nil
}

// maxFirmwareVars bounds a template of firmware variables in bytes; real ones
// have at most a few MiB.
const maxFirmwareVars = 64 << 20

// launch starts QEMU and lets the guest run once its monitor answers.
func (m *Machine) launch(ctx context.Context, h hardware) (err error) {
	line, err := newLink()
	if err != nil {
		return err
	}
	h.monitor = line.chardev()
	args, err := h.arguments()
	if err != nil {
		line.close()
		return err
	}
	p, err := startProcess(m.binary, args, line.files())
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
	mon, err := openMonitor(ctx, conn, m.onEvent)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.process, m.monitor, m.port = p, mon, h.hostPort
	m.mu.Unlock()
	if err = mon.execute(ctx, "cont", nil); err != nil {
		m.mu.Lock()
		m.process, m.monitor = nil, nil
		m.mu.Unlock()
	}
	return err
}

func (m *Machine) running() (*process, *monitor, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process == nil {
		return nil, nil, errors.New("the machine has not been started")
	}
	return m.process, m.monitor, nil
}

// Endpoint is a port of this host's loopback that QEMU forwards.
func (m *Machine) Endpoint(context.Context) (hypervisor.Endpoint, error) {
	if _, _, err := m.running(); err != nil {
		return hypervisor.Endpoint{}, err
	}
	return hypervisor.Endpoint{Host: "127.0.0.1", Port: m.port}, nil
}

// ExpectOff makes a restart of the guest its fate.
func (m *Machine) ExpectOff() {
	m.mu.Lock()
	m.expectOff = true
	m.mu.Unlock()
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
