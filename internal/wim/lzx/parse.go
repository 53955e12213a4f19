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

// way is how a place in a chunk is reached: the cost, and below it the last step. The lower
// one is the cheaper one.
type way uint64

const (
	costBits  = 32
	unreached = way(1<<64 - 1)
)

func (w way) cost() uint32 { return uint32(w >> costBits) }
func (w way) step() step   { return step(w) }

// parse chooses the cheapest bytes and matches of a block by the prices, and returns the
// last distances at its end. The way to a place depends on the ones before it only by
// their cost: that other last distances may be worth more later is not considered.
func (c *Compressor) parse(from, to int, last queue) queue {
	p := &c.prices
	for i := from + 1; i <= to; i++ {
		c.ways[i] = unreached
	}
	c.ways[from], c.last[from] = 0, last
	for at := from; at < to; {
		if at > from {
			last = c.lastAt(at)
			c.last[at] = last
		}
		cost := c.ways[at].cost()
		c.ways[at+1] = min(c.ways[at+1], way(cost+p.main[c.src[at]])<<costBits|1)
		longest := 1
		most := min(to-at, maxMatch)
		for i, d := range last {
			if int(d) > at || most < minMatch || !c.tree.Two(at, int(d)) {
				continue
			}
			n := c.tree.Common(at, int(d), most)
			shortest := minMatch
			if n >= nice {
				shortest = n
			}
			c.offer(at, shortest, n, i, cost)
			longest = max(longest, n)
		}
		shortest := minMatch
		for _, m := range c.matches[c.first[at]:c.first[at+1]] {
			n := min(int(m.Length), most)
			if n < shortest {
				continue
			}
			if n >= nice {
				shortest = n
			}
			c.offer(at, shortest, n, int(m.Distance)+recents, cost)
			shortest = n + 1
			longest = max(longest, n)
		}
		if longest >= nice {
			at += longest
		} else {
			at++
		}
	}
	c.start = to
	for at := to; at > from; {
		c.start--
		c.steps[c.start] = c.ways[at].step()
		at -= c.ways[at].step().length()
	}
	return c.lastAt(to)
}

// lastAt are the last distances behind the step that ends at a place.
func (c *Compressor) lastAt(at int) queue {
	s := c.ways[at].step()
	last := c.last[at-s.length()]
	if s.length() > 1 {
		last.take(s.value())
	}
	return last
}

// offer tells the places that a match reaches, of any length between two, what they cost.
func (c *Compressor) offer(at, shortest, longest, value int, cost uint32) {
	p := &c.prices
	slot, extra := slot(value)
	if extra >= alignedBits {
		cost += p.low[value&7]
	}
	main := (*[8]uint32)(p.main[literals+slot*8:])
	reached := c.ways[at+shortest : at+longest+1]
	w := way(value<<lengthBits | shortest)
	n := 0
	for ; n < len(reached) && shortest+n < minMatch+inHeader; n++ {
		reached[n] = min(reached[n], way(cost+main[shortest+n-minMatch])<<costBits|w)
		w++
	}
	if n == len(reached) {
		return
	}
	cost += main[inHeader]
	reached = reached[n:]
	prices := p.length[shortest+n-minMatch-inHeader:][:len(reached)]
	for i, price := range prices {
		reached[i] = min(reached[i], way(cost+price)<<costBits|w)
		w++
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
