package qemu

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// probeLimit bounds the proof of one accelerator, which takes a tenth of a
// second; the software emulation, which is the last resort, has more time.
const (
	probeLimit    = 3 * time.Second
	probeLimitTCG = 20 * time.Second
)

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

// defaultCPUs are models that current Windows boots on, best first. QEMU's own
// default lacks instructions that Windows 10 1803 and later insist on.
func defaultCPUs(accelerator string) []string {
	switch accelerator {
	case "kvm":
		// With the enlightenments of Hyper-V a Windows guest neither spins on
		// locks nor watches a clock that is not there; not every nested host
		// has them.
		return []string{"host,hv_relaxed,hv_vapic,hv_spinlocks=0x1fff,hv_time", "host"}
	case "hvf":
		return []string{"host"}
	}
	return []string{"max"}
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
		models := []string{cpuModel}
		if isAuto(cpuModel) {
			models = defaultCPUs(accelerator)
		}
		for _, model := range models {
			err := try(ctx, accelerator, model)
			if err == nil {
				return accelerator, model, passed, nil
			}
			if ctx.Err() != nil {
				return "", "", nil, ctx.Err()
			}
			if why, next := notGiven(accelerator, err.Error()); why != "" {
				passed = append(passed, fmt.Errorf("accelerator %s: %s; %s\n%w", accelerator, why, next, err))
				break // with any model
			}
			passed = append(passed, fmt.Errorf("accelerator %s with processor %s: %w", accelerator, model, err))
		}
	}
	return "", "", nil, fmt.Errorf("no accelerator works; set accelerator = \"tcg\" or fix what QEMU reports: %w", errors.Join(passed...))
}

// The probe is a firmware of 64 KiB, the last below 4 GiB. It enters protected
// mode, counts, and writes 16 to the debug-exit port 0x501, upon which QEMU ends
// with status 16*2+1. Opening a device node, or creating a virtual processor,
// proves less: some hosts fail at the first instruction. And some nested hosts
// run every instruction of a kernel they do not know in an interpreter, a
// hundred times slower than TCG; the counting finds those by the time limit.
const (
	probeSize  = 64 << 10
	probeCount = 20_000_000
)

func probeFirmware() []byte {
	rom := make([]byte, probeSize)
	put := func(at int, code ...byte) { copy(rom[at:], code) }
	put(0xfff0, 0xe9, 0x0d, 0xff) // reset vector: jmp 0xff00
	put(0xff00,
		0x2e, 0x66, 0x0f, 0x01, 0x16, 0xa0, 0xff, //         lgdt cs:[0xffa0]
		0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, //   cr0 |= protected mode
		0x66, 0xea, 0x40, 0xff, 0xff, 0xff, 0x08, 0x00) //   jmp 8:0xffffff40
	put(0xff40, 0xb9) // mov ecx, probeCount
	binary.LittleEndian.PutUint32(rom[0xff41:], probeCount)
	put(0xff45,
		0x49, 0x75, 0xfd, //                         dec ecx; jnz
		0x66, 0xba, 0x01, 0x05, 0xb0, 0x10, 0xee, // out 0x501, 16
		0xf4, 0xeb, 0xfd) //                         hlt; jmp
	// Descriptors of flat 4 GiB segments, accessed: the firmware is read-only.
	binary.LittleEndian.PutUint64(rom[0xff88:], 0x00cf9b000000ffff)
	binary.LittleEndian.PutUint64(rom[0xff90:], 0x00cf93000000ffff)
	put(0xffa0, 0x17, 0x00, 0x80, 0xff, 0xff, 0xff) // limit, base 0xffffff80
	return rom
}

const probeStatus = 16*2 + 1

// tryAccelerator is the tryFunc that asks the real QEMU.
func tryAccelerator(binary, machineType, scratch string) tryFunc {
	return func(ctx context.Context, accelerator, cpuModel string) error {
		limit := probeLimit
		if accelerator == "tcg" {
			limit = probeLimitTCG
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		path := filepath.Join(scratch, "accelerator-probe.rom")
		if err := os.WriteFile(path, probeFirmware(), 0o600); err != nil {
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
			return fmt.Errorf("QEMU starts, but guest code that takes a tenth of a second has not finished after %s (nested virtualization?): %w", limit, ctx.Err())
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
