package ntfs

import (
	"bytes"
	"fmt"
	"io"
)

// bitLockerToGo is the GUID 4967D63B-2E29-4AD8-8399-F6A339E3D001 in the FAT
// look-alike boot sector of a BitLocker To Go volume.
var bitLockerToGo = []byte{0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01}

func isBitLocker(boot []byte) bool {
	return string(boot[3:11]) == "-FVE-FS-" || bytes.Equal(boot[424:440], bitLockerToGo)
}

// BitLocker reports whether the volume at byte base is encrypted by
// BitLocker, also partly or with a clear key.
func BitLocker(r io.ReaderAt, base int64) (bool, error) {
	b := make([]byte, 512)
	if n, err := r.ReadAt(b, base); n < len(b) {
		if err == nil || err == io.EOF {
			return false, nil
		}
		return false, fmt.Errorf("reading boot sector: %w", err)
	}
	return isBitLocker(b), nil
}
