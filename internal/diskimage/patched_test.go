package diskimage

import (
	"bytes"
	"path/filepath"
	"testing"
)

func TestAPatchedDiskShowsItsPatchesAndIsCopiedWithThem(t *testing.T) {
	base := make([]byte, 3<<20)
	copy(base[1<<20:], "middle")
	want := append(bytes.Clone(base), make([]byte, 1<<20)...)
	patches := []Patch{
		{3<<20 - 2, []byte("over the end")}, {0, []byte("start")}, {1<<20 + 3, []byte("XX")}, {4<<20 - 3, []byte("end")}, {2 << 20, make([]byte, 512)},
	}
	for _, p := range patches {
		copy(want[p.At:], p.Bytes)
	}
	d := Patched(open(t, writeFile(t, "disk.raw", base)), 4<<20, patches)
	if d.Size() != 4<<20 || d.Info().VirtualSize != 4<<20 {
		t.Fatalf("%d, %d", d.Size(), d.Info().VirtualSize)
	}
	sameContent(t, content(t, d), want)
	b := make([]byte, 100)
	for _, off := range []int64{0, 3, 1 << 20, 1<<20 + 4, 3<<20 - 3, 3<<20 + 9, 4<<20 - 2} {
		n, _ := d.ReadAt(b, off)
		if !bytes.Equal(b[:n], want[off:min(off+100, 4<<20)]) {
			t.Errorf("at %d: %q", off, b[:n])
		}
	}
	for _, o := range outputs {
		dst := filepath.Join(t.TempDir(), "out")
		if _, err := Convert(t.Context(), d, dst, Options{Format: o.Format, Type: o.Type, Compare: true}); err != nil {
			t.Fatal(err)
		}
		sameContent(t, content(t, open(t, dst, As(o.Format))), want)
	}
}

func TestTheDataOfAPatchedDiskIsFound(t *testing.T) {
	base := make([]byte, 1<<20)
	d := Patched(open(t, imageFile(t, base, Options{Format: QCOW2})), 3<<20, []Patch{{2 << 20, []byte("x")}, {3 << 20, []byte("behind")}})
	var found [][2]int64
	for off := int64(0); ; {
		start, end, err := nextData(d, off)
		if err != nil {
			t.Fatal(err)
		}
		if start == end {
			break
		}
		found = append(found, [2]int64{start, end})
		off = end
	}
	if len(found) != 1 || found[0] != [2]int64{2 << 20, 2<<20 + 1} {
		t.Errorf("%v", found)
	}
}

func imageFile(t *testing.T, disk []byte, o Options) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	convertTo(t, writeFile(t, "disk.raw", disk), path, o)
	return path
}
