package winrm

import (
	"errors"

	"golang.org/x/sys/windows"
)

// refused says whether the machine is there and nothing listens. Sockets have
// error numbers of their own here; those of package syscall never occur.
func refused(err error) bool {
	return errors.Is(err, windows.WSAECONNREFUSED) || errors.Is(err, windows.WSAECONNRESET)
}
