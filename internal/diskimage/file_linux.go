package diskimage

import (
	"os"

	"golang.org/x/sys/unix"
)

const seekData, seekHole = unix.SEEK_DATA, unix.SEEK_HOLE

// startWriting has the system begin to write a range to the storage, so that the
// sync at the end finds little left. It waits for nothing but a full queue, and an
// error of it comes again with the sync.
func startWriting(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}
