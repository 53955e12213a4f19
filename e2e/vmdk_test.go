//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// TestADiskInPiecesOfVMwareIsConverted hands over what vmware-iso leaves by default: a
// descriptor and the files that it names.
func TestADiskInPiecesOfVMwareIsConverted(t *testing.T) {
	qemuImg, dir := testutil.Tool(t, "qemu-img"), t.TempDir()
	raw := diskAt(t, filepath.Join(dir, "windows.raw"), winimagetest.Spec{Generalized: true})
	disk := filepath.Join(dir, "vm", "disk.vmdk")
	put := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(qemuImg, args...).CombinedOutput(); err != nil {
			t.Fatalf("qemu-img %q: %v: %s", args, err, out)
		}
	}
	diskAt(t, filepath.Join(dir, "vm", "x"), winimagetest.Spec{}) // makes the folder
	put("convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", raw, disk)
	output := filepath.Join(dir, "out", "image.raw")
	out, code := convert(t, dir, `compact = false
      output = "`+filepath.ToSlash(output)+`"`, filepath.Join(dir, "vm", "disk-s001.vmdk"), disk)
	if code != 0 || !strings.Contains(out, "Disk of the artifact: "+disk) {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	put("compare", "-f", "raw", "-F", "raw", raw, output)
}
