package diskimage

import (
	"bytes"
	"context"
	"fmt"
	"sync"
)

const (
	// copyUnit is what one worker copies at a time, and the block size of the
	// VHD and VHDX written here: 2 MiB, the default of [VHD]. Hyper-V's and
	// QEMU's larger blocks make the file larger than its data.
	copyUnit = 2 * mib
	// grain is what is tested for zeros and skipped: a page of the host, a
	// cluster of nearly every NTFS.
	grain = 4 * kib
	// copiers is how many blocks are copied at a time.
	copiers = 4
)

// blockWriter places and writes blocks of copyUnit bytes into the output.
type blockWriter interface {
	// place says where in the output a block goes. It is called once for every
	// block that holds data, in ascending order, one call at a time.
	place(block int64, data []span) (at int64)
	// write writes the data of a block to the place it was given; data are
	// spans of p. It is called by several goroutines.
	write(at int64, p []byte, data []span) error
	// finish writes the tables once all blocks are there.
	finish() error
}

// copier copies the data of a disk block by block.
type copier struct {
	src      Disk
	w        blockWriter
	skip     Skipper
	progress func(done, total int64)
	total    int64

	mu    sync.Mutex
	turns *sync.Cond // waits on mu
	turn  int64
	done  int64
	stats Stats

	sample sample
	follow *follower // nil: nobody hashes
}

// piece is one block to copy. Its number keeps the output in the order of the
// disk, however the copiers overtake each other.
type piece struct {
	number int64
	block  int64
	size   int64
	data   []span // relative to the block
}

func (c *copier) run(ctx context.Context) error {
	c.turns = sync.NewCond(&c.mu)
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	pieces := make(chan piece, 2*copiers)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(pieces)
		if err := c.plan(ctx, pieces); err != nil {
			fail(err)
		}
	})
	for range copiers {
		wg.Go(func() {
			buf := make([]byte, copyUnit)
			for p := range pieces {
				if err := c.copy(ctx, p, buf); err != nil {
					fail(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// plan cuts the data of the source into pieces, in order.
func (c *copier) plan(ctx context.Context, out chan<- piece) error {
	size := c.src.Size()
	cur := piece{block: -1}
	send := func() error {
		if cur.block < 0 {
			return nil
		}
		select {
		case out <- cur:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for off := int64(0); ; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		start, end, err := nextData(c.src, off)
		if err != nil {
			return fmt.Errorf("finding the data of the source: %w", err)
		}
		if start == end {
			return send()
		}
		for start < end {
			b := start / copyUnit
			if b != cur.block {
				if err := send(); err != nil {
					return err
				}
				next := cur.number + 1
				if cur.block < 0 {
					next = 0
				}
				cur = piece{number: next, block: b, size: min(copyUnit, size-b*copyUnit)}
			}
			to := min(end, b*copyUnit+cur.size)
			cur.data = append(cur.data, span{start - b*copyUnit, to - b*copyUnit})
			start = to
		}
		off = end
	}
}

// copy reads one piece, waits for its turn to be placed, and writes it. The
// turn passes on whatever happens, or the other copiers would wait forever.
func (c *copier) copy(ctx context.Context, p piece, buf []byte) error {
	var r readResult
	err := context.Cause(ctx)
	if err == nil {
		r, err = c.read(p, buf)
	}
	var at int64
	if _, fixed := c.w.(*flatWriter); fixed { // each block has one place, whoever comes first
		at = p.block * copyUnit
	} else {
		c.mu.Lock()
		for c.turn != p.number {
			c.turns.Wait()
		}
		if err == nil && len(r.keep) > 0 {
			at = c.w.place(p.block, r.keep)
		}
		c.turn++
		c.turns.Broadcast()
		c.mu.Unlock()
	}
	if err != nil {
		return err
	}
	if len(r.keep) > 0 {
		if err := c.w.write(at, buf, r.keep); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		base, first := p.block*copyUnit, r.keep[0]
		c.sample.add(p.number, span{base + first.from, base + first.to})
	}
	if c.follow != nil {
		if err := c.follow.tell(ctx, piece{number: p.number, block: p.block, data: r.keep}); err != nil {
			return fmt.Errorf("hashing what was written: %w", err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Read += r.read
	c.stats.Skipped += r.skipped
	for _, s := range r.keep {
		c.stats.Written += s.to - s.from
	}
	for _, s := range p.data {
		c.done += s.to - s.from
	}
	if c.progress != nil {
		c.progress(c.done, c.total)
	}
	return nil
}

// readResult is what a piece holds after skipping and looking for zeros.
type readResult struct {
	keep          []span
	read, skipped int64
}

// read fills the parts of buf that hold data.
func (c *copier) read(p piece, buf []byte) (r readResult, err error) {
	base := p.block * copyUnit
	done := int64(0)
	for _, s := range p.data {
		from, to := max(s.from/grain*grain, done), min(roundUp(s.to, grain), p.size)
		for from < to {
			run := from
			for run < to && !c.skippable(base+run, min(grain, to-run)) {
				run = min(run+grain, to)
			}
			if run == from {
				run = min(from+grain, to)
				r.skipped += run - from
				from = run
				continue
			}
			if err := readFull(c.src, buf[from:run], base+from); err != nil {
				return r, fmt.Errorf("reading the source at %d: %w", base+from, err)
			}
			r.read += run - from
			r.keep = appendNonZero(r.keep, buf, from, run)
			from = run
		}
		done = max(done, to)
	}
	return r, nil
}

func (c *copier) skippable(off, n int64) bool { return c.skip != nil && c.skip.Skippable(off, n) }

// appendNonZero adds the grains of buf[from:to] that are not zeros.
func appendNonZero(keep []span, buf []byte, from, to int64) []span {
	for ; from < to; from += grain {
		end := min(from+grain, to)
		if isZero(buf[from:end]) {
			continue
		}
		if n := len(keep); n > 0 && keep[n-1].to == from {
			keep[n-1].to = end
		} else {
			keep = append(keep, span{from, end})
		}
	}
	return keep
}

var zeros [grain]byte

// isZero compares with zeros that stay in the cache: bytes.Equal is vectorised.
func isZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}
