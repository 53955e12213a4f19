package diskimage

import (
	"encoding/binary"
	"os"
)

const (
	qcow2Cluster  = 64 * kib
	qcow2PerTable = qcow2Cluster / 8 // entries of an L2 table
	qcow2PerCount = qcow2Cluster / 2 // 16-bit reference counts of a block
	qcow2Copied   = uint64(1) << 63  // the cluster has exactly one reference
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
	be := binary.BigEndian
	tables := (w.size + qcow2Cluster*qcow2PerTable - 1) / (qcow2Cluster * qcow2PerTable)
	l1 := make([]byte, roundUp(8*tables, qcow2Cluster))
	for i := range tables {
		t := w.l2[i]
		if t == nil {
			continue
		}
		b := make([]byte, 0, qcow2Cluster)
		for _, e := range t {
			b = be.AppendUint64(b, e)
		}
		be.PutUint64(l1[8*i:], uint64(w.next*qcow2Cluster)|qcow2Copied)
		if err := w.append(b); err != nil {
			return err
		}
	}
	l1At := w.next * qcow2Cluster
	if err := w.append(l1); err != nil {
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
	h := make([]byte, qcow2Cluster)
	copy(h, qcow2Magic)
	be.PutUint32(h[4:], 3)
	be.PutUint32(h[20:], 16) // cluster bits
	be.PutUint64(h[24:], uint64(w.size))
	be.PutUint32(h[36:], uint32(tables))
	be.PutUint64(h[40:], uint64(l1At))
	be.PutUint64(h[48:], uint64(topAt))
	be.PutUint32(h[56:], uint32(top))
	be.PutUint32(h[96:], 4) // reference counts of 16 bits
	be.PutUint32(h[100:], 104)
	_, err := w.f.WriteAt(h, 0)
	return err
}

// append writes whole clusters behind the last one.
func (w *qcow2Writer) append(b []byte) error {
	_, err := w.f.WriteAt(b, w.next*qcow2Cluster)
	w.next += int64(len(b)) / qcow2Cluster
	return err
}
