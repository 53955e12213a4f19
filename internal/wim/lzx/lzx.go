// Package lzx compresses chunks of a WIM as LZX does: LZ77 with prefix codes, each chunk of
// at most 32 KiB on its own.
//
// Sources: [MS-PATCH] section 2 ("LZX DELTA compression and decompression") for codes,
// distances and blocks. WIM differs from it: a window of 32 KiB that begins anew with each
// chunk, a bit in the header of a block that stands for a size of 32 KiB, codes of 16 bits
// at most, and calls that are always translated, as if the file had 12,000,000 bytes. These
// differences are as the wimlib project documents them, and as its program reads them.
package lzx

import (
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim/lz"
)

const (
	slots       = 30 // of distances in a window of 32 KiB
	literals    = 256
	mainSymbols = literals + 8*slots
	minMatch    = 2
	maxMatch    = 257
	inHeader    = 7 // lengths beyond minMatch that the main symbol holds; of more a second one does
	lengths     = maxMatch - minMatch - inHeader + 1
	// recents is added to distances, as 0, 1 and 2 stand for those of the last three matches.
	// So the last slot ends two bytes before the window does. No match is that far away: in
	// the last three bytes of a chunk the tree finds none.
	recents       = 2
	alignedBits   = 3
	longestWord   = 16
	longestAlign  = 7
	sizeOfDefault = 32 << 10

	verbatim, aligned = 1, 2 // kinds of blocks
)

const (
	depth = 16 // places that are looked at for a match
	nice  = 32 // the length from which on a match is taken without another thought
)

// Compressor compresses one chunk after the other. It is not safe for concurrent use.
type Compressor struct {
	tree    lz.Tree
	n       int
	src     []byte     // the chunk, its calls translated
	matches []lz.Match // of all places, one after the other
	first   [lz.Chunk + 1]uint32

	ways   [lz.Chunk + 1]way
	last   [lz.Chunk + 1]queue // the last distances of the way to a place
	steps  [lz.Chunk]step      // those of a block end where it ends
	start  int                 // and the last begins there
	prices prices
	split  splitter

	counts            counts
	main, length, low lz.Code
	pre               lz.Code
	deltas            [2 * mainSymbols]delta
	written           codes // those of the block before
	out               writer
}

// New makes a compressor.
func New() *Compressor {
	return &Compressor{
		tree:    lz.Tree{Nice: nice, Longest: maxMatch, Depth: depth},
		matches: make([]lz.Match, 0, 8*lz.Chunk),
	}
}

// Compress writes src, at most 32 KiB, into dst and returns how many bytes that are; 0
// if they would not be fewer than those of src, which is then to be stored as it is. dst
// is at least as long as src.
func (c *Compressor) Compress(dst, src []byte) int {
	if len(src) == 0 || len(src) > lz.Chunk {
		return 0
	}
	c.src, c.n = c.tree.Reset(src), len(src)
	translateCalls(c.src)
	c.find()
	ends := c.split.blocks(c.src, c.draft())
	c.out.begin(dst[:len(src)])
	c.written = codes{}
	last := queue{1, 1, 1}
	from := 0
	for i, to := range ends {
		c.prices.set(c.split.of(i))
		last = c.parse(from, to, last)
		c.counts = counts{}
		c.counts.addAll(c.src[from:to], c.block(to))
		c.write(from, to)
		if c.out.full {
			return 0
		}
		from = to
	}
	return c.out.end()
}

// find looks for the matches of all places. Where there is a long one it is taken, and
// those within it are not looked for.
func (c *Compressor) find() {
	m := c.matches[:0]
	for at := 0; at < c.n; {
		c.first[at] = uint32(len(m))
		if cap(m)-len(m) < depth+2 { // the rest is taken byte by byte
			at++
			continue
		}
		before := len(m)
		m = c.tree.Find(at, m)
		at++
		if len(m) == before || m[len(m)-1].Length < nice {
			continue
		}
		end := at - 1 + int(m[len(m)-1].Length)
		c.tree.Skip(at, end)
		for ; at < end; at++ {
			c.first[at] = uint32(len(m))
		}
	}
	c.first[c.n] = uint32(len(m))
	c.matches = m
}
