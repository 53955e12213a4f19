package xpress

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
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

// chunks are contents that use each kind of symbol.
func chunks() map[string][]byte {
	r := rand.New(rand.NewPCG(3, 4))
	noise := make([]byte, 32<<10)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	var text bytes.Buffer
	for i := range 900 {
		fmt.Fprintf(&text, "2026-01-01 00:00:%02d, Info SYSPRP line %d\r\n", i%60, i)
	}
	skewed := make([]byte, 32<<10)
	for i := range skewed {
		skewed[i] = byte(min(r.ExpFloat64()*3, 255))
	}
	// Frequencies of Fibonacci, whose tree is deeper than words may be long.
	var deep []byte
	for s, a, b := 0, 1, 1; len(deep)+a < 32<<10; s, a, b = s+1, b, a+b {
		deep = append(deep, bytes.Repeat([]byte{byte(s)}, a)...)
	}
	r.Shuffle(len(deep), func(i, j int) { deep[i], deep[j] = deep[j], deep[i] })
	mixed := append(bytes.Clone(noise[:9000]), text.Bytes()[:10000]...)
	mixed = append(mixed, noise[:9000]...)
	return map[string][]byte{
		"zeros": make([]byte, 32<<10), "text": text.Bytes()[:32<<10], "skewed": skewed, "deep": deep, "mixed": mixed,
		"lengths": bytes.Join([][]byte{noise[:300], noise[:15], noise[:300], {1}, noise[:273], noise[:274], noise[:17], noise[:18], make([]byte, 5000), make([]byte, 269)}, []byte{7, 8, 9}),
		"short":   text.Bytes()[:700], "two": bytes.Repeat([]byte{1, 2}, 500),
	}
}

func TestWhatIsPackedIsUnpacked(t *testing.T) {
	c := New()
	for name, src := range chunks() {
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
	r := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 32<<10)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	c := New()
	for _, src := range [][]byte{noise, noise[:1], nil, noise[:256], noise[:300], make([]byte, 32<<10+1)} {
		if n := c.Compress(make([]byte, len(src)), src); n != 0 {
			t.Errorf("%d bytes: packed into %d", len(src), n)
		}
	}
}

// FuzzXPRESS packs what it is given, whole and in pieces by one compressor.
func FuzzXPRESS(f *testing.F) {
	for _, src := range chunks() {
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
	src := chunks()["text"]
	dst := make([]byte, len(src))
	c := New()
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		c.Compress(dst, src)
	}
}
