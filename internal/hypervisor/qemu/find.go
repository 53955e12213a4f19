package qemu

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// find returns the path of a program: by PATH, else a bare name in one of the
// folders.
func find(name string, folders []string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil || name != filepath.Base(name) {
		return path, err
	}
	for _, folder := range folders {
		if found, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
			return found, nil
		}
	}
	return "", err
}

// installed are the folders that QEMU's installer for Windows puts it into,
// without adding them to PATH.
func installed() (folders []string) {
	if runtime.GOOS != "windows" {
		return nil
	}
	for _, variable := range []string{"ProgramW6432", "ProgramFiles", "ProgramFiles(x86)"} {
		if base := os.Getenv(variable); base != "" {
			folders = append(folders, filepath.Join(base, "qemu"))
		}
	}
	return folders
}
