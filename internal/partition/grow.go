package partition

import (
	"bytes"
	"hash/crc32"
	"io"
)

// Patch is bytes that belong at an offset of a disk.
type Patch struct {
	At    int64
	Bytes []byte
}

// Grow says what has to be written into a disk that is made larger, from size to
// newSize bytes, so that its backup GPT is in the last sector again and the new
// space can be used (UEFI 2.10, 5.3.2): the same as sgdisk -e. There is nothing to
// write for a disk without a GPT, or with one that is damaged: its copies are
// evidence. sectorSize is as for Read.
func Grow(r io.ReaderAt, size, newSize int64, sectorSize int) ([]Patch, error) {
	t, err := Read(r, size, sectorSize)
	if err != nil || t.Scheme != GPT || t.PrimaryDamage != nil || t.BackupDamage != nil {
		return nil, err
	}
	sector := int64(t.SectorSize)
	if newSize/sector <= size/sector {
		return nil, nil
	}
	head, err := readFull(r, sector, int(sector))
	if err != nil {
		return nil, err
	}
	first, count, entrySize := lbaOf(head[72:]), int64(le.Uint32(head[80:])), int64(le.Uint32(head[84:]))
	entries, err := readFull(r, first*sector, int(count*entrySize))
	if err != nil {
		return nil, err
	}
	old := lbaOf(head[32:])
	last := newSize/sector - 1
	// Room for 16 KiB of entries at least (UEFI 2.10, 5.3.1).
	place := last - (max(count*entrySize, 16<<10)+sector-1)/sector
	if usable := lbaOf(head[48:]); place <= usable {
		return nil, nil // too little was added
	}
	write := func(h []byte, my, alternate, entriesAt int64) []byte {
		h = bytes.Clone(h)
		le.PutUint64(h[24:], uint64(my))
		le.PutUint64(h[32:], uint64(alternate))
		le.PutUint64(h[48:], uint64(place-1))
		le.PutUint64(h[72:], uint64(entriesAt))
		clear(h[16:20])
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:le.Uint32(h[12:])]))
		return h
	}
	patches := []Patch{
		{sector, write(head, 1, last, first)},
		{place * sector, entries},
		{last * sector, write(head, last, 1, place)},
	}
	if old < place { // a header that nothing points to would be taken for the backup of a smaller disk
		patches = append(patches, Patch{old * sector, make([]byte, sector)})
	}
	mbr, err := readFull(r, 0, 512)
	if err != nil {
		return nil, err
	}
	for i := range 4 {
		if e := mbr[446+16*i:]; e[4] == 0xee {
			le.PutUint32(e[12:], uint32(min(last, 0xffffffff)))
		}
	}
	return append(patches, Patch{0, mbr}), nil
}
