package diskimage

import "fmt"

// cutOff is the error for a file that ends before what it says of itself: what
// is wrong in it, and how much is missing.
func cutOff(what string, have, need int64) error {
	return told{corrupt("%s: the file was cut off: it has %d bytes, its tables reach to %d, so %d are missing; copy or download it again", what, have, need, need-have)}
}

// whole makes sure that a qcow2 was not cut off. Its reference counts say so for
// two small reads; only where they speak of more than the file holds all tables are
// walked, because a count may be that of a cluster that nothing uses.
func (d *qcow2Disk) whole() error {
	h := &d.header
	behind, known, err := h.countsBehind(d.source)
	if err != nil || known && !behind {
		return err
	}
	need := int64(0)
	for i := range h.l1 {
		at := h.l2(int64(i))
		if at == 0 {
			continue
		}
		if err := d.ended(); err != nil {
			return err
		}
		table, err := d.table(int64(i) * h.coverage())
		if err != nil {
			return fmt.Errorf("reading qcow2 L2 table at %d: %w", at, err)
		}
		need = max(need, h.reach(table))
	}
	// A file may end inside of its last cluster.
	if need > d.size {
		return cutOff("qcow2", d.size, (need-1)/h.cluster()*h.cluster()+h.cluster())
	}
	return nil
}

// reach is the offset behind the first byte of the last cluster that an L2 table
// points to. What is no possible place is left to who reads it.
func (h *qcow2Map) reach(table []byte) (end int64) {
	step := 8
	if h.extended() {
		step = 16
	}
	for i := 0; i+step <= len(table); i += step {
		e := be.Uint64(table[i:])
		at := int64(e & qcow2OffsetMask)
		if e&qcow2Compressed != 0 {
			at = int64(e & (1<<(62-(h.ClusterBits-8)) - 1))
		} else if at == 0 || at%h.cluster() != 0 || !h.extended() && e&qcow2ZeroBit != 0 {
			continue
		}
		if !beyond(at, int64(h.Size)) {
			end = max(end, at+1)
		}
	}
	return end
}

// countsBehind reports whether clusters behind the end of the file have a
// reference count ([qcow2], "Host cluster management"). Of the counts a few KiB
// are read, those of the clusters right behind the end: what is missing of a file
// that was cut off begins there. known: they could be read. Counts that lie behind
// the end themselves are an error: QEMU opens no such file either.
func (h *qcow2Map) countsBehind(s source) (behind, known bool, err error) {
	const (
		maxRefcounts = 8 * mib // QEMU's limit (QCOW_MAX_REFTABLE_SIZE)
		piece        = 4 * kib
	)
	cluster, order := h.cluster(), uint32(4)
	if h.Version >= 3 {
		order = h.RefcountOrder
	}
	table, size := int64(h.RefcountTableOffset), int64(h.RefcountTableClusters)*cluster
	if table <= 0 || size <= 0 || size > maxRefcounts || order > 6 || beyond(table, int64(h.Size)) {
		return false, false, nil
	}
	if table+size > s.size {
		return false, false, cutOff("qcow2 reference counts", s.size, table+size)
	}
	perBlock := cluster * 8 >> order
	next := (s.size + cluster - 1) / cluster // the first cluster that is not in the file
	first := next / perBlock
	if 8*first >= size {
		return false, true, nil
	}
	entries := make([]uint64, min(piece, size-8*first)/8)
	if _, err := readStruct(s, table+8*first, be, entries); err != nil {
		return false, false, fmt.Errorf("reading qcow2 reference counts: %w", err)
	}
	for i, e := range entries {
		block := int64(e & qcow2OffsetMask)
		switch {
		case block == 0:
			continue
		case block%cluster != 0 || beyond(block, int64(h.Size)):
			return false, false, nil
		case block >= s.size:
			return false, false, cutOff("qcow2 reference counts", s.size, block+cluster)
		}
		from := int64(0)
		if i == 0 {
			from = next % perBlock << order / 8
		}
		counts := make([]byte, min(piece, cluster-from, s.size-block-from))
		if err := readFull(s, counts, block+from); err != nil {
			return false, false, fmt.Errorf("reading qcow2 reference counts: %w", err)
		}
		if i == 0 && order < 3 { // the counts of clusters in the file share its first byte
			counts[0] >>= next % perBlock << order % 8
		}
		if !isZero(counts) {
			return true, true, nil
		}
	}
	return false, true, nil
}

// beyond reports a place that no file with a disk of that size has: its table
// is damaged, and nothing is said about what is missing.
func beyond(at, size int64) bool { return at > 4*size+gib }
