//go:build unix

package vhd

import (
	"os"
	"syscall"
)

// allocated is what a file takes on disk: holes of a sparse file do not count.
func allocated(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(info.Size(), int64(st.Blocks)*512)
	}
	return info.Size()
}
