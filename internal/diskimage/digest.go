package diskimage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
)

// Digests are SHA-256 in hexadecimal digits.
type Digests struct {
	// File is of the file as it stands, Content of the disk in it, from its first byte
	// to its last: that of a raw image of the disk.
	File, Content string
}

// hashUnit is what is read at a time to be hashed.
const hashUnit = mib

// noData are zeros that stay in the processor's cache.
var noData [64 * kib]byte

// Digest hashes a disk image and the disk in it. Holes are hashed without being read;
// SHA-256 offers no shorter way. Of a disk that lies in its file byte by byte one pass
// does for both. Progress is told how many bytes of how many are hashed, by one goroutine
// at a time; it may be nil. An image whose file is written to meanwhile is an error.
func Digest(ctx context.Context, path string, progress func(done, total int64), opts ...Option) (Digests, error) {
	d, err := hashed(ctx, path, progress, opts...)
	if err != nil {
		return Digests{}, fmt.Errorf("hashing %s: %w", path, err)
	}
	return d, nil
}

// FileDigest is the SHA-256 of a file as it stands, in hexadecimal digits. It is Digest
// for a file that need not be a disk.
func FileDigest(ctx context.Context, path string) (string, error) {
	var sum string
	err := unchanged(path, func(file *flat) error {
		h := sha256.New()
		err := (&summer{}).add(ctx, h, file, 0, file.Size())
		sum = hex.EncodeToString(h.Sum(nil))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("hashing %s: %w", path, err)
	}
	return sum, nil
}

func hashed(ctx context.Context, path string, progress func(done, total int64), opts ...Option) (Digests, error) {
	d, err := Open(path, append(opts[:len(opts):len(opts)], Until(ctx))...)
	if err != nil {
		return Digests{}, err
	}
	defer d.Close()
	var sums Digests
	err = unchanged(path, func(file *flat) error {
		s := summer{progress: progress, total: d.Size() + file.Size()}
		if g, ok := d.(guarded); ok && isFlat(g.Disk) {
			s.total = file.Size()
			sums, err = s.both(ctx, file, d.Size())
		} else {
			sums, err = s.each(ctx, file, d)
		}
		return err
	})
	return sums, err
}

// unchanged opens a file, and fails where it was written to before do was done with it.
func unchanged(path string, do func(*flat) error) error {
	f, before, err := hostfile.OpenRegular(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := do(&flat{source: source{opener: opener{path: path}, ReaderAt: f}, info: Info{VirtualSize: before.Size()}}); err != nil {
		return err
	}
	if after, err := f.Stat(); err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return errors.Join(err, errors.New("it was written to meanwhile: make sure that nothing uses it, and run this again"))
	}
	return nil
}

func isFlat(d Disk) bool { _, ok := d.(*flat); return ok }

// summer hashes ranges.
type summer struct {
	mu       sync.Mutex
	progress func(done, total int64)
	done     int64
	total    int64
}

// both hashes a file that begins with all of the disk.
func (s *summer) both(ctx context.Context, file *flat, disk int64) (Digests, error) {
	h := sha256.New()
	if err := s.add(ctx, h, file, 0, disk); err != nil {
		return Digests{}, err
	}
	content := h.Sum(nil)
	if err := s.add(ctx, h, file, disk, file.Size()); err != nil {
		return Digests{}, err
	}
	return Digests{File: hex.EncodeToString(h.Sum(nil)), Content: hex.EncodeToString(content)}, nil
}

// each hashes a file and the disk in it side by side.
func (s *summer) each(ctx context.Context, file *flat, d Disk) (Digests, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	sum := func(r Disk, to *string) func() {
		return func() {
			h := sha256.New()
			if err := s.add(ctx, h, r, 0, r.Size()); err != nil {
				stop(err)
			}
			*to = hex.EncodeToString(h.Sum(nil))
		}
	}
	var sums Digests
	var wg sync.WaitGroup
	wg.Go(sum(file, &sums.File))
	wg.Go(sum(d, &sums.Content))
	wg.Wait()
	return sums, context.Cause(ctx)
}

// add hashes the bytes [from, to).
func (s *summer) add(ctx context.Context, h hash.Hash, r Disk, from, to int64) error {
	buf := make([]byte, hashUnit)
	for from < to {
		start, end, err := nextData(r, from)
		if err != nil {
			return fmt.Errorf("finding its data: %w", err)
		}
		if start == end {
			start = to
		}
		start, end = min(start, to), min(end, to)
		if err := s.zeros(ctx, h, start-from); err != nil {
			return err
		}
		for from = start; from < end; {
			p := buf[:min(hashUnit, end-from)]
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := readFull(r, p, from); err != nil {
				return err
			}
			h.Write(p)
			from += int64(len(p))
			s.tell(int64(len(p)))
		}
	}
	return nil
}

// zeros hashes n zeros.
func (s *summer) zeros(ctx context.Context, h hash.Hash, n int64) error {
	for unit := int64(0); n > 0; n -= unit {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		for unit = 0; unit < min(n, 16*mib); {
			p := noData[:min(int64(len(noData)), n-unit)]
			h.Write(p)
			unit += int64(len(p))
		}
		s.tell(unit)
	}
	return nil
}

func (s *summer) tell(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done += n
	if s.progress != nil {
		s.progress(s.done, s.total)
	}
}
