package diskimage

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"github.com/lima-vm/go-qcow2reader/image"
	"github.com/lima-vm/go-qcow2reader/image/qcow2"
	qcow2log "github.com/lima-vm/go-qcow2reader/log"
)

// The library prints what it does not like; here that is an error or a warning
// of the disk.
func init() { qcow2log.SetWarnFunc(nil) }

// qcow2Disk is an image of the library behind our rules.
type qcow2Disk struct {
	source
	header  qcow2Header
	info    Info
	img     *qcow2.Qcow2
	backing Disk
}

func openQcow2(s source) (Disk, error) {
	h, err := readQcow2Header(s)
	if err != nil {
		return nil, err
	}
	d := &qcow2Disk{source: s, header: h, info: s.info(QCOW2, "")}
	d.info.VirtualSize, d.info.BlockSize = h.size, 1<<h.clusterBits
	d.info.warnSize()
	if h.incompatible&qcow2Dirty != 0 {
		d.info.warn("the qcow2 was not closed cleanly (dirty bit)")
	}
	file := io.ReaderAt(&qcow2File{s, roundUp(s.size, d.info.BlockSize)})
	var opener image.OpenWithType
	if h.backing != "" {
		if d.backing, err = h.openBacking(s); err != nil {
			return nil, err
		}
		d.info.adopt(d.backing)
		path, err := filepath.Abs(s.path)
		if err != nil {
			d.backing.Close()
			return nil, fmt.Errorf("finding the folder of the overlay: %w", err)
		}
		file = namedFile{file, path}
		// The library opens the file before it asks; ours is open already.
		opener = func(r io.ReaderAt, _ image.Type) (image.Image, error) {
			if c, ok := r.(io.Closer); ok {
				c.Close()
			}
			return &backingImage{Disk: d.backing}, nil
		}
	}
	if d.img, err = qcow2.Open(file, opener); err == nil {
		err = d.img.Readable()
	}
	if err != nil {
		if d.backing != nil {
			d.backing.Close()
		}
		return nil, fmt.Errorf("reading qcow2 tables: %w", err)
	}
	return d, nil
}

func (d *qcow2Disk) Size() int64     { return d.info.VirtualSize }
func (d *qcow2Disk) Format() Format  { return QCOW2 }
func (d *qcow2Disk) SectorSize() int { return d.info.SectorSize }
func (d *qcow2Disk) Info() Info      { return d.info.copy() }

func (d *qcow2Disk) Close() error {
	err := d.close()
	if d.backing != nil {
		if berr := d.backing.Close(); err == nil {
			err = berr
		}
	}
	return err
}

func (d *qcow2Disk) ReadAt(p []byte, off int64) (int, error) {
	p, end := clip(p, off, d.Size())
	if len(p) == 0 {
		return 0, end
	}
	n, err := d.img.ReadAt(p, off)
	switch {
	case n == len(p):
		return n, end
	case err == nil || errors.Is(err, io.EOF):
		return n, corrupt("qcow2: the data at %d lies beyond the end of the file (%v)", off+int64(n), err)
	}
	return n, fmt.Errorf("reading qcow2 at %d: %w", off+int64(n), err)
}

// NextData asks the library only for what an L2 table describes: it walks
// cluster by cluster, which takes minutes on a large empty disk.
func (d *qcow2Disk) NextData(off int64) (int64, int64, error) {
	size, coverage := d.Size(), d.header.coverage()
	// The library gets the length of an extent wrong that starts inside of a
	// cluster.
	for at := off / d.info.BlockSize * d.info.BlockSize; at < size; {
		end := min((at/coverage+1)*coverage, size)
		var run span
		var err error
		if d.header.l2(at/coverage) == 0 {
			run, err = d.nextBacking(max(at, off), end)
		} else {
			run, err = d.nextCluster(at, end)
		}
		if err != nil {
			return 0, 0, err
		}
		if run.from < run.to {
			return max(run.from, off), run.to, nil
		}
		at = run.to
	}
	return size, size, nil
}

// nextCluster returns the extent at an offset, which is empty and ends where
// the extent does if that reads as zeros.
func (d *qcow2Disk) nextCluster(at, end int64) (span, error) {
	e, err := d.img.Extent(at, end-at)
	if err != nil {
		return span{}, fmt.Errorf("reading qcow2 tables for %d: %w", at, err)
	}
	if e.Length <= 0 {
		return span{}, corrupt("qcow2: no extent at %d", at)
	}
	to := min(at+e.Length, end)
	if e.Zero {
		return span{to, to}, nil
	}
	return span{at, to}, nil
}

// nextBacking does the same for a range that is all in the backing file.
func (d *qcow2Disk) nextBacking(at, end int64) (span, error) {
	if d.backing == nil {
		return span{end, end}, nil
	}
	s, e, err := d.backing.NextData(at)
	if err != nil {
		return span{}, err
	}
	return span{min(s, end), min(e, end)}, nil
}

// qcow2File gives the library zeros up to the end of a last cluster that the
// file does not have whole, as QEMU does.
type qcow2File struct {
	source
	end int64
}

func (f *qcow2File) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f.end {
		return 0, io.EOF
	}
	var err error
	if int64(len(p)) > f.end-off {
		p, err = p[:f.end-off], io.EOF
	}
	have := min(max(f.size-off, 0), int64(len(p)))
	if rerr := readFull(f.source, p[:have], off); have > 0 && rerr != nil {
		return 0, rerr
	}
	clear(p[have:])
	return len(p), err
}

// namedFile has the name that the library resolves the backing file by.
type namedFile struct {
	io.ReaderAt
	name string
}

func (f namedFile) Name() string { return f.name }

// backingImage lets a Disk stand behind an overlay.
type backingImage struct {
	Disk
	mu sync.Mutex
	// The last answer of NextData: asked at from, the next data was data. The
	// library asks cluster by cluster.
	from int64
	data span
}

func (b *backingImage) Type() image.Type { return image.Type(b.Format().QEMU()) }
func (b *backingImage) Readable() error  { return nil }

// Close leaves the disk to the overlay that opened it.
func (b *backingImage) Close() error { return nil }

// Extent says zero only of ranges that are zeros from start to end: the library
// applies the answer to the whole cluster, whatever its length.
func (b *backingImage) Extent(start, length int64) (image.Extent, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if start < b.from || start >= b.data.to {
		s, e, err := b.NextData(start)
		if err != nil {
			return image.Extent{}, err
		}
		b.from, b.data = start, span{s, e}
	}
	none := b.data.from >= b.data.to
	zero := none || start+length <= b.data.from
	return image.Extent{Start: start, Length: length, Zero: zero, Allocated: !zero}, nil
}
