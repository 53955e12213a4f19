package partition

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	maxEntries   = 1024 // Windows and every known tool write 128
	maxEntrySize = 1024
	bootableBit  = 1 << 2 // UEFI table 5.8: legacy BIOS bootable
)

// readGPT reads the primary table and, to know that the disk is sound, the
// backup; the backup's entries are used only when the primary is damaged.
func readGPT(r io.ReaderAt, size int64, sectorSizes []int) (*Table, error) {
	var primaryErr error
	for _, s := range sectorSizes {
		sector := int64(s)
		h, t, err := readCopy(r, size, sector, 1)
		if err != nil {
			if primaryErr == nil || h != nil {
				primaryErr = err
			}
			continue
		}
		if back, _, err := readCopy(r, size, sector, h.alternate); err != nil {
			t.BackupDamage = fmt.Errorf("backup GPT at sector %d: %w", h.alternate, err)
		} else if back.disk != h.disk || back.entriesCRC != h.entriesCRC {
			t.BackupDamage = corrupt("backup GPT at sector %d describes other partitions", h.alternate)
		} else {
			t.Behind = (size/sector - 1 - h.alternate) * sector
		}
		return t, nil
	}
	var short *CutOff
	if errors.As(primaryErr, &short) {
		return nil, primaryErr
	}
	primaryErr = fmt.Errorf("primary GPT: %w", primaryErr)
	for _, s := range sectorSizes {
		sector := int64(s)
		if _, t, err := readCopy(r, size, sector, size/sector-1); err == nil {
			t.PrimaryDamage = primaryErr
			return t, nil
		}
	}
	return nil, fmt.Errorf("%w (and there is no sound backup in the last sector): copy the disk again, or repair its table (gdisk)", primaryErr)
}

// header is the part of a GPT header that is compared between copies.
type header struct {
	alternate  int64
	disk       string
	entriesCRC uint32
}

// readCopy reads the header in sector lba and the entries it points at. The
// header is not nil if its own checksum was right.
func readCopy(r io.ReaderAt, size, sector, lba int64) (*header, *Table, error) {
	sectors := size / sector
	if lba < 1 || lba >= sectors {
		return nil, nil, corrupt("header would be in sector %d of %d", lba, sectors)
	}
	b, err := readFull(r, lba*sector, int(sector))
	if err != nil {
		return nil, nil, err
	}
	if string(b[:8]) != "EFI PART" {
		return nil, nil, corrupt("no header signature")
	}
	length := le.Uint32(b[12:])
	if length < 92 || int64(length) > sector {
		return nil, nil, corrupt("header of %d bytes", length)
	}
	sum := le.Uint32(b[16:])
	clear(b[16:20])
	if crc32.ChecksumIEEE(b[:length]) != sum {
		return nil, nil, corrupt("header checksum is wrong")
	}
	h := &header{alternate: lbaOf(b[32:]), disk: guid(b[56:]), entriesCRC: le.Uint32(b[88:])}
	if v := le.Uint32(b[8:]); v != 0x00010000 {
		return h, nil, corrupt("revision %#x", v)
	}
	if my := lbaOf(b[24:]); my != lba {
		return h, nil, corrupt("header in sector %d says it is in %d", lba, my)
	}
	first, last := lbaOf(b[40:]), lbaOf(b[48:])
	entries, count, entrySize := lbaOf(b[72:]), int64(le.Uint32(b[80:])), int64(le.Uint32(b[84:]))
	if first >= 1 && last >= sectors && h.alternate >= last {
		return h, nil, cutOff("the GPT ends", size, (h.alternate+1)*sector)
	}
	if first < 1 || last < first || last >= sectors {
		return h, nil, corrupt("usable sectors %d to %d of %d", first, last, sectors)
	}
	if count > maxEntries || entrySize < 128 || entrySize > maxEntrySize || entrySize&(entrySize-1) != 0 {
		return h, nil, corrupt("%d entries of %d bytes", count, entrySize)
	}
	if entries < 1 || entries >= sectors {
		return h, nil, corrupt("entries would begin in sector %d of %d", entries, sectors)
	}
	array, err := readFull(r, entries*sector, int(count*entrySize))
	if err != nil {
		return h, nil, fmt.Errorf("reading entries: %w", err)
	}
	if crc32.ChecksumIEEE(array) != h.entriesCRC {
		return h, nil, corrupt("checksum of the entries is wrong")
	}
	t := &Table{Scheme: GPT, SectorSize: int(sector)}
	for i := range count {
		e := array[i*entrySize:]
		if bytes.Equal(e[:16], make([]byte, 16)) {
			continue
		}
		from, to := lbaOf(e[32:]), lbaOf(e[40:])
		if from < first || to < from || to > last {
			return h, nil, corrupt("partition %d (sectors %d to %d) lies outside the usable sectors %d to %d", i+1, from, to, first, last)
		}
		t.Partitions = append(t.Partitions, Partition{
			Index:    int(i) + 1,
			Start:    from * sector,
			Length:   (to - from + 1) * sector,
			Type:     guid(e),
			ID:       guid(e[16:]),
			Bootable: le.Uint64(e[48:])&bootableBit != 0,
		})
	}
	return h, t, checkOverlap(t.Partitions)
}

// lbaOf decodes a sector number; one that no disk has becomes -1.
func lbaOf(b []byte) int64 {
	if v := le.Uint64(b); v < 1<<48 {
		return int64(v)
	}
	return -1
}

func guid(b []byte) string {
	return fmt.Sprintf("%08X-%04X-%04X-%X-%X", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}
