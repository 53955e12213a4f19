package hostfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// markName is the file by which a scratch folder is known to be ours.
const markName = "packer-plugin-sysprep.scratch"

const markText = "This folder holds temporary files of a packer build. It can be removed when no build runs.\n"

// NewScratch makes a folder for the temporary files of a build, whose name
// begins with prefix, and marks it as ours.
func NewScratch(dir, prefix string) (string, error) {
	path, err := os.MkdirTemp(dir, prefix)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(path, markName), []byte(markText), 0o666); err != nil {
		os.RemoveAll(path)
		return "", err
	}
	return path, nil
}

// KeepScratch makes a scratch folder an ordinary one, which SweepScratch leaves
// alone.
func KeepScratch(path string) error { return os.Remove(filepath.Join(path, markName)) }

// SweepScratch removes the scratch folders of builds that were killed. The
// caller holds the lock that their makers held, so that no build uses them. A
// folder of such a name without our mark is somebody's, and stays.
func SweepScratch(dir, prefix string) (removed []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		switch info, err := os.Lstat(filepath.Join(path, markName)); {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			errs = append(errs, err)
			continue
		case !isRegular(info.Mode()):
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			errs = append(errs, err)
			continue
		}
		removed = append(removed, path)
	}
	return removed, errors.Join(errs...)
}
