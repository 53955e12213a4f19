//go:build unix

package proof

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// A report is made with the permissions of any new file, without a chmod that
// some mounted file systems refuse. The umask is the process's: no test of this
// package runs beside another.
func TestAReportHasThePermissionsOfTheUmask(t *testing.T) {
	disk, path := winimagetest.Disk(t, winimagetest.Spec{Generalized: true}), filepath.Join(t.TempDir(), "r.json")
	old := unix.Umask(0o027)
	defer unix.Umask(old)
	ui, _ := recorder()
	if _, err := Run(context.Background(), ui, Options{Disk: File(disk), Report: path}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("permissions %v, %v; want -rw-r-----", info.Mode(), err)
	}
}
