package ntfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestFreeClustersAreSkippableAndNothingElse(t *testing.T) {
	image := fixture(t)
	const base = 1 << 20
	disk := append(make([]byte, base), image...)
	v, err := Open(bytes.NewReader(disk), base, int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := v.FreeMap(t.Context(), "sparse.bin", "pagefile.sys")
	if err != nil {
		t.Fatal(err)
	}
	if m.Dropped() != 2*4096 || m.Free() < 1<<20 || m.Free() > 5<<20 {
		t.Errorf("%d bytes dropped, %d free", m.Dropped(), m.Free())
	}
	if m.Skippable(0, base) || m.Skippable(base-4096, 8192) || m.Skippable(base, 512) || m.Skippable(base+v.Size()-512, 8192) || m.Skippable(base, 0) {
		t.Error("the boot sector or bytes outside the volume are skippable")
	}
	// Zero everything skippable: all but the dropped file still reads.
	skipped := int64(0)
	for off := int64(base); off < base+v.Size(); off += 512 {
		if m.Skippable(off, 512) {
			clear(disk[off : off+512])
			skipped += 512
		}
	}
	if skipped != m.Free()+m.Dropped() {
		t.Errorf("%d bytes skippable, %d free", skipped, m.Free())
	}
	v, err = Open(bytes.NewReader(disk), base, int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	for path, w := range listed(t) {
		path, stream, _ := strings.Cut(path, ":")
		if path == "sparse.bin" {
			continue
		}
		f, err := v.find(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.open(stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d\t%s", s.size, hashOf(t, path, s)); got != w {
			t.Errorf("%s: %s, want %s", path, got, w)
		}
	}
}

func TestFreeMapIsRefusedWhereFreeMayBeWrong(t *testing.T) {
	lcn := func(t *testing.T, b []byte, path string) int64 {
		f, err := openBytes(t, b).find(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.open("")
		if err != nil {
			t.Fatal(err)
		}
		return s.runs[0].LCN
	}
	for _, c := range []struct {
		name   string
		change func(t *testing.T, b []byte)
		is     error
		says   string
	}{
		{"marked dirty", func(t *testing.T, b []byte) {
			patchRecord(t, b, recordVolume, func(r []byte) {
				residentValue(r, kindVolumeInformation)[10] |= 1
			})
		}, ErrUnsettled, "dirty"},
		{"a file in a free cluster", func(t *testing.T, b []byte) {
			c := lcn(t, b, "pieces.bin")
			b[lcn(t, b, "$Bitmap")*4096+c/8] &^= 1 << (c % 8)
		}, ErrCorrupt, "which $Bitmap calls free"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := fixture(t)
			c.change(t, b)
			if _, err := openBytes(t, b).FreeMap(t.Context()); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := openBytes(t, fixture(t)).FreeMap(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestFreeSpaceIsThatOfTheMap(t *testing.T) {
	v := openBytes(t, fixture(t))
	m, err := v.FreeMap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if free, err := v.FreeSpace(); err != nil || free != m.Free() || free == 0 {
		t.Errorf("%d bytes, the map has %d (%v)", free, m.Free(), err)
	}
	for n := int64(0); n <= 24; n++ {
		want := int64(0)
		b := []byte{0b10110011, 0b01010101, 0xff}
		for i := range n {
			want += int64(b[i/8] >> (i % 8) & 1)
		}
		if got := marked(b, n); got != want {
			t.Errorf("%d of the first %d bits, want %d", got, n, want)
		}
	}
}
