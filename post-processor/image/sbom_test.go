package image

import (
	"bytes"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence/evidencetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// stocked is a generalized Windows with a program.
func stocked() winimagetest.Spec {
	return winimagetest.Spec{Generalized: true, Software: func(root *hivewrite.Key) {
		root.Path(`Microsoft\Windows\CurrentVersion\Uninstall\{1}`).SetString("DisplayName", "Agent").SetString("DisplayVersion", "2.0")
	}}
}

func bill(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(b, []byte(`"CycloneDX"`)) || !bytes.Contains(b, []byte(`"Agent"`)) {
		t.Fatalf("%v\n%.500s", err, b)
	}
	return b
}

// wantNoBill checks that none is below the folder that the process runs in.
func wantNoBill(t *testing.T) {
	t.Helper()
	for _, path := range here(t) {
		if strings.Contains(path, ".cdx.json") {
			t.Errorf("%s is there", path)
		}
	}
}

// TestTheBillOfMaterialsOfAnOutput is the second file of the artifact, named by the
// evidence, and the same whatever the output is: a disk, a WIM, or none.
func TestTheBillOfMaterialsOfAnOutput(t *testing.T) {
	var first []byte
	for format, options := range map[string]map[string]any{
		"vhd":   {"evidence": map[string]any{}},
		"qcow2": {},
		"wim":   {},
		"":      {"evidence": map[string]any{}},
	} {
		options["sbom"] = true
		path := "output-b-image/windows.raw"
		if format != "" {
			options["format"] = format
			path = "out/x." + format
			options["output"] = path
		}
		options["report"] = map[string]any{"json": "run.json"}
		b := newBench(t, stocked(), options)
		made, _, _, err := b.run(t.Context())
		if err != nil {
			t.Fatalf("%s: %v\n%s", format, err, &b.said)
		}
		got := bill(t, path+".cdx.json")
		if first == nil {
			first = got
		}
		if !bytes.Equal(got, first) {
			t.Errorf("%s: it is another one", format)
		}
		want := []string{path, path + ".cdx.json"}
		if format == "" {
			want = b.input.files
		}
		if !slices.Equal(made.Files(), want) || format != "" && made.State("sysprep_sbom") != path+".cdx.json" {
			t.Errorf("%s: %q, %v", format, made.Files(), made.State("sysprep_sbom"))
		}
		if report, err := os.ReadFile("run.json"); err != nil || !strings.Contains(string(report), "cdx.json") {
			t.Errorf("%s: the report on the run knows nothing of it: %v", format, err)
		}
		if options["evidence"] != nil {
			s := evidencetest.Read(t, path+".statement.json", nil)
			if named := s.Of("sbom"); len(named) != 1 || named[0].Digest["sha256"] != evidencetest.Sum(t, path+".cdx.json", 0) {
				t.Errorf("%s: %s", format, s.Text)
			}
			if format != "" && made.State("sysprep_evidence") != path+".statement.json" {
				t.Errorf("%s: %v", format, made.State("sysprep_evidence"))
			}
		} else if format != "" && made.State("sysprep_evidence") != nil {
			t.Errorf("%s: %v", format, made.State("sysprep_evidence"))
		}
		if format == "" {
			continue
		}
		if err := made.Destroy(); err != nil {
			t.Error(err)
		}
		wantNoBill(t)
	}
}

// TestAnEarlierBillOfMaterialsGoes when the disk of that name is another one, and stays
// with the output that stays.
func TestAnEarlierBillOfMaterialsGoes(t *testing.T) {
	b := newBench(t, stocked(), map[string]any{"sbom": true})
	for range 2 {
		if _, _, _, err := b.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		bill(t, "output-b-image/windows.raw.cdx.json")
	}
	good := b.input.files[0]
	b.input.files[0] = winimagetest.Disk(t, winimagetest.Spec{}) // not generalized
	if _, _, _, err := b.run(t.Context()); err == nil {
		t.Fatal("proven")
	}
	wantNoBill(t)

	b.input.files[0] = good
	configured := func(more map[string]any) {
		options := map[string]any{"format": "raw", "output": "x.raw", "packer_force": true, "packer_build_name": "b"}
		for k, v := range more {
			options[k] = v
		}
		if err := b.p.Configure(options); err != nil {
			t.Fatal(err)
		}
	}
	configured(map[string]any{"sbom": true})
	if _, _, _, err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := bill(t, "x.raw.cdx.json")
	b.input.files[0] = winimagetest.Disk(t, winimagetest.Spec{})
	if _, _, _, err := b.run(t.Context()); err == nil || !bytes.Equal(bill(t, "x.raw.cdx.json"), before) {
		t.Errorf("the output that stays has another bill: %v", err)
	}
	b.input.files[0] = good
	configured(nil)
	if _, _, _, err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantNoBill(t)
}

func TestNoBillOfMaterialsOfWhatIsNotProven(t *testing.T) {
	for _, options := range []map[string]any{{}, {"format": "vhd"}, {"format": "wim"}} {
		options["sbom"] = true
		spec := stocked()
		spec.Generalized = false
		if _, _, _, err := newBench(t, spec, options).run(t.Context()); err == nil {
			t.Fatal("proven")
		}
		wantNoBill(t)
		two, beside := stocked(), stocked()
		two.Beside = &beside
		if _, _, _, err := newBench(t, two, options).run(t.Context()); err == nil || !strings.Contains(err.Error(), "sbom: the disk has a Windows in each of the partitions 1, 2") {
			t.Errorf("%v: %v", options, err)
		}
		wantNoBill(t)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := newBench(t, stocked(), map[string]any{"format": "vhd", "sbom": true})
	b.ui = listener{b.ui, func(text string) {
		if strings.Contains(text, "Converted") {
			cancel()
		}
	}}
	if _, _, _, err := b.run(ctx); err == nil {
		t.Fatal("succeeded")
	}
	wantNoBill(t)

	b = newBench(t, stocked(), map[string]any{"sbom": true})
	touched := &touching{disk: b.input.files[0]}
	b.ui = &packersdk.BasicUi{Writer: touched}
	if _, _, _, err := b.run(t.Context()); err == nil || !strings.Contains(err.Error(), "was written to after it was proven") {
		t.Errorf("%v\n%s", err, touched)
	}
	wantNoBill(t)
}

func TestABillOfMaterialsIsCheckedBeforeAnythingIsDone(t *testing.T) {
	t.Chdir(t.TempDir())
	put(t, "mine.vhd.cdx.json", "mine")
	for name, c := range map[string]struct {
		options map[string]any
		want    string
	}{
		"asked for":               {map[string]any{"sbom": true}, ""},
		"of a WIM":                {map[string]any{"sbom": true, "format": "wim"}, ""},
		"without a proof":         {map[string]any{"format": "vhd", "sbom": true, "verify": map[string]any{"enabled": false}}, "sbom, verify.enabled: "},
		"another file in the way": {map[string]any{"format": "vhd", "output": "mine.vhd", "sbom": true}, "sbom: mine.vhd.cdx.json exists already"},
		"not asked for":           {map[string]any{"format": "vhd", "output": "mine.vhd"}, ""},
		"a report has its name":   {map[string]any{"format": "vhd", "output": "x.vhd", "sbom": true, "report": map[string]any{"json": "x.vhd.cdx.json"}}, "is the same file as"},
	} {
		err := new(PostProcessor).Configure(c.options, map[string]any{"packer_build_name": "b"})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestABillOfMaterialsOfTheInputIsNoDisk: sysprep-vhd hands on one beside its disk.
func TestABillOfMaterialsOfTheInputIsNoDisk(t *testing.T) {
	b := newBench(t, stocked(), map[string]any{"format": "raw", "output": "x.raw"})
	disk := b.input.files[0]
	b.input.files = []string{disk, put(t, disk+".cdx.json", `{"bomFormat":"CycloneDX"}`)}
	made, keep, _, err := b.run(t.Context())
	if err != nil || keep || !slices.Equal(made.Files(), []string{"x.raw"}) {
		t.Errorf("keep %t, %v\n%s", keep, err, &b.said)
	}
}
