package diskimage

import (
	"math/bits"
	"sync"
)

const (
	litLenBits  = 10 // of a code that the first table of literals and lengths is looked up with
	distBits    = 8
	codeLenBits = 7
	maxCode     = 15 // bits of the longest code

	maxLitLen = 286 // symbols that a stream may describe
	maxDist   = 30
	maxMatch  = 258
)

// An entry of a table of codes: what is in the lowest bits, and how many of them it takes.
// bits 0-7 length of the code, in the second table without the bits of the first;
// 8-11 extra bits, of a link the bits that the second table is looked up with;
// 12-15 the kind; 16-31 the literal, the base, or where the second table begins. 0 is no code.
const (
	isLiteral = 1 << 12
	isBase    = 2 << 12
	isEnd     = 3 << 12
	isLink    = 4 << 12
	entryKind = 15 << 12
)

// Bases and extra bits of lengths and distances, and the order of the lengths of the codes
// of lengths ([RFC1951], 3.2.5 and 3.2.7).
var (
	lengthBase = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthMore = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase   = [maxDist]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distMore   = [maxDist]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	lensOrder  = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

// litLenEntry is what a symbol of the first alphabet means; 0 for those that no stream may use.
func litLenEntry(symbol int) uint32 {
	switch {
	case symbol < 256:
		return isLiteral | uint32(symbol)<<16
	case symbol == 256:
		return isEnd
	case symbol < maxLitLen:
		return isBase | uint32(lengthMore[symbol-257])<<8 | uint32(lengthBase[symbol-257])<<16
	}
	return 0
}

func distEntry(symbol int) uint32 {
	if symbol < maxDist {
		return isBase | uint32(distMore[symbol])<<8 | uint32(distBase[symbol])<<16
	}
	return 0
}

func codeLenEntry(symbol int) uint32 { return isLiteral | uint32(symbol)<<16 }

// fixedCodes are the tables of the blocks that bring none ([RFC1951], 3.2.6).
var fixedCodes = sync.OnceValues(func() (litLen, dist []uint32) {
	var l [288]uint8
	for i := range l {
		switch {
		case i < 144 || i >= 280:
			l[i] = 8
		case i < 256:
			l[i] = 9
		default:
			l[i] = 7
		}
	}
	var d [32]uint8
	for i := range d {
		d[i] = 5
	}
	litLen, _ = codeTable(nil, l[:], litLenBits, litLenEntry)
	dist, _ = codeTable(nil, d[:], distBits, distEntry)
	return litLen, dist
})

// codes reads the tables of a block ([RFC1951], 3.2.7).
func (d *inflater) codes() (err error) {
	d.fill()
	litLen, dist, count := int(d.take(5))+257, int(d.take(5))+1, int(d.take(4))+4
	if litLen > maxLitLen || dist > maxDist {
		return errInflate
	}
	var first [19]uint8
	for i := range count {
		if i == 14 { // 14 bits and 14 of 3 are 56
			d.fill()
		}
		first[lensOrder[i]] = uint8(d.take(3))
	}
	if d.own.codeLen, err = codeTable(d.own.codeLen, first[:], codeLenBits, codeLenEntry); err != nil {
		return err
	}
	lens := d.lens[:litLen+dist]
	for i := 0; i < len(lens); {
		d.fill()
		e := d.own.codeLen[d.bits&(1<<codeLenBits-1)]
		if e == 0 {
			return errInflate
		}
		d.take(uint(e & 0xff))
		symbol := uint8(e >> 16)
		if symbol < 16 {
			lens[i] = symbol
			i++
			continue
		}
		var again int
		var value uint8
		switch symbol {
		case 16:
			if i == 0 {
				return errInflate
			}
			again, value = 3+int(d.take(2)), lens[i-1]
		case 17:
			again = 3 + int(d.take(3))
		default:
			again = 11 + int(d.take(7))
		}
		if again > len(lens)-i {
			return errInflate
		}
		for range again {
			lens[i] = value
			i++
		}
		if d.overrun() {
			return errInflateCut
		}
	}
	if d.own.litLen, err = codeTable(d.own.litLen, lens[:litLen], litLenBits, litLenEntry); err != nil {
		return err
	}
	if d.own.dist, err = codeTable(d.own.dist, lens[litLen:], distBits, distEntry); err != nil {
		return err
	}
	d.litLen, d.dist = d.own.litLen, d.own.dist
	return nil
}

// codeTable makes the table of a prefix code from the lengths of its symbols; first is how
// many bits it is looked up with before longer codes need a second table. Sets of
// lengths that leave codes without a meaning are refused, but for a
// single code of one bit, and none at all.
func codeTable(t []uint32, lens []uint8, first uint, entry func(int) uint32) ([]uint32, error) {
	var count [maxCode + 1]int
	for _, l := range lens {
		count[l]++
	}
	count[0] = 0
	var next [maxCode + 2]int
	longest := uint(0)
	for l := uint(1); l <= maxCode; l++ {
		next[l+1] = (next[l] + count[l]) << 1
		if count[l] > 0 {
			longest = l
		}
	}
	if longest > 0 {
		if code := next[longest] + count[longest]; code != 1<<longest && (code != 1 || longest != 1) {
			return t, errInflate
		}
	}
	size := 1 << first
	t = append(t[:0], make([]uint32, size)...)
	for symbol, length := range lens {
		if length == 0 {
			continue
		}
		l := uint(length)
		code := next[l]
		next[l]++
		low := int(bits.Reverse16(uint16(code)) >> (16 - l))
		e := entry(symbol)
		if e == 0 {
			continue // it has a code, and using it is an error
		}
		if l <= first {
			for i := low; i < size; i += 1 << l {
				t[i] = e | uint32(l)
			}
			continue
		}
		at := low & (size - 1)
		if t[at] == 0 {
			// As many bits as the longest code that begins so may have.
			more := longest - first
			t[at] = isLink | uint32(more)<<8 | uint32(first) | uint32(len(t))<<16
			t = append(t, make([]uint32, 1<<more)...)
		}
		begin, more := int(t[at]>>16), t[at]>>8&15
		for i := low >> first; i < 1<<more; i += 1 << (l - first) {
			t[begin+i] = e | uint32(l-first)
		}
	}
	return t, nil
}
