//go:build unix

package hostfile

import (
	"errors"

	"golang.org/x/sys/unix"
)

// isBusy is false: a file that another program has open can be renamed.
func isBusy(error) bool { return false }

const openFilesCanBeRemoved = true

// isInvalid is what some mounted file systems answer to what they cannot do.
func isInvalid(err error) bool { return errors.Is(err, unix.EINVAL) }
