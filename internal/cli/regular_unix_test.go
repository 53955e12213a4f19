//go:build unix

package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyRegularFilesAreRead(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.xml")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"lint", "inspect"} {
		for _, path := range []string{pipe, "/dev/zero", "/dev/tty", t.TempDir()} {
			code, stdout, stderr := run(t, command, path)
			if code != CannotDo || !strings.Contains(stderr, path+" is not a regular file") {
				t.Errorf("%s %s: exit code %d\n%s%s", command, path, code, stdout, stderr)
			}
		}
	}
}
