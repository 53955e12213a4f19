package partition

import (
	"fmt"
	"io"
)

// maxLogical bounds the chain of an extended partition; Windows gives out 24
// drive letters, Linux stops at 60.
const maxLogical = 128

// firstLogical is the index of the first logical drive.
const firstLogical = 5

func isExtended(typ byte) bool { return typ == 0x05 || typ == 0x0f || typ == 0x85 }

func readMBR(r io.ReaderAt, mbr []byte, size, sector int64) (*Table, error) {
	t := &Table{Scheme: MBR, SectorSize: int(sector), Signature: le.Uint32(mbr[440:])}
	var extended *Partition
	for i := range 4 {
		e := mbr[446+16*i : 462+16*i]
		if e[4] == 0 {
			continue
		}
		if e[0]&0x7f != 0 {
			return nil, corrupt("MBR entry %d has boot indicator %#x: not a partition table", i+1, e[0])
		}
		p, err := mbrEntry(e, i+1, 0, sector, size)
		if end := p.Start + p.Length; err != nil && p.Start > 0 && p.Length > 0 && end > size {
			return nil, cutOff(fmt.Sprintf("MBR partition %d ends", i+1), size, end)
		}
		if err != nil {
			return nil, err
		}
		if isExtended(e[4]) {
			if extended != nil {
				return nil, corrupt("two extended partitions")
			}
			extended = &p
		}
		t.Partitions = append(t.Partitions, p)
	}
	if err := checkOverlap(t.Partitions); err != nil {
		return nil, err
	}
	if extended == nil {
		return t, nil
	}
	logical, err := readLogical(r, *extended, sector)
	if err != nil {
		return nil, fmt.Errorf("reading extended partition %d: %w", extended.Index, err)
	}
	t.Partitions = append(t.Partitions, logical...)
	return t, nil
}

// mbrEntry decodes one 16-byte entry whose start counts from base.
func mbrEntry(e []byte, index int, base, sector, limit int64) (Partition, error) {
	p := Partition{
		Index:    index,
		Start:    base + int64(le.Uint32(e[8:]))*sector,
		Length:   int64(le.Uint32(e[12:])) * sector,
		Type:     fmt.Sprintf("%02x", e[4]),
		Bootable: e[0] == 0x80,
	}
	if p.Start <= base || p.Length <= 0 || p.Start > limit || p.Length > limit-p.Start {
		return p, corrupt("MBR partition %d (bytes %d+%d) lies outside its %d bytes", index, p.Start, p.Length, limit)
	}
	return p, nil
}

// readLogical follows the chain of extended boot records. The first entry of
// each record is a logical drive relative to that record, the second the next
// record relative to the start of the extended partition. Drives that were deleted and
// made again can lie in another order than their records do.
func readLogical(r io.ReaderAt, ext Partition, sector int64) ([]Partition, error) {
	var out []Partition
	end := ext.Start + ext.Length
	record := ext.Start
	seen := map[int64]bool{}
	for index := firstLogical; ; index++ {
		if index-firstLogical >= maxLogical {
			return nil, corrupt("more than %d extended boot records", maxLogical)
		}
		b, err := readFull(r, record, 512)
		if err != nil {
			return nil, err
		}
		if b[510] != 0x55 || b[511] != 0xaa {
			return nil, corrupt("extended boot record at byte %d has no signature", record)
		}
		if e := b[446:462]; e[4] != 0 {
			p, err := mbrEntry(e, index, record, sector, end)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
		next := b[462:478]
		if next[4] == 0 {
			return out, checkOverlap(out)
		}
		if !isExtended(next[4]) {
			return nil, corrupt("extended boot record at byte %d links to a partition of type %02x", record, next[4])
		}
		at := ext.Start + int64(le.Uint32(next[8:]))*sector
		if seen[record] = true; seen[at] {
			return nil, corrupt("extended boot record at byte %d links to that at byte %d, which links to it: write the table anew (sfdisk), with the logical drives where they are", record, at)
		}
		if at < ext.Start || at > end-512 {
			return nil, corrupt("extended boot record at byte %d links to byte %d, outside the extended partition: write the table anew (sfdisk), with the logical drives where they are", record, at)
		}
		record = at
	}
}
