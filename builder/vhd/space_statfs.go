//go:build linux || darwin || freebsd

package vhd

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// freeSpace is what an ordinary user can still write below a directory, in bytes.
func freeSpace(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("asking for the free space of %s: %w", dir, err)
	}
	return int64(uint64(st.Bavail) * uint64(st.Bsize)), nil //nolint:unconvert // their types differ by platform
}
