package diskimage

import "bytes"

// gptSector is the sector size that the GPT of a disk is made for: its header
// is in the second sector (UEFI 2.10, 5.3.2). It is 0 where there is none, or
// where the place cannot be read: whoever reads it in earnest is told why.
func gptSector(d Disk) int {
	const signature = "EFI PART"
	b := make([]byte, len(signature))
	for _, sector := range []int64{512, 4 * kib} {
		if d.Size() < 2*sector {
			return 0
		}
		if readFull(d, b, sector) == nil && bytes.Equal(b, []byte(signature)) {
			return int(sector)
		}
	}
	return 0
}

// warnSector warns of a partition table for sectors that the disk does not have.
func (i *Info) warnSector(table int) {
	if table != 0 && table != i.SectorSize {
		i.warn("the partition table is in sectors of %d bytes, but the disk has sectors of %d: firmware and Windows see no partition on it; "+
			"write the disk that it was made from as vhdx, with which sectors of 4096 bytes can be", table, i.SectorSize)
	}
}
