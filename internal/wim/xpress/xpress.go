// Package xpress compresses chunks of a WIM as XPRESS does: LZ77 with a prefix code
// ([MS-XCA] 2.1, "LZ77+Huffman Compression"), each chunk of at most 32 KiB on its own.
package xpress

import (
	"encoding/binary"
	"math/bits"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim/lz"
)

const (
	symbols   = 512 // 256 bytes, then matches: 4 bits of their distance, 4 of their length
	endOfData = 256
	longest   = 15 // bits of a word
	tableSize = symbols / 2
	minMatch  = 3
)

// Compressor compresses one chunk after the other. It is not safe for concurrent use.
type Compressor struct {
	matcher     lz.Matcher
	code        lz.Code
	frequencies [symbols]uint32
	items       [lz.Chunk + 1]item
	out         bitWriter
}

// item is a byte, or a match.
type item struct {
	symbol   uint16
	distance uint16 // without its highest bit
	length   uint16 // 0: a byte
}

const (
	depth = 4 // places that are looked at for a match
	lazy  = 2 // and for a longer one at the next byte
	nice  = 32
	// patient is the length from which on a longer one is not looked for.
	patient = 24
)

// New makes a compressor.
func New() *Compressor {
	return &Compressor{matcher: lz.Matcher{Nice: nice}}
}

// Compress writes src, at most 32 KiB, into dst and returns how many bytes that are; 0
// if they would not be fewer than those of src, which is then to be stored as it is. dst
// is at least as long as src.
func (c *Compressor) Compress(dst, src []byte) int {
	if len(src) <= tableSize || len(src) > lz.Chunk {
		return 0
	}
	items := c.parse(src)
	c.code.Build(c.frequencies[:], longest)
	size := tableSize
	total := 0
	for s, f := range c.frequencies {
		total += int(f) * (int(c.code.Lengths[s]) + extraBits(s))
	}
	if size += total / 8; size >= len(src) {
		return 0
	}
	for i := range tableSize {
		dst[i] = c.code.Lengths[2*i] | c.code.Lengths[2*i+1]<<4
	}
	w := &c.out
	w.begin(dst[:len(src)], tableSize)
	for _, it := range items {
		word, n := uint64(c.code.Words[it.symbol]), uint(c.code.Lengths[it.symbol])
		if it.length == 0 {
			w.bits(word, n)
			continue
		}
		high := uint(it.symbol-256) >> 4
		if it.symbol&15 == 15 { // the length follows the word
			w.bits(word, n)
			w.length(int(it.length) - minMatch)
			word, n = 0, 0
		}
		w.bits(word<<high|uint64(it.distance), n+high)
	}
	w.bits(uint64(c.code.Words[endOfData]), uint(c.code.Lengths[endOfData]))
	return w.end()
}

// symbol is that of a match, and how many bits of its distance follow.
func symbol(length, distance int) (s, high int) {
	high = bits.Len32(uint32(distance)) - 1
	return 256 + high<<4 + min(length-minMatch, 15), high
}

// extraBits are those that follow a symbol, without the bytes of long lengths.
func extraBits(s int) int { return max(s-256, 0) >> 4 }

// parse divides src into bytes and matches: a match is taken unless there is a longer
// one at the next byte.
func (c *Compressor) parse(src []byte) []item {
	clear(c.frequencies[:])
	c.frequencies[endOfData] = 1
	m := &c.matcher
	m.Reset(src)
	items, n, at := &c.items, 0, 0
	length, distance := m.Find(0, 0, depth)
	for at < len(src) {
		if useless(length, distance) {
			b := src[at]
			c.frequencies[b]++
			items[n] = item{symbol: uint16(b)}
			n++
			at++
			length, distance = m.Find(at, 0, depth)
			continue
		}
		inserted := at + 1
		if length < patient {
			inserted++
			if longer, further := m.Find(at+1, length, lazy); longer > 0 {
				b := src[at]
				c.frequencies[b]++
				items[n] = item{symbol: uint16(b)}
				n++
				at++
				length, distance = longer, further
				continue
			}
		}
		s, high := symbol(length, distance)
		c.frequencies[s&(symbols-1)]++
		items[n] = item{uint16(s), uint16(distance - 1<<high), uint16(length)}
		n++
		m.Skip(inserted, at+length)
		at += length
		length, distance = m.Find(at, 0, depth)
	}
	return c.items[:n]
}

// useless tells of a match that costs more than its bytes.
func useless(length, distance int) bool {
	return length < minMatch || length == minMatch && distance > 4096
}

// bitWriter writes words of 16 bits, the highest bit first, with bytes in between: a
// reader holds two words ahead, so that the place of each is set before the bytes that
// follow it ([MS-XCA] 2.1.4.3).
type bitWriter struct {
	dst         []byte
	held        uint64 // the last bits of it are not written
	used        uint   // so many
	first, then int    // where the word at hand and the one after it go
	at          int
	full        bool // dst is too short
}

func (w *bitWriter) begin(dst []byte, at int) {
	*w = bitWriter{dst: dst, first: at, then: at + 2, at: at + 4}
	w.full = w.at > len(dst)
}

func (w *bitWriter) word(at int, v uint16) {
	if at+2 > len(w.dst) {
		w.full = true
		return
	}
	binary.LittleEndian.PutUint16(w.dst[at:], v)
}

// bits writes the lowest n bits, at most 32. A word is written when there are more bits
// than it holds, not before.
func (w *bitWriter) bits(v uint64, n uint) {
	w.held = w.held<<n | v
	for w.used += n; w.used > 16; {
		w.used -= 16
		w.word(w.first, uint16(w.held>>w.used))
		w.first, w.then = w.then, w.at
		w.at += 2
	}
}

// length writes that of a match behind its symbol.
func (w *bitWriter) length(more int) {
	if more-15 < 255 {
		w.byte(byte(more - 15))
		return
	}
	w.byte(255)
	w.byte(byte(more))
	w.byte(byte(more >> 8))
}

func (w *bitWriter) byte(b byte) {
	if w.at >= len(w.dst) {
		w.full = true
		return
	}
	w.dst[w.at] = b
	w.at++
}

// end returns how much was written, 0 if it is not less than there was room.
func (w *bitWriter) end() int {
	w.word(w.first, uint16(w.held<<(16-w.used)))
	w.word(w.then, 0)
	if w.full || w.at >= len(w.dst) {
		return 0
	}
	return w.at
}
