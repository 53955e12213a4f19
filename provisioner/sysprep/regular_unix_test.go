//go:build unix

package sysprep

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAnAnswerFileIsARegularFile(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe.xml")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, "/dev/zero", "/dev/tty"} {
		var p Provisioner
		err := p.Prepare(map[string]any{"answer_file": path})
		if err == nil || !strings.Contains(err.Error(), "answer_file: reading "+path+": "+path+" is not a regular file but ") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
