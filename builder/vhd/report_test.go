package vhd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
)

// readReport returns the report on a build, which is valid.
func readReport(t *testing.T, path string) (run report.Run) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	schematest.Valid(t, content)
	document := struct{ Run *report.Run }{&run}
	if err := json.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	return run
}

func phasesOf(run report.Run) string {
	var all []string
	for _, p := range run.Phases {
		all = append(all, p.Name+" "+p.Outcome)
	}
	return strings.Join(all, ", ")
}

// wantMade holds the report on a build without a proof against what it made.
func wantMade(t *testing.T, b *Builder, source string) {
	t.Helper()
	run := readReport(t, b.config.Report.JSON)
	if o := run.Outcome; !o.Good || o.Class != "made" {
		t.Errorf("%+v", o)
	}
	path := b.config.outputPath()
	if o := run.Output; o == nil || o.Path != path || o.Size != fileSize(path) || o.VirtualSize < 3<<20 || o.SHA256 != fmt.Sprintf("%x", sum(t, path)) || !strings.HasPrefix(o.Format, b.config.Format) {
		t.Errorf("%+v", o)
	}
	if run.Source == nil || run.Source.Name != source || run.Packer.BuilderType != "sysprep-vhd" {
		t.Errorf("%+v, %+v", run.Source, run.Packer)
	}
	if got := phasesOf(run); got != "source ok, overlay ok, boot ok, wait ok, connect ok, provision ok, unattended ok, power-off ok, proof ok, convert ok, hash ok" {
		t.Error(got)
	}
	for _, path := range []string{b.config.Report.HTML, b.config.Report.JUnit} {
		if fileSize(path) == 0 {
			t.Errorf("%s was not written", path)
		}
	}
}

func TestTheReportSaysHowABuildFailed(t *testing.T) {
	cause, ok := diagnosis.ByID("F01")
	if !ok {
		t.Fatal("the catalogue has no F01")
	}
	cause.Evidence = []string{"2026-01-02 03:04:05, Error SYSPRP a line of the log"}
	refused := proof.Result{Findings: []finding.Finding{{ID: "image-state", Severity: finding.Fail, Subject: finding.Disk, Summary: "ImageState", Expected: "x", Found: "y", Remedy: []string{"again"}}}}
	for name, test := range map[string]struct {
		err     error
		cancel  bool
		do      func(*run)
		outcome report.Outcome
		says    []string // of the document
	}{
		"by the provisioner": {err: errors.New("Error executing: [refused/APPX_NOT_PROVISIONED] sysprep refused\nnext: repair it"), do: func(r *run) { r.told.disk.Cause = &cause },
			outcome: report.Outcome{Class: "refused", Cause: "APPX_NOT_PROVISIONED", Summary: "sysprep refused", Said: []string{"next: repair it"}},
			says:    []string{`"id": "diagnosis"`, "a line of the log"}},
		"not proven": {err: &proof.NotProven{Disk: "x.vhd", Result: refused}, do: func(r *run) { r.told.proved(refused, &proof.NotProven{Disk: "x.vhd", Result: refused}) },
			outcome: report.Outcome{Class: "not-proven", Summary: "x.vhd is not proven to be generalized: image-state is y; next: again"}, says: []string{`"id": "proof"`, `"id": "image-state"`}},
		"the disk cannot be read": {err: errors.New("proving x: it is gone"), do: func(r *run) { r.told.proved(proof.Result{}, errors.New("proving x: it is gone\nlook there")) },
			outcome: report.Outcome{Class: "failed", Summary: "proving x: it is gone"}, says: []string{`"error": "proving x: it is gone; look there"`}},
		"cancelled": {err: errors.New("the build was cancelled"), cancel: true, outcome: report.Outcome{Class: "cancelled", Summary: "the build was cancelled"}, says: []string{`"outcome": "cancelled"`}},
		"a secret":  {err: errors.New("the password is Tops3cret-Value"), outcome: report.Outcome{Class: "failed", Summary: "the password is <sensitive>"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &Config{OutputDirectory: filepath.Join(t.TempDir(), "out"), Format: "vhd"}
			c.Comm.WinRMPassword = "Tops3cret-Value"
			r := &run{config: c}
			r.openLog()
			state := new(multistep.BasicStateBag)
			ended := r.phase("provision", state)
			if test.cancel {
				state.Put(multistep.StateCancelled, true)
			} else {
				state.Put("error", test.err)
			}
			if test.do != nil {
				test.do(r)
			}
			ctx, cancel := context.WithCancel(t.Context())
			if test.cancel {
				cancel()
			}
			defer cancel()
			picture := []byte("\x89PNG\r\n\x1a\nthe screen")
			if err := os.WriteFile(c.screenPath(), picture, 0o600); err != nil {
				t.Fatal(err)
			}
			ended()
			made := r.reported(ctx, test.err).Each(r.hide)
			if got := made.Outcome; got.Class != test.outcome.Class || got.Cause != test.outcome.Cause || got.Summary != test.outcome.Summary || len(test.outcome.Said) > 0 && strings.Join(got.Said, "\n") != strings.Join(test.outcome.Said, "\n") || got.Good {
				t.Errorf("%+v, want %+v", got, test.outcome)
			}
			if !bytes.Equal(made.Picture, picture) || made.Output != nil {
				t.Errorf("picture %q, output %+v", made.Picture, made.Output)
			}
			document, err := render.RunFile(made)
			if err != nil {
				t.Fatal(err)
			}
			schematest.Valid(t, document)
			for _, want := range append(test.says, `"name": "provision"`, "out-screen.png") {
				if !bytes.Contains(document, []byte(want)) {
					t.Errorf("%s is missing in %s", want, document)
				}
			}
			if bytes.Contains(document, []byte("Tops3cret")) {
				t.Errorf("a secret: %s", document)
			}
		})
	}
}

func TestThePathsOfReportsAreCheckedWithTheOthers(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	source := filepath.Join(dir, "x.raw")
	if err := os.WriteFile(source, make([]byte, 512), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ form, path, want string }{
		"the disk":            {"json", filepath.Join(out, "packer-win.vhd"), "report.json: "},
		"the proof's report":  {"json", filepath.Join(out, "packer-win.vhd.report.json"), "report.json: "},
		"of a refused disk":   {"html", out + "-report.json", "report.html: "},
		"the screenshot":      {"html", out + "-screen.png", "report.html: "},
		"the source":          {"junit", source, "report.junit: "},
		"no answer file here": {"sarif", filepath.Join(dir, "s"), "report.sarif: it holds what is found in an answer file"},
		"in the folder":       {"json", filepath.Join(out, "run.json"), ""},
	} {
		options := valid(t, map[string]any{"source_path": source, "output_directory": out, "report": map[string]any{test.form: test.path}})
		b := new(Builder)
		for range 2 {
			_, _, err := b.Prepare(options)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// What a hang stood in is known, and why it stood there may be on the disk.
func TestTheDiskOfAHungRunIsStillAsked(t *testing.T) {
	for text, want := range map[string]bool{"[hung/HANG] x": true, "[hung] x": true, "[broken] x": true, "[refused/APPX_NOT_PROVISIONED] x": false, "[undone/RESTARTED] x": false} {
		r := &run{provisioning: time.Now()}
		r.windows.Windows = "Windows"
		state := new(multistep.BasicStateBag)
		state.Put("error", errors.New(text))
		if got := r.unexplained(state); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
