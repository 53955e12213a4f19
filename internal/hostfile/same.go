package hostfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// SameFile reports whether two paths name one file: through symbolic links,
// hard links, relative paths, and another case where the file system ignores
// it. Paths of files that do not exist yet are compared by their folders.
func SameFile(a, b string) bool {
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	switch {
	case errA == nil && errB == nil:
		return os.SameFile(infoA, infoB)
	case errA == nil && errors.Is(errB, fs.ErrNotExist), errB == nil && errors.Is(errA, fs.ErrNotExist):
		return false
	}
	return sameName(resolve(a), resolve(b))
}

// Within reports whether a path lies below a folder or is it, with symbolic
// links resolved. Neither has to exist.
func Within(folder, path string) bool {
	wanted, err := os.Stat(folder)
	for at := resolve(path); ; at = filepath.Dir(at) {
		if err != nil {
			if sameName(resolve(folder), at) {
				return true
			}
		} else if info, err := os.Stat(at); err == nil && os.SameFile(wanted, info) {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
	}
}

// resolve returns the absolute path with the symbolic links of the part that
// exists resolved.
func resolve(path string) string {
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	missing := ""
	for at := path; ; at = filepath.Dir(at) {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, missing)
		}
		if at == filepath.Dir(at) {
			return path
		}
		missing = filepath.Join(filepath.Base(at), missing)
	}
}

// sameName compares resolved paths of what does not exist.
func sameName(a, b string) bool {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return strings.EqualFold(a, b)
	}
	return a == b
}

// existing returns the nearest folder above a path that exists.
func existing(path string) (string, fs.FileInfo, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	for at := filepath.Dir(path); ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err == nil || !absent(err) || at == filepath.Dir(at) {
			return at, info, err
		}
	}
}

// absent says that there is no such file: none of that name, or a file where
// the path needs a folder.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
