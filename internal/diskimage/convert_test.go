package diskimage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ranges is a Skipper of fixed ranges.
type ranges []span

func (r ranges) Skippable(off, n int64) bool {
	for _, s := range r {
		if off >= s.from && off+n <= s.to {
			return true
		}
	}
	return false
}

func TestSkippedRangesReadAsZerosAndTheRestIsWhole(t *testing.T) {
	src := bytes.Repeat([]byte{7}, 9<<20+512)
	raw := writeFile(t, "disk.raw", src)
	skip := ranges{{4096, 3 << 20}, {5<<20 + 1, 5<<20 + 8192}, {9 << 20, 9<<20 + 512}}
	want := bytes.Clone(src)
	clear(want[4096 : 3<<20])
	clear(want[5<<20+4096 : 5<<20+8192]) // only whole pages are left out
	clear(want[9<<20:])
	for _, o := range outputs {
		o.Skip = skip
		dst := filepath.Join(t.TempDir(), "out")
		st := convertTo(t, raw, dst, o)
		sameContent(t, content(t, open(t, dst)), want)
		if st.Skipped != 3<<20-4096+4096+512 || st.Read != int64(len(src))-st.Skipped || st.Written != st.Read {
			t.Errorf("%s: %+v", o.Format, st)
		}
	}
}

func TestProgressEndsAtTheTotal(t *testing.T) {
	raw := writeFile(t, "disk.raw", pattern(20<<20))
	var last, total int64
	convertTo(t, raw, filepath.Join(t.TempDir(), "out"), Options{Format: VHDX, Progress: func(d, all int64) {
		if d < last || all == 0 {
			t.Errorf("progress goes from %d to %d of %d", last, d, all)
		}
		last, total = d, all
	}})
	if last != total || total == 0 {
		t.Errorf("progress ends at %d of %d", last, total)
	}
}

func TestAlignedOutputGrowsToAWholeMiB(t *testing.T) {
	for size, want := range map[int64]int64{512: mib, mib: mib, mib + 512: 2 * mib, 14692352: 15 * mib} {
		raw := writeFile(t, "disk.raw", make([]byte, size))
		dst := filepath.Join(t.TempDir(), "out.vhd")
		convertTo(t, raw, dst, Options{Format: VHD, AlignMiB: true})
		st, err := os.Stat(dst)
		if err != nil {
			t.Fatal(err)
		}
		if st.Size() != want+512 {
			t.Errorf("%d bytes became a file of %d, want %d + 512", size, st.Size(), want)
		}
		if w := open(t, dst).Info().Warnings; len(w) != 0 {
			t.Errorf("warnings %q", w)
		}
	}
}

// brokenDisk fails, or calls, when it is read at some offset.
type brokenDisk struct {
	Disk
	at   int64
	call func() error
}

func (d brokenDisk) ReadAt(p []byte, off int64) (int, error) {
	if off <= d.at && d.at < off+int64(len(p)) {
		if err := d.call(); err != nil {
			return 0, err
		}
	}
	return d.Disk.ReadAt(p, off)
}

func TestFailureAndCancelLeaveNothingAndKeepTheOldFile(t *testing.T) {
	raw := writeFile(t, "disk.raw", bytes.Repeat([]byte{1}, 40<<20))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	broken := errors.New("the disk is broken")
	for name, c := range map[string]struct {
		call func() error
		want error
	}{
		"a read error": {func() error { return broken }, broken},
		"a cancel":     {func() error { cancel(); return nil }, context.Canceled},
	} {
		for _, o := range outputs {
			dir := t.TempDir()
			dst := filepath.Join(dir, "out")
			if err := os.WriteFile(dst, []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Convert(ctx, brokenDisk{open(t, raw), 11 << 20, c.call}, dst, o)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), dst) {
				t.Errorf("%s, %s: %v", name, o.Format, err)
			}
			names, err := os.ReadDir(dir)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := os.ReadFile(dst); len(names) != 1 || string(b) != "old" {
				t.Errorf("%s, %s: left %v, %q", name, o.Format, names, b)
			}
		}
		ctx, cancel = context.WithCancel(context.Background())
	}
	cancel()
}

// hugeDisk has more data than any file system here.
type hugeDisk struct{ Disk }

func (hugeDisk) Size() int64 { return maxDisk }
func (hugeDisk) NextData(off int64) (int64, int64, error) {
	if off > 0 {
		return maxDisk, maxDisk, nil
	}
	return 0, maxDisk, nil
}
func (hugeDisk) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestLackOfSpaceIsSaidBeforeAnythingIsWritten(t *testing.T) {
	dir := t.TempDir()
	_, err := Convert(t.Context(), hugeDisk{open(t, writeFile(t, "x", make([]byte, 512)))}, filepath.Join(dir, "out"), Options{Format: Raw})
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v", err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("left %v", names)
	}
}

func TestOutputsThatCannotBeAreRefused(t *testing.T) {
	raw := open(t, writeFile(t, "disk.raw", make([]byte, 1<<20)))
	dir := t.TempDir()
	for name, c := range map[string]struct {
		src Disk
		dst string
		o   Options
		say string
	}{
		"a differencing VHD":          {raw, "a", Options{Format: VHD, Type: Differencing}, "differencing"},
		"a fixed VHDX":                {raw, "a", Options{Format: VHDX, Type: Fixed}, "fixed"},
		"no format":                   {raw, "a", Options{}, "format"},
		"a VHD of more than 2040 GiB": {sized{raw, maxVHD + 512}, "a", Options{Format: VHD}, "a VHD holds at most 2040 GiB"},
		"a VHD with sectors of 4096":  {sectored{raw}, "a", Options{Format: VHD}, "sectors of 4096"},
		"a folder":                    {raw, ".", Options{Format: VHD}, "not a regular file"},
		"a folder that is not there":  {raw, "none/a", Options{Format: VHD}, "none"},
		"the source":                  {raw, raw.Info().Files[0], Options{Format: Raw}, "is the source"},
	} {
		t.Run(name, func(t *testing.T) {
			dst := c.dst
			if !filepath.IsAbs(dst) {
				dst = filepath.Join(dir, dst)
			}
			_, err := Convert(t.Context(), c.src, dst, c.o)
			if err == nil || !strings.Contains(err.Error(), c.say) {
				t.Errorf("%v", err)
			}
		})
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("left %v", names)
	}
}

type sized struct {
	Disk
	size int64
}

func (d sized) Size() int64 { return d.size }

type sectored struct{ Disk }

func (sectored) SectorSize() int { return 4096 }

func TestDiskWithSectorsOf4096StaysOneAsVHDX(t *testing.T) {
	want := pattern(5 << 20)
	raw := open(t, writeFile(t, "disk.raw", want))
	dst := filepath.Join(t.TempDir(), "out.vhdx")
	if _, err := Convert(t.Context(), sectored{raw}, dst, Options{Format: VHDX}); err != nil {
		t.Fatal(err)
	}
	d := open(t, dst)
	if d.SectorSize() != 4096 {
		t.Errorf("sectors of %d", d.SectorSize())
	}
	sameContent(t, content(t, d), want)
	// QEMU refuses such a VHDX; libvhdi does not.
	if out := run(t, "vhdiinfo", dst); !strings.Contains(out, "(5242880 bytes)") {
		t.Errorf("%s", out)
	}
}
