//go:build !windows

package winrm

import (
	"errors"
	"syscall"
)

// refused says whether the machine is there and nothing listens.
func refused(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}
