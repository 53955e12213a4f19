package ntfs

// lznt1 decompresses src into dst ([MS-XCA] 2.5). Each chunk stands for 4096
// bytes of dst; what a chunk does not fill stays zero.
func lznt1(dst, src []byte) error {
	for len(src) >= 2 && len(dst) > 0 {
		header := le.Uint16(src)
		if header == 0 {
			return nil
		}
		length := int(header&0xfff) + 1
		src = src[2:]
		if length > len(src) {
			return corrupt("LZNT1 chunk of %d bytes, %d are left", length, len(src))
		}
		chunk := dst[:min(4096, len(dst))]
		if header&0x8000 == 0 {
			if length > len(chunk) {
				return corrupt("plain LZNT1 chunk of %d bytes", length)
			}
			copy(chunk, src[:length])
		} else if err := lznt1Chunk(chunk, src[:length]); err != nil {
			return err
		}
		src = src[length:]
		dst = dst[len(chunk):]
	}
	return nil
}

func lznt1Chunk(dst, src []byte) error {
	d := 0
	for len(src) > 0 {
		flags := src[0]
		src = src[1:]
		for bit := 0; bit < 8 && len(src) > 0; bit++ {
			if flags>>bit&1 == 0 {
				if d >= len(dst) {
					return corrupt("LZNT1 chunk is longer than its room")
				}
				dst[d] = src[0]
				d++
				src = src[1:]
				continue
			}
			if len(src) < 2 || d == 0 {
				return corrupt("LZNT1 reference without data")
			}
			token := int(le.Uint16(src))
			src = src[2:]
			// The further into the chunk, the more bits the distance takes.
			shift := 12
			for x := d - 1; x >= 16; x >>= 1 {
				shift--
			}
			distance, n := token>>shift+1, token&(1<<shift-1)+3
			if distance > d || n > len(dst)-d {
				return corrupt("LZNT1 reference %d back for %d bytes, at byte %d", distance, n, d)
			}
			for range n {
				dst[d] = dst[d-distance]
				d++
			}
		}
	}
	return nil
}
