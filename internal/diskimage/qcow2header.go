package diskimage

import (
	"encoding/binary"
	"fmt"
)

const (
	qcow2Magic = "QFI\xfb"
	// qcow2MaxL1 is QEMU's own limit for the L1 table (QCOW_MAX_L1_SIZE).
	qcow2MaxL1 = 32 * mib

	qcow2Dirty       = 1 << 0
	qcow2Corrupt     = 1 << 1
	qcow2DataFile    = 1 << 2
	qcow2ExtendedL2  = 1 << 4
	qcow2Understood  = qcow2Dirty | 1<<3 | qcow2ExtendedL2
	qcow2ExtBacking  = 0xe2792aca
	qcow2MaxExtBytes = 4096
)

// qcow2Header is the header and the L1 table. What is allocated and walked by
// these numbers was checked.
type qcow2Header struct {
	version       uint32
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
	if h.extended() {
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
	h.version = be.Uint32(b[4:])
	if h.version != 2 && h.version != 3 {
		return h, unsupported("qcow2 header: version %d", h.version)
	}
	length := int64(72)
	if h.version == 3 {
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
			if c := b[104]; c != 0 {
				return h, unsupported("qcow2 compressed by method %d (1 is zstd); convert it first (qemu-img convert -O qcow2)", c)
			}
		}
	}
	if c := be.Uint32(b[32:]); c != 0 {
		return h, unsupported("qcow2 header: encryption method %d", c)
	}
	if h.incompatible&qcow2Corrupt != 0 {
		return h, corrupt("qcow2 header: QEMU marked the image as corrupt; see qemu-img check")
	}
	if h.incompatible&qcow2DataFile != 0 {
		return h, unsupported("qcow2 header: the data lies in another file (data-file); convert it first (qemu-img convert -O qcow2)")
	}
	if rest := h.incompatible &^ qcow2Understood; rest != 0 {
		return h, unsupported("qcow2 header: incompatible features %#x", rest)
	}
	h.clusterBits = be.Uint32(b[20:])
	if h.clusterBits < 9 || h.clusterBits > 21 || h.extended() && h.clusterBits < 14 {
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
	cluster := h.cluster()
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
// extensions, its format. Extensions are read where QEMU reads them and no
// further: what only one of both sees would make two disks of one file.
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
		if extensions >= int64(at) {
			return nil
		}
		e := make([]byte, 8)
		if err := readFull(s, e, extensions); err != nil {
			return fmt.Errorf("reading qcow2 header extension: %w", err)
		}
		kind, n := binary.BigEndian.Uint32(e), int64(binary.BigEndian.Uint32(e[4:]))
		if kind == 0 {
			return nil
		}
		if n > qcow2MaxExtBytes || n > int64(at)-extensions-8 {
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

// openBacking opens the backing file. It is read as raw only when the overlay
// says so: content guessed to be raw could be any file of this machine.
func (h *qcow2Header) openBacking(s source) (Disk, error) {
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
