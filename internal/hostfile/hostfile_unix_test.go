//go:build unix

package hostfile

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPipesAndSocketsAreNotOpened(t *testing.T) {
	dir := t.TempDir()
	pipe, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(pipe, link); err != nil {
		t.Fatal(err)
	}
	// Not the null device: a fault here would cost the machine's own.
	for _, path := range []string{pipe, link} {
		if _, _, err := OpenRegular(path); err == nil || !strings.Contains(err.Error(), path+" is not a regular file but a named pipe") {
			t.Errorf("opened %s: %v", path, err)
		}
		if err := Writable(path); err == nil || !strings.Contains(err.Error(), "is a named pipe, which is never replaced") {
			t.Errorf("%s would be written: %v", path, err)
		}
		if err := WriteFile(t.Context(), path, nil); err == nil {
			t.Errorf("%s was replaced", path)
		}
	}
}

// umask is the process's: no test of this package runs beside another.
func TestWriteFileRespectsTheUmask(t *testing.T) {
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "report.json")
	if err := WriteFile(t.Context(), path, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("permissions %v, %v; want -rw-r-----", info.Mode(), err)
	}
}

func TestWritableSaysThatAFolderIsReadOnly(t *testing.T) {
	// Root may write everywhere but here.
	const folder = "/proc"
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("%s is not there to be refused: %s", folder, err)
	}
	if err := Writable(folder + "/new/report.json"); err == nil || !strings.Contains(err.Error(), "folder /proc cannot be written to") {
		t.Errorf("writing into %s: %v", folder, err)
	}
}

func TestARewrittenFileKeepsItsPermissions(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o640, 0o444} {
		path := filepath.Join(t.TempDir(), "secret.xml")
		if err := os.WriteFile(path, []byte("old"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := Rewrite(context.Background(), path, []byte("new")); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != "new" || info.Mode().Perm() != mode {
			t.Errorf("%o became %o with %q, %v", mode, info.Mode().Perm(), got, err)
		}
	}
	if err := Rewrite(context.Background(), filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}
