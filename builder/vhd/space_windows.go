package vhd

import (
	"fmt"

	"golang.org/x/sys/windows"
)

// freeSpace is what an ordinary user can still write below a directory, in bytes.
func freeSpace(dir string) (int64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	return int64(free), nil
}

// allocated is what a file takes on disk.
func allocated(path string) int64 { return fileSize(path) }
