package diskimage

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"
)

// sparseFiles is false: Hyper-V refuses files with the sparse attribute
// (0xC03A001A), so none is made here, and what is skipped takes space.
const sparseFiles = false

// allocatedRange is FILE_ALLOCATED_RANGE_BUFFER.
type allocatedRange struct{ offset, length int64 }

// nextDataInFile asks the file system where the next data of a file is.
func nextDataInFile(f *os.File, off, size int64) (start, end int64, err error) {
	in := allocatedRange{off, size - off}
	var out allocatedRange
	var n uint32
	err = windows.DeviceIoControl(windows.Handle(f.Fd()), windows.FSCTL_QUERY_ALLOCATED_RANGES,
		(*byte)(unsafe.Pointer(&in)), uint32(unsafe.Sizeof(in)), (*byte)(unsafe.Pointer(&out)), uint32(unsafe.Sizeof(out)), &n, nil)
	switch {
	case errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_NOT_SUPPORTED):
		return 0, 0, errNoExtents
	case err != nil && !errors.Is(err, windows.ERROR_MORE_DATA):
		return 0, 0, err
	case n == 0:
		return size, size, nil
	}
	if start, end = max(out.offset, off), min(out.offset+out.length, size); start >= end {
		return 0, 0, errNoExtents // the file changes, or the file system does not mean it
	}
	return start, end, nil
}

// freeSpace is what this user can still write, in bytes.
func freeSpace(dir string) (int64, error) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, 1<<62)), nil
}
