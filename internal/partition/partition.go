// Package partition reads MBR and GPT partition tables, strictly: what
// Windows would see, or an error. It never writes.
//
// Sources: UEFI Specification 2.10, chapter 5 (GUID partition table, and
// section 5.2.1 for the legacy MBR); the extended partition chain is as
// Windows and util-linux read it.
package partition

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

var le = binary.LittleEndian

// ErrCorrupt is wrapped by every error about the content of a table, as
// opposed to errors of reading it.
var ErrCorrupt = errors.New("corrupt partition table")

func corrupt(format string, a ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, a...))
}

// CutOff is a disk that ends before its partitions do. It is an ErrCorrupt.
type CutOff struct {
	// Size is what the disk has, Need what its table asks for, in bytes.
	Size, Need int64
	what       string
}

func cutOff(what string, size, need int64) error { return &CutOff{size, need, what} }

func (c *CutOff) Error() string {
	return fmt.Sprintf("%v: %s at byte %d, the disk has %d: it was cut off, %d bytes are missing; copy or download it again", ErrCorrupt, c.what, c.Need, c.Size, c.Need-c.Size)
}

func (*CutOff) Unwrap() error { return ErrCorrupt }

// Scheme is the kind of a partition table.
type Scheme string

const (
	// None means that the disk has no partition table: it is empty, or a
	// volume begins in its first sector.
	None Scheme = "none"
	MBR  Scheme = "mbr"
	GPT  Scheme = "gpt"
)

// Partition types this project asks for. GPT types are GUIDs in upper case,
// MBR types two lower-case hexadecimal digits.
const (
	typeESP    = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	typeMBRESP = "ef"
)

// Table is the partition table of one disk.
type Table struct {
	Scheme Scheme
	// SectorSize is the logical sector size that the table counts in.
	SectorSize int
	// Partitions are in table order; logical drives of an MBR follow the
	// primary partitions.
	Partitions []Partition
	// Signature is that of the disk in an MBR.
	Signature uint32
	// PrimaryDamage and BackupDamage say what is wrong with that copy of a
	// GPT, nil if it is sound. At most one of them is set.
	PrimaryDamage, BackupDamage error
	// Behind is how many bytes of the disk lie behind a sound backup GPT, which
	// belongs into its last sector: disks that were made larger have some.
	Behind int64
}

// Partition is one entry of the table. Start and Length are in bytes.
type Partition struct {
	// Index counts as Windows tools and sfdisk do: the slot from 1, and from 5
	// for logical drives.
	Index         int
	Start, Length int64
	Type          string
	// ID is the unique GUID of a partition of a GPT, in upper case.
	ID string
	// Bootable is the active flag of an MBR, the legacy BIOS bootable
	// attribute of a GPT.
	Bootable bool
}

// IsESP reports whether p is an EFI system partition.
func (p Partition) IsESP() bool { return p.Type == typeESP || p.Type == typeMBRESP }

// Startup says which firmware the table is made for, and whether that firmware
// finds what it starts from.
func (t *Table) Startup() windows.Startup {
	return windows.StartupOf(string(t.Scheme), slices.ContainsFunc(t.Partitions, func(p Partition) bool {
		return t.Scheme == GPT && p.IsESP() || t.Scheme == MBR && p.Bootable && p.Index < firstLogical
	}))
}

// Read reads the table of a disk of size bytes. sectorSize is the logical
// sector size, 512 or 4096; 0 lets a GPT tell it and takes 512 for an MBR. At
// most 2 MiB are read, whatever the table says.
func Read(r io.ReaderAt, size int64, sectorSize int) (*Table, error) {
	sizes := []int{512, 4096}
	switch sectorSize {
	case 0:
	case 512, 4096:
		sizes = []int{sectorSize}
	default:
		return nil, fmt.Errorf("sector size %d: only 512 and 4096 are supported", sectorSize)
	}
	if size < 512 {
		return nil, corrupt("disk of %d bytes", size)
	}
	mbr, err := readFull(r, 0, 512)
	if err != nil {
		return nil, fmt.Errorf("reading first sector: %w", err)
	}
	if mbr[510] != 0x55 || mbr[511] != 0xaa || isVolume(mbr) {
		return &Table{Scheme: None, SectorSize: sizes[0]}, nil
	}
	protective, others := 0, 0
	for i := range 4 {
		switch mbr[446+16*i+4] {
		case 0:
		case 0xee:
			protective++
		default:
			others++
		}
	}
	switch {
	case protective == 0:
		return readMBR(r, mbr, size, int64(sizes[0]))
	case others > 0:
		return nil, corrupt("hybrid MBR: protective entry beside %d others, so that Windows and UEFI see different disks; write a new protective MBR (gdisk: x, n, w)", others)
	}
	return readGPT(r, size, sizes)
}

// isVolume tells the boot sector of a file system, which ends in the same
// signature, from an MBR.
func isVolume(b []byte) bool {
	switch string(b[3:11]) {
	case "NTFS    ", "-FVE-FS-", "EXFAT   ", "ReFS\x00\x00\x00\x00":
		return true
	}
	return string(b[54:59]) == "FAT12" || string(b[54:59]) == "FAT16" || string(b[82:87]) == "FAT32"
}

// checkOverlap refuses partitions that share bytes.
func checkOverlap(ps []Partition) error {
	sorted := slices.Clone(ps)
	slices.SortFunc(sorted, func(a, b Partition) int { return cmp.Compare(a.Start, b.Start) })
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; b.Start < a.Start+a.Length {
			return corrupt("partitions %d and %d overlap: see which of them is the right one (sfdisk --dump), and delete the other", a.Index, b.Index)
		}
	}
	return nil
}

func readFull(r io.ReaderAt, off int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if m, err := r.ReadAt(b, off); m < n {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b, nil
}
