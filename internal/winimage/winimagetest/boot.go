package winimagetest

import (
	"cmp"
	"encoding/binary"
	"os"
	"path/filepath"
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
	if s.BootStore != nil {
		s.BootStore(root)
	}
	return string(hivewrite.Build(root, "BCD"))
}

// makeESP writes an EFI system partition with what Windows has there.
func (s Spec) makeESP(t testing.TB, esp string) {
	t.Helper()
	create(t, esp, sidePad)
	run(t, testutil.Tool(t, "mkfs.vfat"), "-F", "12", "-n", "SYSTEM", esp)
	run(t, testutil.Tool(t, "mmd"), "-i", esp, "::/EFI", "::/EFI/Boot", "::/EFI/Microsoft", "::/EFI/Microsoft/Boot")
	for path, content := range map[string]string{
		"Boot/bootx64.efi": s.loader(), "Microsoft/Boot/bootmgfw.efi": s.loader(), "Microsoft/Boot/BCD": s.bootStore(windowsPartitionBytes, 0),
	} {
		host := filepath.Join(filepath.Dir(esp), "file")
		if err := os.WriteFile(host, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, testutil.Tool(t, "mcopy"), "-i", esp, host, "::/EFI/"+path)
	}
}
