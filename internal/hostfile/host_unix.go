//go:build unix

package hostfile

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// isBusy is false: a file that another program has open can be renamed.
func isBusy(error) bool { return false }

const openFilesCanBeRemoved = true

// isInvalid is what some mounted file systems answer to what they cannot do.
func isInvalid(err error) bool { return errors.Is(err, unix.EINVAL) }

// syncFolder makes the names in a folder durable, as far as its file system
// can: some cannot, and a folder need not be readable.
func syncFolder(path string) {
	if d, err := os.Open(path); err == nil {
		_ = d.Sync()
		d.Close()
	}
}
