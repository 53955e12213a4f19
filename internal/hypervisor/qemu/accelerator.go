package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// probeLimit bounds the proof of one accelerator; it takes a tenth of a second.
const probeLimit = 15 * time.Second

// candidates are the accelerators worth trying on an operating system, best first.
func candidates(goos string) []string {
	switch goos {
	case "linux":
		return []string{"kvm", "tcg"}
	case "darwin":
		return []string{"hvf", "tcg"}
	case "windows":
		return []string{"whpx", "tcg"}
	}
	return []string{"tcg"}
}

// defaultCPU is a model that current Windows boots on. QEMU's own default
// lacks instructions that Windows 10 1803 and later insist on.
func defaultCPU(accelerator string) string {
	switch accelerator {
	case "kvm":
		// With the enlightenments of Hyper-V a Windows guest neither spins on
		// locks nor watches a clock that is not there.
		return "host,hv_relaxed,hv_vapic,hv_spinlocks=0x1fff,hv_time"
	case "hvf":
		return "host"
	}
	return "max"
}

// tryFunc proves that an accelerator runs guest code, or says why it does not.
type tryFunc func(ctx context.Context, accelerator, cpuModel string) error

// chooseAccelerator returns the accelerator and CPU model to use, and for each
// accelerator that was passed over, why.
func chooseAccelerator(ctx context.Context, wanted, cpuModel, goos string, try tryFunc) (accelerator, cpu string, passed []error, err error) {
	list := []string{wanted}
	if isAuto(wanted) {
		list = candidates(goos)
	}
	for _, accelerator := range list {
		cpu := cpuModel
		if isAuto(cpu) {
			cpu = defaultCPU(accelerator)
		}
		err := try(ctx, accelerator, cpu)
		if err == nil {
			return accelerator, cpu, passed, nil
		}
		if ctx.Err() != nil {
			return "", "", nil, ctx.Err()
		}
		passed = append(passed, fmt.Errorf("accelerator %s: %w", accelerator, err))
	}
	return "", "", nil, fmt.Errorf("no accelerator works; set accelerator = \"tcg\" or mend what QEMU says: %w", errors.Join(passed...))
}

// The program of the probe: a 64 KiB firmware whose first instructions, at the
// reset vector 16 bytes before its end, write 16 to the debug-exit port 0x501.
// QEMU then ends with status 16*2+1. Opening a device node, or even creating
// a virtual CPU, proves less: nested and restricted hosts fail at the first run.
var probeProgram = []byte{
	0xba, 0x01, 0x05, // mov dx, 0x501
	0xb0, 0x10, //       mov al, 16
	0xee,             //             out dx, al
	0xf4, 0xeb, 0xfd, // hlt; jmp to it
}

const probeStatus = 16*2 + 1

// tryAccelerator is the tryFunc that asks the real QEMU.
func tryAccelerator(binary, machineType, scratch string) tryFunc {
	return func(ctx context.Context, accelerator, cpuModel string) error {
		ctx, cancel := context.WithTimeout(ctx, probeLimit)
		defer cancel()
		firmware := make([]byte, 64<<10)
		copy(firmware[len(firmware)-16:], probeProgram)
		path := filepath.Join(scratch, "accelerator-probe.rom")
		if err := os.WriteFile(path, firmware, 0o600); err != nil {
			return fmt.Errorf("writing probe: %w", err)
		}
		defer os.Remove(path)
		p, err := startProcess(binary, []string{
			"-nodefaults", "-no-user-config", "-display", "none", "-machine", machineType, "-m", "64",
			"-accel", acceleratorArgument(accelerator), "-cpu", cpuModel,
			"-bios", path, "-device", "isa-debug-exit,iobase=0x501", "-no-reboot",
		}, nil)
		if err != nil {
			return err
		}
		select {
		case <-p.done:
		case <-ctx.Done():
			p.kill()
			<-p.done
			return fmt.Errorf("QEMU starts but runs no guest code: %w", ctx.Err())
		}
		var exit *exec.ExitError
		if errors.As(p.err, &exit) && exit.ExitCode() == probeStatus {
			return nil
		}
		words := strings.TrimSpace(p.output.String())
		if p.err == nil {
			return fmt.Errorf("guest code ended unexpectedly: %s", words)
		}
		return fmt.Errorf("%s: %w", words, p.err)
	}
}
