package running

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// heldLock says whether another program holds a lock on the disk, which QEMU
// does as long as it has it open (docs/devel: image locking). A machine that is
// only paused answers as little as one that is off, and writes as little. The
// error is EBUSY; a disk that cannot be asked is nobody's.
func heldLock(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &lock); err != nil || lock.Type == unix.F_UNLCK {
		return nil
	}
	return fmt.Errorf("%s: a program that runs machines has it open: the machine is paused or still running: %w", path, unix.EBUSY)
}
