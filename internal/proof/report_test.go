package proof

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/evidence"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// oldReport looks like the report of an earlier image.
const oldReport = "{\n  \"schema\": 1,\n  \"proof\": {\"proven\": true}, \"old\": true}\n"

// newReport is one as it is written now.
func newReport(t *testing.T) string {
	t.Helper()
	content, err := render.File(finding.Report{Subject: finding.Disk, Name: "x.vhd"})
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func put(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// holds checks the content of a file; "" is an absent one.
func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); string(got) != want || (err == nil) != (want != "") {
		t.Errorf("%s holds %.60q (%v), want %q", filepath.Base(path), got, err, want)
	}
}

func TestAReportReplacesNothingButAReport(t *testing.T) {
	dir := t.TempDir()
	golden := put(t, filepath.Join(dir, "golden.vhd"), "the only copy")
	for _, c := range []struct{ name, path, want string }{
		{"absent", filepath.Join(dir, "r.json"), ""},
		{"empty", put(t, filepath.Join(dir, "empty"), ""), ""},
		{"a report of schema 1", put(t, filepath.Join(dir, "old.json"), oldReport), ""},
		{"a report of schema 2", put(t, filepath.Join(dir, "new.json"), newReport(t)), ""},
		{"the source", golden, "is the same file as"},
		{"the source by another path", filepath.Join(dir, "..", filepath.Base(dir), "golden.vhd"), "is the same file as"},
		{"another disk", put(t, filepath.Join(dir, "other.vhd"), "conectix"), "is not a report"},
		{"another JSON file", put(t, filepath.Join(dir, "package.json"), `{"name": "x"}`), "is not a report"},
		{"a device", os.DevNull, "is a device"},
		{"a folder", dir, "is a folder"},
	} {
		err := CheckReport(c.path, golden)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		config := Config{Report: c.path}
		config.Prepare()
		if errs := config.PrepareReport(golden); (len(errs) == 0) != (c.want == "") {
			t.Errorf("%s: options are checked as %v", c.name, errs)
		}
	}
	for _, path := range []string{"", "<unknown>", "x/<unknown>"} {
		if errs := (&Config{Report: path}).PrepareReport(golden); errs != nil {
			t.Errorf("%q: %v", path, errs)
		}
	}
}

func TestAReportThatCannotBeWrittenDoesNotChangeTheJudgement(t *testing.T) {
	good, inUse := winimagetest.Disk(t, winimagetest.Spec{Generalized: true}), winimagetest.Disk(t, winimagetest.Spec{})
	before, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(good, "r.json"), t.TempDir(), good} {
		ui, said := recorder()
		r, err := Run(context.Background(), ui, Options{Disk: File(good), Report: path})
		if err != nil || !r.Proven() || r.ReportPath != "" || !strings.Contains(said.String(), "verify.report") || !strings.Contains(said.String(), "Proven: ") {
			t.Errorf("%s: %v, report %q, said:\n%s", path, err, r.ReportPath, said)
		}
		_, err = Run(context.Background(), ui, Options{Disk: File(inUse), Report: path})
		if err == nil || !strings.Contains(err.Error(), "is not proven") || strings.Contains(err.Error(), "report: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if after, err := os.ReadFile(good); err != nil || string(after) != string(before) {
		t.Errorf("the disk was replaced by its report (%v)", err)
	}
}

// proven is the result of a good disk.
func proven(t *testing.T) Result {
	t.Helper()
	r, err := Check(context.Background(), Options{Disk: File(winimagetest.Disk(t, winimagetest.Spec{Generalized: true})), Name: "x.vhd"})
	if err != nil || !r.Proven() {
		t.Fatalf("%v, %v", finding.Failed(r.Findings, finding.Fail), err)
	}
	return r
}

func TestADiskAndItsReportAreReplacedTogether(t *testing.T) {
	r := proven(t)
	for _, c := range []struct {
		name   string
		result Result
		place  func(dir string, p *Placement)
		disk   string // what the final name holds afterwards
		report string // where the report lies; "" for none
		stale  string // what x.vhd.report.json holds if it is not the report
		said   string
		err    string
	}{
		{name: "beside the disk", result: r, disk: "new", report: "x.vhd.report.json"},
		{name: "at the user's choice", result: r, place: func(dir string, p *Placement) { p.Report = filepath.Join(dir, "r.json") }, disk: "new", report: "r.json"},
		{name: "without a proof", disk: "new"},
		{name: "the report's place is a file of the user's", result: r, place: func(dir string, p *Placement) { p.Report = filepath.Join(dir, "notes.txt") },
			disk: "new", said: "is whole and proven, but its report could not be written"},
		{name: "the report's place is the disk", result: r, place: func(dir string, p *Placement) { p.Report = p.To }, disk: "new", said: "is the same file as"},
		{name: "the disk's place is an input", result: r, place: func(dir string, p *Placement) { p.Inputs = []string{p.To} }, disk: "old", stale: oldReport, err: "x-finished-1.vhd"},
		{name: "the disk cannot be moved", result: r, place: func(dir string, p *Placement) { os.Remove(p.From) }, disk: "old", stale: oldReport, err: "could not get its name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			to := put(t, filepath.Join(dir, "x.vhd"), "old")
			put(t, to+ReportSuffix, oldReport)
			put(t, filepath.Join(dir, "notes.txt"), "mine")
			p := Placement{From: put(t, filepath.Join(dir, "part"), "new"), To: to, Result: c.result}
			if c.place != nil {
				c.place(dir, &p)
			}
			ui, said := recorder()
			report, err := Place(context.Background(), ui, p)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if !strings.Contains(said.String(), c.said) {
				t.Errorf("%q was not said:\n%s", c.said, said)
			}
			holds(t, to, c.disk)
			holds(t, filepath.Join(dir, "notes.txt"), "mine")
			if c.report == "" && report != "" || c.report != "" && report != filepath.Join(dir, c.report) {
				t.Errorf("report %q, want %q", report, c.report)
			}
			if report != "" {
				if content, err := os.ReadFile(report); err != nil || strings.Contains(string(content), `"old": true`) {
					t.Errorf("the report is not that of the new disk: %v", err)
				}
			}
			if report != to+ReportSuffix {
				holds(t, to+ReportSuffix, c.stale)
			}
			if c.err == "x-finished-1.vhd" {
				holds(t, filepath.Join(dir, c.err), "new")
			}
		})
	}
}

func TestACancelBeforeTheMoveChangesNothing(t *testing.T) {
	dir := t.TempDir()
	to := put(t, filepath.Join(dir, "x.vhd"), "old")
	put(t, to+ReportSuffix, oldReport)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ui, _ := recorder()
	if _, err := Place(ctx, ui, Placement{From: put(t, filepath.Join(dir, "part"), "new"), To: to, Result: proven(t)}); err == nil {
		t.Error("placed after the cancel")
	}
	holds(t, to, "old")
	holds(t, to+ReportSuffix, oldReport)
}

func TestReportsOfDisksThatAreGoneAreRemoved(t *testing.T) {
	dir := t.TempDir()
	there := put(t, filepath.Join(dir, "there.vhd"), "disk")
	kept := []string{put(t, there+ReportSuffix, oldReport), put(t, filepath.Join(dir, "mine.json"), `{"mine": 1}`), put(t, filepath.Join(dir, "empty.json"), "")}
	stale := put(t, filepath.Join(dir, "gone.vhd"+ReportSuffix), oldReport)
	ui, said := recorder()
	RemoveStale(context.Background(), ui, there, kept[0])
	RemoveStale(context.Background(), ui, filepath.Join(dir, "gone.vhd"), stale, kept[1], kept[2], filepath.Join(dir, "absent"), "", dir)
	for _, path := range kept {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	holds(t, stale, "")
	if !slices.Contains(strings.Split(said.String(), "\n"), "Removed "+stale+", the report of an image that no longer exists") {
		t.Errorf("said:\n%s", said)
	}
}

// TestEvidenceNeverStandsBesideAnotherDisk: that of the earlier disk goes with it, and
// is back where that stays.
func TestEvidenceNeverStandsBesideAnotherDisk(t *testing.T) {
	const old = `{"_type":"https://in-toto.io/Statement/v1","old":true}`
	for _, moved := range []bool{true, false} {
		dir := t.TempDir()
		to := put(t, filepath.Join(dir, "x.vhd"), "old")
		want := ""
		for _, path := range evidence.Paths(to) {
			put(t, path, old)
		}
		p := Placement{From: put(t, filepath.Join(dir, "part"), "new"), To: to, Result: proven(t)}
		if !moved {
			p.Inputs, want = []string{to}, old
		}
		ui, _ := recorder()
		if _, err := Place(t.Context(), ui, p); (err == nil) != moved {
			t.Errorf("moved %t: %v", moved, err)
		}
		for _, path := range evidence.Paths(to) {
			holds(t, path, want)
		}
	}
	gone := filepath.Join(t.TempDir(), "gone.vhd")
	mine := put(t, gone+evidence.EnvelopeSuffix, `{"mine":1}`)
	put(t, gone+evidence.StatementSuffix, old)
	ui, _ := recorder()
	RemoveStale(t.Context(), ui, gone)
	holds(t, gone+evidence.StatementSuffix, "")
	holds(t, mine, `{"mine":1}`)
}
