package vhd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence/evidencetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// stocked is a Windows with a program.
func stocked() winimagetest.Spec {
	return winimagetest.Spec{Software: func(root *hivewrite.Key) {
		root.Path(`Microsoft\Windows\CurrentVersion\Uninstall\{1}`).SetString("DisplayName", "Agent").SetString("DisplayVersion", "2.0")
	}}
}

// bills are the bills of materials in a folder, or below it, temporary ones too.
func bills(t *testing.T, folder string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, _ os.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), ".cdx.json") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return paths
}

// TestTheBillOfMaterialsOfABuild is the second file of the artifact, the same of every
// format, named by the evidence, and goes with the disk.
func TestTheBillOfMaterialsOfABuild(t *testing.T) {
	key, public := evidencetest.Key(t)
	var first []byte
	for _, options := range []map[string]any{
		{"format": "vhd"},
		{"format": "qcow2", "evidence": map[string]any{"key": key}, "source_path": winimagetest.Disk(t, winimagetest.Spec{})},
	} {
		options["sbom"] = true
		b := generalized(t, stocked(), options)
		b.wantContinue(t, new(stepProve).Run(t.Context(), b))
		b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
		path := b.run.output.path
		bill, err := os.ReadFile(path + ".cdx.json")
		if err != nil || !bytes.Contains(bill, []byte(`"Agent"`)) {
			t.Fatalf("%v\n%.500s", err, bill)
		}
		if first == nil {
			first = bill
		}
		if !bytes.Equal(bill, first) {
			t.Errorf("as %s it is another one", options["format"])
		}
		a := newArtifact(b.run, nil)
		if !slices.Equal(a.Files(), []string{path, path + ".cdx.json"}) || a.State("sysprep_sbom") != path+".cdx.json" {
			t.Errorf("%q, %v", a.Files(), a.State("sysprep_sbom"))
		}
		if made := b.run.reported(t.Context(), nil); !slices.Contains(made.Files, path+".cdx.json") {
			t.Errorf("the report on the build knows nothing of it: %q", made.Files)
		}
		if options["evidence"] != nil {
			s := evidencetest.Read(t, path+".intoto.json", public)
			if named := s.Of("sbom"); len(named) != 1 || named[0].Name != filepath.Base(path)+".cdx.json" || named[0].Digest["sha256"] != evidencetest.Sum(t, path+".cdx.json", 0) {
				t.Errorf("%s", s.Text)
			}
			if a.State("sysprep_evidence") != path+".intoto.json" {
				t.Errorf("%v", a.State("sysprep_evidence"))
			}
		} else {
			evidencetest.WantNone(t, b.run.config.OutputDirectory)
			if a.State("sysprep_evidence") != "" {
				t.Errorf("%v", a.State("sysprep_evidence"))
			}
		}
		if err := a.Destroy(); err != nil {
			t.Error(err)
		}
		if left := bills(t, b.run.config.OutputDirectory); len(left) > 0 {
			t.Errorf("after Destroy: %q", left)
		}
	}
}

func TestABuildThatFailsLeavesNoBillOfMaterials(t *testing.T) {
	options := map[string]any{"sbom": true}
	notProven := stocked()
	notProven.Remove = []string{winimagetest.Tag}
	b := generalized(t, notProven, options)
	b.wantHalt(t, new(stepConvert).Run(t.Context(), b), "was proven before the conversion")
	if left := bills(t, b.run.config.OutputDirectory); len(left) > 0 {
		t.Errorf("of a disk that is not proven: %q", left)
	}

	several := stocked()
	beside := stocked()
	beside.Generalized = true
	several.Beside = &beside
	b = generalized(t, several, options)
	b.wantHalt(t, new(stepProve).Run(t.Context(), b), "sbom: the disk has a Windows in each of the partitions 1, 2")

	b = generalized(t, stocked(), options)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if bill, err := b.run.bill(ctx, b.Get("ui").(*lockedUI), b.run.disk.Path); err == nil || bill != nil {
		t.Errorf("after a cancel: %v", err)
	}

	step := new(stepOutputDirectory)
	b.wantContinue(t, step.Run(t.Context(), b))
	b.wantContinue(t, new(stepProve).Run(t.Context(), b))
	b.wantContinue(t, new(stepConvert).Run(t.Context(), b))
	if left := bills(t, b.run.config.OutputDirectory); len(left) != 1 {
		t.Fatalf("%q", left)
	}
	b.Put("halted", true) // something after it failed
	step.Cleanup(b)
	if left := bills(t, b.run.config.OutputDirectory); len(left) > 0 {
		t.Errorf("after a later failure: %q", left)
	}
}

func TestABillOfMaterialsIsPreparedForEverything(t *testing.T) {
	mine := t.TempDir()
	write(t, filepath.Join(mine, "packer-win.vhd.cdx.json"))
	for name, c := range map[string]struct {
		options map[string]any
		want    string
	}{
		"asked for":               {map[string]any{"sbom": true}, ""},
		"without a proof":         {map[string]any{"sbom": true, "verify": map[string]any{"enabled": false}}, "sbom, verify.enabled: "},
		"neither":                 {map[string]any{"verify": map[string]any{"enabled": false}}, ""},
		"another file in the way": {map[string]any{"sbom": true, "output_directory": mine, "packer_force": true}, "packer-win.vhd.cdx.json exists already and is no bill of materials of this plugin"},
		"not asked for":           {map[string]any{"output_directory": mine, "packer_force": true}, ""},
		"a report has its name":   {map[string]any{"sbom": true, "output_directory": filepath.Join(mine, "o"), "report": map[string]any{"json": filepath.Join(mine, "o", "packer-win.vhd.cdx.json")}}, "is the same file as"},
	} {
		for range 2 {
			_, err := new(Config).prepare(valid(t, c.options))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v, want %q", name, err, c.want)
			}
		}
	}
}
