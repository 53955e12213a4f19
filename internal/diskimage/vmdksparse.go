package diskimage

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"sync"
)

// vmdkSparse is a hosted sparse extent: its grain directory points to grain tables,
// whose entries point to grains.
type vmdkSparse struct {
	source
	header    vmdkHeader
	grain     int64 // bytes
	size      int64 // of the extent, bytes
	directory []uint32
	streamed  bool                    // the file ends with a footer
	tables    cache[uint32, []uint32] // grain tables by their sector
	inflated  cache[int64, []byte]    // compressed grains by the place of their marker
}

// coverage is how much of the disk one grain table describes, in bytes.
func (h *vmdkHeader) coverage() int64 { return int64(h.GrainSize) * vmdkSector * vmdkPerTable }

// tables is how many grain tables describe size bytes.
func (h *vmdkHeader) tables(size int64) int64 {
	if h.GrainSize == 0 {
		return 0
	}
	return (size + h.coverage() - 1) / h.coverage()
}

// openSparse reads the grain directory of an extent of which size bytes belong to the
// disk. Where it, or a table that it points to, is damaged, the copy is taken.
func openSparse(s source, h vmdkHeader, size int64) (x *vmdkSparse, warnings []string, err error) {
	x = &vmdkSparse{source: s, header: h, grain: int64(h.GrainSize) * vmdkSector, size: size}
	x.tables.limit = 1024
	if h.Capacity == 0 {
		return nil, nil, corrupt("VMDK header: capacity 0")
	}
	if n := 4 * h.tables(size); n > maxTable {
		return nil, nil, unsupported("VMDK grain directory of %d bytes", n)
	}
	x.inflated.limit = int(max(4, 4*mib/x.grain))
	if h.UncleanShutdown != 0 {
		warnings = append(warnings, "the VMDK was not closed cleanly: the machine, or the program that wrote it, did not end as it should")
	}
	if h.Flags&vmdkCompressed != 0 {
		_, err := readVMDKFooter(s)
		x.streamed = err == nil
	}
	first, firstErr := x.load(h.GDOffset)
	x.directory = first.entries
	if h.Flags&vmdkRedundant == 0 || h.RGDOffset == 0 || h.Flags&vmdkCompressed != 0 {
		return x, warnings, firstErr
	}
	// Over a network the copy is only read where it is needed.
	if _, local := s.ReaderAt.(*os.File); firstErr == nil && !local {
		return x, warnings, nil
	}
	if firstErr != nil && !errors.Is(firstErr, ErrCorrupt) {
		return nil, nil, firstErr
	}
	second, secondErr := x.load(h.RGDOffset)
	if err := s.ended(); err != nil {
		return nil, nil, err
	}
	switch {
	case firstErr != nil && secondErr != nil:
		return nil, nil, firstErr
	case firstErr != nil:
		x.directory = second.entries
		warnings = append(warnings, fmt.Sprintf("the grain directory or a grain table of the VMDK is damaged (%v); their copies were used, other programs may read the damaged ones", firstErr))
	case secondErr != nil:
		warnings = append(warnings, fmt.Sprintf("the copy of the grain directory or of a grain table of the VMDK is damaged (%v); the first ones were used", secondErr))
	case first.sum != second.sum:
		warnings = append(warnings, "the grain tables of the VMDK and their copies differ; the first ones were used, and what is on the disk may be older or damaged: check it with the program that wrote it (vmware-vdiskmanager -R)")
	}
	return x, warnings, nil
}

// vmdkTables is a grain directory, and a checksum of what its tables hold.
type vmdkTables struct {
	entries []uint32
	sum     uint32
}

// load reads a grain directory and checks all its tables: what is missing of a file
// that was cut off is known then. Of a file that was written as a stream the footer at
// its end says that it is whole.
func (x *vmdkSparse) load(sector uint64) (t vmdkTables, err error) {
	n := x.header.tables(x.size)
	if sector == 0 || sector > uint64(maxDisk/vmdkSector) {
		return t, corrupt("VMDK header: grain directory at sector %d", sector)
	}
	at := int64(sector) * vmdkSector
	if at+4*n > x.source.size {
		return t, cutOff("VMDK grain directory", x.source.size, at+4*n)
	}
	t.entries = make([]uint32, n)
	if _, err := readStruct(x, at, le, t.entries); err != nil {
		return t, fmt.Errorf("reading VMDK grain directory: %w", err)
	}
	spans, need := []span{{at, at + 4*n}}, int64(0)
	for i, e := range t.entries {
		if x.none(e) {
			continue
		}
		from := int64(e) * vmdkSector
		if beyond(from, x.size) {
			return t, corrupt("VMDK grain directory: entry %d puts a grain table at sector %d", i, e)
		}
		if from+vmdkTableSize > x.source.size {
			need = max(need, from+vmdkTableSize)
			continue
		}
		spans = append(spans, span{from, from + vmdkTableSize})
	}
	if need > 0 {
		return t, cutOff("VMDK grain directory", x.source.size, need)
	}
	if err := overlap(spans); err != nil {
		return t, fmt.Errorf("checking VMDK grain directory: %w", err)
	}
	if x.header.Flags&vmdkCompressed != 0 {
		if x.streamed {
			return t, nil
		}
		return t, x.walkPacked(&t)
	}
	return t, x.walk(&t)
}

// walk looks at every table of a directory.
func (x *vmdkSparse) walk(t *vmdkTables) error {
	need, grains := int64(0), int64(0)
	b := make([]byte, vmdkTableSize)
	for i, e := range t.entries {
		if err := x.ended(); err != nil {
			return err
		}
		if clear(b); !x.none(e) {
			if err := readFull(x, b, int64(e)*vmdkSector); err != nil {
				return fmt.Errorf("reading VMDK grain table %d: %w", i, err)
			}
		}
		t.sum = crc32.Update(t.sum, crc32.IEEETable, b)
		for k := range vmdkPerTable {
			g, start := le.Uint32(b[4*k:]), int64(i)*x.header.coverage()+int64(k)*x.grain
			if x.none(g) || start >= x.size {
				continue
			}
			at := int64(g) * vmdkSector
			if beyond(at, x.size) {
				return corrupt("VMDK grain table %d: entry %d puts a grain at sector %d", i, k, g)
			}
			need = max(need, at+min(x.grain, x.size-start))
			grains++
		}
	}
	if need > x.source.size {
		return cutOff("VMDK grain tables", x.source.size, need)
	}
	if grains > x.source.size/x.grain+1 {
		return corrupt("VMDK grain tables: more grains are in the file than fit into it")
	}
	return nil
}

// walkPacked looks for the last of the compressed grains, as QEMU writes them behind
// the tables and without a footer.
func (x *vmdkSparse) walkPacked(t *vmdkTables) error {
	last := int64(0)
	table := make([]uint32, vmdkPerTable)
	for i, e := range t.entries {
		if err := x.ended(); err != nil {
			return err
		}
		if x.none(e) {
			continue
		}
		if _, err := readStruct(x, int64(e)*vmdkSector, le, table); err != nil {
			return fmt.Errorf("reading VMDK grain table %d: %w", i, err)
		}
		for _, g := range table {
			if !x.none(g) {
				last = max(last, int64(g)*vmdkSector)
			}
		}
	}
	if last == 0 {
		return nil
	}
	need := last + vmdkGrainMarker
	if need <= x.source.size {
		var m vmdkMarker
		if _, err := readStruct(x, last, le, &m); err != nil && need+4 <= x.source.size {
			return fmt.Errorf("reading VMDK grain marker: %w", err)
		}
		need += int64(m.Size)
	}
	if need > x.source.size {
		return cutOff("VMDK grain tables", x.source.size, need)
	}
	return nil
}

// none reports an entry, of the directory or of a table, that points nowhere.
func (x *vmdkSparse) none(entry uint32) bool {
	return entry == 0 || entry == 1 && x.header.Flags&vmdkZeroGrains != 0
}

// empty is what is meant by an entry that points nowhere.
func empty(entry uint32) blockState {
	if entry == 1 {
		return allZero
	}
	return inParent
}

func (x *vmdkSparse) run(off, limit int64, loose bool) (vmdkRun, error) {
	coverage := x.header.coverage()
	limit = min(limit, coverage-off%coverage)
	e := x.directory[off/coverage]
	if x.none(e) {
		return vmdkRun{kind: empty(e), n: limit}, nil
	}
	table, err := x.tables.get(e, func() ([]uint32, error) {
		t := make([]uint32, vmdkPerTable)
		_, err := readStruct(x, int64(e)*vmdkSector, le, t)
		return t, err
	})
	if err != nil {
		return vmdkRun{}, fmt.Errorf("reading VMDK grain table at sector %d: %w", e, err)
	}
	r := x.piece(table, off, coverage)
	for r.n < limit {
		next := x.piece(table, off+r.n, coverage)
		data := r.kind == inFile || r.kind == compressed
		if next.kind != r.kind || data && !loose && (r.kind == compressed || next.at != r.at+r.n) {
			break
		}
		r.n += next.n
	}
	r.n = min(r.n, limit)
	return r, nil
}

// piece is what a table says of an offset, up to the end of the grain.
func (x *vmdkSparse) piece(table []uint32, off, coverage int64) vmdkRun {
	in := off % x.grain
	e := table[off%coverage/x.grain]
	r := vmdkRun{n: x.grain - in}
	switch {
	case x.none(e):
		r.kind = empty(e)
	case x.header.Flags&vmdkCompressed != 0:
		r.kind, r.at = compressed, int64(e)*vmdkSector
		if i := off%coverage/x.grain + 1; i < vmdkPerTable {
			r.next = int64(table[i]) * vmdkSector
		}
	default:
		r.kind, r.at = inFile, int64(e)*vmdkSector+in
	}
	return r
}

func (x *vmdkSparse) read(p []byte, off int64, r vmdkRun) error {
	if r.kind == inFile {
		return readFull(x, p, r.at)
	}
	in := off % x.grain
	if in == 0 && int64(len(p)) == min(x.grain, x.size-off) { // all of it
		n, err := x.inflate(p, r, off)
		if err == nil && n < len(p) {
			err = tooFew(r.at, n)
		}
		return err
	}
	b, err := x.inflated.get(r.at, func() ([]byte, error) {
		b := make([]byte, x.grain)
		n, err := x.inflate(b, r, off-in)
		return b[:n], err
	})
	if err != nil {
		return err
	}
	if in+int64(len(p)) > int64(len(b)) {
		return tooFew(r.at, len(b))
	}
	copy(p, b[in:])
	return nil
}

func tooFew(at int64, n int) error {
	return corrupt("VMDK: the compressed grain at %d has %d bytes, too few", at, n)
}

// packedGrains are buffers for grains as they lie in the file.
var packedGrains = sync.Pool{New: func() any { return new([]byte) }}

// inflate unpacks the grain of a run, which begins at an offset of the extent, and returns
// how many bytes it has. What it says of its size is bounded, and so is what comes out.
func (x *vmdkSparse) inflate(p []byte, r vmdkRun, begins int64) (int, error) {
	at, room := r.at, x.source.size-r.at-vmdkGrainMarker
	// Data that cannot be compressed grows by less than this.
	most := min(2*x.grain+4*kib, room)
	if most < 0 {
		return 0, corrupt("VMDK: the compressed grain at %d lies beyond the end of the file", at)
	}
	buf := packedGrains.Get().(*[]byte)
	defer packedGrains.Put(buf)
	// The next grain lies behind this one as a rule, so that one read is enough.
	*buf = slices.Grow((*buf)[:0], int(vmdkGrainMarker+2*x.grain+4*kib))
	b := (*buf)[:vmdkGrainMarker+max(0, min(most, r.next-at-vmdkGrainMarker))]
	if err := readFull(x, b, at); err != nil {
		return 0, fmt.Errorf("reading VMDK grain marker: %w", err)
	}
	value, size := le.Uint64(b), int64(le.Uint32(b[8:]))
	switch {
	case value != uint64(begins/vmdkSector) || size == 0 || size > 2*x.grain+4*kib:
		return 0, corrupt("VMDK: the marker at %d is for %d bytes of sector %d, there should be one for sector %d", at, size, value, begins/vmdkSector)
	case size > room:
		return 0, corrupt("VMDK: the compressed grain at %d lies beyond the end of the file", at)
	}
	if have := int64(len(b)); vmdkGrainMarker+size > have {
		b = b[:vmdkGrainMarker+size]
		if err := readFull(x, b[have:], at+have); err != nil {
			return 0, err
		}
	}
	n, err := inflateZlib(p, b[vmdkGrainMarker:vmdkGrainMarker+size])
	// What is of the disk of the last grain is less than the grain, which may be whole.
	if errors.Is(err, errInflateFull) && int64(len(p)) < x.grain {
		whole := make([]byte, x.grain)
		n, err = inflateZlib(whole, b[vmdkGrainMarker:vmdkGrainMarker+size])
		n = min(n, copy(p, whole))
	}
	if errors.Is(err, errInflateFull) {
		return n, corrupt("VMDK: the compressed grain at %d has more than %d bytes", at, x.grain)
	}
	if err != nil {
		return n, corrupt("VMDK: the compressed grain at %d cannot be unpacked: %v", at, err)
	}
	return n, nil
}
