package diskimage

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// minHole is the smallest range worth a hole: below it, more extents cost more
// than the space they free.
const minHole = 64 * kib

// errNoExtents: the file system does not tell where the data of a file is.
var errNoExtents = errors.New("no extents known")

// errNoPunch: the file system cannot take space back from inside a file.
var errNoPunch = errors.New("no holes can be made")

// Punch makes every skippable range of 64 KiB or more of a raw disk or fixed
// VHD read as zeros, in place, and frees its space where the file system can;
// where it cannot, the zeros are written. It returns how many bytes were
// cleared. The caller has made sure that no one else has the disk open, and
// syncs. What was done before ctx ends stays done: every range was free.
func Punch(ctx context.Context, f *os.File, skip Skipper) (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	d, err := source{opener: opener{ended: endless}, ReaderAt: f, size: st.Size(), close: func() error { return nil }}.open()
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", f.Name(), err)
	}
	if _, ok := d.(*flat); !ok {
		return 0, unsupported("%s is a %s; holes are made in raw disks and fixed VHDs only", f.Name(), d.Info().kind())
	}
	cleared := int64(0)
	hole := span{}
	flush := func() error {
		defer func() { hole = span{} }()
		if hole.to-hole.from < minHole {
			return nil
		}
		if err := clearRange(ctx, f, hole.from, hole.to-hole.from); err != nil {
			return fmt.Errorf("clearing %d bytes at %d of %s: %w", hole.to-hole.from, hole.from, f.Name(), err)
		}
		cleared += hole.to - hole.from
		return nil
	}
	for off := int64(0); ; {
		start, end, err := nextData(d, off)
		if err != nil {
			return cleared, err
		}
		if start == end {
			return cleared, flush()
		}
		for a := roundUp(start, grain); a < end; a += grain {
			if a%gib == 0 && ctx.Err() != nil {
				return cleared, ctx.Err()
			}
			n := min(grain, end-a)
			if !skip.Skippable(a, n) {
				if err := flush(); err != nil {
					return cleared, err
				}
				continue
			}
			if hole.to != a {
				if err := flush(); err != nil {
					return cleared, err
				}
				hole.from = a
			}
			hole.to = a + n
			if hole.to-hole.from >= gib {
				if err := flush(); err != nil {
					return cleared, err
				}
			}
		}
		if err := ctx.Err(); err != nil {
			return cleared, err
		}
		off = end
	}
}

// clearRange makes a hole, or writes zeros where none can be made.
func clearRange(ctx context.Context, f *os.File, off, n int64) error {
	err := punchHole(f, off, n)
	if !errors.Is(err, errNoPunch) {
		return err
	}
	buf := make([]byte, mib)
	for end := off + n; off < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		w, err := f.WriteAt(buf[:min(int64(len(buf)), end-off)], off)
		if err != nil {
			return err
		}
		off += int64(w)
	}
	return nil
}
