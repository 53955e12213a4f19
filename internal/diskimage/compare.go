package diskimage

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

const (
	// sampleSize is what is compared at each place of a sample, and samples is
	// how many of the pieces that were written are in it, and about how many
	// other places of the disk.
	sampleSize = 64 * kib
	samples    = 32
)

// sample keeps some of the places that a conversion wrote, spread over all of
// them and the same ones in every run.
type sample struct {
	mu     sync.Mutex
	stride int64
	spans  map[int64]span // by the number of the piece
}

func (s *sample) add(number int64, at span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spans == nil {
		s.spans, s.stride = map[int64]span{}, 1
	}
	if number%s.stride != 0 {
		return
	}
	s.spans[number] = at
	for len(s.spans) > samples {
		s.stride *= 2
		for n := range s.spans {
			if n%s.stride != 0 {
				delete(s.spans, n)
			}
		}
	}
}

// checkOutput reads what was written back and compares it with the source: the
// bytes that hold data are counted, and a sample, or with whole all of the
// disk, is compared. What the source calls a hole is compared, too: that is
// where data would be lost.
func checkOutput(ctx context.Context, src Disk, path string, o Options, stats Stats, written []span) error {
	out, err := Open(path, As(o.Format), Until(ctx))
	if err != nil {
		return fmt.Errorf("reading the output: %w", err)
	}
	defer out.Close()
	if out.Size() != stats.VirtualSize {
		return fmt.Errorf("%w: it is a disk of %d bytes and should be one of %d", ErrMismatch, out.Size(), stats.VirtualSize)
	}
	// Where no table says what a file holds, the file system may have its own
	// idea of it.
	if _, isFlat := out.(guarded).Disk.(*flat); !isFlat {
		held, err := survey(ctx, out, nil)
		if err != nil {
			return fmt.Errorf("counting the data of the output: %w", err)
		}
		if held.data < stats.Written {
			return fmt.Errorf("%w: it holds %d bytes of data, %d were written", ErrMismatch, held.data, stats.Written)
		}
	}
	c := comparer{src: src, out: out, skip: o.Skip, a: make([]byte, copyUnit), b: make([]byte, copyUnit)}
	if o.Compare {
		return c.compare(ctx, span{0, out.Size()})
	}
	for _, s := range append(places(src.Info(), out.Size()), written...) {
		if err := c.compare(ctx, span{s.from, min(s.to, s.from+sampleSize)}); err != nil {
			return err
		}
	}
	return nil
}

// places are those of a disk that are compared whatever was written: its start
// and end, where one of its parents ends, and some between.
func places(i Info, size int64) (list []span) {
	add := func(at int64) {
		if at = min(at, size-sampleSize) / grain * grain; at < 0 {
			at = 0
		}
		list = append(list, span{at, min(at+sampleSize, size)})
	}
	for n := range int64(samples) {
		add(size / samples * n)
	}
	for _, l := range i.Chain() {
		add(l.VirtualSize - sampleSize)
		add(l.VirtualSize)
	}
	if size > sampleSize {
		add(size - sampleSize)
		list = append(list, span{size - size%grain, size})
	}
	return list
}

// comparer compares ranges of a disk that start on a grain.
type comparer struct {
	src, out Disk
	skip     Skipper
	a, b     []byte
}

func (c *comparer) compare(ctx context.Context, s span) error {
	for at := s.from; at < s.to; at += copyUnit {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(copyUnit, s.to-at)
		a, b := c.a[:n], c.b[:n]
		if err := readPadded(c.src, a, at); err != nil {
			return fmt.Errorf("comparing: reading the source at %d: %w", at, err)
		}
		if err := readFull(c.out, b, at); err != nil {
			return fmt.Errorf("comparing: reading the output at %d: %w", at, err)
		}
		if bytes.Equal(a, b) {
			continue
		}
		for from := int64(0); from < n; from += grain {
			to := min(from+grain, n)
			if bytes.Equal(a[from:to], b[from:to]) || isZero(b[from:to]) && c.skipped(at+from) {
				continue
			}
			return fmt.Errorf("%w: they differ in the %d bytes at %d. Nothing was kept. The source was changed while it was read, the storage returned data other than what was written, "+
				"or this program is wrong: make sure that nothing uses the source, run it again, and report it if it happens again", ErrMismatch, to-from, at+from)
		}
	}
	return nil
}

// skipped reports whether the conversion left out the grain at an offset.
func (c *comparer) skipped(at int64) bool {
	return c.skip != nil && at < c.src.Size() && c.skip.Skippable(at, min(grain, c.src.Size()-at))
}
