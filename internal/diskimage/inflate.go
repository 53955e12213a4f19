package diskimage

import (
	"errors"
	"hash/adler32"
	"sync"
)

// Deflate ([RFC1951]) of one slice into another: whole grains and clusters are at
// hand, so that nothing has to be kept between calls, and what was written is the
// window. compress/flate takes twice the time for that; the fuzz test holds this one to
// its results.

var (
	errInflate     = errors.New("it is damaged")
	errInflateCut  = errors.New("it ends too early")
	errInflateFull = errors.New("it has more data than there should be")
)

// inflater keeps the tables of one stream.
type inflater struct {
	src    []byte
	pos    int    // of src, that are in bits
	bits   uint64 // not used yet
	n      uint   // how many of them
	phony  int    // bytes of zeros in bits, after the end of src
	litLen []uint32
	dist   []uint32
	own    struct{ litLen, dist, codeLen []uint32 } // whose memory is used again
	lens   [maxLitLen + maxDist]uint8
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// inflate unpacks a deflate stream from the beginning of src, and returns how many
// bytes it wrote to dst and took from src. errInflateFull says that dst is full
// and the stream has more.
func inflate(dst, src []byte) (n, used int, err error) {
	d := inflaters.Get().(*inflater)
	defer inflaters.Put(d)
	d.src, d.pos, d.bits, d.n, d.phony = src, 0, 0, 0, 0
	defer func() { d.src = nil }()
	for last := false; !last; {
		d.fill()
		last = d.take(1) == 1
		switch d.take(2) {
		case 0:
			n, err = d.stored(dst, n)
		case 1:
			d.litLen, d.dist = fixedCodes()
			n, err = d.block(dst, n)
		case 2:
			if err = d.codes(); err == nil {
				n, err = d.block(dst, n)
			}
		default:
			err = errInflate
		}
		if err == nil && d.overrun() {
			err = errInflateCut
		}
		if err != nil {
			return n, 0, err
		}
	}
	return n, d.pos - int(d.n/8) + d.phony, nil
}

// inflateZlib unpacks a zlib stream ([RFC1950]) that fills src.
func inflateZlib(dst, src []byte) (int, error) {
	const head, sum = 2, 4
	if len(src) < head+sum {
		return 0, errInflateCut
	}
	// Deflate with a window of at most 32 KiB, without a dictionary of its own.
	if src[0]&15 != 8 || src[0]>>4 > 7 || src[1]&0x20 != 0 || be.Uint16(src)%31 != 0 {
		return 0, errInflate
	}
	n, used, err := inflate(dst, src[head:])
	if err != nil {
		return n, err
	}
	if used += head; used+sum > len(src) {
		return n, errInflateCut
	}
	if be.Uint32(src[used:]) != adler32.Checksum(dst[:n]) {
		return n, errInflate
	}
	return n, nil
}

// fill makes at least 56 bits available, zeros after the end.
func (d *inflater) fill() {
	if d.pos+8 <= len(d.src) {
		d.bits |= le.Uint64(d.src[d.pos:]) << d.n
		d.pos += int(63-d.n) >> 3
		d.n |= 56
		return
	}
	for d.n <= 56 {
		if d.pos < len(d.src) {
			d.bits |= uint64(d.src[d.pos]) << d.n
			d.pos++
		} else {
			d.phony++
		}
		d.n += 8
	}
}

// overrun reports that bits after the end were used.
func (d *inflater) overrun() bool { return d.phony > int(d.n/8) }

func (d *inflater) take(n uint) uint32 {
	v := uint32(d.bits & (1<<n - 1))
	d.bits >>= n
	d.n -= n
	return v
}

// stored copies a block that is not compressed.
func (d *inflater) stored(dst []byte, n int) (int, error) {
	d.take(d.n & 7)
	d.fill()
	size, not := d.take(16), d.take(16)
	if d.overrun() {
		return n, errInflateCut
	}
	if size != ^not&0xffff {
		return n, errInflate
	}
	// What is in bits is given back.
	d.pos -= int(d.n/8) - d.phony
	d.bits, d.n, d.phony = 0, 0, 0
	data := d.src[d.pos:]
	if int(size) > len(data) {
		return n + copy(dst[n:], data), errInflateCut
	}
	c := copy(dst[n:], data[:size])
	d.pos += c
	if c < int(size) {
		return n + c, errInflateFull
	}
	return n + c, nil
}

// block unpacks a block of codes behind the n bytes of dst that are there.
func (d *inflater) block(dst []byte, n int) (int, error) {
	const litLenMask, distMask = 1<<litLenBits - 1, 1<<distBits - 1
	src, pos, hold, have := d.src, d.pos, d.bits, d.n // in registers
	litLen, dist := d.litLen, d.dist
	// Where neither end can be reached, nothing is checked.
	for n+maxMatch+8 <= len(dst) && pos+8 <= len(src) {
		hold |= le.Uint64(src[pos:]) << (have & 63)
		pos += int(63-have) >> 3
		have |= 56
		e := litLen[hold&litLenMask]
		// 56 bits are enough for two short literals and what follows them.
		if e&entryKind == isLiteral {
			hold, have = hold>>(e&63), have-uint(e&63)
			dst[n] = byte(e >> 16)
			n++
			if e = litLen[hold&litLenMask]; e&entryKind == isLiteral {
				hold, have = hold>>(e&63), have-uint(e&63)
				dst[n] = byte(e >> 16)
				n++
				if e = litLen[hold&litLenMask]; e&entryKind == isLiteral {
					hold, have = hold>>(e&63), have-uint(e&63)
					dst[n] = byte(e >> 16)
					n++
					continue
				}
			}
			if pos+8 > len(src) {
				break
			}
			hold |= le.Uint64(src[pos:]) << (have & 63)
			pos += int(63-have) >> 3
			have |= 56
		}
		if e&entryKind == isLink {
			hold, have = hold>>litLenBits, have-litLenBits
			e = litLen[uint64(e>>16)+hold&(1<<(e>>8&15)-1)]
		}
		hold, have = hold>>(e&63), have-uint(e&63)
		if e&entryKind != isBase {
			if e&entryKind == isLiteral {
				dst[n] = byte(e >> 16)
				n++
				continue
			}
			d.pos, d.bits, d.n = pos, hold, have
			if e&entryKind == isEnd {
				return n, nil
			}
			return n, errInflate
		}
		more := e >> 8 & 15
		length := int(e>>16) + int(hold&(1<<more-1))
		hold, have = hold>>more, have-uint(more)
		e = dist[hold&distMask]
		if e&entryKind == isLink {
			hold, have = hold>>distBits, have-distBits
			e = dist[uint64(e>>16)+hold&(1<<(e>>8&15)-1)]
		}
		hold, have = hold>>(e&63), have-uint(e&63)
		more = e >> 8 & 15
		back := int(e>>16) + int(hold&(1<<more-1))
		hold, have = hold>>more, have-uint(more)
		if e == 0 || back > n {
			return n, errInflate
		}
		n = match(dst, n, length, back)
	}
	d.pos, d.bits, d.n = pos, hold, have
	return d.slow(dst, n)
}

// look takes a code and says what it means; 0 where it means nothing.
func (d *inflater) look(t []uint32, first uint) uint32 {
	e := t[d.bits&(1<<first-1)]
	if e&entryKind == isLink {
		d.take(first)
		e = t[uint64(e>>16)+d.bits&(1<<(e>>8&15)-1)]
	}
	d.take(uint(e & 0xff))
	return e
}

// match copies what lies back bytes before. There are 8 bytes of room behind it.
func match(dst []byte, n, length, back int) int {
	end := n + length
	if back >= 8 {
		for from := n - back; n < end; n += 8 {
			le.PutUint64(dst[n:n+8], le.Uint64(dst[from:from+8]))
			from += 8
		}
		return end
	}
	// As often as it fits into 8 bytes, at a time.
	var p [8]byte
	for i := range p {
		p[i] = dst[n-back+i%back]
	}
	for step := 8 / back * back; n < end; n += step {
		copy(dst[n:n+8], p[:])
	}
	return end
}

// slow is block near the ends.
func (d *inflater) slow(dst []byte, n int) (int, error) {
	for {
		d.fill()
		e := d.look(d.litLen, litLenBits)
		if d.overrun() {
			return n, errInflateCut
		}
		switch e & entryKind {
		case isLiteral:
			if n == len(dst) {
				return n, errInflateFull
			}
			dst[n] = byte(e >> 16)
			n++
			continue
		case isEnd:
			return n, nil
		case isBase:
		default:
			return n, errInflate
		}
		length := int(e>>16) + int(d.take(uint(e>>8&15)))
		e = d.look(d.dist, distBits)
		if e == 0 {
			return n, errInflate
		}
		dist := int(e>>16) + int(d.take(uint(e>>8&15)))
		if d.overrun() {
			return n, errInflateCut
		}
		if dist > n {
			return n, errInflate
		}
		for range length {
			if n == len(dst) {
				return n, errInflateFull
			}
			dst[n] = dst[n-dist]
			n++
		}
	}
}
