package diskimage

import (
	"encoding/binary"
	"os"
	"unicode/utf16"
)

// Where a VHDX written here keeps its parts.
const (
	vhdxLogAt      = 1 * mib
	vhdxMetadataAt = 2 * mib
	vhdxTableAt    = 3 * mib
	vhdxItemsAt    = vhdxTableLen // within the metadata region

	vhdxCreator = "packer-plugin-sysprep"
)

// vhdxWriter writes a dynamic VHDX with blocks of copyUnit.
type vhdxWriter struct {
	f       *os.File
	size    int64
	logical int
	chunk   int64
	table   []byte
	next    int64
}

func newVHDXWriter(f *os.File, size int64, logical int) *vhdxWriter {
	w := &vhdxWriter{f: f, size: size, logical: logical, chunk: (1 << 23) * int64(logical) / copyUnit}
	blocks := (size + copyUnit - 1) / copyUnit
	w.table = make([]byte, roundUp(8*(blocks+(blocks-1)/w.chunk), mib))
	w.next = vhdxTableAt + int64(len(w.table))
	return w
}

func (w *vhdxWriter) place(block int64, _ []span) int64 {
	at := w.next
	binary.LittleEndian.PutUint64(w.table[8*(block+block/w.chunk):], uint64(at)|vhdxFullyPresent)
	w.next += copyUnit
	return at
}

func (w *vhdxWriter) write(at int64, p []byte, data []span) error {
	return writeSpans(w.f, at, p, data)
}

// finish writes everything but the blocks; the signature comes last.
func (w *vhdxWriter) finish() error {
	if err := w.f.Truncate(w.next); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(w.table, vhdxTableAt); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(w.metadata(), vhdxMetadataAt); err != nil {
		return err
	}
	_, err := w.f.WriteAt(w.headers(), 0)
	return err
}

// headers are the file identifier, both headers and both region tables.
func (w *vhdxWriter) headers() []byte {
	le := binary.LittleEndian
	b := make([]byte, vhdxRegions2+vhdxTableLen)
	copy(b, vhdxSignature)
	for i, c := range utf16.Encode([]rune(vhdxCreator)) {
		le.PutUint16(b[8+2*i:], c)
	}
	fileWrite, dataWrite := newID(), newID()
	for i, at := range []int{vhdxHeader1, vhdxHeader2} {
		h := b[at : at+4096]
		copy(h, "head")
		le.PutUint64(h[8:], uint64(i+1))
		copy(h[16:], fileWrite[:])
		copy(h[32:], dataWrite[:])
		le.PutUint16(h[66:], 1)
		le.PutUint32(h[68:], uint32(mib))
		le.PutUint64(h[72:], uint64(vhdxLogAt))
		le.PutUint32(h[4:], vhdxCRC(h))
	}
	for _, at := range []int{vhdxRegions1, vhdxRegions2} {
		r := b[at : at+vhdxTableLen]
		copy(r, "regi")
		le.PutUint32(r[8:], 2)
		for i, e := range []struct {
			id         [16]byte
			at, length int64
		}{{vhdxRegionBAT, vhdxTableAt, int64(len(w.table))}, {vhdxRegionMetadata, vhdxMetadataAt, mib}} {
			x := r[16+32*i:]
			copy(x, e.id[:])
			le.PutUint64(x[16:], uint64(e.at))
			le.PutUint32(x[24:], uint32(e.length))
			le.PutUint32(x[28:], 1)
		}
		le.PutUint32(r[4:], vhdxCRC(r))
	}
	return b
}

func (w *vhdxWriter) metadata() []byte {
	le := binary.LittleEndian
	const isVirtualDisk, isRequired = 2, 4
	b := make([]byte, vhdxItemsAt+4096)
	copy(b, "metadata")
	id := newID()
	items := []struct {
		id    [16]byte
		flags uint32
		value []byte
	}{
		{vhdxItemFile, isRequired, le.AppendUint64(nil, uint64(copyUnit))},
		{vhdxItemSize, isRequired | isVirtualDisk, le.AppendUint64(nil, uint64(w.size))},
		{vhdxItemID, isRequired | isVirtualDisk, id[:]},
		{vhdxItemLogical, isRequired | isVirtualDisk, le.AppendUint32(nil, uint32(w.logical))},
		{vhdxItemPhysical, isRequired | isVirtualDisk, le.AppendUint32(nil, 4096)},
	}
	le.PutUint16(b[10:], uint16(len(items)))
	at := vhdxItemsAt
	for i, it := range items {
		e := b[32+32*i:]
		copy(e, it.id[:])
		le.PutUint32(e[16:], uint32(at))
		le.PutUint32(e[20:], uint32(len(it.value)))
		le.PutUint32(e[24:], it.flags)
		at += copy(b[at:], it.value)
	}
	return b
}
