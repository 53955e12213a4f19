package lzx

import (
	"encoding/binary"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim/lz"
)

// codes are the lengths of words that a block is told by their difference to those of the
// block before.
type codes struct {
	main   [mainSymbols]uint8
	length [lengths]uint8
}

// write writes the block that was chosen last.
func (c *Compressor) write(from, to int) {
	c.main.Build(c.counts.main[:], longestWord)
	c.length.Build(c.counts.length[:], longestWord)
	c.low.Build(c.counts.low[:], longestAlign)
	kind := verbatim
	saved := 0
	for s, n := range c.counts.low {
		saved += int(n) * (alignedBits - int(c.low.Lengths[s]))
	}
	if saved > alignedBits<<alignedBits {
		kind = aligned
	}
	w := &c.out
	w.bits(uint64(kind), 3)
	if size := to - from; size == sizeOfDefault {
		w.bits(1, 1)
	} else {
		w.bits(uint64(size), 1+16)
	}
	if kind == aligned {
		for _, n := range c.low.Lengths[:1<<alignedBits] {
			w.bits(uint64(n), 3)
		}
	}
	c.lengthsOf(c.written.main[:literals], c.main.Lengths[:literals])
	c.lengthsOf(c.written.main[literals:], c.main.Lengths[literals:mainSymbols])
	c.lengthsOf(c.written.length[:], c.length.Lengths[:lengths])
	at := from
	for _, s := range c.block(to) {
		n := s.length()
		if n == 1 {
			w.word(&c.main, int(c.src[at]))
			at++
			continue
		}
		at += n
		slot, extra := slot(s.value())
		w.word(&c.main, symbol(slot, n))
		if n >= minMatch+inHeader {
			w.word(&c.length, n-minMatch-inHeader)
		}
		low := uint64(s.value()) & (1<<extra - 1)
		if kind == aligned && extra >= alignedBits {
			w.bits(low>>alignedBits, uint(extra-alignedBits))
			w.word(&c.low, int(low&7))
		} else {
			w.bits(low, uint(extra))
		}
	}
}

// Symbols of the code that lengths of words are written in: differences of 0 to 16, and
// runs.
const (
	zeros     = 17 // 4 to 19 lengths of 0
	manyZeros = 18 // 20 to 51
	alike     = 19 // 4 or 5 of one length
	preCode   = 20
	preWord   = 15
)

// delta is a symbol of that code and the bits that follow it.
type delta struct {
	symbol, extra uint8
}

// lengthsOf writes lengths of words, and keeps them for the next block.
func (c *Compressor) lengthsOf(before, now []uint8) {
	deltas := c.deltas[:0]
	for i := 0; i < len(now); {
		run := 1
		for i+run < len(now) && now[i+run] == now[i] {
			run++
		}
		difference := (before[i] + 17 - now[i]) % 17
		switch {
		case now[i] == 0 && run >= 20:
			run = min(run, 51)
			deltas = append(deltas, delta{manyZeros, uint8(run - 20)})
		case now[i] == 0 && run >= 4:
			deltas = append(deltas, delta{zeros, uint8(run - 4)})
		case run >= 4:
			run = min(run, 5)
			deltas = append(deltas, delta{alike, uint8(run - 4)}, delta{difference, 0})
		default:
			run = 1
			deltas = append(deltas, delta{difference, 0})
		}
		i += run
	}
	copy(before, now)
	var count [preCode]uint32
	for _, d := range deltas {
		count[d.symbol]++
	}
	c.pre.Build(count[:], preWord)
	w := &c.out
	for _, n := range c.pre.Lengths[:preCode] {
		w.bits(uint64(n), 4)
	}
	for _, d := range deltas {
		w.word(&c.pre, int(d.symbol))
		switch d.symbol {
		case zeros:
			w.bits(uint64(d.extra), 4)
		case manyZeros:
			w.bits(uint64(d.extra), 5)
		case alike:
			w.bits(uint64(d.extra), 1)
		}
	}
}

// writer writes words of 16 bits, the highest bit first.
type writer struct {
	dst  []byte
	at   int
	held uint64 // the last bits of it are not written
	used uint   // so many
	full bool   // dst is too short
}

func (w *writer) begin(dst []byte) { *w = writer{dst: dst} }

// bits writes the lowest n bits, at most 17.
func (w *writer) bits(v uint64, n uint) {
	w.held = w.held<<n | v
	for w.used += n; w.used >= 16; {
		w.used -= 16
		if w.at+2 > len(w.dst) {
			w.full = true
			return
		}
		binary.LittleEndian.PutUint16(w.dst[w.at:], uint16(w.held>>w.used))
		w.at += 2
	}
}

func (w *writer) word(c *lz.Code, symbol int) {
	w.bits(uint64(c.Words[symbol]), uint(c.Lengths[symbol]))
}

// end returns how much was written, 0 if it is not less than there was room.
func (w *writer) end() int {
	if w.used > 0 {
		w.bits(0, 16-w.used)
	}
	if w.full || w.at >= len(w.dst) {
		return 0
	}
	return w.at
}
