package diskimage

import (
	"cmp"
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
	qcow2Zstd        = 1    // of CompressionType; 0 is deflate
	qcow2MaxBacking  = 1023 // bytes of the name of a backing file
)

// qcow2Header is the header of a qcow2 under the names of [qcow2], big endian.
type qcow2Header struct {
	Magic                              [4]byte
	Version                            uint32
	BackingFileOffset                  uint64
	BackingFileSize, ClusterBits       uint32
	Size                               uint64
	CryptMethod, L1Size                uint32 // L1Size counts entries
	L1TableOffset, RefcountTableOffset uint64
	RefcountTableClusters, NbSnapshots uint32
	SnapshotsOffset                    uint64

	// From here on version 3. A reference count has 1 << RefcountOrder bits.
	IncompatibleFeatures, CompatibleFeatures, AutoclearFeatures uint64
	RefcountOrder, HeaderLength                                 uint32

	// Only if HeaderLength says so.
	CompressionType uint8
	_               [7]byte
}

// Lengths of the header in bytes.
const (
	qcow2Length2    = 72  // version 2
	qcow2Length3    = 104 // the least of version 3
	qcow2LengthFull = 112 // all that is known here
)

// qcow2Extension is what a header extension begins with.
type qcow2Extension struct{ Type, Length uint32 }

// qcow2Map is the header and the L1 table. What is allocated and walked by
// these numbers was checked.
type qcow2Map struct {
	qcow2Header
	l1            []uint64
	backing       string
	backingFormat string
}

// coverage is how many bytes of the disk one L2 table describes.
func (h *qcow2Map) coverage() int64 {
	n := int64(1) << (2*h.ClusterBits - 3)
	if h.extended() {
		n /= 2
	}
	return n
}

// l2 is the file offset of the L2 table of an entry, 0 where there is none.
func (h *qcow2Map) l2(i int64) int64 { return int64(h.l1[i] & qcow2OffsetMask) }

// readQcow2Header reads as much of the header as the file says it has, and
// checks what does not depend on the size of the file.
func readQcow2Header(s source) (h qcow2Header, err error) {
	b := make([]byte, qcow2LengthFull)
	read := func(n int) error {
		err := readFull(s, b[:n], 0)
		if err == nil {
			_, err = binary.Decode(b, be, &h)
		}
		if err != nil {
			return fmt.Errorf("reading qcow2 header: %w", err)
		}
		return nil
	}
	if err := read(qcow2Length2); err != nil {
		return h, err
	}
	switch h.Version {
	case 2:
		h.HeaderLength = qcow2Length2
	case 3:
		if err := read(qcow2Length3); err != nil {
			return h, err
		}
		if n := h.HeaderLength; n < qcow2Length3 || int64(n) > 4*kib || n%8 != 0 {
			return h, corrupt("qcow2 header: header length %d", n)
		}
		if h.HeaderLength >= qcow2LengthFull {
			if err := read(qcow2LengthFull); err != nil {
				return h, err
			}
		}
	default:
		return h, unsupported("qcow2 header: version %d; convert it first (qemu-img convert -O qcow2)", h.Version)
	}
	rest := h.IncompatibleFeatures &^ qcow2Understood
	switch {
	case h.CompressionType > qcow2Zstd:
		return h, unsupported("qcow2 compressed by method %d (0 is zlib, 1 is zstd); convert it first (qemu-img convert -O qcow2)", h.CompressionType)
	case h.CryptMethod != 0:
		name := map[uint32]string{1: "AES", 2: "LUKS"}[h.CryptMethod]
		return h, unsupported("the qcow2 is encrypted (%s, method %d): decrypt it first (qemu-img convert --object secret,id=key,file=PASSWORD --image-opts driver=qcow2,file.filename=FILE,encrypt.key-secret=key -O qcow2 disk.qcow2)", cmp.Or(name, "in a way that is not known"), h.CryptMethod)
	case rest&qcow2Corrupt != 0:
		return h, told{corrupt("qcow2 header: QEMU marked the image as corrupt; see qemu-img check")}
	case rest&qcow2DataFile != 0:
		return h, unsupported("qcow2 header: the data lies in another file (data-file); convert it first (qemu-img convert -O qcow2)")
	case rest != 0:
		return h, unsupported("qcow2 header: incompatible features %#x, which are not known here; convert it first (qemu-img convert -O qcow2)", rest)
	case h.ClusterBits < 9 || h.ClusterBits > 21 || h.extended() && h.ClusterBits < 14:
		return h, corrupt("qcow2 header: cluster bits %d", h.ClusterBits)
	case h.Size == 0 || h.Size > uint64(maxDisk):
		return h, corrupt("qcow2 header: size %d", h.Size)
	}
	return h, nil
}

func readQcow2Map(s source) (h qcow2Map, err error) {
	if h.qcow2Header, err = readQcow2Header(s); err != nil {
		return h, err
	}
	l1, at := int64(h.L1Size), h.L1TableOffset
	need := (int64(h.Size) + h.coverage() - 1) / h.coverage()
	if l1 < need || 8*l1 > qcow2MaxL1 {
		return h, corrupt("qcow2 header: L1 table of %d entries, the disk needs %d", l1, need)
	}
	if at == 0 || at%512 != 0 || at > uint64(s.size) || 8*l1 > s.size-int64(at) {
		return h, corrupt("qcow2 header: L1 table of %d entries at %d lies outside the file", l1, at)
	}
	h.l1 = make([]uint64, need)
	if _, err := readStruct(s, int64(at), be, h.l1); err != nil {
		return h, fmt.Errorf("reading qcow2 L1 table: %w", err)
	}
	if err := h.checkL2(s.size); err != nil {
		return h, err
	}
	return h, h.readBacking(s)
}

// checkL2 makes sure that every L2 table is there and belongs to one entry:
// the work of walking them is then bounded by the file.
func (h *qcow2Map) checkL2(fileSize int64) error {
	var spans []span
	cluster, need := h.cluster(), int64(0)
	for i := range int64(len(h.l1)) {
		at := h.l2(i)
		if at == 0 {
			continue
		}
		if at%cluster != 0 || beyond(at, int64(h.Size)) {
			return corrupt("qcow2 L1 table: entry %d puts an L2 table at %d", i, at)
		}
		if at >= fileSize {
			need = max(need, at+cluster)
			continue
		}
		spans = append(spans, span{at, at + cluster})
	}
	if need > 0 {
		return cutOff("qcow2 L1 table", fileSize, need)
	}
	if err := overlap(spans); err != nil {
		return fmt.Errorf("checking qcow2 L1 table: %w", err)
	}
	return nil
}

// readBacking reads the name of the backing file and, from the header
// extensions, its format. Extensions are read where QEMU reads them and no
// further: what only one of both sees would make two disks of one file.
func (h *qcow2Map) readBacking(s source) error {
	at, length, extensions := h.BackingFileOffset, h.BackingFileSize, int64(h.HeaderLength)
	if at == 0 {
		return nil
	}
	if length == 0 || length > qcow2MaxBacking || at > uint64(s.size) {
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
		var e qcow2Extension
		if _, err := readStruct(s, extensions, be, &e); err != nil {
			return fmt.Errorf("reading qcow2 header extension: %w", err)
		}
		if e.Type == 0 {
			return nil
		}
		n := int64(e.Length)
		if n > qcow2MaxExtBytes || n > int64(at)-extensions-8 {
			return corrupt("qcow2 header extension %#x: %d bytes", e.Type, n)
		}
		if e.Type == qcow2ExtBacking {
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
func (h *qcow2Map) openBacking(s source) (Disk, error) {
	var format Format
	if h.backingFormat != "" {
		f, err := ParseFormat(h.backingFormat)
		switch {
		case h.backingFormat == VMDK.QEMU():
			f = VMDK
		case err != nil:
			return nil, unsupported("qcow2 backing file %q: %v", h.backing, err)
		}
		format = f
	}
	d, err := s.openParent([]string{h.backing}, format, asWritten)
	if err != nil {
		return nil, err
	}
	// An OVA is a raw file to QEMU.
	if format == "" && (d.Format() == Raw || d.Info().Member != "") {
		d.Close()
		return nil, unsupported("qcow2 backing file %q without a format; set it with qemu-img rebase -u -b %s -F raw", h.backing, h.backing)
	}
	return d, nil
}
