package diskimage

import (
	"os"
)

const (
	qcow2ClusterBits = 16
	qcow2Cluster     = int64(1) << qcow2ClusterBits
	qcow2PerTable    = qcow2Cluster / 8             // entries of an L2 table
	qcow2Coverage    = qcow2Cluster * qcow2PerTable // bytes of the disk that one L2 table describes
	qcow2PerCount    = qcow2Cluster / 2             // 16-bit reference counts of a block
	qcow2Copied      = uint64(1) << 63              // the cluster has exactly one reference
)

// qcow2Writer writes a qcow2 of version 3 without compression. Data clusters
// follow the header in the order of the disk; the tables come last.
type qcow2Writer struct {
	f    *os.File
	size int64
	// l2 are the L2 tables that hold anything, by their number.
	l2   map[int64][]uint64
	next int64 // the next free cluster
}

func newQcow2Writer(f *os.File, size int64) *qcow2Writer {
	return &qcow2Writer{f: f, size: size, l2: map[int64][]uint64{}, next: 1}
}

func (w *qcow2Writer) entry(cluster int64) *uint64 {
	t := w.l2[cluster/qcow2PerTable]
	if t == nil {
		t = make([]uint64, qcow2PerTable)
		w.l2[cluster/qcow2PerTable] = t
	}
	return &t[cluster%qcow2PerTable]
}

// place puts the clusters of a block that hold data side by side.
func (w *qcow2Writer) place(block int64, data []span) int64 {
	at := w.next * qcow2Cluster
	first := block * (copyUnit / qcow2Cluster)
	_ = eachCluster(data, func(_, c int64, _ span) error { // none of these fails
		if e := w.entry(first + c); *e == 0 {
			*e = uint64(w.next*qcow2Cluster) | qcow2Copied
			w.next++
		}
		return nil
	})
	return at
}

func (w *qcow2Writer) write(at int64, p []byte, data []span) error {
	return eachCluster(data, func(k, c int64, s span) error {
		_, err := w.f.WriteAt(p[s.from:s.to], at+k*qcow2Cluster+s.from-c*qcow2Cluster)
		return err
	})
}

// eachCluster cuts the data of a block at clusters: k counts those that hold
// data, c is their number in the block.
func eachCluster(data []span, do func(k, c int64, s span) error) error {
	k, last := int64(-1), int64(-1)
	for _, s := range data {
		for s.from < s.to {
			c := s.from / qcow2Cluster
			if c != last {
				k, last = k+1, c
			}
			to := min(s.to, (c+1)*qcow2Cluster)
			if err := do(k, c, span{s.from, to}); err != nil {
				return err
			}
			s.from = to
		}
	}
	return nil
}

func (w *qcow2Writer) finish() error {
	tables := (w.size + qcow2Coverage - 1) / qcow2Coverage
	l1 := make([]uint64, roundUp(tables, qcow2PerTable)) // whole clusters
	for i := range tables {
		t := w.l2[i]
		if t == nil {
			continue
		}
		l1[i] = uint64(w.next*qcow2Cluster) | qcow2Copied
		if err := w.append(pack(be, t)); err != nil {
			return err
		}
	}
	l1At := w.next * qcow2Cluster
	if err := w.append(pack(be, l1)); err != nil {
		return err
	}
	// The reference counts count themselves, so their number is found by
	// growing it until it holds.
	var blocks, top int64
	for {
		total := w.next + blocks + top
		b := (total + qcow2PerCount - 1) / qcow2PerCount
		t := (8*b + qcow2Cluster - 1) / qcow2Cluster
		if b == blocks && t == top {
			break
		}
		blocks, top = b, t
	}
	total := w.next + blocks + top
	topAt := w.next * qcow2Cluster
	counts := make([]byte, blocks*qcow2Cluster)
	for i := range total {
		be.PutUint16(counts[2*i:], 1)
	}
	table := make([]byte, top*qcow2Cluster)
	for i := range blocks {
		be.PutUint64(table[8*i:], uint64((w.next+top+i)*qcow2Cluster))
	}
	if err := w.append(table); err != nil {
		return err
	}
	if err := w.append(counts); err != nil {
		return err
	}
	h := newQcow2Header(w.size)
	h.L1Size, h.L1TableOffset = uint32(tables), uint64(l1At)
	h.RefcountTableOffset, h.RefcountTableClusters = uint64(topAt), uint32(top)
	_, err := w.f.WriteAt(pack(be, h), 0)
	return err
}

// newQcow2Header is a header of version 3 without its tables.
func newQcow2Header(size int64) qcow2Header {
	return qcow2Header{
		Magic: [4]byte([]byte(qcow2Magic)), Version: 3, ClusterBits: qcow2ClusterBits, Size: uint64(size),
		RefcountOrder: 4, HeaderLength: qcow2Length3,
	}
}

// append writes whole clusters behind the last one.
func (w *qcow2Writer) append(b []byte) error {
	_, err := w.f.WriteAt(b, w.next*qcow2Cluster)
	w.next += int64(len(b)) / qcow2Cluster
	return err
}
