package diskimage

import (
	"os"
	"path/filepath"
	"strings"
)

// naming says whether the case of letters counts in the name of a parent.
type naming bool

const (
	asWritten naming = false // qcow2
	anyCase   naming = true  // VHD, VHDX: written by Windows, where it does not
)

// foldCase finds the file that a path means where the case of letters does not
// count; "" where there is none, or more than one.
func foldCase(path string) string {
	dir, name := filepath.Dir(path), filepath.Base(path)
	if dir == path || name == "." || name == ".." {
		return ""
	}
	if _, err := os.Stat(dir); err != nil {
		if dir = foldCase(dir); dir == "" {
			return ""
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return ""
	}
	found := ""
	for _, e := range entries {
		switch {
		case !strings.EqualFold(e.Name(), name):
		case found != "":
			return ""
		default:
			found = e.Name()
		}
	}
	if found == "" {
		return ""
	}
	return dir + string(filepath.Separator) + found
}
