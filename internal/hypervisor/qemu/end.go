package qemu

import (
	"context"
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

const (
	// endLimit bounds how long QEMU may take to write back and end after the
	// guest is off or after it was told to quit.
	endLimit = 2 * time.Minute
	// quitLimit is the part of it that a kill grants before SIGKILL.
	quitLimit = 5 * time.Second
)

// await delivers the fate when the process has gone.
func (m *Machine) await(fates chan<- hypervisor.Fate) {
	defer close(fates)
	// The monitor closes first when the guest is off; QEMU then still writes
	// back, which must not take for ever.
	select {
	case <-m.process.done:
	case <-m.monitor.closed:
		select {
		case <-m.process.done:
		case <-time.After(endLimit):
			m.process.kill()
			<-m.process.done
		}
	}
	<-m.monitor.closed // the reader has now seen every event
	m.mu.Lock()
	defer m.mu.Unlock()
	fates <- fateOf(ending{
		shutdown: m.shutdown, sentence: m.sentence, asked: m.asked, killed: m.killed,
		exit: m.process.err, output: m.process.output.String(),
	}, time.Now())
}

// end asks QEMU to quit, and makes it if it does not.
func (m *Machine) end() {
	ctx, cancel := context.WithTimeout(context.Background(), quitLimit)
	defer cancel()
	if err := m.monitor.execute(ctx, "quit", nil); err == nil {
		select {
		case <-m.process.done:
			return
		case <-ctx.Done():
		}
	}
	m.process.kill()
	<-m.process.done
}

// PowerDown presses the ACPI power button. QEMU reports the press as POWERDOWN.
func (m *Machine) PowerDown(ctx context.Context) error {
	_, mon, err := m.running()
	if err != nil {
		return err
	}
	return mon.execute(ctx, "system_powerdown", nil)
}

// Kill ends QEMU and returns when it has gone.
func (m *Machine) Kill(ctx context.Context) error {
	p, _, err := m.running()
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.killed = true
	m.mu.Unlock()
	go m.end()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		p.kill()
		return fmt.Errorf("ending QEMU (process %d): %w", p.cmd.Process.Pid, ctx.Err())
	}
}

// Close ends the machine if it still runs. Everything else lies in ScratchDir.
func (m *Machine) Close() error {
	p, mon, err := m.running()
	if err != nil {
		return nil // never started: nothing to release
	}
	select {
	case <-p.done:
	default:
		ctx, cancel := context.WithTimeout(context.Background(), 2*quitLimit)
		defer cancel()
		if err := m.Kill(ctx); err != nil {
			return err
		}
	}
	mon.close()
	return nil
}
