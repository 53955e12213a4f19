//go:build linux || darwin

package diskimage

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// sparseFiles: ranges that were never written take no space.
const sparseFiles = true

// nextDataInFile asks the file system where the next data of a file is.
func nextDataInFile(f *os.File, off, size int64) (start, end int64, err error) {
	start, err = f.Seek(off, seekData)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP):
		return 0, 0, errNoExtents
	case err != nil:
		return 0, 0, err
	case start >= size:
		return size, size, nil
	}
	end, err = f.Seek(start, seekHole)
	if err != nil {
		return 0, 0, err
	}
	if start < off || end <= start {
		return 0, 0, errNoExtents // the file changes, or the file system does not mean it
	}
	return start, min(end, size), nil
}

// freeSpace is what an unprivileged process can still write, in bytes.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := ignoringEINTR(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}

func ignoringEINTR(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
