package diskimage

import (
	"math/bits"
	"slices"
)

// A block is where the data of blockSize bytes of the disk is.
type blockState uint8

const (
	inParent blockState = iota // not in this file; zeros where there is no parent
	allZero                    // reads as zeros whatever the parent holds
	inFile                     // whole block at the location
	mixed                      // the sector bitmap says which sectors are in this file
)

// blockTable is the block allocation table of one format.
type blockTable interface {
	// block returns the state of a block and the file offset of its data.
	block(i int64) (blockState, int64)
	// bitmap returns the file offset of the bitmap of a mixed block: one bit
	// a sector, set when the sector is in this file.
	bitmap(i int64) int64
}

// blockDisk is a disk in blocks: dynamic and differencing VHD and VHDX.
type blockDisk struct {
	source
	info   Info
	table  blockTable
	parent *parentDisk
	// msbFirst: the first sector of a byte of the bitmap is its highest bit
	// (VHD), not its lowest (VHDX).
	msbFirst bool
}

func (d *blockDisk) Size() int64     { return d.info.VirtualSize }
func (d *blockDisk) Format() Format  { return d.info.Format }
func (d *blockDisk) SectorSize() int { return d.info.SectorSize }
func (d *blockDisk) Info() Info      { return d.info.copy() }
func (d *blockDisk) about() *Info    { return &d.info }

func (d *blockDisk) Close() error {
	err := d.close()
	if perr := d.parent.Close(); err == nil {
		err = perr
	}
	return err
}

func (d *blockDisk) ReadAt(p []byte, off int64) (int, error) {
	p, end := clip(p, off, d.Size())
	n := 0
	for n < len(p) {
		i, in := off/d.info.BlockSize, off%d.info.BlockSize
		part := p[n : n+int(min(int64(len(p)-n), d.info.BlockSize-in))]
		if err := d.readBlock(part, i, in); err != nil {
			return n, err
		}
		n += len(part)
		off += int64(len(part))
	}
	return n, end
}

func (d *blockDisk) readBlock(p []byte, i, in int64) error {
	state, at := d.table.block(i)
	switch state {
	case inFile:
		return readFull(d.ReaderAt, p, at+in)
	case inParent:
		return d.parent.read(p, i*d.info.BlockSize+in)
	case mixed:
		return d.readMixed(p, i, in, at)
	}
	clear(p)
	return nil
}

// readMixed reads runs of sectors from this file or the parent, as the bitmap
// says.
func (d *blockDisk) readMixed(p []byte, i, in, at int64) error {
	sector := int64(d.info.SectorSize)
	first, last := in/sector, (in+int64(len(p))-1)/sector
	bm := make([]byte, last/8-first/8+1)
	if err := readFull(d.ReaderAt, bm, d.table.bitmap(i)+first/8); err != nil {
		return err
	}
	here := func(s int64) bool {
		b := bm[s/8-first/8]
		if d.msbFirst {
			b = bits.Reverse8(b)
		}
		return b>>(s%8)&1 != 0
	}
	for s := first; s <= last; {
		e, own := s+1, here(s)
		for e <= last && here(e) == own {
			e++
		}
		from, to := max(s*sector, in), min(e*sector, in+int64(len(p)))
		part := p[from-in : to-in]
		var err error
		if own {
			err = readFull(d.ReaderAt, part, at+from)
		} else {
			err = d.parent.read(part, i*d.info.BlockSize+from)
		}
		if err != nil {
			return err
		}
		s = e
	}
	return nil
}

func (d *blockDisk) NextData(off int64) (int64, int64, error) {
	size, bs := d.Size(), d.info.BlockSize
	if off >= size {
		return size, size, nil
	}
	p, err := d.parent.next(off, size)
	if err != nil {
		return 0, 0, err
	}
	has := func(i int64) bool { s, _ := d.table.block(i); return s == inFile || s == mixed }
	n := (size + bs - 1) / bs
	i := off / bs
	// Not further than to the parent's data, or a child without data would be
	// searched again for each piece of it.
	for i < n && i*bs < p.from && !has(i) {
		i++
	}
	// The run of the parent counts although this file may hide it with zeros:
	// "may hold data" is all that is promised.
	if p.from < p.to && (i == n || !has(i) || p.from < i*bs) {
		return p.from, p.to, nil
	}
	if i == n {
		return size, size, nil
	}
	start := max(off, i*bs)
	for i < n && has(i) {
		i++
	}
	return start, min(i*bs, size), nil
}

// span is a piece of the file or of a block, [from, to).
type span struct{ from, to int64 }

// overlap reports two spans that share bytes: a file where one write would
// change two places was damaged.
func overlap(spans []span) error {
	slices.SortFunc(spans, func(a, b span) int {
		switch {
		case a.from < b.from:
			return -1
		case a.from > b.from:
			return 1
		}
		return 0
	})
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			return corrupt("two blocks or tables share the bytes at %d", spans[i].from)
		}
	}
	return nil
}
