package image

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// withReports asks for all reports, which are beside the bench's folder.
func withReports(t *testing.T, options map[string]any) (paths map[string]any, all map[string]any) {
	folder := filepath.Join(t.TempDir(), "reports")
	paths = map[string]any{"json": filepath.Join(folder, "r.json"), "html": filepath.Join(folder, "r.html"), "junit": filepath.Join(folder, "r.xml")}
	all = map[string]any{"report": paths}
	for k, v := range options {
		all[k] = v
	}
	return paths, all
}

// read returns the report on a run, which is valid, and the other two.
func read(t *testing.T, paths map[string]any) (run report.Run, page, results string) {
	t.Helper()
	var texts []string
	for _, form := range []string{"json", "html", "junit"} {
		content, err := os.ReadFile(paths[form].(string))
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(content))
	}
	schematest.Valid(t, []byte(texts[0]))
	document := struct{ Run *report.Run }{&run}
	if err := json.Unmarshal([]byte(texts[0]), &document); err != nil {
		t.Fatal(err)
	}
	return run, texts[1], texts[2]
}

func phasesOf(run report.Run) string {
	var all []string
	for _, p := range run.Phases {
		all = append(all, p.Name+" "+p.Outcome)
	}
	return strings.Join(all, ", ")
}

func TestTheReportOnAConversion(t *testing.T) {
	t.Setenv("PACKER_RUN_UUID", "0b1f3a52-7d0e-4a55-9a3c-6a2f3c7d9e10")
	paths, options := withReports(t, map[string]any{"format": "vhd", "packer_builder_type": "qemu"})
	b := newBench(t, winimagetest.Spec{Generalized: true}, options)
	if _, _, _, err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	run, page, results := read(t, paths)
	output := filepath.Join("output-b-image", "packer-b.vhd")
	info, err := os.Stat(output)
	if err != nil {
		t.Fatal(err)
	}
	want := sum(t, output)
	if o := run.Output; o == nil || o.Path != output || o.Format != "vhd (fixed)" || o.Size != info.Size() || o.VirtualSize != info.Size()-512 || o.SHA256 != hex.EncodeToString(want[:]) {
		t.Errorf("output %+v, want %x", o, want)
	}
	if run.Component != "sysprep-image" || run.Source == nil || run.Source.Name != b.input.files[0] || run.Packer.BuildName != "b" || run.Packer.BuilderType != "qemu" || run.Packer.RunID == "" {
		t.Errorf("%+v", run)
	}
	if o := run.Outcome; !o.Good || o.Class != "proven" || !strings.HasPrefix(o.Summary, "The image is proven to be generalized: Windows Server 2022") {
		t.Errorf("%+v", o)
	}
	if got := phasesOf(run); got != "find the disk ok, prove ok, convert ok, prove the output ok, hash the output ok" {
		t.Error(got)
	}
	if len(run.Sections) != 1 || len(run.Sections[0].Findings) < 20 || len(run.Files) != 1 || run.Files[0] != output+".report.json" {
		t.Errorf("%d sections, %q", len(run.Sections), run.Files)
	}
	if !strings.Contains(page, "boot-drivers") || !strings.Contains(page, "20348") || !strings.Contains(results, `name="image-state"`) || strings.Contains(results, "<failure") {
		t.Errorf("%s", results)
	}
	if proof, err := os.ReadFile(run.Files[0]); err != nil {
		t.Error(err)
	} else {
		schematest.Valid(t, proof)
	}
}

func TestTheReportOnADiskThatIsNotProven(t *testing.T) {
	paths, options := withReports(t, nil)
	b := newBench(t, winimagetest.Spec{}, options)
	_, _, _, err := b.run(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	run, page, results := read(t, paths)
	if o := run.Outcome; o.Good || o.Class != "not-proven" || !strings.Contains(err.Error(), o.Summary) || run.Output != nil {
		t.Errorf("%+v", run)
	}
	if s := run.Sections; len(s) != 1 || s[0].Error != "" || len(s[0].Findings) < 20 {
		t.Errorf("a disk that was judged: %+v", s)
	}
	if got := phasesOf(run); got != "find the disk ok, prove failed" {
		t.Error(got)
	}
	if !strings.Contains(page, "IMAGE_STATE_COMPLETE") || !strings.Contains(results, `<failure message="ImageState in the registry`) {
		t.Error(results)
	}
}

func TestTheReportOnWhatCannotBeJudged(t *testing.T) {
	paths, options := withReports(t, nil)
	b := newBench(t, winimagetest.Spec{}, options)
	b.input.files = nil
	_, _, _, err := b.run(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	run, _, _ := read(t, paths)
	if o := run.Outcome; o.Good || o.Class != "failed" || o.Summary != err.Error() || run.Source != nil || phasesOf(run) != "find the disk failed" {
		t.Errorf("%+v", run)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.input.files = []string{winimagetest.Disk(t, winimagetest.Spec{})}
	if _, _, _, err := b.run(ctx); err == nil {
		t.Fatal("no error")
	}
	if run, _, _ := read(t, paths); run.Outcome.Class != "cancelled" || phasesOf(run) != "find the disk cancelled" {
		t.Errorf("%+v", run)
	}
}

func TestNoReportReplacesTheDisk(t *testing.T) {
	paths, options := withReports(t, nil)
	b := newBench(t, winimagetest.Spec{Generalized: true}, options)
	empty := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(empty, nil, 0o600); err != nil { // a file that a report may replace, were it not the artifact's
		t.Fatal(err)
	}
	b.input.files = append(b.input.files, empty)
	b.p.config.Report.HTML = empty
	_, _, _, err := b.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "report.html: "+empty+" is the same file as ") {
		t.Errorf("%v", err)
	}
	if content, err := os.ReadFile(empty); err != nil || len(content) > 0 {
		t.Errorf("replaced: %v, %.100s", err, content)
	}
	if content, err := os.ReadFile(paths["json"].(string)); err != nil || !bytes.Contains(content, []byte("is the same file as")) {
		t.Errorf("%v, %s", err, content)
	}
	p := &PostProcessor{}
	if err := p.Configure(map[string]any{"format": "vhd", "output": "x.vhd", "report": map[string]any{"json": "x.vhd", "sarif": "s"}}); err == nil || !strings.Contains(err.Error(), "report.json: x.vhd is the same file as") || !strings.Contains(err.Error(), "report.sarif: ") {
		t.Errorf("%v", err)
	}
}
