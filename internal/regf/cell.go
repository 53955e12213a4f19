package regf

import (
	"io"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
)

// cache keeps the last blocks read: key nodes, their lists and values lie
// close together, and a block of a remote image is dear.
type cache struct {
	r      io.ReaderAt
	budget *budget.Budget
	size   int64 // of a block, a power of two
	kept   int
	blocks map[int64][]byte
	order  []int64 // oldest first
}

const (
	blockSize  = 64 << 10
	blocksKept = 128 // 8 MiB
	binsKept   = 2048
)

// Blocks sets the pieces in which the file is read from now on: their size in bytes, a
// power of two, and how many are kept. Without it they suit few looks over a slow network;
// who walks through much of a hive reads less in small ones.
func (h *Hive) Blocks(size int64, kept int) {
	h.cache = cache{r: h.cache.r, budget: h.cache.budget, size: size, kept: kept}
}

// block returns the bytes of the hive bins data from off, a multiple of the size of a
// block; fewer than that at the end of the file.
func (c *cache) block(off int64) ([]byte, error) {
	if b, ok := c.blocks[off]; ok {
		return b, nil
	}
	if err := c.budget.Spend(c.size, 0); err != nil {
		return nil, err
	}
	b := make([]byte, c.size)
	n, err := c.r.ReadAt(b, baseSize+off)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if c.blocks == nil {
		c.blocks = map[int64][]byte{}
	}
	if len(c.order) == c.kept {
		delete(c.blocks, c.order[0])
		c.order = c.order[1:]
	}
	c.blocks[off] = b[:n]
	c.order = append(c.order, off)
	return b[:n], nil
}

// read fills p from the hive bins data at off, as the logs left it.
func (h *Hive) read(p []byte, off int64) error {
	if off < 0 || int64(len(p)) > h.size-off {
		return corrupt("reference to %d bytes at %#x, the hive has %#x", len(p), off, h.size)
	}
	for len(p) > 0 {
		n := 0
		if s, ok := h.overlay[off&^(sector-1)]; ok {
			n = copy(p, s[off%sector:])
		} else {
			b, err := h.cache.block(off &^ (h.cache.size - 1))
			if err != nil {
				return err
			}
			at := off % h.cache.size
			if at >= int64(len(b)) {
				return corrupt("file ends before offset %#x", off)
			}
			b = b[at:]
			if h.overlay != nil {
				b = b[:min(int64(len(b)), sector-off%sector)]
			}
			n = copy(p, b)
		}
		p = p[n:]
		off += int64(n)
	}
	return nil
}

// binOf finds the hive bin that holds off and checks its header (section
// "Hive bin"): a bin says where it lies, which tells misplaced or missing data.
func (h *Hive) binOf(off int64) (bin, error) {
	at, found := h.knownBin(off)
	if found {
		return h.bins[at], nil
	}
	for page := off &^ (pageSize - 1); page >= 0; page -= pageSize {
		if err := h.budget.Spend(0, 1); err != nil {
			return bin{}, err
		}
		var head [12]byte
		if err := h.read(head[:], page); err != nil {
			return bin{}, err
		}
		if string(head[:4]) != "hbin" || int64(le.Uint32(head[4:])) != page {
			continue
		}
		b := bin{page, page + int64(le.Uint32(head[8:]))}
		if b.end <= off {
			break
		}
		if b.end > h.size || b.end%pageSize != 0 {
			return bin{}, corrupt("hive bin at %#x has a size of %#x", page, b.end-page)
		}
		if len(h.bins) == binsKept {
			h.bins, at = nil, 0
		}
		h.bins = slices.Insert(h.bins, at, b)
		return b, nil
	}
	return bin{}, corrupt("no hive bin has offset %#x: the header of one is damaged", off)
}

// knownBin finds off among the bins that were looked up before, which are in
// the order of their ends, or says where a new one belongs.
func (h *Hive) knownBin(off int64) (int, bool) {
	at, _ := slices.BinarySearchFunc(h.bins, off, func(b bin, off int64) int {
		if b.end <= off {
			return -1
		}
		return 1
	})
	return at, at < len(h.bins) && h.bins[at].start <= off
}

// cellSize returns the number of content bytes of the allocated cell at off
// (section "Cell").
func (h *Hive) cellSize(off uint32) (int64, error) {
	if off == none || off%8 != 0 {
		return 0, corrupt("cell offset %#x", off)
	}
	if int64(off) >= h.size {
		return 0, corrupt("cell offset %#x, the hive has %#x", off, h.size)
	}
	b, err := h.binOf(int64(off))
	if err != nil {
		return 0, err
	}
	if int64(off) < b.start+32 {
		return 0, corrupt("cell offset %#x lies in the header of a hive bin", off)
	}
	var head [4]byte
	if err := h.read(head[:], int64(off)); err != nil {
		return 0, err
	}
	size := -int64(int32(le.Uint32(head[:])))
	if size <= 0 {
		return 0, corrupt("cell at %#x is not allocated", off)
	}
	if size < 8 || size%8 != 0 || size > b.end-int64(off) {
		return 0, corrupt("cell at %#x has a size of %#x", off, size)
	}
	return size - 4, nil
}

// cell reads the first n bytes of content of the cell at off.
func (h *Hive) cell(off uint32, n int64) ([]byte, error) {
	size, err := h.cellSize(off)
	if err != nil {
		return nil, err
	}
	if n > size {
		return nil, corrupt("cell at %#x has %d bytes of content, %d are needed", off, size, n)
	}
	p := make([]byte, n)
	return p, h.read(p, int64(off)+4)
}
