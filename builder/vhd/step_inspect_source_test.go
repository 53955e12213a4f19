package vhd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
)

func TestFirmwareFollowsThePartitionTable(t *testing.T) {
	for _, c := range []struct {
		wanted hypervisor.Firmware
		scheme partition.Scheme
		want   hypervisor.Firmware
	}{
		{"auto", partition.MBR, "bios"}, {"auto", partition.GPT, "uefi"}, {"", partition.GPT, "uefi"},
		{"bios", partition.GPT, "bios"}, {"uefi", partition.None, "uefi"}, {"auto", partition.None, ""},
	} {
		// The tables are empty: what is missing from one does not change whose it is.
		table := partition.Table{Scheme: c.scheme}
		got, err := firmwareFor(c.wanted, table.Startup().Firmware)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q with %s: %q, %v", c.wanted, c.scheme, got, err)
		}
	}
}

// One judgement on a disk that nothing can start: it is booted as its table says,
// and that is doubted once.
func TestADiskWithoutAnActivePartitionIsTriedAndDoubted(t *testing.T) {
	path := rawDisk(t, 1<<20, nil)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0}, 446); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, map[string]any{"source_path": path})
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
	if b.run.firmware != hypervisor.FirmwareBIOS || strings.Count(joined(b), "lacks an active partition") != 1 || strings.Contains(joined(b), "no firmware") {
		t.Errorf("%s, said:\n%s", b.run.firmware, joined(b))
	}
	b = newBench(t, map[string]any{"source_path": path, "firmware": "uefi"})
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
	if b.run.firmware != hypervisor.FirmwareUEFI {
		t.Errorf("the user's word is not the last: %s", b.run.firmware)
	}
}

// What cannot be looked into in time may boot all the same.
func TestASourceThatIsSlowToReadIsDoubtedAndBooted(t *testing.T) {
	b := newBench(t, map[string]any{"source_path": rawDisk(t, 1<<20, nil)})
	b.wantContinue(t, (&stepInspectSource{limit: -1}).Run(t.Context(), b))
	if b.run.firmware != hypervisor.FirmwareBIOS || !strings.Contains(joined(b), "it took more than -1ns") {
		t.Errorf("%s, said:\n%s", b.run.firmware, joined(b))
	}
}

func TestOnlySectorsOf512BytesBoot(t *testing.T) {
	if err := bootable(diskimage.Info{SectorSize: 512}); err != nil {
		t.Error(err)
	}
	if err := bootable(diskimage.Info{SectorSize: 4096}); err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("got %v", err)
	}
}

func TestInspectSourceGoesByContent(t *testing.T) {
	raw := rawDisk(t, 2<<20, nil)
	for _, o := range []diskimage.Options{
		{Format: diskimage.Raw}, {Format: diskimage.QCOW2}, {Format: diskimage.VHDX},
		{Format: diskimage.VHD, Type: diskimage.Fixed}, {Format: diskimage.VHD, Type: diskimage.Dynamic},
	} {
		t.Run(string(o.Format+" "+diskimage.Format(o.Type)), func(t *testing.T) {
			b := newBench(t, nil)
			path := filepath.Join(t.TempDir(), "misleading.txt")
			if err := os.Rename(convertTo(t, raw, o), path); err != nil {
				t.Fatal(err)
			}
			b.run.config.SourcePath = path
			b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
			if s := b.run.source; s.Format != o.Format || s.VirtualSize != 2<<20 || b.run.firmware != "bios" || s.Files[0] != path {
				t.Errorf("got %+v, %s", s, b.run.firmware)
			}
		})
	}
}

func TestInspectSourceRefusesWhatCannotBoot(t *testing.T) {
	b := newBench(t, nil) // its disk is four bytes of text
	b.wantHalt(t, new(stepInspectSource).Run(t.Context(), b), "disk.vhd")
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	b = newBench(t, map[string]any{"source_path": empty})
	b.wantHalt(t, new(stepInspectSource).Run(t.Context(), b), "no partition table", `set firmware to "bios" or "uefi"`)
	b = newBench(t, map[string]any{"source_path": empty, "firmware": "bios"})
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
}

func TestInspectSourceRefusesAParentOfADownload(t *testing.T) {
	raw := rawDisk(t, 1<<20, nil)
	child := filepath.Join(t.TempDir(), "child.qcow2")
	if err := diskimage.WriteOverlay(child, raw, "raw", 1<<20); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, nil)
	b.run.config.SourceURL = "https://example.com/disk"
	b.Put(downloadKey, child)
	b.wantHalt(t, new(stepInspectSource).Run(t.Context(), b), "a downloaded disk may not", raw)
	b.run.config.SourceURL = ""
	b.wantHalt(t, new(stepInspectSource).Run(t.Context(), b), "not allowed", filepath.Base(raw), "backing_files")
	b.run.config.BackingFiles = []string{raw}
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
}

func TestInspectSourceForgivesALockedDiskOfARunningMachine(t *testing.T) {
	b := newBench(t, nil)
	b.run.driver = fakeTaker{disk: b.run.config.SourcePath}
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
	b.wantContinue(t, new(stepCreateOverlay).Run(t.Context(), b))
	if b.run.disk.Path != b.run.config.SourcePath {
		t.Errorf("got %+v", b.run.disk)
	}
}
