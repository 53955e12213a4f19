package ntfs

// LZX as WIM and WOF use it: blocks of 32 KiB, each on its own ([MS-PATCH]
// section 2, with the block header and the fixed file size of WIM as the
// wimlib project documents them).
const (
	lzxSlots    = 30 // for a window of 32 KiB
	lzxMain     = 256 + 8*lzxSlots
	lzxLengths  = 249
	lzxFileSize = 12000000
	lzxVerbatim = 1
	lzxAligned  = 2
	lzxPlain    = 3
)

type lzxDecoder struct {
	r           *bitReader
	dst         []byte
	recent      [3]int
	mainLengths [lzxMain]uint8
	lenLengths  [lzxLengths]uint8
}

// lzx decompresses one block that fills dst exactly.
func lzx(dst, src []byte) error {
	z := &lzxDecoder{r: newBitReader(src), dst: dst, recent: [3]int{1, 1, 1}}
	for d := 0; d < len(dst); {
		kind := z.r.bits(3)
		size := 32 << 10
		if z.r.bits(1) == 0 {
			size = int(z.r.bits(16))
		}
		if size == 0 || size > len(dst)-d || z.r.ended() {
			return corrupt("LZX block of %d bytes at %d of %d", size, d, len(dst))
		}
		var err error
		switch kind {
		case lzxVerbatim, lzxAligned:
			err = z.block(d, d+size, kind == lzxAligned)
		case lzxPlain:
			err = z.plain(d, d+size)
		default:
			err = corrupt("LZX block type %d", kind)
		}
		if err != nil {
			return err
		}
		d += size
	}
	undoCalls(dst)
	return nil
}

// plain copies an uncompressed block: up to 16 bits of padding, the three
// recent distances, the bytes, and one more if their number is odd.
func (z *lzxDecoder) plain(d, end int) error {
	b := z.r.align()
	n := end - d
	if len(b) < 12+n {
		return corrupt("plain LZX block is cut off")
	}
	for i := range z.recent {
		v := le.Uint32(b[4*i:])
		if v == 0 || v > 1<<15 {
			return corrupt("LZX distance %d", v)
		}
		z.recent[i] = int(v)
	}
	copy(z.dst[d:end], b[12:])
	b = b[min(len(b), 12+n+n&1):]
	z.r = newBitReader(b)
	return nil
}

// block decodes a verbatim block, or one with aligned distances.
func (z *lzxDecoder) block(d, end int, withAligned bool) error {
	var aligned, mainCode, lengthCode *huffman
	var err error
	if withAligned {
		var lengths [8]uint8
		for i := range lengths {
			lengths[i] = uint8(z.r.bits(3))
		}
		if aligned, err = newHuffman(lengths[:]); err != nil {
			return err
		}
	}
	for _, part := range [][]uint8{z.mainLengths[:256], z.mainLengths[256:], z.lenLengths[:]} {
		if err := z.readLengths(part); err != nil {
			return err
		}
	}
	if mainCode, err = newHuffman(z.mainLengths[:]); err != nil {
		return err
	}
	if lengthCode, err = newHuffman(z.lenLengths[:]); err != nil {
		return err
	}
	for d < end {
		s, err := z.r.symbol(mainCode)
		if err != nil {
			return err
		}
		if s < 256 {
			z.dst[d] = byte(s)
			d++
			continue
		}
		length, slot := (s-256)&7, (s-256)>>3
		if length == 7 {
			more, err := z.r.symbol(lengthCode)
			if err != nil {
				return err
			}
			length += more
		}
		distance, err := z.distance(slot, aligned)
		if err != nil {
			return err
		}
		if d, err = copyMatch(z.dst[:end], d, distance, length+2); err != nil {
			return err
		}
	}
	return nil
}

// distance decodes the position slot of a match: the first three name recent
// distances.
func (z *lzxDecoder) distance(slot int, aligned *huffman) (int, error) {
	if slot < 3 {
		z.recent[0], z.recent[slot] = z.recent[slot], z.recent[0]
		return z.recent[0], nil
	}
	extra, base := 0, slot
	if slot >= 4 {
		extra = slot/2 - 1
		base = (2 + slot&1) << extra
	}
	distance := base - 2
	if aligned != nil && extra >= 3 {
		distance += int(z.r.bits(extra-3)) << 3
		low, err := z.r.symbol(aligned)
		if err != nil {
			return 0, err
		}
		distance += low
	} else {
		distance += int(z.r.bits(extra))
	}
	z.recent = [3]int{distance, z.recent[0], z.recent[1]}
	return distance, nil
}

// readLengths reads code lengths as differences to those of the block before.
func (z *lzxDecoder) readLengths(lengths []uint8) error {
	var pre [20]uint8
	for i := range pre {
		pre[i] = uint8(z.r.bits(4))
	}
	code, err := newHuffman(pre[:])
	if err != nil {
		return err
	}
	for i := 0; i < len(lengths); {
		s, err := z.r.symbol(code)
		if err != nil {
			return err
		}
		run, value := 1, uint8(0)
		switch s {
		case 17:
			run = 4 + int(z.r.bits(4))
		case 18:
			run = 20 + int(z.r.bits(5))
		case 19:
			run = 4 + int(z.r.bits(1))
			if s, err = z.r.symbol(code); err != nil {
				return err
			}
			if s > 16 {
				return corrupt("LZX code length %d", s)
			}
			value = (lengths[i] + 17 - uint8(s)) % 17
		default:
			value = (lengths[i] + 17 - uint8(s)) % 17
		}
		// The last run may be longer than the room, as encoders leave it.
		for ; run > 0 && i < len(lengths); run-- {
			lengths[i] = value
			i++
		}
	}
	return nil
}

// undoCalls turns the absolute targets of x86 calls back into relative ones.
func undoCalls(b []byte) {
	for i := 0; i < len(b)-10; i++ {
		if b[i] != 0xe8 {
			continue
		}
		target := int32(le.Uint32(b[i+1:]))
		switch {
		case target >= 0 && target < lzxFileSize:
			le.PutUint32(b[i+1:], uint32(target-int32(i)))
		case target < 0 && target >= -int32(i):
			le.PutUint32(b[i+1:], uint32(target+lzxFileSize))
		}
		i += 4
	}
}
