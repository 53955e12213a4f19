package cli

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func TestInspectReadsBackingFilesWithLeaveOnly(t *testing.T) {
	base := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	overlay := filepath.Join(t.TempDir(), "overlay.qcow2")
	if out, err := exec.Command(testutil.Tool(t, "qemu-img"), "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	code, stdout, stderr := run(t, "inspect", overlay)
	if code != CannotDo || !strings.Contains(stderr, base) || !strings.Contains(stderr, "--allow-backing") {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	chain := overlay + " (qcow2) -> " + base + " (raw)"
	for _, args := range [][]string{
		{"--allow-backing", base, overlay}, {overlay, "--allow-backing=" + filepath.Dir(base)}, {"--allow-backing", "/nothing", overlay, "-allow-backing", base},
	} {
		code, stdout, stderr = run(t, append([]string{"inspect"}, args...)...)
		if code != OK || !strings.Contains(stdout, "backing chain: "+chain) {
			t.Errorf("%q: exit code %d\n%s\n%s", args, code, stdout, stderr)
		}
	}
	code, stdout, _ = run(t, "inspect", "--allow-backing", base, overlay, base)
	if code != OK || !strings.Contains(stdout, "backing chain: "+chain) {
		t.Errorf("a list: exit code %d\n%s", code, stdout)
	}
	_, stdout, _ = run(t, "inspect", "--json", "--allow-backing", base, overlay)
	schematest.Valid(t, []byte(stdout))
	var got struct {
		Facts struct {
			Disk struct {
				Chain []struct{ Path, Format string }
			}
		}
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if c := got.Facts.Disk.Chain; len(c) != 2 || c[1].Path != base || c[1].Format != "raw" {
		t.Errorf("chain %v in %s", c, stdout)
	}
	for _, args := range [][]string{{"--allow-backing"}, {overlay, "--allow-backing", "--json"}, {"--allow-backing=", overlay}} {
		if code, _, stderr := run(t, append([]string{"inspect"}, args...)...); code != CannotDo || !strings.Contains(stderr, "needs a value") {
			t.Errorf("%q: exit code %d\n%s", args, code, stderr)
		}
	}
}
