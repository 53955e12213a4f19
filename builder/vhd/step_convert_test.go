package vhd

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// generalized is a bench whose guest left a generalized disk, with the content
// of a deleted file in its free space.
func generalized(t *testing.T, spec winimagetest.Spec, options map[string]any) *bench {
	t.Helper()
	b := newBench(t, options)
	spec.Generalized = true
	b.run.disk.Path, b.run.scratch = winimagetest.Disk(t, spec), t.TempDir()
	if err := os.MkdirAll(b.run.config.OutputDirectory, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(b.run.disk.Path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Files lie at the front of the volume, and its last sector is a copy of
	// the first.
	if _, err := f.WriteAt([]byte(deleted), 14<<20); err != nil {
		t.Fatal(err)
	}
	return b
}

const deleted = "the password in a deleted answer file"

func TestTheOutputIsCompactUnlessSomethingSpeaksAgainstIt(t *testing.T) {
	for _, c := range []struct {
		name    string
		spec    winimagetest.Spec
		options map[string]any
		kept    bool
		said    string
	}{
		{"as it is by default", winimagetest.Spec{}, nil, false, "left out"},
		{"to VHDX", winimagetest.Spec{}, map[string]any{"format": "vhdx"}, false, "left out"},
		{"switched off", winimagetest.Spec{}, map[string]any{"compact": false}, true, "Wrote"},
		{"without a proof", winimagetest.Spec{}, map[string]any{"verify": map[string]any{"enabled": false}}, false, "left out"},
		{"a shadow copy", winimagetest.Spec{Files: map[string]string{`\System Volume Information\{01234567-0123-0123-0123-0123456789ab}{3808876b-c176-4e48-b7ae-04046e6cc752}`: "x"}}, nil, true, "Warning: not compacting"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := generalized(t, c.spec, c.options)
			b.wantContinue(t, new(stepProve).Run(t.Context(), b))
			b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
			if !strings.Contains(joined(b), c.said) {
				t.Errorf("%q was not said:\n%s", c.said, joined(b))
			}
			disk, err := diskimage.Open(b.run.output.path)
			if err != nil {
				t.Fatal(err)
			}
			defer disk.Close()
			content := make([]byte, disk.Size())
			if _, err := disk.ReadAt(content, 0); err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if got := bytes.Contains(content, []byte(deleted)); got != c.kept {
				t.Errorf("the deleted file came along: %t, want %t", got, c.kept)
			}
			if left, _ := os.ReadDir(b.run.scratch); len(left) != 0 {
				t.Errorf("left in the scratch folder: %v", left)
			}
			r, err := proof.Check(t.Context(), proof.Options{Disk: proof.File(b.run.output.path)})
			if err != nil || !r.Proven() {
				t.Errorf("the output is not proven: %v %+v", err, r.Findings)
			}
		})
	}
}

func TestAnOutputThatIsNotProvenHasNoName(t *testing.T) {
	b := generalized(t, winimagetest.Spec{Remove: []string{winimagetest.Tag}}, nil)
	b.wantHalt(t, new(stepConvert).Run(t.Context(), b), "was proven before the conversion", "tag is absent")
	if _, err := os.Stat(b.run.config.outputPath()); !errors.Is(err, fs.ErrNotExist) || b.run.output.path != "" {
		t.Errorf("the output %q is there: %v", b.run.output.path, err)
	}
}

func TestTheReportLiesWhereTheUserWantsIt(t *testing.T) {
	mine := filepath.Join(t.TempDir(), "my", "report.json")
	for _, path := range []string{"", mine} {
		b := generalized(t, winimagetest.Spec{}, map[string]any{"verify": map[string]any{"report": path}})
		b.wantContinue(t, new(stepProve).Run(t.Context(), b))
		b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
		if path == "" {
			path = b.run.output.path + proof.ReportSuffix
		}
		if _, err := os.Stat(path); err != nil || b.run.report != path {
			t.Errorf("the report lies at %s, want %s: %v", b.run.report, path, err)
		}
	}
}
