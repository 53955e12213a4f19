package image

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func qemu(t *testing.T, tool string, args ...string) {
	t.Helper()
	if out, err := exec.Command(testutil.Tool(t, tool), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", tool, args, err, out)
	}
}

// TestAnOverlayOfPackersQEMUBuilder: use_backing_file with a disk_size that is
// larger than the base, which lies in Packer's cache.
func TestAnOverlayOfPackersQEMUBuilder(t *testing.T) {
	base := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	if err := os.Truncate(base, 104865792); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(t.TempDir(), "packer-server")
	qemu(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay, "2G")
	qemu(t, "qemu-io", "-f", "qcow2", "-c", "write -P 7 16M 1M", "-c", "write -P 9 1536M 4M", overlay)

	b := newBench(t, winimagetest.Spec{}, map[string]any{"format": "vhd", "vhd_type": "dynamic", "output": "x.vhd", "compact": false})
	b.input.files = []string{overlay}
	_, _, _, err := b.p.PostProcess(context.Background(), b.ui, b.input)
	if !errors.Is(err, diskimage.ErrNotAllowed) && (err == nil || !strings.Contains(err.Error(), "not allowed")) {
		t.Errorf("a base elsewhere: %v", err)
	}
	for _, want := range []string{overlay, base, "backing_files = ["} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
	if _, err := os.Stat("x.vhd"); err == nil {
		t.Error("an output was made")
	}

	b = newBench(t, winimagetest.Spec{}, map[string]any{
		"format": "vhd", "vhd_type": "dynamic", "output": "x.vhd", "compact": false,
		"backing_files": []string{filepath.Dir(base)}, "verify": map[string]any{"compare": true},
	})
	b.input.files = []string{overlay}
	made, _, _, err := b.p.PostProcess(context.Background(), b.ui, b.input)
	if err != nil {
		t.Fatal(err)
	}
	qemu(t, "qemu-img", "compare", "-f", "qcow2", "-F", "vpc", overlay, made.Files()[0])
	raw, err := os.ReadFile(made.Files()[0] + proof.ReportSuffix)
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Facts struct {
			Disk struct {
				Chain []diskimage.Link `json:"chain"`
			} `json:"disk"`
		} `json:"facts"`
	}
	if err := json.Unmarshal(raw, &report); err != nil {
		t.Fatal(err)
	}
	if c := report.Facts.Disk.Chain; len(c) != 2 || c[0].Path != overlay || c[1].Path != base {
		t.Errorf("chain in the report: %v", c)
	}
}

func TestWholeComparisonIsForConversions(t *testing.T) {
	var p PostProcessor
	if err := p.Configure(map[string]any{"verify": map[string]any{"compare": true}}); err == nil || !strings.Contains(err.Error(), "verify.compare: only valid with format") {
		t.Errorf("%v", err)
	}
	if err := p.Configure(map[string]any{"format": "vhd", "backing_files": []string{"a", ""}}); err == nil || !strings.Contains(err.Error(), "backing_files") {
		t.Errorf("%v", err)
	}
}
