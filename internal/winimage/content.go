package winimage

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
)

// marks are what other systems write into their partitions. Sources: the file
// systems' own headers (ext2_fs.h, xfs_format.h, btrfs_tree.h, swap.h), LVM2's
// label, the specification of LUKS.
var marks = []struct {
	what  string
	at    int
	bytes string
}{
	{"an ext file system (Linux)", 1080, "\x53\xef"},
	{"an XFS file system (Linux)", 0, "XFSB"},
	{"a Btrfs file system (Linux)", 64<<10 + 64, "_BHRfS_M"},
	{"a physical volume of LVM (Linux)", 512, "LABELONE"},
	{"a physical volume of LVM (Linux)", 0, "LABELONE"},
	{"an encrypted LUKS volume (Linux)", 0, "LUKS\xba\xbe"},
	{"swap space (Linux)", 4086, "SWAPSPACE2"},
	{"an APFS container (macOS)", 32, "NXSB"},
	{"an HFS+ file system (macOS)", 1024, "H+\x00\x04"},
	{"a pool of Storage Spaces", 4096, "SPACEDB "},
	{"an ReFS file system, which is not read here", 3, "ReFS\x00\x00\x00\x00"},
	{"an exFAT file system", 3, "EXFAT   "},
	{"a FAT file system", 82, "FAT32   "},
	{"a FAT file system", 54, "FAT1"},
	{"a GPT whose first sector was erased, without which neither Windows nor UEFI reads it: write a new protective MBR (gdisk: w)", 512, "EFI PART"},
}

// pooled are types of partitions that hold parts of volumes. Source: Microsoft,
// PARTITION_INFORMATION_GPT and PARTITION_INFORMATION_MBR.
var pooled = map[string]string{
	"42":                                   "a dynamic disk (LDM), which is not read here",
	"5808C8AA-7E8F-42E0-85D2-E1E90434CFB3": "a dynamic disk (LDM), which is not read here",
	"AF9B60A0-1431-4F62-BC68-3311714A69AD": "a dynamic disk (LDM), which is not read here",
	"E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D": "a pool of Storage Spaces, which is not read here",
}

// contentHead is as much of a partition as is looked at to say what it holds.
const contentHead = 64<<10 + 512

// microsoftReserved is the type of a partition that is empty on purpose.
const microsoftReserved = "E3C9E316-0B5C-4DB8-817D-F92DF00215AE"

// maxStrangers bounds what is said of partitions without files of Windows.
const maxStrangers = 4

// holds notes what a partition has on it, which tells why no Windows was found.
func (r *Facts) holds(what string) {
	if what != "" && len(r.Disk.Others) < maxStrangers {
		r.Disk.Others = append(r.Disk.Others, what)
	}
}

// contentOf says what a partition holds on which Windows keeps no files; empty
// where that says nothing.
func contentOf(r io.ReaderAt, p partition.Partition, scheme partition.Scheme) string {
	where := fmt.Sprintf("partition %d", p.Index)
	if scheme == partition.None {
		where = "the disk, which has no partition table,"
	}
	if p.Type == microsoftReserved {
		return ""
	}
	head := make([]byte, min(contentHead, p.Length))
	if _, err := r.ReadAt(head, p.Start); err != nil && len(head) > 0 {
		return ""
	}
	if what, ok := pooled[p.Type]; ok {
		return where + " is a part of " + what
	}
	for _, m := range marks {
		if m.at < len(head) && bytes.HasPrefix(head[m.at:], []byte(m.bytes)) {
			return where + " holds " + m.what
		}
	}
	if len(head) > 0 && len(bytes.Trim(head, "\x00")) == 0 {
		return where + " begins with zeros: it was never written, or not copied"
	}
	if strings.EqualFold(p.Type, "7") || strings.EqualFold(p.Type, "07") {
		return where + " is of the type of NTFS and holds none: it is encrypted or damaged"
	}
	return ""
}
