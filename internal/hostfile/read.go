package hostfile

import (
	"fmt"
	"io"
	"io/fs"
	"os"
)

// OpenRegular opens a regular file for reading. Devices, pipes, sockets and
// folders are refused before they are opened, because opening alone may block.
// The error names the path and what to do.
func OpenRegular(path string) (*os.File, os.FileInfo, error) {
	if err := regular(path, os.Stat); err != nil {
		return nil, nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	// The name may have been given to something else in between.
	info, err := f.Stat()
	if err == nil {
		err = regular(path, func(string) (fs.FileInfo, error) { return info, nil })
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// ReadRegular reads a regular file of at most limit bytes. A larger one is an
// error; no more than limit+1 bytes of it are read, whatever size it claims.
func ReadRegular(path string, limit int64) ([]byte, error) {
	f, _, err := OpenRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %s, the limit for this file: name the right file", path, size(limit))
	}
	return content, nil
}

// CheckRegular is the error that OpenRegular would return, without opening.
func CheckRegular(path string) error { return regular(path, os.Stat) }

func regular(path string, stat func(string) (fs.FileInfo, error)) error {
	info, err := stat(path)
	if err != nil {
		return err
	}
	if !isRegular(info.Mode()) {
		return fmt.Errorf("%s is not a regular file but %s: name a regular file", path, kind(info.Mode()))
	}
	return nil
}

// isRegular includes Windows' reparse points that are no links, such as the
// files of a cloud drive.
func isRegular(mode fs.FileMode) bool { return mode.Type()&^fs.ModeIrregular == 0 }

// kind names what is no regular file.
func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link to nothing"
	}
	return "a special file"
}

func size(n int64) string {
	if n >= 1<<20 && n%(1<<20) == 0 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d bytes", n)
}
