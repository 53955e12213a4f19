package lzx

import (
	"math"
	"sync"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim/lz"
)

// splitter divides a chunk into blocks, whose codes fit what is in them. It begins with
// parts of one size, and joins neighbours while that saves more than their own codes do.
type splitter struct {
	parts [partCount]part
	ends  [partCount]int
}

const (
	partSize  = 4 << 10
	partCount = lz.Chunk / partSize
)

// part is a run of steps.
type part struct {
	counts counts
	end    int     // the place behind it
	bits   float64 // what it takes as a block
	gain   float64 // of joining it with the next one
}

// blocks returns where the blocks of a chunk end.
func (s *splitter) blocks(src []byte, steps []step) []int {
	parts := s.parts[:0]
	at := 0
	for i := 0; i < len(steps); {
		parts = parts[:len(parts)+1]
		p := &parts[len(parts)-1]
		*p = part{}
		room := len(parts) < partCount
		for begin := at; i < len(steps) && (!room || at-begin < partSize); i++ {
			p.counts.add(steps[i], src[at])
			at += steps[i].length()
		}
		p.end, p.bits = at, p.counts.bits()
	}
	for i := range len(parts) - 1 {
		parts[i].gain = gain(&parts[i], &parts[i+1])
	}
	for len(parts) > 1 {
		best := 0
		for i := range len(parts) - 1 {
			if parts[i].gain > parts[best].gain {
				best = i
			}
		}
		if parts[best].gain <= 0 {
			break
		}
		a, b := &parts[best], &parts[best+1]
		a.counts.join(&b.counts)
		a.end, a.bits = b.end, a.counts.bits()
		copy(parts[best+1:], parts[best+2:])
		parts = parts[:len(parts)-1]
		if best > 0 {
			parts[best-1].gain = gain(&parts[best-1], a)
		}
		if best < len(parts)-1 {
			a.gain = gain(a, &parts[best+1])
		}
	}
	ends := s.ends[:0]
	for i := range parts {
		ends = append(ends, parts[i].end)
	}
	return ends
}

// of tells the counts of the block with that number.
func (s *splitter) of(i int) *counts { return &s.parts[i].counts }

func gain(a, b *part) float64 {
	both := a.counts
	both.join(&b.counts)
	return a.bits + b.bits - both.bits()
}

func (c *counts) join(other *counts) {
	for s, n := range other.main {
		c.main[s] += n
	}
	for s, n := range other.length {
		c.length[s] += n
	}
	for s, n := range other.low {
		c.low[s] += n
	}
}

// bits is about what a block with these counts takes, without the bits that follow
// symbols, of which there are as many in any block.
func (c *counts) bits() float64 {
	const header = 200 // with codes for the lengths of words
	main, usedMain := information(c.main[:])
	length, usedLength := information(c.length[:])
	return header + main + length + wordBits*float64(usedMain+usedLength)
}

// wordBits is about what a symbol that occurs costs a block: the length of its word in the
// header, and that words have whole bits. Of what was tried it made the smallest files.
const wordBits = 6

// information is what an ideal code takes for symbols that are so frequent.
func information(count []uint32) (bits float64, used int) {
	table, total := nLog2n(), uint32(0)
	for _, n := range count {
		if n > 0 {
			used++
			total += n
			bits -= float64(table[n])
		}
	}
	return bits + float64(table[total]), used
}

// nLog2n are n times the logarithm of n to the base 2; made when first used, not whenever
// Packer starts the plugin.
var nLog2n = sync.OnceValue(func() *[lz.Chunk + 1]float32 {
	var table [lz.Chunk + 1]float32
	for n := 2; n < len(table); n++ {
		table[n] = float32(float64(n) * math.Log2(float64(n)))
	}
	return &table
})
