package hostfile

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

const openFilesCanBeRemoved = false

// isBusy knows what Windows answers while another program holds a file.
func isBusy(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
}

// isInvalid is what a network file system answers to what it cannot do.
func isInvalid(err error) bool {
	return errors.Is(err, windows.ERROR_INVALID_FUNCTION) || errors.Is(err, windows.ERROR_NOT_SUPPORTED)
}

// lockedAt lies far behind the content, which stays readable so: locks of
// Windows are mandatory.
var lockedAt = windows.Overlapped{OffsetHigh: 1 << 30}

func lockFile(f *os.File) error {
	at := lockedAt
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	switch {
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING):
		return ErrLocked
	case err != nil && isUnsupported(err):
		return fmt.Errorf("%w: %w", ErrNoLocks, err)
	}
	return err
}

func unlockFile(f *os.File) {
	at := lockedAt
	_ = windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &at) // closing does it too, later
}

// syncFolder does nothing: NTFS logs changes of names in their order.
func syncFolder(string) {}
