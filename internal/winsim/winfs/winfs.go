// Package winfs maps Windows paths to a folder of the host that stands for the
// only drive, without regard to case, and leaves the file access to os.
package winfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// ErrInUse: another program has the file open.
var ErrInUse = errors.New("The process cannot access the file because it is being used by another process.") //nolint:staticcheck,revive // as Windows says it

// ErrNoDrive: there is no such drive.
var ErrNoDrive error = noDrive{}

type noDrive struct{}

func (noDrive) Error() string        { return "The system cannot find the drive specified." }
func (noDrive) Is(target error) bool { return target == fs.ErrNotExist }

// Drive is the drive of the simulated machine.
type Drive struct {
	// Root holds it as its subfolder C, whatever its Letter; empty is C.
	Root, Letter string
	// InUse: another program has the file open, or one below the folder, so that
	// it can be neither moved nor deleted. Nil: nothing is in use.
	InUse func(full string) bool
}

// Name is the drive as Windows writes it, such as C:.
func (d Drive) Name() string { return cmp.Or(d.Letter, "C") + ":" }

// Clean returns path as a full Windows path with backslashes: relative ones
// are taken from dir, and . and .. are resolved, never above the drive. There is
// no other drive than that of dir.
func Clean(path, dir string) (string, error) {
	p := strings.ReplaceAll(path, "/", `\`)
	p = strings.TrimPrefix(p, `\\?\`)
	if strings.HasPrefix(p, `\\`) {
		return "", fmt.Errorf("%q: %w: network paths do not exist in the simulated guest", path, fs.ErrNotExist)
	}
	if strings.ContainsAny(p, "*?\"<>|\x00") {
		return "", fmt.Errorf("%q: %w: the file name, directory name, or volume label syntax is incorrect", path, fs.ErrInvalid)
	}
	switch {
	case len(p) >= 2 && p[1] == ':':
		if !strings.EqualFold(p[:1], dir[:1]) {
			return "", fmt.Errorf("%q: %w", path, ErrNoDrive)
		}
		if len(p) > 2 && p[2] != '\\' {
			p = dir + `\` + p[2:]
		}
		p = p[2:]
	case strings.HasPrefix(p, `\`):
	default:
		p = dir[2:] + `\` + p
	}
	if strings.Contains(p, ":") {
		return "", fmt.Errorf("%q: %w: a colon in a file name", path, fs.ErrInvalid)
	}
	var parts []string
	for part := range strings.SplitSeq(p, `\`) {
		switch part {
		case "", ".":
		case "..":
			if len(parts) > 0 {
				parts = parts[:len(parts)-1]
			}
		default:
			parts = append(parts, part)
		}
	}
	return dir[:2] + `\` + strings.Join(parts, `\`), nil
}

// Path returns the host path of a full Windows path, or of one without a drive. Every component that
// exists is found whatever its case; the rest is spelt as given.
func (d Drive) Path(full string) (string, error) {
	full, err := Clean(full, d.Name()+`\`)
	if err != nil {
		return "", err
	}
	host := filepath.Join(d.Root, "C")
	for part := range strings.SplitSeq(full[3:], `\`) {
		if part != "" {
			host = filepath.Join(host, stored(host, part))
		}
	}
	return host, nil
}

// stored returns the name under which a folder holds an entry.
func stored(folder, name string) string {
	if _, err := os.Lstat(filepath.Join(folder, name)); err == nil {
		return name
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return name
	}
	for _, e := range entries {
		if strings.EqualFold(e.Name(), name) {
			return e.Name()
		}
	}
	return name
}

// Stat is os.Stat of a full Windows path.
func (d Drive) Stat(full string) (fs.FileInfo, error) {
	host, err := d.Path(full)
	if err != nil {
		return nil, err
	}
	return os.Stat(host)
}

// IsFile reports whether the path is an existing file.
func (d Drive) IsFile(full string) bool {
	info, err := d.Stat(full)
	return err == nil && !info.IsDir()
}

// IsDir reports whether the path is an existing folder.
func (d Drive) IsDir(full string) bool {
	info, err := d.Stat(full)
	return err == nil && info.IsDir()
}

// ReadFile returns the content of a file.
func (d Drive) ReadFile(full string) ([]byte, error) {
	host, err := d.Path(full)
	if err != nil {
		return nil, err
	}
	var content []byte
	err = shared(func() error {
		content, err = os.ReadFile(host)
		return err
	})
	return content, err
}

// shared does what fails on a Windows host while somebody else has the file open for a
// moment, for at most a second: on other hosts nothing fails of that.
func shared(do func() error) error {
	err := do()
	for range 100 {
		if err == nil || runtime.GOOS != "windows" || errors.Is(err, fs.ErrNotExist) {
			break
		}
		time.Sleep(10 * time.Millisecond)
		err = do()
	}
	return err
}

// WriteFile writes a file and the folders above it: to a temporary name
// first, because the power may go at any time.
func (d Drive) WriteFile(full string, content []byte) error {
	host, err := d.Path(full)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(host), 0o755); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(host), filepath.Base(host)+".*.new") // two may write it at once
	if err != nil {
		return err
	}
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(0o644), temporary.Close())
	if err == nil {
		err = shared(func() error { return os.Rename(temporary.Name(), host) })
	}
	if err != nil {
		os.Remove(temporary.Name())
	}
	return err
}

// Append adds to a file, creating it and the folders above it.
func (d Drive) Append(full string, content []byte) error {
	host, err := d.Path(full)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(host), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(host, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// MkdirAll makes a folder and those above it.
func (d Drive) MkdirAll(full string) error {
	host, err := d.Path(full)
	if err != nil {
		return err
	}
	return os.MkdirAll(host, 0o755)
}

// Remove deletes a file or an empty folder.
func (d Drive) Remove(full string) error {
	host, err := d.Path(full)
	if err != nil {
		return err
	}
	if d.inUse(full) {
		return ErrInUse
	}
	return os.Remove(host)
}

// RemoveAll deletes a folder with everything in it.
func (d Drive) RemoveAll(full string) error {
	host, err := d.Path(full)
	if err != nil {
		return err
	}
	if d.inUse(full) {
		return ErrInUse
	}
	return os.RemoveAll(host)
}

func (d Drive) inUse(full string) bool {
	if d.InUse == nil {
		return false
	}
	full, err := Clean(full, d.Name()+`\`)
	return err == nil && d.InUse(full)
}

// Rename moves a file or folder.
func (d Drive) Rename(from, to string) error {
	source, err := d.Path(from)
	if err != nil {
		return err
	}
	target, err := d.Path(to)
	if err != nil {
		return err
	}
	if d.inUse(from) || d.inUse(to) {
		return ErrInUse
	}
	return os.Rename(source, target)
}

// ReadDir lists a folder, sorted by name.
func (d Drive) ReadDir(full string) ([]fs.DirEntry, error) {
	host, err := d.Path(full)
	if err != nil {
		return nil, err
	}
	return os.ReadDir(host)
}
