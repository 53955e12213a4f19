package ntfs

// xpressHuffman decompresses one block of at most 64 KiB that fills dst
// exactly ([MS-XCA] 2.2, "LZ77+Huffman").
func xpressHuffman(dst, src []byte) error {
	if len(src) < 256 || len(dst) > 64<<10 {
		return corrupt("XPRESS block of %d bytes for %d", len(src), len(dst))
	}
	lengths := make([]uint8, 512)
	for i, b := range src[:256] {
		lengths[2*i], lengths[2*i+1] = b&15, b>>4
	}
	code, err := newHuffman(lengths)
	if err != nil {
		return err
	}
	r := newBitReader(src[256:])
	for d := 0; d < len(dst); {
		s, err := r.symbol(code)
		if err != nil {
			return err
		}
		if s < 256 {
			dst[d] = byte(s)
			d++
			continue
		}
		length := s & 15
		if length == 15 {
			if length, err = xpressLength(r); err != nil {
				return err
			}
		}
		offsetBits := (s - 256) >> 4
		distance := 1<<offsetBits + int(r.bits(offsetBits))
		if d, err = copyMatch(dst, d, distance, length+3); err != nil {
			return err
		}
	}
	return nil
}

// xpressLength reads a match length that does not fit the symbol: a byte, and
// behind it a word or a double word where that is not enough.
func xpressLength(r *bitReader) (int, error) {
	b, err := r.bytes(1)
	if err != nil {
		return 0, err
	}
	if b[0] != 0xff {
		return int(b[0]) + 15, nil
	}
	if b, err = r.bytes(2); err != nil {
		return 0, err
	}
	n := int64(le.Uint16(b))
	if n == 0 {
		if b, err = r.bytes(4); err != nil {
			return 0, err
		}
		n = int64(le.Uint32(b))
	}
	if n < 15 || n > 1<<24 {
		return 0, corrupt("XPRESS match of %d bytes", n)
	}
	return int(n), nil
}
