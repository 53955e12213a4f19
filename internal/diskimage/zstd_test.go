package diskimage

import (
	"bytes"
	"math/rand"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func zstandard(t testing.TB, data []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func TestZstdIsUnpackedAndDamageIsRefused(t *testing.T) {
	data := bytes.Repeat([]byte("a cluster of a disk, and "), 3000)
	rand.New(rand.NewSource(1)).Read(data[:20_000])
	src := append(zstandard(t, data), make([]byte, 300)...)
	dst := make([]byte, len(data))
	for range 3 { // decoders are used again, also after an error
		clear(dst)
		if err := unzstd(dst, src); err != nil || !bytes.Equal(dst, data) {
			t.Fatal(err)
		}
		for _, bad := range [][]byte{nil, src[:100], append([]byte("nothing"), src...), src[:len(src)-400]} {
			if err := unzstd(make([]byte, len(data)), bad); err == nil {
				t.Errorf("%d bytes: no error", len(bad))
			}
		}
		if err := unzstd(make([]byte, len(data)+1), src); err == nil {
			t.Error("more than there is: no error")
		}
	}
}

func FuzzZstd(f *testing.F) {
	f.Add(zstandard(f, []byte("abc")))
	f.Add(zstandard(f, bytes.Repeat([]byte("abcdefgh"), 1000)))
	f.Add([]byte("\x28\xb5\x2f\xfd\xe0\xff\xff\xff\xff\xff\xff\xff\xff")) // a window of all there is
	f.Fuzz(func(_ *testing.T, src []byte) { _ = unzstd(make([]byte, 8192), src) })
}
