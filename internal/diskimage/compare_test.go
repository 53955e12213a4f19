package diskimage

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stuck answers NextData by a rule of its own.
type stuck struct {
	Disk
	next func(off int64) (int64, int64)
}

func (s stuck) NextData(off int64) (int64, int64, error) {
	start, end := s.next(off)
	return start, end, nil
}

// TestAnswersThatDoNotAdvanceEndTheConversion: each of them would make the
// walk go on for ever, or lose data.
func TestAnswersThatDoNotAdvanceEndTheConversion(t *testing.T) {
	raw := open(t, writeFile(t, "disk.raw", bytes.Repeat([]byte{1}, 4<<20)))
	for name, next := range map[string]func(int64) (int64, int64){
		"an empty run":             func(off int64) (int64, int64) { return off, off },
		"a run behind":             func(off int64) (int64, int64) { return off - 1, off + 1 },
		"a run that ends before":   func(off int64) (int64, int64) { return off + 512, off },
		"a run past the end":       func(int64) (int64, int64) { return 0, 5 << 20 },
		"nothing before the end":   func(int64) (int64, int64) { return 3 << 20, 3 << 20 },
		"the end, past its size":   func(int64) (int64, int64) { return 5 << 20, 5 << 20 },
		"the parent's end forever": func(int64) (int64, int64) { return 1 << 20, 1 << 20 },
	} {
		t.Run(name, func(t *testing.T) {
			dst := filepath.Join(t.TempDir(), "out")
			_, err := Convert(t.Context(), stuck{raw, next}, dst, Options{Format: Raw})
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "internal error") {
				t.Errorf("%v", err)
			}
			if _, err := os.Stat(dst); err == nil {
				t.Error("an output was left")
			}
		})
	}
}

// TestEndlessWalkIsCancelled: as many extents as there are bytes.
func TestEndlessWalkIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	raw := open(t, writeFile(t, "disk.raw", make([]byte, 512)))
	asked := 0
	d := sized{stuck{raw, func(off int64) (int64, int64) {
		if asked++; asked == 1000 {
			cancel()
		}
		return off, off + 1
	}}, maxVHD}
	if _, err := Convert(ctx, d, filepath.Join(t.TempDir(), "out"), Options{Format: Raw}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if asked > 1001 {
		t.Errorf("asked %d times", asked)
	}
}

// lossy hides data in [from, to).
func lossy(d Disk, from, to int64) Disk {
	return stuck{d, func(off int64) (int64, int64) {
		if off < from {
			return off, from
		}
		return max(off, to), d.Size()
	}}
}

// TestDataThatIsNotFoundIsNoticedAfterwards: had NextData lost a piece of the
// disk, the sample would have told where it is as large as a sample's step, and
// the whole comparison always.
func TestDataThatIsNotFoundIsNoticedAfterwards(t *testing.T) {
	raw := open(t, writeFile(t, "disk.raw", bytes.Repeat([]byte{1}, 64<<20)))
	for _, o := range outputs {
		for _, c := range []struct {
			from, to int64
			whole    bool
			noticed  bool
		}{
			{0, 64 * kib, false, true}, {63 * mib, 64 * mib, false, true}, {30 * mib, 34 * mib, false, true},
			{31*mib + 256*kib, 31*mib + 260*kib, false, false}, {31*mib + 256*kib, 31*mib + 260*kib, true, true},
		} {
			dst := filepath.Join(t.TempDir(), "out")
			o.Compare = c.whole
			_, err := Convert(t.Context(), lossy(raw, c.from, c.to), dst, o)
			if errors.Is(err, ErrMismatch) != c.noticed {
				t.Errorf("%s, %+v: %v", o.Format, c, err)
			}
			if _, statErr := os.Stat(dst); (statErr == nil) == c.noticed {
				t.Errorf("%s, %+v: output: %v", o.Format, c, statErr)
			}
		}
	}
}

// unsteady gives other bytes when a place is read again.
type unsteady struct {
	Disk
	at    int64
	reads *int
}

func (d unsteady) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.Disk.ReadAt(p, off)
	if off <= d.at && d.at < off+int64(n) {
		*d.reads++
		p[d.at-off] = byte(*d.reads)
	}
	return n, err
}

func TestSourceThatChangesIsNoticed(t *testing.T) {
	raw := open(t, writeFile(t, "disk.raw", bytes.Repeat([]byte{1}, 9<<20)))
	for _, o := range outputs {
		o.Compare = true
		_, err := Convert(t.Context(), unsteady{raw, 5<<20 + 77, new(int)}, filepath.Join(t.TempDir(), "out"), o)
		if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), "5242880") {
			t.Errorf("%s: %v", o.Format, err)
		}
	}
}

func TestWhatIsSkippedMayDiffer(t *testing.T) {
	raw := writeFile(t, "disk.raw", bytes.Repeat([]byte{7}, 9<<20+512))
	for _, o := range outputs {
		o.Compare, o.Skip = true, ranges{{4096, 3 << 20}, {5<<20 + 1, 5<<20 + 8192}, {9 << 20, 9<<20 + 512}}
		convertTo(t, raw, filepath.Join(t.TempDir(), "out"), o)
	}
}

// TestSkippingGoesPastTheEndOfTheParent: a Skipper is asked for ranges of the
// whole disk, those that no backing file has included.
func TestSkippingGoesPastTheEndOfTheParent(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "base"), bytes.Repeat([]byte{1}, int(5*mib+1536)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay")
	overlayNaming(t, overlay, "base", "raw", 700*mib)
	d := open(t, overlay)
	dst := filepath.Join(dir, "out")
	st, err := Convert(t.Context(), d, dst, Options{Format: Raw, Compare: true, Skip: ranges{{2 * mib, 700 * mib}}})
	if err != nil {
		t.Fatal(err)
	}
	if st.Written != 2*mib || st.Skipped != 3*mib+4096 || st.VirtualSize != 700*mib {
		t.Errorf("%+v", st)
	}
}
