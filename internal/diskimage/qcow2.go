package diskimage

import (
	"cmp"
	"context"
	"fmt"
)

// qcow2Disk reads a qcow2. It was written against [qcow2] and QEMU's
// block/qcow2-cluster.c, which says what a reader does where the former is
// silent.
type qcow2Disk struct {
	source
	header   qcow2Map
	info     Info
	parent   *parentDisk
	tables   cache[int64, []byte]  // L2 tables by their offset
	inflated cache[uint64, []byte] // compressed clusters by their descriptor
}

func openQcow2(s source) (Disk, error) {
	h, err := readQcow2Map(s)
	if err != nil {
		return nil, err
	}
	d := &qcow2Disk{source: s, header: h, info: s.info(QCOW2, "")}
	d.info.VirtualSize, d.info.BlockSize = int64(h.Size), h.cluster()
	d.tables.limit = int(min(256, max(4, 16*mib/h.cluster())))
	d.inflated.limit = 4
	if err := d.whole(); err != nil {
		return nil, err
	}
	d.info.warnSize()
	if h.IncompatibleFeatures&qcow2Dirty != 0 {
		d.info.warn("the qcow2 was not closed cleanly (dirty bit)")
	}
	if h.NbSnapshots > 0 {
		d.info.warn("snapshots in the qcow2: %d; what was on the disk when they were made, before sysprep as well, goes with the file; convert it, or delete them (qemu-img snapshot -d)", h.NbSnapshots)
	}
	if h.backing != "" {
		backing, err := h.openBacking(s)
		if err != nil {
			return nil, err
		}
		d.parent = &parentDisk{Disk: backing}
		d.info.adopt(backing)
		d.info.GuessedFormat = d.info.GuessedFormat || h.backingFormat == ""
	}
	d.info.SectorSize = cmp.Or(gptSector(d), d.info.SectorSize)
	return d, nil
}

func (d *qcow2Disk) Size() int64     { return d.info.VirtualSize }
func (d *qcow2Disk) Format() Format  { return QCOW2 }
func (d *qcow2Disk) SectorSize() int { return d.info.SectorSize }
func (d *qcow2Disk) Info() Info      { return d.info.copy() }
func (d *qcow2Disk) about() *Info    { return &d.info }

func (d *qcow2Disk) Close() error {
	err := d.close()
	if perr := d.parent.Close(); err == nil {
		err = perr
	}
	return err
}

func (d *qcow2Disk) ReadAt(p []byte, off int64) (int, error) {
	p, end := clip(p, off, d.Size())
	for n := 0; n < len(p); {
		at := off + int64(n)
		r, err := d.run(at, int64(len(p)-n), false)
		if err == nil {
			err = d.readRun(p[n:n+int(r.n)], at, r)
		}
		if err != nil {
			return n, fmt.Errorf("reading qcow2 at %d: %w", at, err)
		}
		n += int(r.n)
	}
	return len(p), end
}

func (d *qcow2Disk) readRun(p []byte, off int64, r qcow2Piece) error {
	switch r.kind {
	case inFile:
		return d.readFile(p, r.at)
	case compressed:
		return d.readCompressed(p, r.entry, off&(d.header.cluster()-1))
	case inParent:
		return d.parent.read(p, off)
	}
	clear(p)
	return nil
}

// readFile reads from the file, and zeros where it ends inside its last
// cluster, as QEMU does.
func (d *qcow2Disk) readFile(p []byte, at int64) error {
	if at >= d.size {
		return corrupt("qcow2: the data at %d lies beyond the end of the file", at)
	}
	have := min(d.size-at, int64(len(p)))
	clear(p[have:])
	return readFull(d.ReaderAt, p[:have], at)
}

func (d *qcow2Disk) NextData(off int64) (int64, int64, error) {
	size, coverage := d.Size(), d.header.coverage()
	for at := off; at < size; {
		if err := d.ended(); err != nil {
			return 0, 0, err
		}
		s, err := d.nextIn(span{at, min((at/coverage+1)*coverage, size)})
		if err != nil {
			return 0, 0, fmt.Errorf("finding the data of the qcow2 after %d: %w", at, err)
		}
		if s.from < s.to {
			return s.from, s.to, nil
		}
		at = s.to
	}
	return size, size, nil
}

// nextIn looks for data at the start of a range that one L2 table describes. An
// empty span says that there is none before its end. No entry is looked at much
// further than the answer goes, or each piece of a parent's data would have the
// same entries searched again.
func (d *qcow2Disk) nextIn(s span) (span, error) {
	r, err := d.run(s.from, 1, true)
	if err != nil {
		return span{}, err
	}
	below := span{s.to, s.to}
	if r.kind == inParent {
		if below, err = d.parent.next(s.from, s.to); err != nil {
			return span{}, err
		}
	}
	if below.from == s.from && below.from < below.to {
		r, err = d.run(s.from, below.to-s.from, true)
		return span{s.from, s.from + r.n}, err
	}
	if r, err = d.run(s.from, below.from-s.from, true); err != nil {
		return span{}, err
	}
	if r.kind == inFile || r.kind == compressed {
		return span{s.from, s.from + r.n}, nil
	}
	return span{s.from + r.n, s.from + r.n}, nil
}

// run is the piece at an offset with all that follow it in the same L2 table
// and can be read with it, up to limit bytes. With loose it is enough that they
// hold data, wherever that is.
func (d *qcow2Disk) run(off, limit int64, loose bool) (qcow2Piece, error) {
	h := &d.header
	table, err := d.table(off)
	if err != nil {
		return qcow2Piece{}, err
	}
	limit = min(limit, h.coverage()-off%h.coverage())
	if table == nil {
		return qcow2Piece{kind: inParent, n: limit}, nil
	}
	r, err := h.piece(table, off, d.size)
	for err == nil && r.n < limit {
		var next qcow2Piece
		// What is wrong with the next piece is said when it is asked for.
		if next, err = h.piece(table, off+r.n, d.size); err != nil || !r.takes(next, loose) {
			err = nil
			break
		}
		r.n += next.n
	}
	r.n = min(r.n, limit)
	return r, err
}

// table is the L2 table that describes an offset, nil where there is none.
func (d *qcow2Disk) table(off int64) ([]byte, error) {
	at := d.header.l2(off / d.header.coverage())
	if at == 0 {
		return nil, nil
	}
	return d.tables.get(at, func() ([]byte, error) {
		b := make([]byte, d.header.cluster())
		return b, d.readFile(b, at)
	})
}

// endless is what ended says where no context bounds the reading.
func endless() error { return nil }

// until returns what ended says for a context.
func until(ctx context.Context) func() error {
	return func() error { return context.Cause(ctx) }
}
