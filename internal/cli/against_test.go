package cli

import (
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// What became of the identity of a source is said, and refuses nothing.
func TestAnImageIsComparedWithItsSource(t *testing.T) {
	named := func(name string) func(*hivewrite.Key) {
		return func(root *hivewrite.Key) {
			root.Path(`ControlSet001\Control\ComputerName\ComputerName`).SetString("ComputerName", name)
		}
	}
	source := winimagetest.Disk(t, winimagetest.Spec{System: named("BUILD-1")})
	image := winimagetest.Disk(t, winimagetest.Spec{Generalized: true, System: named("WIN-2")})
	code, stdout, stderr := run(t, "inspect", image, "--against", source)
	if code != OK || !strings.Contains(stdout, "computer name changed: BUILD-1 became WIN-2") || !strings.Contains(stdout, "boot entry same: ") {
		t.Errorf("%d\n%s\n%s", code, stdout, stderr)
	}
	if code, stdout, _ = run(t, "inspect", "--json", image, "--against="+source); code != OK || !strings.Contains(stdout, `"was":"BUILD-1"`) && !strings.Contains(stdout, `"was": "BUILD-1"`) {
		t.Errorf("%d\n%s", code, stdout)
	}
	if code, stdout, _ = run(t, "inspect", image); code != OK || strings.Contains(stdout, "BUILD-1") {
		t.Errorf("%d\n%s", code, stdout)
	}
	if code, _, stderr = run(t, "inspect", image, "--against", source+".none"); code != CannotDo || !strings.Contains(stderr, "cannot compare with") {
		t.Errorf("%d\n%s", code, stderr)
	}
}
