package diskimage

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

const seekData, seekHole = unix.SEEK_DATA, unix.SEEK_HOLE

func punchHole(f *os.File, off, n int64) error {
	err := ignoringEINTR(func() error {
		return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return errNoPunch
	}
	return err
}
