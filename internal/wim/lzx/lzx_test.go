package lzx

import (
	"bytes"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim/lz/lztest"
)

// packed packs a chunk and unpacks it again; nil stands for one that does not shrink.
func packed(t testing.TB, c *Compressor, src []byte) *unpacker {
	t.Helper()
	before, dst := bytes.Clone(src), make([]byte, len(src)+1)
	dst[len(src)] = 0xa5
	n := c.Compress(dst, src)
	if !bytes.Equal(src, before) || dst[len(src)] != 0xa5 {
		t.Fatal("bytes are changed that are somebody else's")
	}
	if n == 0 {
		return nil
	}
	if n >= len(src) {
		t.Fatalf("%d bytes of %d", n, len(src))
	}
	u, err := unpack(dst[:n], len(src))
	if err != nil || !bytes.Equal(u.out, src) {
		at := 0
		for at < len(u.out) && u.out[at] == src[at] {
			at++
		}
		t.Fatalf("%d of %d bytes, alike up to %d: %v", len(u.out), len(src), at, err)
	}
	return u
}

func TestWhatIsPackedIsUnpacked(t *testing.T) {
	c := New()
	var blocks [3]int
	for name, src := range lztest.Chunks() {
		t.Run(name, func(t *testing.T) {
			u := packed(t, c, src)
			if u == nil {
				t.Fatal("it does not shrink")
			}
			for kind, n := range u.blocks {
				blocks[kind] += n
			}
			if name == "mixed" && u.blocks[verbatim]+u.blocks[aligned] < 2 {
				t.Errorf("noise, text and noise are %v blocks", u.blocks)
			}
			for n := 1; n < 40; n++ { // where calls end, and matches
				packed(t, c, src[:n])
				packed(t, c, src[100:300+n])
			}
		})
	}
	if blocks[verbatim] == 0 || blocks[aligned] == 0 {
		t.Errorf("%v blocks", blocks)
	}
}

func TestWhatDoesNotShrinkIsNotPacked(t *testing.T) {
	noise := lztest.Noise()
	c := New()
	for _, src := range [][]byte{noise, noise[:1], nil, noise[:3], noise[:300], make([]byte, 1), make([]byte, 32<<10+1)} {
		if n := c.Compress(make([]byte, len(src)), src); n != 0 {
			t.Errorf("%d bytes: packed into %d", len(src), n)
		}
	}
	// What takes as many bytes would be read as if it were not packed.
	saved := map[int]bool{}
	for zeros := range 300 {
		src := append(bytes.Clone(noise[:600]), make([]byte, zeros)...)
		n := c.Compress(make([]byte, len(src)), src)
		if n >= len(src) {
			t.Errorf("%d bytes: packed into %d", len(src), n)
		}
		if n > 0 {
			saved[len(src)-n] = true
		}
	}
	if !saved[1] || !saved[2] {
		t.Errorf("no content saves just one byte or two: %v", saved)
	}
}

// What a chunk becomes does not depend on those before it, so that a WIM does not on which
// worker had which chunk.
func TestAChunkIsPackedAlikeByAnyCompressor(t *testing.T) {
	used := New()
	for name, src := range lztest.Chunks() {
		a, b := make([]byte, len(src)), make([]byte, len(src))
		n, m := used.Compress(a, src), New().Compress(b, src)
		if !bytes.Equal(a[:n], b[:m]) {
			t.Errorf("%s: %d bytes, %d by a new one", name, n, m)
		}
	}
}

func TestCallsOfOneFunctionAreAlike(t *testing.T) {
	src := lztest.Calls(32 << 10)
	c := New()
	n := c.Compress(make([]byte, len(src)), src)
	for i := range src { // the same that is no call
		if src[i] == 0xe8 {
			src[i] = 0xe9
		}
	}
	if m := c.Compress(make([]byte, len(src)), src); n == 0 || 2*n > m {
		t.Errorf("calls take %d bytes, and %d as anything else", n, m)
	}
}

// FuzzLZX packs what it is given, by one compressor.
func FuzzLZX(f *testing.F) {
	for _, src := range lztest.Chunks() {
		f.Add(src)
	}
	f.Add(lztest.Noise())
	c := New()
	f.Fuzz(func(t *testing.T, src []byte) {
		packed(t, c, src[:min(len(src), 32<<10)])
	})
}

func BenchmarkCompress(b *testing.B) {
	for _, name := range []string{"text", "calls", "skewed", "zeros", "period of 700"} {
		b.Run(name, func(b *testing.B) {
			src := lztest.Chunks()[name]
			dst := make([]byte, len(src))
			c := New()
			b.SetBytes(int64(len(src)))
			for b.Loop() {
				b.ReportMetric(float64(c.Compress(dst, src)), "bytes")
			}
		})
	}
}
