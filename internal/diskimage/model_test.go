package diskimage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"slices"
)

const pageSize = 4096

// model is what a disk must hold, independent of all readers: pages that are
// not there are zeros.
type model struct {
	size  int64
	pages map[int64][]byte
}

// child is the disk of an overlay of some size before anything is written.
func (m model) child(size int64) model {
	c := model{size, map[int64][]byte{}}
	for i, p := range m.pages {
		if i*pageSize < size {
			c.pages[i] = bytes.Clone(p)
		}
	}
	// The page that the parent, or the child, ends in.
	if end := min(size, m.size); c.pages[end/pageSize] != nil {
		clear(c.pages[end/pageSize][end%pageSize:])
	}
	return c
}

func (m model) read(p []byte, off int64) {
	for n := 0; n < len(p); {
		at := off + int64(n)
		k := min(len(p)-n, int(pageSize-at%pageSize))
		if page := m.pages[at/pageSize]; page == nil {
			clear(p[n : n+k])
		} else {
			copy(p[n:n+k], page[at%pageSize:])
		}
		n += k
	}
}

func (m model) write(p []byte, off int64) {
	for n := 0; n < len(p); {
		at := off + int64(n)
		if m.pages[at/pageSize] == nil {
			m.pages[at/pageSize] = make([]byte, pageSize)
		}
		n += copy(m.pages[at/pageSize][at%pageSize:], p[n:min(len(p), n+int(pageSize-at%pageSize))])
	}
}

// bytes is a piece of the disk, with zeros past its end.
func (m model) bytes(off, n int64) []byte {
	p := make([]byte, n)
	m.read(p[:max(0, min(n, m.size-off))], off)
	return p
}

// change is one write to a level: zeros, or data.
type change struct {
	at, n int64
	zero  bool
}

// writes are some random writes in whole sectors. They like to be where chains
// go wrong: at the ends of the disks and at multiples of common units.
func writes(r *rand.Rand, size, parentSize, unit int64) (list []change) {
	const sector = 512
	near := []int64{0, size, parentSize, parentSize / unit * unit, roundUp(parentSize, unit), size / unit * unit, 512 * mib, gib, 3 * gib / 2}
	for range r.Intn(7) {
		n := int64(1+r.Intn(int(min(4*unit, 256*kib)/sector))) * sector
		if r.Intn(3) == 0 {
			n = min(roundUp(n, unit), 4*mib)
		}
		at := r.Int63n(size)
		if r.Intn(3) > 0 {
			at = near[r.Intn(len(near))] + int64(r.Intn(9)-4)*sector
			if r.Intn(2) == 0 {
				at -= n
			}
		}
		at = max(0, min(at, size-n)) / sector * sector
		if r.Intn(3) == 0 {
			at = at / unit * unit
		}
		if n = min(n, (size-at)/sector*sector); n > 0 {
			list = append(list, change{at, n, r.Intn(4) == 0})
		}
	}
	return list
}

// apply does the writes to the model.
func (m model) apply(r *rand.Rand, list []change) {
	for _, w := range list {
		p := make([]byte, w.n)
		if !w.zero {
			r.Read(p)
		}
		m.write(p, w.at)
	}
}

// check compares a disk with the model: each page of data is found by NextData
// and read as it is, and nothing else is data.
func (m model) check(r *rand.Rand, d Disk) error {
	if d.Size() != m.size {
		return fmt.Errorf("a disk of %d bytes, want %d", d.Size(), m.size)
	}
	var found []span
	for off := int64(0); ; {
		start, end, err := d.NextData(off)
		switch {
		case err != nil:
			return err
		case start == end && start == m.size:
		case start < off || end <= start || end > m.size:
			return fmt.Errorf("NextData(%d) = %d, %d of %d", off, start, end, m.size)
		}
		if start == end {
			break
		}
		found = append(found, span{start, end})
		off = end
	}
	covered := func(from, to int64) bool {
		for from < to {
			i, ok := slices.BinarySearchFunc(found, from, func(s span, at int64) int {
				switch {
				case s.to <= at:
					return -1
				case s.from > at:
					return 1
				}
				return 0
			})
			if !ok {
				return false
			}
			from = found[i].to
		}
		return true
	}
	for i, p := range m.pages {
		for s := int64(0); s < pageSize; s += 512 {
			if at := i*pageSize + s; !isZero(p[s:s+512]) && !covered(at, at+512) {
				return fmt.Errorf("NextData does not find the data at %d", at)
			}
		}
	}
	same := func(off, n int64) error {
		n = min(n, m.size-off)
		got := make([]byte, n)
		if k, err := d.ReadAt(got, off); int64(k) != n || err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading %d bytes at %d: %d, %w", n, off, k, err)
		}
		want := m.bytes(off, n)
		for i := range got {
			if got[i] != want[i] {
				return fmt.Errorf("the byte at %d is %#x, want %#x", off+int64(i), got[i], want[i])
			}
		}
		return nil
	}
	// Extents may be larger than what they hold: their ends and each page.
	var places []span
	for _, s := range found {
		places = append(places, span{s.from, min(s.to, s.from+256*kib)}, span{max(s.from, s.to-64*kib), s.to})
	}
	for _, i := range sorted(m.pages) {
		places = append(places, span{max(0, i*pageSize-int64(r.Intn(3000))), (i+1)*pageSize + int64(r.Intn(3000))})
	}
	for range 8 {
		at := r.Int63n(m.size)
		places = append(places, span{at, at + 1 + int64(r.Intn(100000))})
	}
	for _, s := range places {
		if err := same(s.from, s.to-s.from); err != nil {
			return err
		}
	}
	return nil
}
