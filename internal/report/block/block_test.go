package block

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/common"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
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

func sarif(f ...finding.Finding) *Lint {
	f = append(f, finding.Finding{ID: "value", Severity: finding.Fail, Summary: "wrong"})
	return &Lint{Found: finding.Report{Name: "unattend.xml", Findings: f}}
}

func same(text string) string { return text }

func write(t *testing.T, c *Config, run report.Run) string {
	t.Helper()
	u, said := ui()
	c.Write(t.Context(), u, run, same, sarif())
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
	c = &Config{HTML: filepath.Join(folder, "facts.html"), JUnit: filepath.Join(folder, "facts.xml")}
	u, said = ui()
	c.Write(t.Context(), u, report.Run{Facts: func() {}}, same, nil)
	if got := Exists(c.HTML, c.JUnit); !slices.Equal(got, []string{c.JUnit}) || !strings.Contains(said.String(), "writing the facts") {
		t.Error(got, said)
	}
}

// canary is a secret in every text of a run.
const canary = `Canary-"<&>-9731`

// full is a run that has a text in every place.
func full(text string) report.Run {
	f := fullFinding(text)
	return report.Run{Component: text, Plugin: report.Plugin{Name: text, Version: text}, Packer: report.Packer{Version: text, RunID: text, BuildName: text, BuilderType: text},
		Source: &report.Source{Name: text, Checksum: text}, Output: &report.Output{Path: text, Format: text, SHA256: text},
		Outcome: report.Outcome{Class: text, Cause: text, Summary: text, Said: []string{text}}, Files: []string{text}, Phases: []runlog.Phase{{Name: text, Outcome: runlog.Failed, Error: text}},
		Facts:    map[string]any{"a": []any{text, map[string]string{"b": text}}},
		Sections: []report.Section{{ID: report.SectionDiagnosis, Title: text, Error: text, Findings: []finding.Finding{f}}, {ID: text, Title: text, Findings: []finding.Finding{f}}}}
}

func fullFinding(text string) finding.Finding {
	return finding.Finding{ID: text, Name: text, Severity: finding.Fail, Subject: finding.Log, Summary: text, Expected: text, Found: text, Note: text,
		Where: finding.Place{File: text, Line: 1, Path: []string{text}}, Evidence: []string{text, "x\n" + text}, Remedy: []string{text}, Source: text}
}

// What is known to be secret, and what looks like it, is in no report.
func TestNoReportHoldsASecret(t *testing.T) {
	hide := func(text string) string { return strings.ReplaceAll(text, canary, "<sensitive>") }
	for name, test := range map[string]struct {
		text string
		hide func(string) string
	}{
		"known": {canary, hide}, "a command line": {"net user joe Canary-9731 /add", same}, "a setting": {`"DefaultPassword": "Canary 9731"`, same}, "an answer file": {"<Password>\n<Value>Canary-9731</Value>", same},
		"a key": {"slmgr /ipk 97319-CANAR-CANAR-CANAR-CANAR", same},
	} {
		c := all(t.TempDir())
		u, said := ui()
		run := full(test.text)
		c.Write(t.Context(), u, run, test.hide, sarif(fullFinding(test.text)))
		for _, text := range texts(t, c) {
			if strings.Contains(text, "Canary") || strings.Contains(text, "9731") || strings.Contains(text, "CANAR") {
				t.Errorf("%s: %.2000s", name, text)
			}
			if !strings.Contains(text, "sensitive") {
				t.Errorf("%s: nothing was hidden: %.300s", name, text)
			}
		}
		if strings.Contains(said.String(), "could not be written") {
			t.Error(said)
		}
		if run.Component != test.text || run.Sections[0].Findings[0].Evidence[0] != test.text {
			t.Error("the run itself was changed")
		}
	}
	c := all(t.TempDir())
	write(t, c, full(canary)) // without hide it is there
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
