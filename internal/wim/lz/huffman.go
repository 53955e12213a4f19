// Package lz holds what the compressors of a WIM have in common: prefix codes of a
// bounded length, and the search for matches within a chunk.
package lz

import (
	"slices"
)

// Symbols is the largest alphabet that Code can encode.
const Symbols = 512

// Code makes canonical prefix codes. It is used again and again, so that nothing is
// allocated; it is not safe for concurrent use.
type Code struct {
	Lengths [Symbols]uint8  // 0: the symbol does not occur
	Words   [Symbols]uint16 // the lowest bits, the first of them the highest

	used   [Symbols]uint32 // frequency and symbol of each that occurs
	weight [Symbols]uint32
}

// Build computes the code of the frequencies, no word longer than limit bits (at most 16),
// the shortest words and within a length the lowest symbols first. Of a single symbol
// that occurs a second one is given a word too, since decoders ask for two. Frequencies
// are below 2^20.
func (c *Code) Build(frequencies []uint32, limit int) {
	n := len(frequencies)
	clear(c.Lengths[:n])
	clear(c.Words[:n])
	used := c.used[:0]
	for s, f := range frequencies {
		if f > 0 {
			used = append(used, min(f, 1<<22-1)<<9|uint32(s))
		}
	}
	switch len(used) {
	case 0:
		return
	case 1:
		s := used[0] & (Symbols - 1)
		other := uint32(0)
		if s == 0 {
			other = 1
		}
		c.Lengths[s], c.Lengths[other] = 1, 1
		c.words(n)
		return
	}
	slices.Sort(used)
	var count [Symbols + 1]int
	c.depths(used, &count)
	shorten(&count, limit)
	// The rarest symbols have the longest words.
	i := 0
	for length := limit; length > 0; length-- {
		for range count[length] {
			c.Lengths[used[i]&(Symbols-1)] = uint8(length)
			i++
		}
	}
	c.words(n)
}

// depths counts the leaves of each depth of the Huffman tree over the frequencies, in
// place: A. Moffat and J. Katajainen, "In-Place Calculation of Minimum-Redundancy Codes"
// (1995).
func (c *Code) depths(used []uint32, count *[Symbols + 1]int) {
	n := len(used)
	w := c.weight[:n]
	for i, u := range used {
		w[i] = u >> 9
	}
	// Parents.
	root, leaf := 0, 0
	for next := range n - 1 {
		var sum uint32
		for range 2 {
			if leaf >= n || root < next && w[root] < w[leaf] {
				sum += w[root]
				w[root] = uint32(next)
				root++
			} else {
				sum += w[leaf]
				leaf++
			}
		}
		w[next] = sum
	}
	// Depths of inner nodes, then of leaves.
	w[n-2] = 0
	for i := n - 3; i >= 0; i-- {
		w[i] = w[w[i]] + 1
	}
	available, depth, inner := 1, 0, n-2
	for available > 0 {
		nodes := 0
		for inner >= 0 && w[inner] == uint32(depth) {
			nodes++
			inner--
		}
		count[depth] = available - nodes
		available = 2 * nodes
		depth++
	}
}

// shorten moves leaves that are too deep up, and others down until the code is full again.
func shorten(count *[Symbols + 1]int, limit int) {
	total := uint64(0) // in units of the longest words, of which there are 1<<limit
	for depth := limit + 1; depth <= Symbols; depth++ {
		count[limit] += count[depth]
		count[depth] = 0
	}
	for depth := 1; depth <= limit; depth++ {
		total += uint64(count[depth]) << (limit - depth)
	}
	for total > 1<<limit {
		count[limit]--
		for depth := limit - 1; depth > 0; depth-- {
			if count[depth] > 0 {
				count[depth]--
				count[depth+1] += 2
				break
			}
		}
		total--
	}
}

// words gives each symbol its word.
func (c *Code) words(n int) {
	var count, next [17]uint16
	for _, l := range c.Lengths[:n] {
		count[l]++
	}
	count[0] = 0
	for l := 1; l <= 16; l++ {
		next[l] = (next[l-1] + count[l-1]) << 1
	}
	for s, l := range c.Lengths[:n] {
		if l > 0 {
			c.Words[s] = next[l]
			next[l]++
		}
	}
}
