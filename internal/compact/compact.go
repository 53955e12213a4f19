// Package compact finds out which parts of a disk need not be copied: the free
// clusters of its NTFS volumes and the page files, where nothing forbids it.
package compact

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
)

// errKeepAll means that no part of a disk may be left out of a copy.
var errKeepAll = errors.New("the free space of the disk may still matter")

// pageFiles are written anew at every start of Windows.
var pageFiles = []string{"pagefile.sys", "swapfile.sys"}

// Space are the free clusters of all NTFS volumes of a disk, and the page
// files. Its methods are safe for concurrent use.
type Space struct {
	volumes []*ntfs.FreeMap
	// Free and PageFiles are in bytes.
	Free, PageFiles int64
}

// Skippable implements diskimage.Skipper.
func (s *Space) Skippable(off, n int64) bool {
	for _, v := range s.volumes {
		if v.Skippable(off, n) {
			return true
		}
	}
	return false
}

// FreeSpace finds what need not be copied of a disk: deleted files do not come
// along. Everything outside of NTFS clusters is kept. Unless it is that of the
// context, the error says why the disk has to be copied whole: a volume is dirty,
// hibernated, encrypted, damaged, has shadow copies, or its page file holds a
// crash dump.
func FreeSpace(ctx context.Context, d diskimage.Disk) (*Space, error) {
	table, err := partition.Read(d, d.Size(), 0)
	if err != nil {
		return nil, fmt.Errorf("%w: reading partition table: %w", errKeepAll, err)
	}
	parts := table.Partitions
	if table.Scheme == partition.None {
		parts = []partition.Partition{{Length: d.Size()}}
	}
	var s Space
	for _, p := range parts {
		err := s.add(ctx, d, p)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, fmt.Errorf("%w: partition %d: %w", errKeepAll, p.Index, err)
		}
	}
	return &s, nil
}

// Skipper is what can be left out of a copy of the disk, and what to tell the
// user of it; nil where the disk has to be copied whole.
func Skipper(ctx context.Context, d diskimage.Disk) (skip diskimage.Skipper, said string, err error) {
	space, err := FreeSpace(ctx, d)
	if errors.Is(err, errKeepAll) {
		return nil, fmt.Sprintf("Warning: not compacting, the whole disk is copied: %s", err), nil
	}
	if err != nil {
		return nil, "", err
	}
	return space, fmt.Sprintf("Compacting: %d MiB are free, %d MiB are page files", space.Free>>20, space.PageFiles>>20), nil
}

// add takes in the free clusters of a partition, if NTFS is on it.
func (s *Space) add(ctx context.Context, d diskimage.Disk, p partition.Partition) error {
	encrypted, err := ntfs.BitLocker(d, p.Start)
	if err != nil {
		return err
	}
	if encrypted {
		return ntfs.ErrBitLocker
	}
	v, err := ntfs.Open(d, p.Start, p.Length)
	if errors.Is(err, ntfs.ErrNotNTFS) {
		return nil
	}
	if err != nil {
		return err
	}
	dump, err := crashDump(v)
	if err != nil {
		return err
	}
	if dump {
		return errors.New("pagefile.sys holds a crash dump")
	}
	m, err := v.FreeMap(ctx, pageFiles...)
	if err != nil {
		return err
	}
	s.volumes = append(s.volumes, m)
	s.Free += m.Free()
	s.PageFiles += m.Dropped()
	return nil
}

// crashDump looks for the header that Windows writes into the page file when
// it stops (DUMP_HEADER, signature PAGE followed by DUMP or DU64).
func crashDump(v *ntfs.Volume) (bool, error) {
	f, err := v.FS().Open(pageFiles[0])
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, 8)
	if _, err := io.ReadFull(f, b); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return string(b) == "PAGEDUMP" || string(b) == "PAGEDU64", nil
}
