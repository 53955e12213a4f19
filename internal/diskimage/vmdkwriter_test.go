package diskimage

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
)

// writeVMDK writes a sparse VMDK, compressed where it has no parent and the dice say
// so, as a program that copies whole grains on write would have left it.
func writeVMDK(r *rand.Rand, path string, m model, list []change, parent *level) (level, error) {
	grain := int64(8*vmdkSector) << r.Intn(6)
	packed := parent == nil && r.Intn(3) == 0
	l := level{path: path, format: VMDK, size: m.size, what: fmt.Sprintf("VMDK %d bytes grain %d compressed %t", m.size, grain, packed)}
	f, err := os.Create(path)
	if err != nil {
		return l, err
	}
	defer f.Close()

	h := testHeader(m.size, vmdkZeroGrains)
	h.GrainSize = uint64(grain / vmdkSector)
	if packed {
		h.Version, h.CompressAlgorithm, h.Flags = 3, vmdkDeflate, h.Flags|vmdkCompressed|vmdkMarkers
	} else {
		h.Flags |= vmdkRedundant
	}
	l.id[0] = byte(1 + r.Intn(250))
	desc := fmt.Sprintf("# Disk DescriptorFile\nversion=1\nCID=000000%02x\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\nRW %d SPARSE \"%s\"\n", l.id[0], h.Capacity, filepath.Base(path))
	if parent != nil {
		desc = fmt.Sprintf("# Disk DescriptorFile\nversion=1\nCID=000000%02x\nparentCID=000000%02x\ncreateType=\"monolithicSparse\"\nparentFileNameHint=\"%s\"\nRW %d SPARSE \"%s\"\n",
			l.id[0], parent.id[0], filepath.Base(parent.path), h.Capacity, filepath.Base(path))
	}
	directory := make([]uint32, h.tables(m.size))
	next := int64(64 * vmdkSector)
	alloc := func(n int64) int64 {
		at := next
		next = roundUp(next+n, vmdkSector)
		return at
	}
	h.GDOffset = uint64(alloc(4*int64(len(directory))) / vmdkSector)
	second := make([]uint32, len(directory))
	h.RGDOffset = uint64(alloc(4*int64(len(directory))) / vmdkSector)

	tables := map[int64][]uint32{}
	data, zero := touched(list, m.size, grain)
	for _, g := range sorted(data) {
		i := g / vmdkPerTable
		if tables[i] == nil {
			tables[i] = make([]uint32, vmdkPerTable)
		}
		if zero[g] {
			tables[i][g%vmdkPerTable] = 1
			continue
		}
		content := m.bytes(g*grain, grain)
		if packed {
			p := streamPack(content)
			content = append(pack(le, uint64(g*grain/vmdkSector), uint32(len(p))), p...)
		}
		at := alloc(int64(len(content)))
		tables[i][g%vmdkPerTable] = uint32(at / vmdkSector)
		if _, err := f.WriteAt(content, at); err != nil {
			return l, err
		}
	}
	for _, i := range sorted(tables) {
		for _, d := range [][]uint32{directory, second} {
			at := alloc(vmdkTableSize)
			d[i] = uint32(at / vmdkSector)
			if _, err := f.WriteAt(pack(le, tables[i]), at); err != nil {
				return l, err
			}
		}
	}
	h.OverHead = 64
	for at, b := range map[int64][]byte{0: pack(le, h), vmdkSector: []byte(desc), int64(h.GDOffset) * vmdkSector: pack(le, directory), int64(h.RGDOffset) * vmdkSector: pack(le, second)} {
		if _, err := f.WriteAt(b, at); err != nil {
			return l, err
		}
	}
	return l, f.Truncate(next)
}
