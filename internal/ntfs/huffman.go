package ntfs

// huffman decodes canonical prefix codes of at most 16 bits, the shortest and
// within a length the lowest symbols first.
type huffman struct {
	count   [17]uint16 // codes of each length
	symbols []uint16   // in order of their codes
}

// newHuffman builds a decoder from the length of each symbol's code, 0 for
// symbols that do not occur.
func newHuffman(lengths []uint8) (*huffman, error) {
	h := &huffman{symbols: make([]uint16, 0, len(lengths))}
	for _, n := range lengths {
		h.count[n]++
	}
	h.count[0] = 0
	room := 1
	for _, n := range h.count[1:] {
		if room = room*2 - int(n); room < 0 {
			return nil, corrupt("prefix code has too many words")
		}
	}
	for n := uint8(1); n <= 16; n++ {
		for s, l := range lengths {
			if l == n {
				h.symbols = append(h.symbols, uint16(s))
			}
		}
	}
	return h, nil
}

// bitReader reads bits from little-endian 16-bit words, the highest bit first
// ([MS-XCA] 2.2.4). It holds 16 to 32 bits, so that whole bytes between words
// can be read in step with the encoder; behind the end it reads zeros.
type bitReader struct {
	src  []byte
	pos  int    // of the next word
	next uint32 // bits not consumed, left-aligned
	held int    // bits in next
	over int    // words read behind the end
}

func newBitReader(src []byte) *bitReader {
	r := &bitReader{src: src}
	r.next = uint32(r.word())<<16 | uint32(r.word())
	r.held = 32
	return r
}

func (r *bitReader) word() uint16 {
	if len(r.src)-r.pos < 2 {
		r.over++
		r.pos = len(r.src)
		return 0
	}
	w := le.Uint16(r.src[r.pos:])
	r.pos += 2
	return w
}

// bits consumes n bits, at most 16.
func (r *bitReader) bits(n int) uint32 {
	v := uint32(uint64(r.next) >> (32 - n))
	r.next <<= n
	r.held -= n
	if r.held < 16 {
		r.next |= uint32(r.word()) << (16 - r.held)
		r.held += 16
	}
	return v
}

// bytes consumes n bytes that stand between the words.
func (r *bitReader) bytes(n int) ([]byte, error) {
	if n > len(r.src)-r.pos {
		return nil, corrupt("compressed data ends early")
	}
	b := r.src[r.pos : r.pos+n]
	r.pos += n
	return b, nil
}

// align drops 1 to 16 bits, up to the next word, and returns the bytes from
// there.
func (r *bitReader) align() []byte {
	if r.over > 0 {
		return nil
	}
	if r.held > 16 {
		return r.src[r.pos-2:]
	}
	return r.src[r.pos:]
}

// ended reports that more was consumed than there was: two words are held
// ahead, a third is too much.
func (r *bitReader) ended() bool { return r.over > 2 }

func (r *bitReader) symbol(h *huffman) (int, error) {
	code, first, index := 0, 0, 0
	for n := 1; n <= 16; n++ {
		code |= int(r.next >> (32 - n) & 1)
		count := int(h.count[n])
		if code-first < count {
			r.bits(n)
			if r.ended() {
				break
			}
			return int(h.symbols[index+code-first]), nil
		}
		index += count
		first = (first + count) << 1
		code <<= 1
	}
	return 0, corrupt("compressed data has an unknown code or ends early")
}

// copyMatch repeats n bytes from distance before d.
func copyMatch(dst []byte, d, distance, n int) (int, error) {
	if distance > d || distance <= 0 || n > len(dst)-d {
		return d, corrupt("compressed data refers %d back for %d bytes, at byte %d of %d", distance, n, d, len(dst))
	}
	for range n {
		dst[d] = dst[d-distance]
		d++
	}
	return d, nil
}
