package xpress

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim/lz/lztest"
)

// unpack reads a chunk as [MS-XCA] 2.2.4 tells, bit by bit: slow, and nothing in it is
// shared with the compressor.
func unpack(src []byte, size int) ([]byte, error) {
	if len(src) < 260 {
		return nil, fmt.Errorf("%d bytes", len(src))
	}
	var lengths [512]int
	sum := 0.0
	for i := range 256 {
		lengths[2*i], lengths[2*i+1] = int(src[i]&15), int(src[i]>>4)
	}
	words := make([]int, 1<<16) // by a one and the word; the symbol and one
	next := 0
	for n := 1; n <= 15; n++ {
		for s, l := range lengths {
			if l == n {
				words[1<<n|next] = s + 1
				next++
				sum += 1 / float64(int(1)<<n)
			}
		}
		next <<= 1
	}
	if sum != 1 {
		return nil, fmt.Errorf("the code fills %v of its room", sum)
	}
	at := 256
	bits := make([]byte, 0, 8*len(src))
	more := func() {
		v := uint16(0)
		if at+2 <= len(src) {
			v = binary.LittleEndian.Uint16(src[at:])
		}
		at += 2
		for i := 15; i >= 0; i-- {
			bits = append(bits, byte(v>>i&1))
		}
	}
	more()
	more()
	take := func(n int) (v int) {
		for range n {
			v = v<<1 | int(bits[0])
			bits = bits[1:]
			if len(bits) < 16 {
				more()
			}
		}
		return v
	}
	symbol := func() (int, error) {
		v := 0
		for n := 1; n <= 15; n++ {
			v = v<<1 | take(1)
			if s := words[1<<n|v]; s > 0 {
				return s - 1, nil
			}
		}
		return 0, fmt.Errorf("no word %b", v)
	}
	var out []byte
	for {
		s, err := symbol()
		switch {
		case err != nil:
			return out, err
		case s == 256 && len(out) == size:
			return out, nil
		case len(out) >= size || at > len(src)+4:
			return out, fmt.Errorf("no end of data at %d of %d", len(out), size)
		case s < 256:
			out = append(out, byte(s))
			continue
		}
		length := s & 15
		if length == 15 {
			length = int(src[at]) + 15
			at++
			if length == 255+15 {
				length = int(binary.LittleEndian.Uint16(src[at:]))
				at += 2
			}
		}
		high := (s - 256) >> 4
		distance := 1<<high + take(high)
		if distance > len(out) {
			return out, fmt.Errorf("%d bytes back at %d", distance, len(out))
		}
		for range length + 3 {
			out = append(out, out[len(out)-distance])
		}
	}
}

func TestWhatIsPackedIsUnpacked(t *testing.T) {
	c := New()
	for name, src := range lztest.Chunks() {
		dst := make([]byte, len(src))
		n := c.Compress(dst, src)
		if n == 0 || n >= len(src) {
			t.Errorf("%s: %d bytes of %d", name, n, len(src))
			continue
		}
		got, err := unpack(dst[:n], len(src))
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%s: %d of %d bytes, %v", name, len(got), len(src), err)
		}
	}
}

func TestWhatDoesNotShrinkIsNotPacked(t *testing.T) {
	noise := lztest.Noise()
	c := New()
	for _, src := range [][]byte{noise, noise[:1], nil, noise[:256], noise[:300], make([]byte, 32<<10+1)} {
		if n := c.Compress(make([]byte, len(src)), src); n != 0 {
			t.Errorf("%d bytes: packed into %d", len(src), n)
		}
	}
}

// FuzzXPRESS packs what it is given, whole and in pieces by one compressor.
func FuzzXPRESS(f *testing.F) {
	for _, src := range lztest.Chunks() {
		f.Add(src)
	}
	c := New()
	f.Fuzz(func(t *testing.T, src []byte) {
		src = src[:min(len(src), 32<<10)]
		dst := make([]byte, len(src))
		n := c.Compress(dst, src)
		if n == 0 {
			return
		}
		if n >= len(src) {
			t.Fatalf("%d bytes of %d", n, len(src))
		}
		if got, err := unpack(dst[:n], len(src)); err != nil || !bytes.Equal(got, src) {
			t.Fatalf("%d of %d bytes, %v", len(got), len(src), err)
		}
	})
}

func BenchmarkCompress(b *testing.B) {
	src := lztest.Chunks()["text"]
	dst := make([]byte, len(src))
	c := New()
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		c.Compress(dst, src)
	}
}
