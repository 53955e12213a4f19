package diskimage

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"strings"
	"testing"
)

// unpacked is what compress/flate makes of a stream, at most limit bytes, and whether it
// has more.
func unpacked(src []byte, limit int) (b []byte, more bool, err error) {
	b, err = io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(src)), int64(limit)+1))
	if len(b) > limit {
		return b[:limit], true, nil
	}
	return b, false, err
}

// likeFlate compares inflate, whose decoder has seen other streams, with a decoder that is new.
func likeFlate(t testing.TB, src []byte, room int) {
	t.Helper()
	want, more, wantErr := unpacked(src, room)
	dst := make([]byte, room, room+1)
	n, err := inflate(dst, src)
	switch {
	case more:
		// Both are right where what follows is damaged.
		if err == nil || n > room || errors.Is(err, errInflateFull) && !bytes.Equal(dst[:n], want) {
			t.Fatalf("%d bytes, %v; there are more than the %d that fit", n, err, room)
		}
	case wantErr != nil:
		if err == nil {
			t.Fatalf("%d bytes, but compress/flate says %v", n, wantErr)
		}
	case err != nil || !bytes.Equal(dst[:n], want):
		t.Fatalf("%d bytes, %v; compress/flate has %d", n, err, len(want))
	}
}

// A decoder is used again, also after a stream that it refused.
func TestAZlibStreamIsUnpackedAndItsChecksumCompared(t *testing.T) {
	for name, data := range inflatable() {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		if _, err := w.Write(data); err != nil || w.Close() != nil {
			t.Fatal(err)
		}
		src, dst := b.Bytes(), make([]byte, len(data))
		for range 2 {
			for _, at := range []int{0, len(src) - 1} { // header, checksum
				bad := bytes.Clone(src)
				bad[at] ^= 1
				if n, err := inflateZlib(dst, bad); !errors.Is(err, errInflate) {
					t.Errorf("%s, byte %d damaged: %d bytes, %v", name, at, n, err)
				}
			}
			if n, err := inflateZlib(dst, src[:len(src)-1]); !errors.Is(err, errInflateCut) {
				t.Errorf("%s, cut off: %d bytes, %v", name, n, err)
			}
			if n, err := inflateZlib(dst, src); err != nil || n != len(data) || !bytes.Equal(dst, data) {
				t.Errorf("%s: %d bytes of %d, %v", name, n, len(data), err)
			}
		}
	}
}

func deflated(t testing.TB, data []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err == nil {
		_, err = w.Write(data)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// inflatable are data of several kinds, by name.
func inflatable() map[string][]byte {
	r := rand.New(rand.NewSource(1))
	noise := make([]byte, 70_000)
	r.Read(noise)
	var text strings.Builder
	for text.Len() < 100_000 {
		fmt.Fprintf(&text, "line %d of %x, %s\n", r.Intn(1000), r.Uint32(), strings.Repeat("ab", r.Intn(40)))
	}
	skewed := make([]byte, 200_000) // long codes
	for i := range skewed {
		skewed[i] = byte(int(r.ExpFloat64()*12) & 255)
	}
	short := bytes.Repeat([]byte("abcdefg"), 9000) // distances of less than 8
	return map[string][]byte{"nothing": nil, "one byte": {7}, "noise": noise, "text": []byte(text.String()), "skewed": skewed,
		"zeros": make([]byte, 65536), "short distances": append(short, bytes.Repeat([]byte("xyz"), 5000)...)}
}

func TestDeflateIsUnpacked(t *testing.T) {
	for name, data := range inflatable() {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 6, 9} {
			src := append(deflated(t, data, level), "what follows"...)
			dst := make([]byte, len(data))
			n, err := inflate(dst, src)
			if err != nil || n != len(data) || !bytes.Equal(dst, data) {
				t.Errorf("%s, level %d: %d bytes of %d: %v", name, level, n, len(data), err)
			}
			used := len(src) - len("what follows")
			for _, room := range []int{0, 1, len(data) / 2, len(data) - 1} {
				if room < 0 || room >= len(data) {
					continue
				}
				n, err := inflate(make([]byte, room), src)
				if n != room || !errors.Is(err, errInflateFull) {
					t.Errorf("%s, level %d, room for %d: %d bytes, %v", name, level, room, n, err)
				}
			}
			for _, have := range []int{0, 1, used / 3, used - 1} {
				if n, err := inflate(make([]byte, len(data)+10), src[:have]); err == nil {
					t.Errorf("%s, level %d, cut to %d: %d bytes and no error", name, level, have, n)
				}
			}
		}
	}
}

// TestDamagedDeflateIsRefusedAsByANewDecoder changes bytes, mostly of the tables of codes.
func TestDamagedDeflateIsRefusedAsByANewDecoder(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	data := inflatable()
	for _, name := range []string{"text", "skewed", "short distances"} {
		src := deflated(t, data[name][:20_000], 6)
		for range 1500 {
			b := bytes.Clone(src)
			for range 1 + r.Intn(3) {
				b[r.Intn(min(len(b), 10+r.Intn(len(b))))] ^= 1 << r.Intn(8)
			}
			likeFlate(t, b, 20_000)
		}
	}
}

func FuzzInflate(f *testing.F) {
	for _, data := range inflatable() {
		for _, level := range []int{flate.HuffmanOnly, 1, 9} {
			f.Add(deflated(f, data[:min(len(data), 3000)], level))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		likeFlate(t, src, 4096)
		likeFlate(t, src, 100)
	})
}

func BenchmarkInflate(b *testing.B) {
	for name, data := range inflatable() {
		src, dst := deflated(b, data, 6), make([]byte, len(data))
		b.Run(name+"/kept", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := inflate(dst, src); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/new", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, err := io.ReadFull(flate.NewReader(bytes.NewReader(src)), dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
