package lz

const (
	bits3 = 12
	bits4 = 14
	prime = 0x9e3779b1 // of 2^32 by the golden ratio
)

// Matcher finds repeats within a chunk: longer ones by chains of places whose first four
// bytes have one hash, those of three bytes at the last place of their hash only. It is not
// safe for concurrent use.
type Matcher struct {
	window
	head3 [1 << bits3]uint16 // a place and 1; 0: none
	head4 [1 << bits4]uint16 // the last place of a chain, likewise
	prev  [Chunk]uint16      // the place before it in its chain, likewise
	// Nice is the length that ends a search.
	Nice int
}

// Reset begins with another chunk, at most Chunk bytes.
func (m *Matcher) Reset(src []byte) {
	m.fill(src)
	clear(m.head3[:])
	clear(m.head4[:])
}

// Skip makes places known without looking for a match there.
func (m *Matcher) Skip(from, to int) {
	for at := from; at < to; at++ {
		v := m.four(at)
		m.head3[v<<8*prime>>(32-bits3)] = uint16(at + 1)
		h := v * prime >> (32 - bits4)
		m.prev[at&(Chunk-1)] = m.head4[h]
		m.head4[h] = uint16(at + 1)
	}
}

// Find makes the place known and returns the longest match there that is longer than
// atLeast and has three bytes or more, the nearest of its length; 0 where there is none. It
// looks at so many places of a chain.
func (m *Matcher) Find(at, atLeast, depth int) (length, distance int) {
	if at >= m.n {
		return 0, 0
	}
	v := m.four(at)
	h := v << 8 * prime >> (32 - bits3)
	near := int(m.head3[h])
	m.head3[h] = uint16(at + 1)
	h = v * prime >> (32 - bits4)
	next := int(m.head4[h])
	m.prev[at&(Chunk-1)] = uint16(next)
	m.head4[h] = uint16(at + 1)

	most := m.n - at
	best := max(atLeast, 2)
	if best >= most {
		return 0, 0
	}
	if best < 3 {
		if near != 0 && (m.four(near-1)^v)<<8 == 0 {
			length, distance = 3, at-near+1
		}
		best = 3
		if most == 3 {
			return length, distance
		}
	}
	tail := m.four(at + best - 3)
	for ; next != 0 && depth > 0; depth-- {
		place := next - 1
		next = int(m.prev[place&(Chunk-1)])
		// What is longer than the best has its last three bytes and the one behind them.
		if m.four(place+best-3) != tail || m.four(place) != v {
			continue
		}
		if n := m.common(at, place, 4, most); n > best {
			best, length, distance = n, n, at-place
			if n >= m.Nice || n == most {
				break
			}
			tail = m.four(at + best - 3)
		}
	}
	return length, distance
}
