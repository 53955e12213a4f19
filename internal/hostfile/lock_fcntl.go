//go:build solaris || illumos || aix

package hostfile

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func lockFile(f *os.File) error {
	err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES):
		return ErrLocked
	case err != nil && (isUnsupported(err) || errors.Is(err, unix.ENOLCK)):
		return fmt.Errorf("%w: %w", ErrNoLocks, err)
	}
	return err
}

func unlockFile(*os.File) {} // closing does it
