package partition

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// grown applies what Grow says.
func grown(t *testing.T, disk []byte, size, sector int) []byte {
	t.Helper()
	patches, err := Grow(bytes.NewReader(disk), int64(len(disk)), int64(size), sector)
	if err != nil {
		t.Fatal(err)
	}
	b := append(bytes.Clone(disk), make([]byte, size-len(disk))...)
	for _, p := range patches {
		copy(b[p.At:p.At+int64(len(p.Bytes))], p.Bytes)
	}
	return b
}

func TestTheBackupGPTOfADiskThatGrowsIsMovedToItsEnd(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		disk := gptDisk(sector)
		before, err := read(disk, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, more := range []int{1, 5, 33, 500} {
			b := grown(t, disk, len(disk)+more*sector, 0)
			after, err := read(b, 0)
			if err != nil {
				t.Fatalf("%d+%d: %v", sector, more, err)
			}
			if after.PrimaryDamage != nil || after.BackupDamage != nil || after.SectorSize != sector || len(after.Partitions) != len(before.Partitions) {
				t.Errorf("%d+%d: %+v", sector, more, after)
			}
			for i := range after.Partitions {
				if after.Partitions[i] != before.Partitions[i] {
					t.Errorf("%d+%d: partition %+v became %+v", sector, more, before.Partitions[i], after.Partitions[i])
				}
			}
			head, sectors := b[sector:], uint64(len(b)/sector)
			if place := le.Uint64(b[len(b)-sector+72:]); le.Uint64(head[32:]) != sectors-1 || le.Uint64(head[48:]) != place-1 || place < sectors-1-uint64(17<<10/sector+1) {
				t.Errorf("%d+%d: backup at %d, usable to %d, entries at %d of %d", sector, more, le.Uint64(head[32:]), le.Uint64(head[48:]), place, sectors)
			}
			if protective := uint64(le.Uint32(b[446+12:])); protective != sectors-1 {
				t.Errorf("%d+%d: the protective MBR covers %d of %d", sector, more, protective, sectors)
			}
			last := b[len(b)-sector:]
			if string(last[:8]) != "EFI PART" || bytes.Count(b, []byte("EFI PART")) != 2 {
				t.Errorf("%d+%d: %d headers, the last sector begins with %q", sector, more, bytes.Count(b, []byte("EFI PART")), last[:8])
			}
			// From its backup alone the disk is the same.
			clear(b[sector : 2*sector])
			if after, err := read(b, sector); err != nil || after.PrimaryDamage == nil || len(after.Partitions) != len(before.Partitions) {
				t.Errorf("%d+%d: without its primary GPT: %v", sector, more, err)
			}
		}
	}
}

func TestDisksWhoseGPTIsNotSoundAreNotWrittenInto(t *testing.T) {
	gpt := gptDisk(512)
	for name, disk := range map[string][]byte{
		"an MBR": mbrDisk(1<<20, [3]uint32{7, 64, 100}), "nothing": make([]byte, 1<<20),
		"a damaged primary": change(gpt, func(b []byte) { b[600]++ }), "a damaged backup": change(gpt, func(b []byte) { b[511*512+20]++ }),
	} {
		patches, err := Grow(bytes.NewReader(disk), int64(len(disk)), int64(len(disk))+1<<20, 0)
		if err != nil || len(patches) != 0 {
			t.Errorf("%s: %d patches, %v", name, len(patches), err)
		}
	}
	if patches, err := Grow(bytes.NewReader(gpt), int64(len(gpt)), int64(len(gpt)), 0); err != nil || len(patches) != 0 {
		t.Errorf("the same size: %d patches, %v", len(patches), err)
	}
}

func TestSgdiskFindsNothingWrongWithAGrownDisk(t *testing.T) {
	sgdisk := testutil.Tool(t, "sgdisk")
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, make([]byte, 3<<20+300*512), 0o600); err != nil {
		t.Fatal(err)
	}
	verify := func() string {
		t.Helper()
		out, err := exec.Command(sgdisk, "-v", path).CombinedOutput()
		if err != nil {
			t.Fatalf("%v %s", err, out)
		}
		return string(out)
	}
	if out, err := exec.Command(sgdisk, "-n", "1:2048:4095", "-t", "1:ef00", "-n", "2:4096:6000", path).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	disk, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		b     []byte
		sound bool
	}{{append(bytes.Clone(disk), make([]byte, 4<<20-len(disk))...), false}, {grown(t, disk, 4<<20, 512), true}} {
		if err := os.WriteFile(path, c.b, 0o600); err != nil {
			t.Fatal(err)
		}
		if out := verify(); strings.Contains(out, "No problems found") != c.sound {
			t.Errorf("sound is not %t: %s", c.sound, out)
		}
	}
}
