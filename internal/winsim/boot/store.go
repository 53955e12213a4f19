package boot

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
)

// Names of the disk and of its partition for Windows, which the boot configuration
// repeats: the signature of an MBR, the GUIDs of a GPT.
const (
	diskSignature = 0x57494e44
	diskGUID      = "A0D9E6C1-31E5-4A5B-9F0E-6A1C5B0F7D21"
	partitionGUID = "3F6C2D18-94B7-4E2A-8C51-0B7E9D4A6F33"
)

// bootStore is a boot configuration whose default entry names the partition of Windows
// (the bytes of a device: as in the store of a machine in use, regipy_tests/data of
// https://github.com/mkorman90/regipy).
func bootStore(uefi bool) ([]byte, error) {
	le := binary.LittleEndian
	device := make([]byte, 88)
	le.PutUint32(device[16:], 6) // a partition
	le.PutUint32(device[24:], 72)
	if uefi {
		for guid, at := range map[string]int{partitionGUID: 32, diskGUID: 56} {
			b, err := hex.DecodeString(strings.ReplaceAll(guid, "-", ""))
			if err != nil {
				return nil, fmt.Errorf("reading GUID %s: %w", guid, err)
			}
			le.PutUint32(device[at:], binary.BigEndian.Uint32(b))
			le.PutUint16(device[at+4:], binary.BigEndian.Uint16(b[4:]))
			le.PutUint16(device[at+6:], binary.BigEndian.Uint16(b[6:]))
			copy(device[at+8:], b[8:])
		}
	} else {
		le.PutUint64(device[32:], windowsStart*sector)
		le.PutUint32(device[52:], 1) // of an MBR
		le.PutUint32(device[56:], diskSignature)
	}
	const manager, loader = `Objects\{9dea862c-5cdd-4e70-acc1-f32b344d4795}`, "{4b1d5a70-2f3c-4d55-9c42-7e61f3a0c118}"
	root := hivewrite.NewKey("NewStoreRoot")
	root.Path(manager+`\Description`).SetDWord("Type", 0x10100002)
	root.Path(manager+`\Elements\23000003`).SetString("Element", loader)
	entry := root.Path(`Objects\` + loader)
	entry.Path("Description").SetDWord("Type", 0x10200003)
	entry.Path(`Elements\12000004`).SetString("Element", "Windows Server")
	entry.Path(`Elements\11000001`).SetBinary("Element", device)
	entry.Path(`Elements\21000001`).SetBinary("Element", device)
	return hivewrite.Build(root, "BCD"), nil
}

// bootFiles puts beside the program that starts the guest what Windows has there. The
// firmware starts none of it.
func (m *maker) bootFiles(ctx context.Context) error {
	store, err := bootStore(m.spec.UEFI)
	if err != nil {
		return err
	}
	image := fmt.Sprintf("%s@@%d", m.disk, bootStart*sector)
	folders, files := []string{"::/Boot"}, map[string][]byte{"/bootmgr": []byte("MZ"), "/Boot/BCD": store}
	if m.spec.UEFI {
		folders = []string{"::/EFI/Microsoft", "::/EFI/Microsoft/Boot"}
		files = map[string][]byte{"/EFI/Microsoft/Boot/bootmgfw.efi": []byte("MZ"), "/EFI/Microsoft/Boot/BCD": store}
	}
	if err := m.run(ctx, "", "mmd", append([]string{"-i", image}, folders...)...); err != nil {
		return err
	}
	for to, content := range files {
		from := filepath.Join(m.work, "boot-file")
		if err := os.WriteFile(from, content, 0o600); err != nil {
			return err
		}
		if err := m.copyIn(ctx, from, to); err != nil {
			return err
		}
	}
	return nil
}
