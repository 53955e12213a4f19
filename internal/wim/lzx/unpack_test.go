package lzx

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// unpacker reads a chunk as [MS-PATCH] section 2 tells, bit by bit: slow, and nothing in it
// is shared with the compressor.
type unpacker struct {
	src  []byte
	at   int // bits
	main [496]int
	long [249]int
	last [3]int
	out  []byte
	// What occurred, for tests that ask.
	blocks [3]int
}

// code has how many words there are of each length, and their symbols, the shortest first
// and within a length the lowest.
type code struct {
	count   [17]int
	symbols []int
}

var errEnd = errors.New("no bits are left")

func (u *unpacker) take(n int) (v int) {
	for range n {
		i := u.at/8 ^ 1 // of each word the higher byte is the first
		if i >= len(u.src) {
			panic(errEnd)
		}
		v = v<<1 | int(u.src[i]>>(7-u.at%8)&1)
		u.at++
	}
	return v
}

// read makes a code of its lengths; it is complete, or it has no words.
func read(lengths []int) code {
	c := code{}
	room := 0
	for n := 1; n <= 16; n++ {
		for s, l := range lengths {
			if l == n {
				c.count[n]++
				c.symbols = append(c.symbols, s)
				room += 1 << (16 - n)
			}
		}
	}
	if room != 1<<16 && len(c.symbols) > 0 {
		panic(fmt.Errorf("a code fills %d of %d", room, 1<<16))
	}
	return c
}

func (u *unpacker) symbol(c code) int {
	word, first, before := 0, 0, 0
	for n := 1; n <= 16; n++ {
		word = word<<1 | u.take(1)
		first = (first + c.count[n-1]) << 1
		if word-first < c.count[n] {
			return c.symbols[before+word-first]
		}
		before += c.count[n]
	}
	panic(errors.New("no such word"))
}

func (u *unpacker) deltas(lengths []int) {
	pre := make([]int, 20)
	for i := range pre {
		pre[i] = u.take(4)
	}
	c := read(pre)
	for i := 0; i < len(lengths); {
		run, value := 1, 0
		switch s := u.symbol(c); s {
		case 17:
			run = 4 + u.take(4)
		case 18:
			run = 20 + u.take(5)
		case 19:
			run = 4 + u.take(1)
			if s = u.symbol(c); s > 16 {
				panic(fmt.Errorf("a run of %d", s))
			}
			value = (lengths[i] - s + 17) % 17
		default:
			value = (lengths[i] - s + 17) % 17
		}
		if i+run > len(lengths) {
			panic(errors.New("a run is too long"))
		}
		for ; run > 0; run-- {
			lengths[i] = value
			i++
		}
	}
}

func (u *unpacker) block(size int) {
	kind := u.take(3)
	n := 32768
	if u.take(1) == 0 {
		n = u.take(16)
	}
	if kind != 1 && kind != 2 || n == 0 || len(u.out)+n > size {
		panic(fmt.Errorf("a block of kind %d and %d bytes at %d", kind, n, len(u.out)))
	}
	u.blocks[kind]++
	var low *code
	if kind == 2 {
		lengths := make([]int, 8)
		for i := range lengths {
			lengths[i] = u.take(3)
		}
		c := read(lengths)
		low = &c
	}
	u.deltas(u.main[:256])
	u.deltas(u.main[256:])
	u.deltas(u.long[:])
	main, long := read(u.main[:]), read(u.long[:])
	for end := len(u.out) + n; len(u.out) < end; {
		s := u.symbol(main)
		if s < 256 {
			u.out = append(u.out, byte(s))
			continue
		}
		s -= 256
		length := s%8 + 2
		if length == 9 {
			length += u.symbol(long)
		}
		switch slot := s / 8; {
		case slot < 3:
			u.last[0], u.last[slot] = u.last[slot], u.last[0]
		default:
			distance := 1
			if slot > 3 {
				extra := slot/2 - 1
				distance = (2+slot%2)<<extra - 2
				if low != nil && extra >= 3 {
					distance += u.take(extra-3) << 3
					distance += u.symbol(*low)
				} else {
					distance += u.take(extra)
				}
			}
			u.last = [3]int{distance, u.last[0], u.last[1]}
		}
		if u.last[0] > len(u.out) || len(u.out)+length > end {
			panic(fmt.Errorf("%d bytes from %d back at %d, before %d", length, u.last[0], len(u.out), end))
		}
		for range length {
			u.out = append(u.out, u.out[len(u.out)-u.last[0]])
		}
	}
}

// unpack returns a chunk of so many bytes.
func unpack(src []byte, size int) (u *unpacker, err error) {
	u = &unpacker{src: src, last: [3]int{1, 1, 1}}
	defer func() {
		if e, ok := recover().(error); ok {
			err = e
		}
	}()
	for len(u.out) < size {
		u.block(size)
	}
	if (u.at+15)/16*2 != len(src) {
		return u, fmt.Errorf("%d bits of %d bytes are read", u.at, len(src))
	}
	for i := 0; i < size-10; i++ {
		if u.out[i] == 0xe8 {
			b := u.out[i+1:]
			switch v := int(int32(binary.LittleEndian.Uint32(b))); {
			case v >= 0 && v < 12000000:
				binary.LittleEndian.PutUint32(b, uint32(v-i))
			case v < 0 && v >= -i:
				binary.LittleEndian.PutUint32(b, uint32(v+12000000))
			}
			i += 4
		}
	}
	return u, nil
}
