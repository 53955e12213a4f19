package lz

import (
	"encoding/binary"
	"math/bits"
)

// Chunk is the most that is compressed as one: a chunk of a WIM, 32 KiB.
const Chunk = 32 << 10

const (
	hashBits = 14
	minMatch = 3
)

// Matcher finds repeats within a chunk by chains of places whose first three bytes have
// one hash. It is not safe for concurrent use.
type Matcher struct {
	src  []byte
	head [1 << hashBits]uint16 // the last place of a hash and 1; 0: none
	prev [Chunk]uint16         // the place before it in its chain, likewise
	// Depth is how many places of a chain are looked at, Nice the length that ends the
	// search.
	Depth, Nice int
}

// Reset begins with another chunk, at most Chunk bytes.
func (m *Matcher) Reset(src []byte) {
	m.src = src
	clear(m.head[:])
}

func (m *Matcher) hash(at int) uint32 {
	b := m.src[at : at+3 : at+3]
	v := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
	return v * 0x9e3779b1 >> (32 - hashBits)
}

// Insert makes the place known without looking for a match there.
func (m *Matcher) Insert(at int) {
	if at+minMatch > len(m.src) {
		return
	}
	h := m.hash(at)
	m.prev[at] = m.head[h]
	m.head[h] = uint16(at + 1)
}

// Find makes the place known and returns the longest match there that is longer than
// atLeast, the nearest of its length; 0 where there is none.
func (m *Matcher) Find(at, atLeast int) (length, distance int) {
	src := m.src
	if at+minMatch > len(src) {
		return 0, 0
	}
	h := m.hash(at)
	next := m.head[h]
	m.prev[at] = next
	m.head[h] = uint16(at + 1)
	best := max(atLeast, minMatch-1)
	most := len(src) - at
	if best >= most {
		return 0, 0
	}
	here := src[at:]
	for depth := m.Depth; next != 0 && depth > 0; depth-- {
		place := int(next) - 1
		next = m.prev[place]
		there := src[place:]
		// What is longer than the best has its last byte and the one behind it.
		if there[best] != here[best] || there[best-1] != here[best-1] || there[0] != here[0] {
			continue
		}
		n := common(here, there)
		if n > best {
			best, length, distance = n, n, at-place
			if n >= m.Nice || n == most {
				break
			}
		}
	}
	return length, distance
}

// common is how many bytes a and b, which is longer, begin with in common.
func common(a, b []byte) int {
	n := 0
	b = b[:len(a)]
	for len(a)-n >= 8 {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)/8
		}
		n += 8
	}
	for n < len(a) && a[n] == b[n] {
		n++
	}
	return n
}
