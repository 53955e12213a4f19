package hostfile

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// A program that looks at each new file, such as a virus scanner, holds it for
// milliseconds, rarely for seconds.
const (
	busyLimit = 10 * time.Second
	busyPause = 20 * time.Millisecond
	busyMost  = 70 * time.Millisecond // a scanner that opens a file over and over lets go for moments
)

// Rename moves a file within a file system and replaces what is there. Where
// another program holds one of the two on Windows it is tried again for up to
// 10 seconds. A power cut does not undo it after something that came later.
func Rename(ctx context.Context, from, to string) error {
	// Windows also answers "access denied" for what no wait will change.
	if info, err := os.Stat(to); err == nil && !isRegular(info.Mode()) {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fmt.Errorf("the new name is that of %s", kind(info.Mode()))}
	}
	err := whileBusy(ctx, isBusy, func() error { return os.Rename(from, to) })
	if err == nil {
		syncFolder(filepath.Dir(to))
	}
	return err
}

// Remove deletes a file as Rename moves it. A file that is not there is no
// error.
func Remove(ctx context.Context, path string) error {
	err := whileBusy(ctx, isBusy, func() error { return os.Remove(path) })
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		syncFolder(filepath.Dir(path))
	}
	return err
}

// whileBusy repeats do while its error is one that busy knows, with a growing
// pause, and returns the last error.
func whileBusy(ctx context.Context, busy func(error) bool, do func() error) error {
	began := time.Now()
	for pause := busyPause; ; pause = min(2*pause, busyMost) {
		err := do()
		if err == nil || !busy(err) {
			return err
		}
		if time.Since(began)+pause > busyLimit {
			return fmt.Errorf("%w; another program has held the file for %s: close that program, or exclude the folder from virus scanning", err, busyLimit)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, context.Cause(ctx))
		case <-timer.C:
		}
	}
}

// WriteFile replaces a file whole or not at all, and makes its folder. The new
// file has the permissions that the process gives to new files. A symbolic
// link stays, and the file that it names is replaced.
func WriteFile(ctx context.Context, path string, data []byte) (err error) {
	return writeFile(ctx, path, data, func(*os.File) error { return nil })
}

// Rewrite is WriteFile for a file that is there: the new one has its
// permissions from the beginning, so that nobody can read what he could not.
func Rewrite(ctx context.Context, path string, data []byte) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return writeFile(ctx, path, data, func(part *os.File) error {
		made, err := part.Stat()
		if err != nil || made.Mode().Perm() == info.Mode().Perm() {
			return err
		}
		return part.Chmod(info.Mode().Perm())
	})
}

// writeFile is WriteFile with what is to be done to the new file first.
func writeFile(ctx context.Context, path string, data []byte, prepare func(*os.File) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Lstat(path); err == nil && !isRegular(info.Mode()) {
		return notReplaced(path, info.Mode())
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	part, err := createTemp(folder, filepath.Base(path))
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			part.Close()
			os.Remove(part.Name())
		}
	}()
	if err := prepare(part); err != nil {
		return err
	}
	if _, err := part.Write(data); err != nil {
		return err
	}
	// Some mounted file systems cannot sync; the file is as durable as it gets.
	if err := part.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !isInvalid(err) {
		return err
	}
	if err := part.Close(); err != nil {
		return err
	}
	return Rename(ctx, part.Name(), path)
}

// Beside makes a new file in the folder of path, which exists, under a temporary name: for
// what is too large for WriteFile and gets its name by Rename.
func Beside(path string) (*os.File, error) {
	return createTemp(filepath.Dir(path), filepath.Base(path))
}

// createTemp is os.CreateTemp with the permissions that the umask leaves,
// which need no chmod: some mounted file systems refuse one.
func createTemp(folder, name string) (*os.File, error) {
	for {
		var r [6]byte
		if _, err := rand.Read(r[:]); err != nil {
			return nil, err
		}
		// Cut, so that the longest of names still has room.
		temporary := filepath.Join(folder, "."+name[:min(len(name), 200)]+"-"+hex.EncodeToString(r[:]))
		f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// Writable says why a file cannot be written at path, nil if it can: what is
// there is absent or a regular file, it is none of the inputs under whatever
// name, and its folder, or the nearest one above it that exists, takes a new
// file. That is tried with a file that is removed at once; nothing stays.
func Writable(path string, inputs ...string) error {
	if path == "" {
		return errors.New("the path is empty: name a file")
	}
	for _, input := range inputs {
		if input != "" && SameFile(path, input) {
			return fmt.Errorf("%s is the same file as %s: choose another path", path, input)
		}
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && !isRegular(info.Mode()):
		return notReplaced(path, info.Mode())
	case err == nil && runtime.GOOS == "windows" && info.Mode()&0o200 == 0:
		return fmt.Errorf("%s is read-only: clear its attribute, or choose another path", path)
	case err != nil && !absent(err):
		return err
	case err != nil:
		if info, err := os.Lstat(path); err == nil {
			return notReplaced(path, info.Mode())
		}
		if os.IsPathSeparator(path[len(path)-1]) {
			return fmt.Errorf("%s is the path of a folder: name a file", path)
		}
	}
	return try(resolve(path))
}

// WritableFolder says why files cannot be written into a folder, nil if they
// can. The folder may be absent, if it can be made.
func WritableFolder(path string) error {
	if path == "" {
		return errors.New("the path is empty: name a folder")
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is %s, not a folder: choose another path", path, kindOf(info.Mode()))
	case err == nil:
		return try(filepath.Join(path, "file"))
	case !absent(err):
		return err
	}
	if info, err := os.Lstat(path); err == nil {
		return notReplaced(path, info.Mode())
	}
	return try(path)
}

func kindOf(mode fs.FileMode) string {
	if isRegular(mode) {
		return "a file"
	}
	return kind(mode)
}

func notReplaced(path string, mode fs.FileMode) error {
	return fmt.Errorf("%s is %s, which is never replaced: choose another path", path, kind(mode))
}

// try makes a file in the nearest folder above path that exists, and removes
// it.
func try(path string) error {
	folder, info, err := existing(path)
	switch {
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is %s, not a folder: choose another path", folder, kindOf(info.Mode()))
	}
	probe, err := createTemp(folder, "sysprep-probe")
	if err != nil {
		return fmt.Errorf("folder %s cannot be written to: %w", folder, err)
	}
	probe.Close()
	return Remove(context.Background(), probe.Name())
}
