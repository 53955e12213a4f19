package compact

import (
	"errors"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
)

// Grown is a disk as large as a conversion makes it, in whole units of so many
// bytes, with its backup GPT at the new end. said is what to tell the user of it; ""
// where the disk is as it was.
func Grown(d diskimage.Disk, unit int64) (grown diskimage.Disk, said string, err error) {
	size := (d.Size() + unit - 1) / unit * unit
	if size == d.Size() {
		return d, "", nil
	}
	patches, err := partition.Grow(d, d.Size(), size, d.SectorSize())
	if errors.Is(err, partition.ErrCorrupt) {
		return d, "", nil // whoever proves the disk says so
	}
	if err != nil || len(patches) == 0 {
		return d, "", err
	}
	var changes []diskimage.Patch
	for _, p := range patches {
		changes = append(changes, diskimage.Patch{At: p.At, Bytes: p.Bytes})
	}
	return diskimage.Patched(d, size, changes), "The disk is made larger, to whole MiB: its backup GPT is moved to the new end", nil
}
