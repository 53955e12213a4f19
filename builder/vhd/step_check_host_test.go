package vhd

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// fakeChecker is a maker that is asked about its host.
type fakeChecker struct {
	fakeMaker
	asked *[]hypervisor.Firmware
	err   error
}

func (c fakeChecker) Check(f hypervisor.Firmware) error {
	*c.asked = append(*c.asked, f)
	return c.err
}

func TestTheHostIsAskedBeforeAndAfterTheDiskIsKnown(t *testing.T) {
	b := newBench(t, map[string]any{"firmware": "auto"})
	var asked []hypervisor.Firmware
	b.run.driver = fakeChecker{fakeMaker{format: "qcow2"}, &asked, nil}
	b.wantContinue(t, new(stepCheckHost).Run(t.Context(), b))
	b.run.firmware = hypervisor.FirmwareUEFI
	b.wantContinue(t, new(stepCheckFirmware).Run(t.Context(), b))
	if !slices.Equal(asked, []hypervisor.Firmware{"auto", "uefi"}) {
		t.Errorf("asked about %v", asked)
	}
	b.run.driver = fakeChecker{fakeMaker{format: "qcow2"}, &asked, errors.New("no UEFI firmware found: install it")}
	b.wantHalt(t, new(stepCheckFirmware).Run(t.Context(), b), "no UEFI firmware found")
	// Who makes no machine is asked nothing.
	b = newBench(t, nil)
	b.run.driver = fakeMaker{format: "qcow2"}
	b.wantContinue(t, new(stepCheckHost).Run(t.Context(), b))
	b.wantContinue(t, new(stepCheckFirmware).Run(t.Context(), b))
}

func TestWhatIsWrongWithHostAndOutputIsSaidAtOnce(t *testing.T) {
	b := newBench(t, nil)
	var asked []hypervisor.Firmware
	b.run.driver = fakeChecker{fakeMaker{format: "qcow2"}, &asked, errors.New("finding QEMU: not there")}
	write(t, filepath.Join(b.run.config.OutputDirectory, "other.txt"))
	b.wantHalt(t, new(stepCheckHost).Run(t.Context(), b), "is not empty (other.txt)", "finding QEMU: not there")
	// What a killed build left is no obstacle, and still there.
	b = newBench(t, nil)
	b.run.driver = fakeMaker{format: "qcow2"}
	left := filepath.Join(b.run.config.OutputDirectory, scratchPrefix+"1")
	write(t, filepath.Join(left, "x"))
	b.wantContinue(t, new(stepCheckHost).Run(t.Context(), b))
	if _, err := os.Stat(left); err != nil {
		t.Error(err)
	}
}

// TestNothingIsDownloadedBeforeTheHostIsAsked: the order is what the user waits for.
func TestNothingIsDownloadedBeforeTheHostIsAsked(t *testing.T) {
	var b Builder
	at := func(is func(multistep.Step) bool) int { return slices.IndexFunc(b.steps(), is) }
	host := at(func(s multistep.Step) bool { _, ok := s.(*stepCheckHost); return ok })
	download := at(func(s multistep.Step) bool { _, ok := s.(*stepDownload); return ok })
	source := at(func(s multistep.Step) bool { _, ok := s.(*stepInspectSource); return ok })
	firmware := at(func(s multistep.Step) bool { _, ok := s.(*stepCheckFirmware); return ok })
	overlay := at(func(s multistep.Step) bool { _, ok := s.(*stepCreateOverlay); return ok })
	if host < 0 || host > download || firmware < source || firmware > overlay {
		t.Errorf("host %d, download %d, source %d, firmware %d, overlay %d", host, download, source, firmware, overlay)
	}
}

func TestASourceThatTheOutputCannotHoldIsRefusedWhenItIsOpened(t *testing.T) {
	path := rawDisk(t, 1<<20, nil)
	if err := os.Truncate(path, 2041<<30); err != nil {
		testutil.Missing(t, "the file system has no files of 2041 GiB: "+err.Error())
		return
	}
	var c Config
	if _, err := c.prepare(valid(t, map[string]any{"source_path": path})); err == nil || !strings.Contains(err.Error(), "source_path, format: ") {
		t.Errorf("validate: %v", err)
	}
	b := newBench(t, map[string]any{"source_path": path, "format": "vhdx"})
	b.run.config.Format = "vhd"
	b.wantHalt(t, new(stepInspectSource).Run(t.Context(), b), "a VHD holds at most 2040 GiB, this disk has 2041 GiB", `set format = "vhdx"`)
	b = newBench(t, map[string]any{"source_path": path, "format": "vhdx"})
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
}
