package diskimage

import (
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
	le.PutUint64(w.table[8*(block+block/w.chunk):], uint64(at)|vhdxFullyPresent)
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
	b := make([]byte, vhdxRegions2+vhdxTableLen)
	id := vhdxFileIdentifier{Signature: [8]byte([]byte(vhdxFileSign))}
	copy(id.Creator[:], utf16.Encode([]rune(vhdxCreator)))
	copy(b, pack(le, id))
	h := vhdxHeader{
		Signature: [4]byte([]byte(vhdxHeaderSign)), FileWriteGuid: newID(), DataWriteGuid: newID(),
		Version: 1, LogLength: uint32(mib), LogOffset: uint64(vhdxLogAt),
	}
	for i, at := range []int{vhdxHeader1, vhdxHeader2} {
		h.SequenceNumber = uint64(i + 1)
		copy(b[at:], seal(pack(le, h), vhdxHeaderLen))
	}
	regions := []vhdxRegionEntry{
		{vhdxRegionBAT, uint64(vhdxTableAt), uint32(len(w.table)), vhdxRequired},
		{vhdxRegionMetadata, uint64(vhdxMetadataAt), uint32(mib), vhdxRequired},
	}
	t := seal(pack(le, vhdxRegionTable{Signature: [4]byte([]byte(vhdxRegionSign)), EntryCount: uint32(len(regions))}, regions), vhdxTableLen)
	copy(b[vhdxRegions1:], t)
	copy(b[vhdxRegions2:], t)
	return b
}

// metadata is the metadata table and, at vhdxItemsAt, the items.
func (w *vhdxWriter) metadata() []byte {
	const disk = vhdxMetaIsRequired | vhdxIsVirtualDisk
	var entries []vhdxMetadataEntry
	var items []byte
	for _, it := range []struct {
		id    guid
		flags uint32
		value any
	}{
		{vhdxItemFile, vhdxMetaIsRequired, vhdxFileParameters{BlockSize: uint32(copyUnit)}},
		{vhdxItemSize, disk, uint64(w.size)},
		{vhdxItemID, disk, newID()},
		{vhdxItemLogical, disk, uint32(w.logical)},
		{vhdxItemPhysical, disk, uint32(4096)},
	} {
		v := pack(le, it.value)
		entries = append(entries, vhdxMetadataEntry{ItemID: it.id, Offset: uint32(vhdxItemsAt + len(items)), Length: uint32(len(v)), Flags: it.flags})
		items = append(items, v...)
	}
	b := make([]byte, vhdxItemsAt+4096)
	copy(b, pack(le, vhdxMetadataTable{Signature: [8]byte([]byte(vhdxMetadataSign)), EntryCount: uint16(len(entries))}, entries))
	copy(b[vhdxItemsAt:], items)
	return b
}
