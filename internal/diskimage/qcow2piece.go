package diskimage

import (
	"slices"
	"sync"
)

// Bits of an L2 entry ([qcow2], "L2 table entry").
const (
	qcow2OffsetMask = 0x00fffffffffffe00
	qcow2Compressed = 1 << 62
	qcow2ZeroBit    = 1 << 0
	qcow2Subs       = 32 // subclusters of a cluster with extended L2 entries
)

// compressed is the blockState of a cluster that only qcow2 has.
const compressed = mixed + 1

// qcow2Piece is what an L2 entry says of a cluster, or of a subcluster, from
// some offset to its end.
type qcow2Piece struct {
	kind  blockState
	n     int64
	at    int64  // in the file, of kind inFile
	entry uint64 // of kind compressed
}

// takes reports whether the piece that follows can be read, or with loose
// counted, together with p.
func (p qcow2Piece) takes(next qcow2Piece, loose bool) bool {
	data := func(k blockState) bool { return k == inFile || k == compressed }
	switch {
	case loose && data(p.kind):
		return data(next.kind)
	case p.kind != next.kind || p.kind == compressed:
		return false
	}
	return p.kind != inFile || next.at == p.at+p.n
}

func (h *qcow2Header) cluster() int64 { return 1 << h.ClusterBits }

func (h *qcow2Header) extended() bool { return h.IncompatibleFeatures&qcow2ExtendedL2 != 0 }

// piece decodes the entry for an offset of the disk.
func (h *qcow2Map) piece(table []byte, off, fileSize int64) (p qcow2Piece, err error) {
	cluster := h.cluster()
	in := off & (cluster - 1)
	i := off % h.coverage() / cluster
	p = qcow2Piece{kind: inParent, n: cluster - in}
	var bitmap uint64
	if h.extended() {
		i *= 2
		bitmap = be.Uint64(table[8*i+8:])
	}
	e := be.Uint64(table[8*i:])
	host := int64(e & qcow2OffsetMask)
	switch {
	case e&qcow2Compressed != 0:
		p.kind, p.entry = compressed, e
		return p, nil
	case h.extended():
		sub := cluster / qcow2Subs
		p.n = sub - in%sub
		has, zero := bitmap>>(in/sub)&1 != 0, bitmap>>(qcow2Subs+in/sub)&1 != 0
		switch {
		case has && (zero || host == 0):
			return p, corrupt("qcow2 L2 table: the subcluster at %d has the bitmap %#x and the place %d", off, bitmap, host)
		case has:
			p.kind = inFile
		case zero:
			p.kind = allZero
		}
	case e&qcow2ZeroBit != 0:
		if h.Version < 3 {
			return p, corrupt("qcow2 L2 table: the cluster at %d is one of zeros, which version 2 does not have", off)
		}
		p.kind = allZero
	case host != 0:
		p.kind = inFile
	}
	if p.kind == inFile {
		if host%cluster != 0 {
			return p, corrupt("qcow2 L2 table: the cluster at %d lies at %d, which is not a multiple of %d", off, host, cluster)
		}
		if host >= fileSize {
			return p, corrupt("qcow2: the data at %d lies beyond the end of the file", off)
		}
		p.at = host + in
	}
	return p, nil
}

// readCompressed reads from inside a compressed cluster.
func (d *qcow2Disk) readCompressed(p []byte, entry uint64, in int64) error {
	if int64(len(p)) == d.header.cluster() {
		return d.unpack(p, entry)
	}
	b, err := d.inflated.get(entry, func() ([]byte, error) {
		b := make([]byte, d.header.cluster())
		return b, d.unpack(b, entry)
	})
	if err != nil {
		return err
	}
	copy(p, b[in:])
	return nil
}

// unpack unpacks a whole cluster ([qcow2], "Compressed Clusters Descriptor").
func (d *qcow2Disk) unpack(p []byte, entry uint64) error {
	sizeBits := d.header.ClusterBits - 8
	at := int64(entry & (1<<(62-sizeBits) - 1))
	size := (int64(entry>>(62-sizeBits)&(1<<sizeBits-1))+1)*512 - at%512
	if at >= d.size {
		return corrupt("qcow2: the compressed cluster at %d lies beyond the end of the file", at)
	}
	buf := packedGrains.Get().(*[]byte)
	defer packedGrains.Put(buf)
	*buf = slices.Grow((*buf)[:0], int(min(size, d.size-at)))
	raw := (*buf)[:min(size, d.size-at)]
	if err := readFull(d.ReaderAt, raw, at); err != nil {
		return err
	}
	if d.header.CompressionType == qcow2Zstd {
		if err := unzstd(p, raw); err != nil {
			return corrupt("qcow2: the compressed cluster at %d cannot be unpacked: %v", at, err)
		}
		return nil
	}
	// What follows a full cluster is of no account, as to QEMU.
	n, err := inflate(p, raw)
	if n == len(p) {
		return nil
	}
	if err == nil {
		err = errInflateCut
	}
	return corrupt("qcow2: the compressed cluster at %d cannot be unpacked: %v", at, err)
}

// cache keeps the last values that were made.
type cache[K comparable, V any] struct {
	limit  int
	mu     sync.Mutex
	values map[K]V
	order  []K // oldest first
}

// get returns the value of a key, made by f where it is not kept. Two callers
// may make the same at a time.
func (c *cache[K, V]) get(key K, f func() (V, error)) (V, error) {
	c.mu.Lock()
	v, ok := c.values[key]
	c.mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := f()
	if err != nil {
		return v, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = map[K]V{}
	}
	if _, ok := c.values[key]; !ok {
		if len(c.order) == c.limit {
			delete(c.values, c.order[0])
			c.order = append(c.order[:0], c.order[1:]...)
		}
		c.order = append(c.order, key)
	}
	c.values[key] = v
	return v, nil
}
