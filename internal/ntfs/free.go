package ntfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
)

// ErrUnsettled means that free clusters may still matter: the volume is dirty,
// its log is to be replayed, Windows is hibernated, or there are shadow copies.
var ErrUnsettled = errors.New("volume is not settled")

// FreeMap tells which clusters hold nothing that Windows will read again. Its
// methods are safe for concurrent use.
type FreeMap struct {
	base, cluster, clusters int64
	used                    []byte // one bit per cluster
	free, dropped           int64  // clusters
	checked                 int64  // clusters of files held against the bitmap
}

// FreeMap builds the map of free clusters. The files named in drop (such as
// pagefile.sys) count as free too; missing ones are passed over.
//
// It refuses a volume that is not settled (ErrUnsettled), and it does not
// trust the $Bitmap: every run of every MFT record in use is held against it,
// and one cluster in use that the $Bitmap calls free is ErrCorrupt.
func (v *Volume) FreeMap(ctx context.Context, drop ...string) (*FreeMap, error) {
	if err := v.settled(); err != nil {
		return nil, err
	}
	used, err := v.readSystem(recordBitmap, min(v.clusters/8+1<<20, maxBitmap))
	if err == nil && int64(len(used)) < (v.clusters+7)/8 {
		err = corrupt("%d bytes for %d clusters", len(used), v.clusters)
	}
	if err != nil {
		return nil, fmt.Errorf("reading $Bitmap: %w", err)
	}
	m := &FreeMap{base: v.base, cluster: v.cluster, clusters: v.clusters, used: used}
	if err := v.eachRecord(ctx, func(rec *record) error { return m.check(v, rec) }); err != nil {
		return nil, fmt.Errorf("comparing files with $Bitmap: %w", err)
	}
	m.free = m.clusters - marked(used, m.clusters)
	for _, name := range drop {
		if err := m.drop(v, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return m, nil
}

// maxBitmap is the $Bitmap of 32 TiB in clusters of 4 KiB.
const maxBitmap = 1 << 30

// marked counts the bits that are set among the first n.
func marked(b []byte, n int64) (count int64) {
	for _, c := range b[:n/8] {
		count += int64(bits.OnesCount8(c))
	}
	if n%8 != 0 {
		count += int64(bits.OnesCount8(b[n/8] << (8 - n%8)))
	}
	return count
}

// FreeSpace counts the bytes in clusters that $Bitmap calls free.
func (v *Volume) FreeSpace() (int64, error) {
	rec, err := v.record(recordBitmap)
	if err != nil {
		return 0, err
	}
	s, err := (&file{v, rec}).open("")
	if err != nil {
		return 0, err
	}
	if need := (v.clusters + 7) / 8; need > maxBitmap {
		return 0, fmt.Errorf("%d bytes, at most %d are expected: %w", need, int64(maxBitmap), ErrTooLarge)
	}
	b := make([]byte, 64<<10)
	free := int64(0)
	for off := int64(0); 8*off < v.clusters; off += int64(len(b)) {
		if err := v.budget.Spend(0, 1); err != nil {
			return 0, err
		}
		n := min(v.clusters-8*off, 8*int64(len(b)))
		if err := s.readFull(b[:(n+7)/8], off); err != nil {
			return 0, err
		}
		free += n - marked(b, n)
	}
	return free * v.cluster, nil
}

func (v *Volume) settled() error {
	if v.Dirty() {
		return fmt.Errorf("%w: it is marked dirty", ErrUnsettled)
	}
	clean, err := v.LogClean()
	if err != nil {
		return err
	}
	if !clean {
		return fmt.Errorf("%w: Windows did not dismount it, its $LogFile is to be replayed", ErrUnsettled)
	}
	h, err := v.Hibernation()
	if err != nil {
		return err
	}
	if h == HibernationActive || h == HibernationUnknown {
		return fmt.Errorf("%w: hiberfil.sys says Windows is %s", ErrUnsettled, h)
	}
	shadows, err := v.ShadowCopies()
	if err != nil {
		return err
	}
	if shadows.Any() {
		return fmt.Errorf("%w: there are shadow copies, which read free clusters", ErrUnsettled)
	}
	return nil
}

// eachRecord calls f with every MFT record in use, extension records too. A
// record that is not one although the $MFT's bitmap has it in use is an error.
func (v *Volume) eachRecord(ctx context.Context, f func(*record) error) error {
	first, err := v.record(recordMFT)
	if err != nil {
		return err
	}
	pieces, err := (&file{v, first}).pieces(kindBitmap, "")
	if err != nil {
		return err
	}
	allocated, err := v.newStream(pieces, false)
	if err != nil {
		return err
	}
	const batch = 1024
	count := v.mft.size / v.recordSize
	inUse := make([]byte, batch/8)
	records := make([]byte, batch*v.recordSize)
	for from := int64(0); from < count; from += batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(batch, count-from)
		if err := allocated.readFull(inUse[:(n+7)/8], from/8); err != nil {
			return fmt.Errorf("reading bitmap of $MFT: %w", err)
		}
		b := records[:n*v.recordSize]
		if err := v.mft.readFull(b, from*v.recordSize); err != nil {
			return fmt.Errorf("reading $MFT: %w", err)
		}
		for i := range n {
			if inUse[i/8]>>(i%8)&1 == 0 {
				continue
			}
			rec, err := parseRecord(b[i*v.recordSize:(i+1)*v.recordSize], from+i)
			if err != nil {
				return err
			}
			if !rec.inUse {
				continue
			}
			if err := f(rec); err != nil {
				return fmt.Errorf("MFT record %d: %w", from+i, err)
			}
		}
	}
	return nil
}

func (m *FreeMap) inUse(c int64) bool { return m.used[c>>3]>>(c&7)&1 != 0 }

// check holds the runs of a record against the bitmap.
func (m *FreeMap) check(v *Volume, rec *record) error {
	for _, a := range rec.attributes {
		if !a.nonResident {
			continue
		}
		runs, err := v.decodeRuns(a, nil)
		if err != nil {
			return err
		}
		for _, r := range runs {
			if r.LCN < 0 {
				continue
			}
			// No cluster belongs to two files, so that all together have no
			// more than the volume.
			if m.checked += r.Count; m.checked > m.clusters {
				return corrupt("files use more clusters than the volume has")
			}
			for c := r.LCN; c < r.LCN+r.Count; c++ {
				if !m.inUse(c) {
					return corrupt("attribute %#x uses cluster %d, which $Bitmap calls free", a.kind, c)
				}
			}
		}
	}
	return nil
}

func (m *FreeMap) drop(v *Volume, name string) error {
	f, err := v.find(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	s, err := f.open("")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, r := range s.runs {
		if r.LCN < 0 {
			continue
		}
		if m.dropped += r.Count; m.dropped > m.clusters {
			return fmt.Errorf("%s: %w", name, corrupt("it uses more clusters than the volume has"))
		}
		for c := r.LCN; c < r.LCN+r.Count; c++ {
			m.used[c>>3] &^= 1 << (c & 7)
		}
	}
	return nil
}

// Free is the number of bytes in free clusters.
func (m *FreeMap) Free() int64 { return m.free * m.cluster }

// Dropped is the number of bytes in the files to be dropped.
func (m *FreeMap) Dropped() int64 { return m.dropped * m.cluster }

// Skippable reports whether the n bytes at off of the disk (not of the
// volume) lie wholly in free clusters of this volume.
func (m *FreeMap) Skippable(off, n int64) bool {
	off -= m.base
	if off < 0 || n <= 0 {
		return false
	}
	first, last := off/m.cluster, (off+n-1)/m.cluster
	if last >= m.clusters {
		return false
	}
	for c := first; c <= last; c++ {
		if m.inUse(c) {
			return false
		}
	}
	return true
}
