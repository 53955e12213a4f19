package diskimage

import (
	"cmp"
	"slices"
)

// Patch is bytes that a disk shows at an offset instead of its own.
type Patch struct {
	At    int64
	Bytes []byte
}

// Patched is a disk with some bytes changed, and zeros behind its end up to size,
// which is not less than its own. Patches must not overlap; those that begin behind
// size show nothing.
func Patched(d Disk, size int64, patches []Patch) Disk {
	p := &patched{Disk: d, size: size, patches: slices.Clone(patches)}
	slices.SortFunc(p.patches, func(a, b Patch) int { return cmp.Compare(a.At, b.At) })
	return p
}

type patched struct {
	Disk
	size    int64
	patches []Patch
}

func (p *patched) Size() int64 { return p.size }

func (p *patched) Info() Info {
	i := p.Disk.Info()
	i.VirtualSize = p.size
	return i
}

func (p *patched) ReadAt(b []byte, off int64) (int, error) {
	b, end := clip(b, off, p.size)
	if len(b) == 0 {
		return 0, end
	}
	if err := readPadded(p.Disk, b, off); err != nil {
		return 0, err
	}
	for _, c := range p.patches {
		from, to := max(c.At, off), min(c.At+int64(len(c.Bytes)), off+int64(len(b)))
		if from < to {
			copy(b[from-off:to-off], c.Bytes[from-c.At:to-c.At])
		}
	}
	return len(b), end
}

func (p *patched) NextData(off int64) (int64, int64, error) {
	if off >= p.size {
		return p.size, p.size, nil
	}
	start, end := p.size, p.size
	if off < p.Disk.Size() {
		var err error
		if start, end, err = p.Disk.NextData(off); err != nil {
			return 0, 0, err
		}
		if start == end {
			start, end = p.size, p.size
		}
	}
	for _, c := range p.patches {
		from, to := max(c.At, off), min(c.At+int64(len(c.Bytes)), p.size)
		if from < to && from < start {
			start, end = from, to
		}
	}
	return start, end, nil
}
