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
	distance uint16 // 0: a byte
	value    uint16 // the byte, or the length
}

// New makes a compressor.
func New() *Compressor {
	return &Compressor{matcher: lz.Matcher{Depth: 24, Nice: 64}}
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
		if it.distance == 0 {
			w.bits(uint32(c.code.Words[it.value]), int(c.code.Lengths[it.value]))
			continue
		}
		s, high := symbol(int(it.value), int(it.distance))
		w.bits(uint32(c.code.Words[s]), int(c.code.Lengths[s]))
		if more := int(it.value) - minMatch; more >= 15 {
			w.length(more)
		}
		w.bits(uint32(it.distance)-1<<high, high)
	}
	w.bits(uint32(c.code.Words[endOfData]), int(c.code.Lengths[endOfData]))
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
	items, at := c.items[:0], 0
	length, distance := m.Find(0, minMatch-1)
	for at < len(src) {
		if useless(length, distance) {
			c.frequencies[src[at]]++
			items = append(items, item{0, uint16(src[at])})
			at++
			length, distance = m.Find(at, minMatch-1)
			continue
		}
		inserted := at + 1
		if length < m.Nice {
			longer, further := m.Find(at+1, length)
			inserted++
			if longer > length {
				c.frequencies[src[at]]++
				items = append(items, item{0, uint16(src[at])})
				at++
				length, distance = longer, further
				continue
			}
		}
		s, _ := symbol(length, distance)
		c.frequencies[s]++
		items = append(items, item{uint16(distance), uint16(length)})
		for at += length; inserted < at; inserted++ {
			m.Insert(inserted)
		}
		length, distance = m.Find(at, minMatch-1)
	}
	return items
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
	held        uint32
	free        int // bits of the word at hand
	first, then int // where the word at hand and the one after it go
	at          int
	full        bool // dst is too short
}

func (w *bitWriter) begin(dst []byte, at int) {
	*w = bitWriter{dst: dst, free: 16, first: at, then: at + 2, at: at + 4}
	w.full = w.at > len(dst)
}

func (w *bitWriter) word(at int, v uint32) {
	if at+2 > len(w.dst) {
		w.full = true
		return
	}
	binary.LittleEndian.PutUint16(w.dst[at:], uint16(v))
}

// bits writes the lowest n bits, at most 16.
func (w *bitWriter) bits(v uint32, n int) {
	if n <= w.free {
		w.held = w.held<<n | v
		w.free -= n
		return
	}
	n -= w.free
	w.word(w.first, w.held<<w.free|v>>n)
	w.first, w.then = w.then, w.at
	w.at += 2
	w.held, w.free = v&(1<<n-1), 16-n
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
	w.word(w.first, w.held<<w.free)
	w.word(w.then, 0)
	if w.full || w.at >= len(w.dst) {
		return 0
	}
	return w.at
}
