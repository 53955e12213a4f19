package diskimage

import (
	"errors"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The two have the opposite numbers of Linux (sys/unistd.h).
const seekHole, seekData = 3, 4

// fpunchhole is struct fpunchhole of sys/fcntl.h.
type fpunchhole struct {
	flags, reserved uint32
	offset, length  int64
}

// punchHole needs ranges that are whole blocks of the file system; others, and
// file systems without holes, are left to be filled with zeros.
func punchHole(f *os.File, off, n int64) error {
	arg := &fpunchhole{offset: off, length: n}
	err := ignoringEINTR(func() error {
		_, err := unix.FcntlInt(f.Fd(), unix.F_PUNCHHOLE, int(uintptr(unsafe.Pointer(arg))))
		return err
	})
	runtime.KeepAlive(arg)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EINVAL) {
		return errNoPunch
	}
	return err
}
