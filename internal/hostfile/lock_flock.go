//go:build unix && !solaris && !illumos && !aix

package hostfile

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func lockFile(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrLocked
		case err != nil && (isUnsupported(err) || errors.Is(err, unix.ENOLCK)):
			return fmt.Errorf("%w: %w", ErrNoLocks, err)
		}
		return err
	}
}

func unlockFile(*os.File) {} // closing does it
