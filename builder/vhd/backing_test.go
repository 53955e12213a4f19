package vhd

import (
	"encoding/json"
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

// qemuTool runs one of QEMU's tools.
func qemuTool(t *testing.T, tool string, args ...string) {
	t.Helper()
	if out, err := exec.Command(testutil.Tool(t, tool), args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", tool, args, err, out)
	}
}

// TestADiskLargerThanItsBackingFileIsConvertedWhole: a guest's disk that was
// grown, with data behind the end of the file below it.
func TestADiskLargerThanItsBackingFileIsConvertedWhole(t *testing.T) {
	for name, size := range map[string]int64{"a size of whole MiB": 64 << 20, "the size that CHS makes of 100 MiB": 104865792} {
		for _, whole := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				source := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
				if err := os.Truncate(source, size); err != nil {
					t.Fatal(err)
				}
				b := newBench(t, map[string]any{"source_path": source, "format": "qcow2", "compact": false, "verify": map[string]any{"compare": whole}})
				b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
				b.run.windows.Origin = nil // nothing generalizes it here
				b.run.scratch = t.TempDir()
				b.wantContinue(t, new(stepCreateOverlay).Run(t.Context(), b))
				qemuTool(t, "qemu-img", "resize", "-q", b.run.disk.Path, "2G")
				qemuTool(t, "qemu-io", "-f", "qcow2", "-c", "write -P 7 16M 1M", "-c", "write -P 9 1536M 4M", b.run.disk.Path)
				if err := os.MkdirAll(b.run.config.OutputDirectory, 0o755); err != nil {
					t.Fatal(err)
				}
				b.wantContinue(t, new(stepProve).Run(t.Context(), b))
				b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
				qemuTool(t, "qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", b.run.disk.Path, b.run.output.path)
			})
		}
	}
}

// TestSourceMayBeBasedOnNothingElse: the image that a user was given may name
// any file of the build host.
func TestSourceMayBeBasedOnNothingElse(t *testing.T) {
	base := winimagetest.Disk(t, winimagetest.Spec{Generalized: true})
	info, err := os.Stat(base)
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "given.qcow2")
	if err := diskimage.WriteOverlay(source, base, "raw", info.Size()); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, map[string]any{"source_path": source})
	b.wantHalt(t, new(stepInspectSource).Run(t.Context(), b), source, filepath.Base(base), "not allowed", "backing_files = [")

	b = newBench(t, map[string]any{"source_path": source, "backing_files": []string{filepath.Dir(base)}, "format": "qcow2"})
	b.wantContinue(t, new(stepInspectSource).Run(t.Context(), b))
	b.run.windows.Origin = nil // nothing generalizes it here
	if said := joined(b); !strings.Contains(said, "backing chain: "+source+" (qcow2) -> "+base+" (raw)") {
		t.Errorf("the chain is not said:\n%s", said)
	}
	b.run.scratch = t.TempDir()
	b.wantContinue(t, new(stepCreateOverlay).Run(t.Context(), b))
	if err := os.MkdirAll(b.run.config.OutputDirectory, 0o755); err != nil {
		t.Fatal(err)
	}
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
	b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
	raw, err := os.ReadFile(b.run.output.path + proof.ReportSuffix)
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
	if c := report.Facts.Disk.Chain; len(c) != 2 || c[0].Path != source || c[1].Path != base || c[1].Format != diskimage.Raw {
		t.Errorf("chain in the report: %v", c)
	}

	// What changed between the look at the source and the start of QEMU.
	if err := os.Remove(source); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, make([]byte, 512), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := diskimage.WriteOverlay(source, secret, "raw", info.Size()); err != nil {
		t.Fatal(err)
	}
	b.wantHalt(t, new(stepCreateOverlay).Run(t.Context(), b), "checking overlay")

	taken := newBench(t, nil)
	taken.run.driver = fakeTaker{disk: source}
	taken.wantHalt(t, new(stepInspectSource).Run(t.Context(), taken), "not allowed")
}

func TestBackingFilesAreNamed(t *testing.T) {
	refused(t, valid(t, map[string]any{"backing_files": []string{""}}), []string{"backing_files", "empty"})
	var c Config
	if _, err := c.prepare(valid(t, map[string]any{"backing_files": []string{"<unknown>", "not/there/yet"}})); err != nil {
		t.Error(err)
	}
}
