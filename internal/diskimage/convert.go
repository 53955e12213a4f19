package diskimage

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
)

// Skipper knows ranges of a disk whose content does not matter: the free
// clusters of a file system. n is at most a few KiB.
type Skipper interface {
	// Skippable reports whether all n bytes at off may read as zeros.
	Skippable(off, n int64) bool
}

// Options say what Convert makes.
type Options struct {
	Format Format
	// Type of a VHD: Fixed (default, the only one Azure takes) or Dynamic.
	// VHDX is always Dynamic.
	Type Type
	// AlignMiB rounds the virtual size up to a whole MiB, as Azure demands.
	AlignMiB bool
	// Skip names what need not be copied; nil copies everything.
	Skip Skipper
	// Compare reads the whole output back and compares it with the source. A
	// sample is compared without it, too.
	Compare bool
	// Digest hashes the output: see Stats.
	Digest bool
	// Progress is told how many bytes of data were handled, by one goroutine
	// at a time. It must not block.
	Progress func(done, total int64)
}

// Stats are what a conversion did, in bytes.
type Stats struct {
	VirtualSize int64 // of the output
	Read        int64 // read from the source: its data less what was skipped
	Written     int64 // data that was not zeros
	Skipped     int64 // data left out because Skip said so
	// Digests are of the output, if they were asked for.
	Digests Digests
}

// outputType checks the combination of format and type, and fills in the default.
func (o *Options) outputType() error {
	out, ok := outputOf(o.Format)
	if ok && o.Type == "" && len(out.types) > 0 {
		o.Type = out.types[0]
	}
	if !ok || o.Type != "" && !slices.Contains(out.types, o.Type) {
		return unsupported("output of format %q and type %q", o.Format, o.Type)
	}
	return nil
}

// Convert copies a disk into a new file. It writes to a temporary name in the
// folder of dst, syncs, and renames it to dst, replacing a file of that name;
// after an error or when ctx ends, nothing is left behind. Holes and zeros are
// not written. A dst that is the source or one of its parents is refused. What
// was written is compared with the source before it gets its name; a difference
// is ErrMismatch.
func Convert(ctx context.Context, src Disk, dst string, o Options) (Stats, error) {
	st, err := convert(ctx, src, dst, o)
	if err != nil {
		return Stats{}, fmt.Errorf("converting to %s: %w", dst, err)
	}
	return st, nil
}

func convert(ctx context.Context, src Disk, dst string, o Options) (st Stats, err error) {
	if err := o.outputType(); err != nil {
		return st, err
	}
	info := src.Info()
	info.VirtualSize, info.SectorSize = src.Size(), src.SectorSize()
	if err := CanHold(info, o); err != nil {
		return st, err
	}
	size := roundUp(src.Size(), int64(src.SectorSize()))
	if o.AlignMiB {
		size = roundUp(size, mib)
	}
	if err := notItself(src, dst); err != nil {
		return st, err
	}
	plan, err := survey(ctx, src, o.Skip)
	if err != nil {
		return st, err
	}
	if err := needSpace(filepath.Dir(dst), plan.need(size, o)); err != nil {
		return st, err
	}
	f, err := createTemp(dst)
	if err != nil {
		return st, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	out, _ := outputOf(o.Format)
	w := out.write(f, size, src, o.Type)
	c := copier{src: src, w: w, skip: o.Skip, progress: o.Progress, total: plan.data}
	if _, fixed := w.(*flatWriter); fixed && o.Digest {
		ctx, stop := context.WithCancel(ctx)
		if c.follow, err = follow(ctx, f.Name(), size); err != nil {
			stop()
			return st, err
		}
		defer c.follow.close()
		defer stop()
	}
	if err := c.run(ctx); err != nil {
		return st, err
	}
	if err := w.finish(); err != nil {
		return st, fmt.Errorf("writing tables: %w", err)
	}
	if err := f.Sync(); err != nil {
		return st, fmt.Errorf("syncing: %w", err)
	}
	if err := f.Close(); err != nil {
		return st, fmt.Errorf("closing: %w", err)
	}
	c.stats.VirtualSize = size
	if c.done != plan.data {
		return st, fmt.Errorf("%w: %d bytes of data were found in the source at first, %d when it was copied: something is changing it; stop that, and run this again", ErrMismatch, plan.data, c.done)
	}
	if err := checkOutput(ctx, src, f.Name(), o, c.stats, slices.Collect(maps.Values(c.sample.spans))); err != nil {
		return st, err
	}
	if err := c.digest(ctx, f.Name(), o); err != nil {
		return st, err
	}
	if err := ctx.Err(); err != nil {
		return st, err
	}
	if err := hostfile.Rename(ctx, f.Name(), dst); err != nil {
		return st, err
	}
	return c.stats, nil
}

// digest hashes the output, if that is asked for: a flat one was followed as it was
// written, of the others the tables come last.
func (c *copier) digest(ctx context.Context, path string, o Options) (err error) {
	switch {
	case !o.Digest:
	case c.follow != nil:
		c.stats.Digests, err = c.follow.end()
		c.follow.f.Close()
	default:
		c.stats.Digests, err = Digest(ctx, path, nil, As(o.Format))
	}
	return err
}

// CanHold refuses a disk that the output cannot express, before anything is done
// for it. Nothing is said of a size that is not known (0).
func CanHold(i Info, o Options) error {
	if err := o.outputType(); err != nil {
		return err
	}
	if o.Format == VHD && i.SectorSize > 512 {
		return unsupported("the disk has sectors of %d bytes, a VHD has sectors of 512: set format = %q", i.SectorSize, VHDX)
	}
	size := roundUp(i.VirtualSize, int64(max(i.SectorSize, 512)))
	if o.AlignMiB {
		size = roundUp(size, mib)
	}
	out, _ := outputOf(o.Format)
	switch {
	case size <= out.limit:
	case o.Format == VHD:
		return unsupported("a VHD holds at most %d GiB, this disk has %d GiB: set format = %q, or shrink the disk",
			out.limit/gib, (size+gib-1)/gib, VHDX)
	default:
		return unsupported("a %s is written with at most %d GiB, this disk has %d GiB: shrink the disk", o.Format, out.limit/gib, (size+gib-1)/gib)
	}
	return nil
}

// notItself refuses to replace a file that is being read.
func notItself(src Disk, dst string) error {
	st, err := os.Stat(dst)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", dst)
	}
	for _, p := range src.Info().Files {
		if s, err := os.Stat(p); err == nil && os.SameFile(s, st) {
			return fmt.Errorf("the output is the source or its parent (%s)", p)
		}
	}
	return nil
}

func needSpace(dir string, need int64) error {
	free, err := freeSpace(dir)
	if err != nil {
		return fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	if need > free {
		return fmt.Errorf("%w: %s has %d MiB, the output needs %d MiB", ErrNoSpace, dir, free/mib, (need+mib-1)/mib)
	}
	return nil
}

// createTemp makes the file that becomes dst, with the permissions that dst
// would have been created with.
func createTemp(dst string) (*os.File, error) {
	var r [6]byte
	if _, err := rand.Read(r[:]); err != nil {
		return nil, err
	}
	return os.OpenFile(dst+".partial-"+hex.EncodeToString(r[:]), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
}

// estimate is what a conversion will have to copy.
type estimate struct {
	data   int64 // bytes of data in the source
	kept   int64 // of these, not skippable
	pieces int64 // pieces of copyUnit that hold any
}

// need is the space that the output takes, in bytes.
func (e estimate) need(size int64, o Options) int64 {
	const tables = 8 * mib
	switch {
	case sparseFiles:
		return e.kept + tables
	case o.Format == Raw || o.Type == Fixed:
		return size
	}
	return e.pieces*copyUnit + tables
}

// survey counts the data of a disk without reading it.
func survey(ctx context.Context, src Disk, skip Skipper) (e estimate, err error) {
	step := copyUnit
	if skip != nil {
		step = 64 * kib
	}
	last := int64(-1)
	for off := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return e, err
		}
		start, end, err := nextData(src, off)
		if err != nil {
			return e, fmt.Errorf("finding the data of the source: %w", err)
		}
		if start == end {
			return e, nil
		}
		e.data += end - start
		for a := start; a < end; {
			if a%gib == 0 && ctx.Err() != nil {
				return e, ctx.Err()
			}
			n := min(step-a%step, end-a)
			if skip == nil || !skip.Skippable(a, n) {
				e.kept += n
				if a/copyUnit != last {
					last = a / copyUnit
					e.pieces++
				}
			}
			a += n
		}
		off = end
	}
}
