package running

import (
	"errors"

	"golang.org/x/sys/windows"
)

// held says whether an error of opening or reading a disk means that another
// program holds it, as a hypervisor does while the machine runs.
func held(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}
