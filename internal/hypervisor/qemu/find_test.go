package qemu

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestQEMUIsFoundWhereItsInstallerPutsIt(t *testing.T) {
	empty, folder, name := t.TempDir(), t.TempDir(), "qemu-of-this-test"
	t.Setenv("PATH", empty)
	file := filepath.Join(folder, name)
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	if _, err := find(name, []string{empty, folder}); err == nil {
		t.Error("found what is not there")
	}
	if err := os.WriteFile(file, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := find(name, []string{empty, folder}); err != nil || got != file {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := find(filepath.Join(empty, name), []string{folder}); err == nil {
		t.Errorf("a path was looked for elsewhere: %q", got)
	}
	if runtime.GOOS == "windows" {
		t.Setenv("ProgramW6432", folder)
		if got := installed(); len(got) == 0 || got[0] != filepath.Join(folder, "qemu") {
			t.Errorf("folders %q", got)
		}
	}
}
