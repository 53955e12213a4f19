package diskimage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/lima-vm/go-qcow2reader/image"
	"github.com/lima-vm/go-qcow2reader/image/qcow2"
	qcow2log "github.com/lima-vm/go-qcow2reader/log"
)

const (
	qcow2Magic = "QFI\xfb"
	// qcow2MaxL1 is QEMU's own limit for the L1 table (QCOW_MAX_L1_SIZE).
	qcow2MaxL1 = 32 * mib

	qcow2Dirty       = 1 << 0
	qcow2Corrupt     = 1 << 1
	qcow2ExtendedL2  = 1 << 4
	qcow2Understood  = qcow2Dirty | 1<<3 | qcow2ExtendedL2
	qcow2ExtBacking  = 0xe2792aca
	qcow2MaxExtBytes = 4096
)

// The library prints what it does not like; here that is an error or a warning
// of the disk.
func init() { qcow2log.SetWarnFunc(nil) }

// qcow2Header is what must hold before the library may see the file: it
// allocates and loops by these numbers unchecked.
type qcow2Header struct {
	clusterBits   uint32
	size          int64
	incompatible  uint64
	l1            []byte
	backing       string
	backingFormat string
}

// coverage is how many bytes of the disk one L2 table describes.
func (h *qcow2Header) coverage() int64 {
	n := int64(1) << (2*h.clusterBits - 3)
	if h.incompatible&qcow2ExtendedL2 != 0 {
		n /= 2
	}
	return n
}

// l2 is the file offset of the L2 table of an entry, 0 where there is none.
func (h *qcow2Header) l2(i int64) int64 {
	return int64(binary.BigEndian.Uint64(h.l1[8*i:]) & 0x00fffffffffffe00)
}

func readQcow2Header(s source) (h qcow2Header, err error) {
	be := binary.BigEndian
	b := make([]byte, 112)
	if err := readFull(s, b[:72], 0); err != nil {
		return h, fmt.Errorf("reading qcow2 header: %w", err)
	}
	version := be.Uint32(b[4:])
	if version != 2 && version != 3 {
		return h, unsupported("qcow2 header: version %d", version)
	}
	length := int64(72)
	if version == 3 {
		if err := readFull(s, b[:104], 0); err != nil {
			return h, fmt.Errorf("reading qcow2 header: %w", err)
		}
		h.incompatible = be.Uint64(b[72:])
		length = int64(be.Uint32(b[100:]))
		if length < 104 || length > 4*kib || length%8 != 0 {
			return h, corrupt("qcow2 header: header length %d", length)
		}
		if length >= 112 {
			if err := readFull(s, b, 0); err != nil {
				return h, fmt.Errorf("reading qcow2 header: %w", err)
			}
			if b[104] == 1 {
				return h, unsupported("qcow2 compressed with zstd; convert it first (qemu-img convert -O qcow2)")
			}
		}
	}
	if c := be.Uint32(b[32:]); c != 0 {
		return h, unsupported("qcow2 header: encryption method %d", c)
	}
	if h.incompatible&qcow2Corrupt != 0 {
		return h, corrupt("qcow2 header: QEMU marked the image as corrupt; see qemu-img check")
	}
	if rest := h.incompatible &^ qcow2Understood; rest != 0 {
		return h, unsupported("qcow2 header: incompatible features %#x", rest)
	}
	h.clusterBits = be.Uint32(b[20:])
	if h.clusterBits < 9 || h.clusterBits > 21 {
		return h, corrupt("qcow2 header: cluster bits %d", h.clusterBits)
	}
	size, l1, l1At := be.Uint64(b[24:]), int64(be.Uint32(b[36:])), be.Uint64(b[40:])
	if size == 0 || size > uint64(maxDisk) {
		return h, corrupt("qcow2 header: size %d", size)
	}
	h.size = int64(size)
	need := (h.size + h.coverage() - 1) / h.coverage()
	if l1 < need || 8*l1 > qcow2MaxL1 {
		return h, corrupt("qcow2 header: L1 table of %d entries, the disk needs %d", l1, need)
	}
	if l1At == 0 || l1At%512 != 0 || l1At > uint64(s.size) || 8*l1 > s.size-int64(l1At) {
		return h, corrupt("qcow2 header: L1 table of %d entries at %d lies outside the file", l1, l1At)
	}
	h.l1 = make([]byte, 8*need)
	if err := readFull(s, h.l1, int64(l1At)); err != nil {
		return h, fmt.Errorf("reading qcow2 L1 table: %w", err)
	}
	if err := h.checkL2(s.size); err != nil {
		return h, err
	}
	return h, h.readBacking(s, be.Uint64(b[8:]), be.Uint32(b[16:]), length)
}

// checkL2 makes sure that every L2 table is there and belongs to one entry:
// the work of walking them is then bounded by the file.
func (h *qcow2Header) checkL2(fileSize int64) error {
	var spans []span
	cluster := int64(1) << h.clusterBits
	for i := range int64(len(h.l1) / 8) {
		at := h.l2(i)
		if at == 0 {
			continue
		}
		if at%cluster != 0 || at >= fileSize {
			return corrupt("qcow2 L1 table: entry %d puts an L2 table at %d", i, at)
		}
		spans = append(spans, span{at, at + cluster})
	}
	if err := overlap(spans); err != nil {
		return fmt.Errorf("checking qcow2 L1 table: %w", err)
	}
	return nil
}

// readBacking reads the name of the backing file and, from the header
// extensions, its format.
func (h *qcow2Header) readBacking(s source, at uint64, length uint32, extensions int64) error {
	if at == 0 {
		return nil
	}
	if length == 0 || length > 1023 || at > uint64(s.size) {
		return corrupt("qcow2 header: backing file name of %d bytes at %d", length, at)
	}
	name := make([]byte, length)
	if err := readFull(s, name, int64(at)); err != nil {
		return fmt.Errorf("reading qcow2 backing file name: %w", err)
	}
	h.backing = string(name)
	for range 64 {
		e := make([]byte, 8)
		if err := readFull(s, e, extensions); err != nil {
			return fmt.Errorf("reading qcow2 header extension: %w", err)
		}
		kind, n := binary.BigEndian.Uint32(e), int64(binary.BigEndian.Uint32(e[4:]))
		if kind == 0 {
			return nil
		}
		if n > qcow2MaxExtBytes {
			return corrupt("qcow2 header extension %#x: %d bytes", kind, n)
		}
		if kind == qcow2ExtBacking {
			v := make([]byte, n)
			if err := readFull(s, v, extensions+8); err != nil {
				return fmt.Errorf("reading qcow2 header extension: %w", err)
			}
			h.backingFormat = string(v)
		}
		extensions += 8 + roundUp(n, 8)
	}
	return corrupt("qcow2 header: more than 64 extensions")
}

// openBacking opens the backing file with our own readers. Its format must be
// said by the overlay: content probed as raw could be any file of this
// machine.
func (h *qcow2Header) openBacking(s source) (Disk, error) {
	if i := strings.IndexAny(h.backing, ":/\\"); i >= 0 && h.backing[i] == ':' && (runtime.GOOS != "windows" || i > 1) {
		return nil, unsupported("qcow2 backing file %q is not a plain path", h.backing)
	}
	var format Format
	if h.backingFormat != "" {
		f, err := ParseFormat(h.backingFormat)
		if err != nil {
			return nil, unsupported("qcow2 backing file %q: %v", h.backing, err)
		}
		format = f
	}
	d, err := s.openParent([]string{h.backing}, format)
	if err != nil {
		return nil, err
	}
	if format == "" && d.Format() == Raw {
		d.Close()
		return nil, unsupported("qcow2 backing file %q without a format; say it with qemu-img rebase -u -b %s -F raw", h.backing, h.backing)
	}
	return d, nil
}

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
