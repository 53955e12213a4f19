package winimage

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
)

// Drive is the volume of one Windows on a disk.
type Drive struct {
	Partition int // as Windows.Partition
	Files     fs.FS
}

// Drives are the volumes with a Windows on them, for whoever reads more of it than Inspect
// does. Problems are volumes that could not be looked into. The error is for a disk that
// cannot be read as one.
func Drives(ctx context.Context, d diskimage.Disk) (drives []Drive, problems []string, err error) {
	var r Facts
	volumes, err := openVolumes(ctx, d, &r, false)
	if err != nil {
		return nil, nil, err
	}
	for _, v := range volumes {
		switch {
		case v.ntfs == nil:
		case len(drives) == maxInstallations:
			v.drive.limits = note(v.drive.limits, "the disk", fmt.Errorf("more than %d Windows installations: the rest was not read", maxInstallations))
		case v.drive.hasWindows():
			drives = append(drives, Drive{v.partition, v.drive.fs})
		default:
			r.Problems = append(r.Problems, v.killed()...)
		}
		r.Limits = append(r.Limits, v.drive.limits...)
		v.drive.limits = nil
	}
	for _, index := range r.Disk.BitLocker {
		r.Problems = append(r.Problems, fmt.Sprintf("partition %d is encrypted with BitLocker, and nothing in it can be read", index))
	}
	if len(drives) == 0 {
		r.Problems = append(r.Problems, r.Disk.Others...)
	}
	return drives, slices.Concat(r.Problems, r.Limits), ctx.Err()
}
