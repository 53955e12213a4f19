package lzx

import (
	"math"
	"math/bits"
)

// step is a byte, or a match: its length, and above it what stands for its distance.
type step uint32

const lengthBits = 9

func (s step) length() int { return int(s & (1<<lengthBits - 1)) }

// value is 0, 1 or 2 for one of the last distances, else the distance and 2. That of a
// byte says nothing.
func (s step) value() int { return int(s >> lengthBits) }

// slot is that of a value, and how many bits of it follow the symbol.
func slot(value int) (slot, extra int) {
	if value < 4 {
		return value, 0
	}
	extra = bits.Len32(uint32(value)) - 2
	return 2*extra + value>>extra&3, extra
}

// symbol is that of a match in the main code.
func symbol(slot, length int) int { return literals + slot*8 + min(length-minMatch, inHeader) }

// queue holds the last three distances, the last of them first.
type queue [3]uint16

func (q *queue) take(value int) {
	if value < 3 {
		q[0], q[value] = q[value], q[0]
		return
	}
	*q = queue{uint16(value - recents), q[0], q[1]}
}

// node is a place in a chunk, and the cheapest way to it.
type node struct {
	cost uint32
	step step
	last queue // the last distances on that way
}

func (n *node) offer(cost uint32, s step) {
	if cost < n.cost {
		n.cost, n.step = cost, s
	}
}

// parse chooses the cheapest bytes and matches of a block by the prices, and returns the
// last distances at its end. The way to a place depends on the ones before it only by
// their cost: that other last distances may be worth more later is not considered.
func (c *Compressor) parse(from, to int, last queue) queue {
	nodes, p := &c.nodes, &c.prices
	for i := from + 1; i <= to; i++ {
		nodes[i].cost = math.MaxUint32
	}
	nodes[from] = node{last: last}
	for at := from; at < to; {
		here := &nodes[at]
		if at > from {
			s := here.step
			here.last = nodes[at-s.length()].last
			if s.length() > 1 {
				here.last.take(s.value())
			}
		}
		nodes[at+1].offer(here.cost+p.main[c.src[at]], 1)
		longest := 1
		most := min(to-at, maxMatch)
		for i, d := range here.last {
			if int(d) > at || most < minMatch {
				continue
			}
			n := c.tree.Common(at, int(d), most)
			if n < minMatch {
				continue
			}
			from := minMatch
			if n >= nice {
				from = n
			}
			c.offer(at, from, n, i, here.cost)
			longest = max(longest, n)
		}
		shortest := minMatch
		for _, m := range c.matches[c.first[at]:c.first[at+1]] {
			n := min(int(m.Length), most)
			if n < shortest || m.Distance > farthest {
				continue
			}
			if n >= nice {
				shortest = n
			}
			c.offer(at, shortest, n, int(m.Distance)+recents, here.cost)
			shortest = n + 1
			longest = max(longest, n)
		}
		if longest >= nice {
			at += longest
		} else {
			at++
		}
	}
	end := &nodes[to]
	s := end.step
	end.last = nodes[to-s.length()].last
	if s.length() > 1 {
		end.last.take(s.value())
	}
	for at, i := to, to; at > from; {
		s := nodes[at].step
		i--
		c.steps[i] = s
		at -= s.length()
		c.start = i
	}
	return end.last
}

// offer tells the places that a match reaches, of any length between two, what they cost.
func (c *Compressor) offer(at, shortest, longest, value int, cost uint32) {
	p := &c.prices
	slot, extra := slot(value)
	if extra >= alignedBits {
		cost += p.low[value&7]
	}
	main := (*[8]uint32)(p.main[literals+slot*8:])
	reached := c.nodes[at+shortest : at+longest+1]
	n := shortest
	for ; n < minMatch+inHeader && n <= longest; n++ {
		reached[n-shortest].offer(cost+main[n-minMatch], step(value<<lengthBits|n))
	}
	cost += main[inHeader]
	for ; n <= longest; n++ {
		reached[n-shortest].offer(cost+p.length[n-minMatch-inHeader], step(value<<lengthBits|n))
	}
}

// block are the steps that were chosen last, for the block that ends there.
func (c *Compressor) block(to int) []step { return c.steps[c.start:to] }

// counts are how often each symbol of a block occurs.
type counts struct {
	main   [mainSymbols]uint32
	length [lengths]uint32
	low    [1 << alignedBits]uint32 // the lowest bits of distances that have so many
}

// add counts a step that begins with a byte.
func (c *counts) add(s step, b byte) {
	n := s.length()
	if n == 1 {
		c.main[b]++
		return
	}
	slot, extra := slot(s.value())
	c.main[symbol(slot, n)]++
	if n >= minMatch+inHeader {
		c.length[n-minMatch-inHeader]++
	}
	if extra >= alignedBits {
		c.low[s.value()&7]++
	}
}

// addAll counts the steps of a block.
func (c *counts) addAll(src []byte, steps []step) {
	at := 0
	for _, s := range steps {
		c.add(s, src[at])
		at += s.length()
	}
}

// prices are what symbols cost, with the bits that follow them, in units of 1/unit bits.
type prices struct {
	main   [mainSymbols]uint32
	length [lengths]uint32
	low    [1 << alignedBits]uint32
}

const unit = 64

// guess sets prices for a chunk that is not known yet.
func (p *prices) guess(src []byte) {
	var histogram [literals]uint32
	for _, b := range src {
		histogram[b]++
	}
	// Some half of the bytes will be within matches, the frequent ones rather than others.
	for b, n := range histogram {
		price := 1 + math.Log2(float64(len(src)+literals)/(float64(n)+1))
		p.main[b] = uint32(unit * min(max(price, 4), 11))
	}
	for s := range slots {
		_, extra := slot(firstOf(s))
		for n := range 8 {
			price := 7.5
			if s < 3 {
				price = 5.5
			}
			p.main[literals+8*s+n] = uint32(unit * (price + float64(n)/4 + float64(extra)))
		}
	}
	for n := range p.length {
		p.length[n] = uint32(unit * (3 + float64(bits.Len(uint(n)))))
	}
	p.low = [1 << alignedBits]uint32{}
}

// firstOf is the lowest value of a slot.
func firstOf(slot int) int {
	if slot < 4 {
		return slot
	}
	return (2 + slot&1) << (slot/2 - 1)
}

// set prices symbols as if they were as frequent again.
func (p *prices) set(c *counts) {
	entropy(p.main[:], c.main[:])
	entropy(p.length[:], c.length[:])
	entropy(p.low[:], c.low[:])
	saved := 0
	for s, n := range c.low {
		saved += int(n) * (alignedBits*unit - int(p.low[s]))
	}
	withAligned := saved > 24*unit
	if !withAligned {
		p.low = [1 << alignedBits]uint32{}
	}
	for s := 4; s < slots; s++ {
		_, extra := slot(firstOf(s))
		if withAligned && extra >= alignedBits {
			extra -= alignedBits
		}
		for n := range 8 {
			p.main[literals+8*s+n] += uint32(unit * extra)
		}
	}
}

// entropy prices symbols by how frequent they are; those that do not occur as if they did
// half a time.
func entropy(price, count []uint32) {
	total := uint32(0)
	for _, n := range count {
		total += n
	}
	most := math.Log2(float64(total) + 1)
	for s, n := range count {
		bits := most + 1
		if n > 0 {
			bits = most - math.Log2(float64(n))
		}
		price[s] = uint32(unit * min(max(bits, 0.5), longestWord))
	}
}
