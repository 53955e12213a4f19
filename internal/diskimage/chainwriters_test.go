package diskimage

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
)

// level is one image of a chain that the tests write.
type level struct {
	path   string
	format Format
	size   int64
	id     [16]byte // VHD: its id; VHDX: its data write id
	what   string
}

// touched are the units of a disk that writes reach, and those that they
// cover with zeros as the last thing.
func touched(list []change, size, unit int64) (data, zero map[int64]bool) {
	data, zero = map[int64]bool{}, map[int64]bool{}
	for _, w := range list {
		for u := w.at / unit; u*unit < w.at+w.n; u++ {
			data[u] = true
			zero[u] = w.zero && w.at <= u*unit && w.at+w.n >= min((u+1)*unit, size)
		}
	}
	return data, zero
}

// sorted makes what follows from a seed the same in every run.
func sorted[V any](m map[int64]V) []int64 { return slices.Sorted(maps.Keys(m)) }

// writeQcow2 writes an overlay as QEMU would have left it, or one without a
// backing file. The writes are those that led to the model.
func writeQcow2(r *rand.Rand, path string, m model, list []change, parent *level) (level, error) {
	be := binary.BigEndian
	bits := 9 + r.Intn(13)
	version, extended := 2+r.Intn(2), false
	for m.size>>(2*bits-3) > 1<<17 {
		bits++ // an L1 table of 1 MiB will do
	}
	if version == 3 && bits >= 14 && r.Intn(3) == 0 {
		extended = true
	}
	cluster := int64(1) << bits
	entry, unit := int64(8), cluster
	if extended {
		entry, unit = 16, cluster/qcow2Subs
	}
	coverage := cluster / entry * cluster
	l1n := (m.size + coverage - 1) / coverage
	f, err := os.Create(path)
	if err != nil {
		return level{}, err
	}
	defer f.Close()
	next := 1 + (8*l1n+cluster-1)/cluster // header, L1 table
	alloc := func() int64 { next++; return (next - 1) * cluster }
	l1, l2 := make([]byte, 8*l1n), map[int64][]byte{}
	data, zero := touched(list, m.size, unit)
	clusters := map[int64]bool{}
	for u := range data {
		clusters[u*unit/cluster] = true
	}
	for _, c := range sorted(clusters) {
		t := c * cluster / coverage
		if l2[t] == nil {
			l2[t] = make([]byte, cluster)
		}
		e := l2[t][c%(cluster/entry)*entry:]
		content := m.bytes(c*cluster, cluster)
		switch {
		case !extended && version == 3 && zero[c]:
			be.PutUint64(e, qcow2ZeroBit)
			if r.Intn(2) == 0 { // allocated before it became zeros
				at := alloc()
				be.PutUint64(e, uint64(at)|qcow2ZeroBit|qcow2Copied)
				if _, err := f.WriteAt(bytes.Repeat([]byte{0xee}, int(cluster)), at); err != nil {
					return level{}, err
				}
			}
		case extended:
			at, bitmap := alloc(), uint64(0)
			for s := range int64(qcow2Subs) {
				u := c*qcow2Subs + s
				switch {
				case !data[u]:
				case zero[u]:
					bitmap |= 1 << (qcow2Subs + s)
				default:
					bitmap |= 1 << s
					if _, err := f.WriteAt(content[s*unit:(s+1)*unit], at+s*unit); err != nil {
						return level{}, err
					}
				}
			}
			be.PutUint64(e, uint64(at)|qcow2Copied)
			be.PutUint64(e[8:], bitmap)
		case r.Intn(5) == 0 && cluster <= 64*kib:
			var b bytes.Buffer
			// Without matches: QEMU's window is smaller than this library's.
			z, err := flate.NewWriter(&b, flate.HuffmanOnly)
			if err != nil {
				return level{}, err
			}
			if _, err := z.Write(content); err != nil {
				return level{}, err
			}
			if err := z.Close(); err != nil {
				return level{}, err
			}
			at := alloc()
			for int64(b.Len()) > next*cluster-at {
				next++
			}
			if _, err := f.WriteAt(b.Bytes(), at); err != nil {
				return level{}, err
			}
			be.PutUint64(e, qcow2Compressed|uint64((b.Len()+511)/512-1)<<(62-(bits-8))|uint64(at))
		default:
			at := alloc()
			be.PutUint64(e, uint64(at)|qcow2Copied)
			if _, err := f.WriteAt(content, at); err != nil {
				return level{}, err
			}
		}
	}
	for _, t := range sorted(l2) {
		b, at := l2[t], alloc()
		be.PutUint64(l1[8*t:], uint64(at)|qcow2Copied)
		if _, err := f.WriteAt(b, at); err != nil {
			return level{}, err
		}
	}
	h := make([]byte, 512)
	copy(h, qcow2Magic)
	be.PutUint32(h[4:], uint32(version))
	be.PutUint32(h[20:], uint32(bits))
	be.PutUint64(h[24:], uint64(m.size))
	be.PutUint32(h[36:], uint32(l1n))
	be.PutUint64(h[40:], uint64(cluster))
	// Reference counts are not read; QEMU wants a table.
	be.PutUint64(h[48:], uint64(alloc()))
	be.PutUint32(h[56:], 1)
	at := 72
	if version == 3 {
		if extended {
			be.PutUint64(h[72:], qcow2ExtendedL2)
		}
		be.PutUint32(h[96:], 4)
		be.PutUint32(h[100:], 104)
		at = 104
	}
	if parent != nil {
		format, name := parent.format.QEMU(), filepath.Base(parent.path)
		be.PutUint32(h[at:], qcow2ExtBacking)
		be.PutUint32(h[at+4:], uint32(len(format)))
		copy(h[at+8:], format)
		at += 8 + (len(format)+7)/8*8 + 8
		be.PutUint64(h[8:], uint64(at))
		be.PutUint32(h[16:], uint32(copy(h[at:], name)))
	}
	for at, b := range map[int64][]byte{0: h, cluster: l1} {
		if _, err := f.WriteAt(b, at); err != nil {
			return level{}, err
		}
	}
	what := fmt.Sprintf("qcow2 v%d %d bytes cluster %d extended %v", version, m.size, cluster, extended)
	return level{path: path, format: QCOW2, size: m.size, what: what}, f.Truncate(next * cluster)
}

// writeVHD writes a dynamic or, with a parent, a differencing VHD.
func writeVHD(r *rand.Rand, path string, m model, list []change, parent *level) (level, error) {
	be := binary.BigEndian
	bs := (512 * kib) << r.Intn(3)
	kind := uint32(vhdTypeDynamic)
	if parent != nil {
		kind = vhdTypeDifferencing
	}
	l := level{path: path, format: VHD, size: m.size, id: newID(), what: fmt.Sprintf("VHD %d bytes block %d", m.size, bs)}
	f, err := os.Create(path)
	if err != nil {
		return l, err
	}
	defer f.Close()
	n := (m.size + bs - 1) / bs
	tableEnd := roundUp(vhdTableAt+4*n, 512)
	head := bytes.Repeat([]byte{0xff}, int(tableEnd)+512)
	clear(head[:vhdTableAt])
	clear(head[tableEnd:])
	foot := newVHDFooter(m.size, kind, l.id).encode()
	copy(head, foot)
	h := head[footerSize:vhdTableAt]
	copy(h, vhdHeaderCookie)
	be.PutUint64(h[8:], ^uint64(0))
	be.PutUint64(h[16:], vhdTableAt)
	be.PutUint32(h[24:], 0x00010000)
	be.PutUint32(h[28:], uint32(n))
	be.PutUint32(h[32:], uint32(bs))
	if parent != nil {
		name := filepath.Base(parent.path)
		copy(h[40:], parent.id[:])
		copy(h[64:576], utf16Bytes(name, be))
		copy(h[576:], "W2ru")
		be.PutUint32(h[580:], 512)
		locator := utf16Bytes(`.\`+name, binary.LittleEndian)
		be.PutUint32(h[584:], uint32(len(locator)))
		be.PutUint64(h[592:], uint64(tableEnd))
		copy(head[tableEnd:], locator)
	}
	be.PutUint32(h[36:], vhdChecksum(h, 0))
	at := tableEnd + 512
	bitmapSize := roundUp(bs/512/8, 512)
	data, _ := touched(list, m.size, 512)
	blocks := map[int64][]byte{} // bitmaps
	where := map[int64]int64{}
	for _, s := range sorted(data) {
		b := s * 512 / bs
		if blocks[b] == nil {
			blocks[b], where[b] = make([]byte, bitmapSize), at
			be.PutUint32(head[vhdTableAt+4*b:], uint32(at/512))
			at += bitmapSize + bs
		}
		in := s % (bs / 512)
		blocks[b][in/8] |= 0x80 >> (in % 8)
		if _, err := f.WriteAt(m.bytes(s*512, 512), where[b]+bitmapSize+in*512); err != nil {
			return l, err
		}
	}
	for b, bitmap := range blocks {
		if _, err := f.WriteAt(bitmap, where[b]); err != nil {
			return l, err
		}
	}
	if _, err := f.WriteAt(head, 0); err != nil {
		return l, err
	}
	_, err = f.WriteAt(foot, at)
	return l, err
}

// writeVHDX writes a dynamic or, with a parent, a differencing VHDX.
func writeVHDX(r *rand.Rand, path string, m model, list []change, parent *level) (level, error) {
	le := binary.LittleEndian
	l := level{path: path, format: VHDX, size: m.size, what: fmt.Sprintf("VHDX %d bytes", m.size)}
	f, err := os.Create(path)
	if err != nil {
		return l, err
	}
	defer f.Close()
	const perBlock = copyUnit / 512
	w := newVHDXWriter(f, m.size, 512)
	blocks := (m.size + copyUnit - 1) / copyUnit
	chunks := (blocks + w.chunk - 1) / w.chunk
	w.table = make([]byte, roundUp(8*chunks*(w.chunk+1), mib))
	w.next = vhdxTableAt + int64(len(w.table))
	data, _ := touched(list, m.size, 512)
	covered, zero := touched(list, m.size, copyUnit)
	bitmaps, where := map[int64]int64{}, map[int64]int64{}
	for _, b := range sorted(covered) {
		e := w.table[8*(b+b/w.chunk):]
		if zero[b] {
			le.PutUint64(e, []uint64{vhdxZero, vhdxUnmapped}[r.Intn(2)])
			continue
		}
		where[b] = w.place(b, nil)
		if parent == nil {
			continue
		}
		w.table[8*(b+b/w.chunk)] |= vhdxPartiallyPresent
		if c := b / w.chunk; bitmaps[c] == 0 {
			bitmaps[c] = w.next
			le.PutUint64(w.table[8*(c*(w.chunk+1)+w.chunk):], uint64(w.next)|vhdxFullyPresent)
			w.next += mib
		}
	}
	bits := map[int64]map[int64]byte{}
	for s := range data {
		b := s / perBlock
		if where[b] == 0 {
			continue
		}
		if _, err := f.WriteAt(m.bytes(s*512, 512), where[b]+s%perBlock*512); err != nil {
			return l, err
		}
		c, bit := b/w.chunk, s%(perBlock*w.chunk)
		if bits[c] == nil {
			bits[c] = map[int64]byte{}
		}
		bits[c][bit/8] |= 1 << (bit % 8)
	}
	for c, at := range bitmaps {
		for i, v := range bits[c] {
			if _, err := f.WriteAt([]byte{v}, at+i); err != nil {
				return l, err
			}
		}
	}
	if err := w.finish(); err != nil {
		return l, err
	}
	if parent != nil {
		if err := addLocator(f, w, parent.id, ".\\"+filepath.Base(parent.path)); err != nil {
			return l, err
		}
	}
	h, err := readVHDXHeader(source{ReaderAt: f, size: w.next})
	l.id = h.DataWriteGuid
	return l, err
}
