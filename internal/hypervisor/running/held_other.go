//go:build !windows

package running

import (
	"errors"
	"syscall"
)

// held says whether an error of opening or reading a disk means that another
// program holds it, as a hypervisor does while the machine runs. A file that
// is open can be opened again here, but a device, or a file on a network file
// system, can be refused.
func held(err error) bool {
	return errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.ETXTBSY)
}
