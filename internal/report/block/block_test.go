package block

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/common"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/unknown"
)

func ui() (*packersdk.BasicUi, *bytes.Buffer) {
	var said bytes.Buffer
	return &packersdk.BasicUi{Reader: strings.NewReader(""), Writer: &said, ErrorWriter: &said}, &said
}

func all(folder string) *Config {
	at := func(name string) string { return filepath.Join(folder, "made", name) }
	return &Config{JSON: at("run.json"), HTML: at("run.html"), JUnit: at("run.xml"), SARIF: at("run.sarif")}
}

func sarif(w io.Writer) error {
	return render.SARIF(w, "0.1.0", nil, finding.Report{Name: "unattend.xml", Findings: []finding.Finding{{ID: "value", Severity: finding.Fail, Summary: "wrong"}}})
}

func same(text string) string { return text }

func write(t *testing.T, c *Config, run report.Run) string {
	t.Helper()
	u, said := ui()
	c.Write(t.Context(), u, run, same, sarif)
	return said.String()
}

func texts(t *testing.T, c *Config) (all []string) {
	t.Helper()
	for _, f := range c.forms() {
		content, err := os.ReadFile(f.path)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(content))
	}
	return all
}

func TestEachFormIsWrittenAndReplaced(t *testing.T) {
	c := all(t.TempDir())
	run := Of("sysprep", common.PackerConfig{PackerBuildName: "server", PackerBuilderType: "qemu", PackerCoreVersion: "1.14.2"})
	run.Outcome.Summary = "the first run"
	if said := write(t, c, run); strings.Count(said, "Report on this run: ") != 4 {
		t.Error(said)
	}
	for _, text := range texts(t, c)[:3] {
		if !strings.Contains(text, "the first run") || !strings.Contains(text, "server") || !strings.Contains(text, "1.14.2") {
			t.Errorf("%.300s", text)
		}
	}
	// What was written is known as a report, and replaced.
	if errs := c.Check(true); errs != nil {
		t.Fatal(errs)
	}
	run.Outcome.Summary = "the second run"
	write(t, c, run)
	for _, text := range texts(t, c)[:3] {
		if !strings.Contains(text, "the second run") || strings.Contains(text, "the first run") {
			t.Errorf("%.300s", text)
		}
	}
	// Each is known as its own kind only.
	for i, f := range c.forms() {
		other := c.forms()[(i+1)%4]
		f.path = other.path
		if err := f.check(); err == nil || !strings.Contains(err.Error(), "no report of this kind") {
			t.Errorf("%s takes the file of %s: %v", f.option, other.option, err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(c.JSON))
	if err != nil || len(entries) != 4 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestARunBeginsWithoutTheReportsBeforeIt(t *testing.T) {
	c := all(t.TempDir())
	write(t, c, report.Run{})
	foreign := c.JUnit
	if err := os.WriteFile(foreign, []byte("<testsuites name='mine'/>"), 0o644); err != nil {
		t.Fatal(err)
	}
	u, said := ui()
	c.Begin(t.Context(), u)
	if there := Exists(c.JSON, c.HTML, c.JUnit, c.SARIF, ""); !slices.Equal(there, []string{foreign}) || said.Len() > 0 {
		t.Errorf("%q, %s", there, said)
	}
	c.Begin(t.Context(), u) // without any
}

func TestThePathsAreChecked(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "disk.vhd")
	if err := os.WriteFile(file, []byte("conectix"), 0o644); err != nil {
		t.Fatal(err)
	}
	twice := filepath.Join(folder, "a")
	for name, test := range map[string]struct {
		c    Config
		want []string // of the errors, in their order
	}{
		"none":                {Config{}, nil},
		"folders are made":    {Config{JSON: filepath.Join(folder, "x", "y", "run.json")}, nil},
		"unknown":             {Config{JSON: unknown.Value, HTML: unknown.Value}, nil},
		"two of one path":     {Config{JSON: twice, HTML: twice}, []string{"report.html: " + twice + " is the same file as"}},
		"under another name":  {Config{JSON: twice, JUnit: filepath.Join(folder, "x", "..", "a")}, []string{"report.junit: "}},
		"the image itself":    {Config{HTML: file}, []string{"report.html: " + file + " is the same file as"}},
		"a folder":            {Config{JSON: folder}, []string{"report.json: " + folder + " is a folder"}},
		"below a file":        {Config{JSON: filepath.Join(file, "run.json")}, []string{"report.json: "}},
		"no answer file here": {Config{SARIF: filepath.Join(folder, "run.sarif")}, []string{`report.sarif: it holds what is found in an answer file, which only provisioner "sysprep" has`}},
	} {
		for range 2 {
			errs := test.c.Check(false, file)
			if len(errs) != len(test.want) {
				t.Errorf("%s: %v", name, errs)
				continue
			}
			for i, err := range errs {
				if !strings.HasPrefix(err.Error(), test.want[i]) {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
	own := Config{JSON: file}
	if errs := own.Check(true); len(errs) != 1 || !strings.Contains(errs[0].Error(), "exists already and is no report of this kind") {
		t.Errorf("a file of another kind: %v", errs)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("checking left something: %v, %v", entries, err)
	}
}

func TestAReportThatCannotBeWrittenIsSaid(t *testing.T) {
	folder := t.TempDir()
	c := &Config{JSON: filepath.Join(folder, "run.json"), HTML: filepath.Join(folder, "run.html")}
	if err := os.WriteFile(c.JSON, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // it is written after a cancel too
	u, said := ui()
	c.Write(ctx, u, report.Run{}, same, nil)
	if text := said.String(); !strings.Contains(text, "could not be written: report.json: "+c.JSON) || !strings.Contains(text, "Report on this run: "+c.HTML) {
		t.Error(text)
	}
	if content, err := os.ReadFile(c.JSON); err != nil || string(content) != "mine" {
		t.Errorf("%s, %v", content, err)
	}
	// A form that cannot be made is none.
	c = &Config{SARIF: filepath.Join(folder, "run.sarif")}
	u, said = ui()
	c.Write(t.Context(), u, report.Run{}, same, func(w io.Writer) error { _, _ = w.Write([]byte("half")); return errors.New("no more") })
	if len(Exists(c.SARIF)) > 0 || !strings.Contains(said.String(), "no more") {
		t.Error(said)
	}
}

// canary is a secret in every text of a run.
const canary = `Canary-"<&>-9731`

func TestNoReportHoldsASecret(t *testing.T) {
	c := all(t.TempDir())
	f := finding.Finding{ID: canary, Name: canary, Severity: finding.Fail, Subject: finding.Log, Summary: canary, Expected: canary, Found: canary, Note: canary,
		Where: finding.Place{File: canary, Line: 1, Path: []string{canary}}, Evidence: []string{canary, "x\n" + canary}, Remedy: []string{canary}, Source: canary}
	run := report.Run{Component: canary, Plugin: report.Plugin{Name: canary, Version: canary}, Packer: report.Packer{Version: canary, RunID: canary, BuildName: canary, BuilderType: canary},
		Source: &report.Source{Name: canary, Checksum: canary}, Output: &report.Output{Path: canary, Format: canary, SHA256: canary},
		Outcome: report.Outcome{Class: canary, Cause: canary, Summary: canary, Said: []string{canary}}, Files: []string{canary},
		Sections: []report.Section{{ID: report.SectionDiagnosis, Title: canary, Error: canary, Findings: []finding.Finding{f}}, {ID: canary, Title: canary, Findings: []finding.Finding{f}}}}
	u, _ := ui()
	hide := func(text string) string { return strings.ReplaceAll(text, canary, "<sensitive>") }
	c.Write(t.Context(), u, run, hide, sarif)
	for _, text := range texts(t, c) {
		if strings.Contains(text, "Canary") || strings.Contains(text, "9731") {
			t.Errorf("%.2000s", text)
		}
	}
	// The run itself is not changed, and without hide the canary is there.
	write(t, c, run)
	if text := texts(t, c)[0]; !strings.Contains(text, "9731") {
		t.Error("the canary is in no text")
	}
}

// wantHash is by Python's hashlib, of abc 1,048,576 times.
const wantHash = "cc932bce1f4a5197761d0a4b0197f00a43a3eb6b0c0081b4add813521acac582"

func TestTheHashIsThatOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, bytes.Repeat([]byte("abc"), 1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	u, said := ui()

	got, err := Hash(t.Context(), u, path)
	if err != nil || len(got) != 64 || said.Len() > 0 {
		t.Errorf("%s, %v, %s", got, err, said)
	}
	if got != wantHash {
		t.Errorf("hash %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Hash(ctx, u, path); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Hash(t.Context(), u, filepath.Dir(path)); err == nil {
		t.Error("a folder has a hash")
	}
}

func TestAnOldPictureIsNotThatOfThisRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "screen.png")
	now := time.Now()
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if Picture(path, now) == nil {
		t.Error("the picture of this run is not taken")
	}
	old := now.Add(-time.Minute)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if Picture(path, now) != nil || Picture(path+"x", now) != nil {
		t.Error("an old picture is taken")
	}
}
