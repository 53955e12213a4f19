package winimagetest

import (
	"cmp"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// windowsPartition is the GUID of the partition of Windows on a GPT disk.
const windowsPartition = "9B0F21A4-6E6B-4D0C-8C55-0B5E3B1F7C11"

var windowsPartitionBytes = []byte{0xa4, 0x21, 0x0f, 0x9b, 0x6b, 0x6e, 0x0c, 0x4d, 0x8c, 0x55, 0x0b, 0x5e, 0x3b, 0x1f, 0x7c, 0x11}

func (s Spec) loader() string { return cmp.Or(s.Loader, "MZ") }

// bootStore is a boot configuration with one loader, which lies in a partition
// that the first 16 bytes name; style is 0 for a GPT and 1 for an MBR.
func (s Spec) bootStore(partition []byte, style uint32) string {
	root := hivewrite.NewKey("ROOT")
	bootEntry(root, partition, style)
	if s.BootStore != nil {
		s.BootStore(root)
	}
	return string(hivewrite.Build(root, "BCD"))
}

func bootEntry(root *hivewrite.Key, partition []byte, style uint32) {
	object := root.Path(`Objects\{733b62e2-f608-11eb-825c-c112f60133ab}`)
	object.Path("Description").SetDWord("Type", 0x10200003)
	object.Path(`Elements\12000004`).SetString("Element", "Windows")
	device := make([]byte, 88)
	le := binary.LittleEndian
	le.PutUint32(device[16:], 6)
	le.PutUint32(device[24:], 72)
	copy(device[32:48], partition)
	le.PutUint32(device[52:], style)
	object.Path(`Elements\11000001`).SetBinary("Element", device)
	manager := root.Path(`Objects\{9dea862c-5cdd-4e70-acc1-f32b344d4795}`)
	manager.Path("Description").SetDWord("Type", 0x10100002)
	manager.Path(`Elements\23000003`).SetString("Element", `{733b62e2-f608-11eb-825c-c112f60133ab}`)
}

// makeESP writes an EFI system partition with what Windows has there.
func (s Spec) makeESP(t testing.TB, esp string) {
	t.Helper()
	files := map[string]string{
		`\EFI\Boot\bootx64.efi`: s.loader(), `\EFI\Microsoft\Boot\bootmgfw.efi`: s.loader(), `\EFI\Microsoft\Boot\BCD`: s.bootStore(windowsPartitionBytes, 0),
	}
	maps.Copy(files, s.ESP)
	formatFAT(t, esp, sidePad, files)
}

// makeFAT writes the files into a new FAT volume.
func (s Spec) makeFAT(t testing.TB, volume string) {
	t.Helper()
	if !s.Empty {
		t.Fatal("winimagetest: no Windows lives on FAT")
	}
	formatFAT(t, volume, cmp.Or(s.Volume, 4*mib), s.Files)
}

func formatFAT(t testing.TB, volume string, size int64, files map[string]string) {
	t.Helper()
	create(t, volume, size)
	run(t, testutil.Tool(t, "mkfs.vfat"), "-F", "12", "-n", "SYSTEM", volume)
	made := map[string]bool{}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		below := slashed(path)
		for i := 1; i < len(below); i++ {
			if folder := below[:i]; below[i] == '/' && !made[strings.ToLower(folder)] {
				made[strings.ToLower(folder)] = true
				run(t, testutil.Tool(t, "mmd"), "-i", volume, "::"+folder)
			}
		}
		host := filepath.Join(filepath.Dir(volume), "file")
		if err := os.WriteFile(host, []byte(files[path]), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, testutil.Tool(t, "mcopy"), "-i", volume, host, "::"+below)
	}
}

// DirtyStore is a boot configuration whose entry leads nowhere, and the log with
// which it names the partition of Windows on an MBR disk.
func DirtyStore() (store, log string) {
	build := func(at int64) *hivewrite.Key {
		root := hivewrite.NewKey("ROOT")
		bootEntry(root, append(binary.LittleEndian.AppendUint64(nil, uint64(at)), make([]byte, 8)...), 1)
		return root
	}
	b, l := hivewrite.BuildDirty(build(7), build(head), "BCD")
	return string(b), string(l)
}
