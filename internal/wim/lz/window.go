package lz

import (
	"encoding/binary"
	"math/bits"
)

// Chunk is the most that is compressed as one: a chunk of a WIM, 32 KiB.
const Chunk = 32 << 10

const pad = 16 // bytes that may be looked at behind the end

// window holds a chunk.
type window struct {
	src [Chunk + pad]byte
	n   int
}

// fill copies a chunk, at most Chunk bytes.
func (w *window) fill(src []byte) {
	w.n = copy(w.src[:Chunk], src)
	clear(w.src[w.n:min(w.n+pad, len(w.src))])
}

func (w *window) four(at int) uint32 {
	return binary.LittleEndian.Uint32(w.src[at&(Chunk-1):][:4])
}

// common is how many bytes, at most so many, two places have in common, the first n known
// to be. There are so many at both.
func (w *window) common(at, place, n, most int) int {
	for n < most {
		x := binary.LittleEndian.Uint64(w.src[at+n:]) ^ binary.LittleEndian.Uint64(w.src[place+n:])
		if x != 0 {
			return min(n+bits.TrailingZeros64(x)/8, most)
		}
		n += 8
	}
	return most
}
