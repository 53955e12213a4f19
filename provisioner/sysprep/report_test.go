package sysprep

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report/schematest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// wantReport holds the report on a run against its schema, its error and its secrets;
// every run of the tests with a guest comes here.
func wantReport(t *testing.T, r *run, err error) {
	t.Helper()
	reported := r.reported(err)
	if r.scrub.known != nil {
		reported = reported.Each(r.scrub.text)
	}
	content, failed := render.RunFile(reported)
	if failed != nil {
		t.Error(failed)
		return
	}
	schematest.Valid(t, content)
	if o := reported.Outcome; o.Good != (err == nil) || o.Summary == "" || strings.Contains(o.Summary, "\n") || err != nil && !strings.Contains(err.Error(), o.Summary) {
		t.Errorf("the report says %+v, the error %v", o, err)
	}
	// "lost" our own builder proves.
	good := map[string]bool{"generalized": !r.config.reportOnly(), classChecked: r.config.reportOnly(), "lost": r.verdict.ConsistentWithSuccess}
	if class := reported.Outcome.Class; err == nil && !good[class] || err != nil && class == "generalized" {
		t.Errorf("class %s, error %v", class, err)
	}
	for _, secret := range []string{"Tops3cret-Value", simPassword} {
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s is in the report: %s", secret, content)
		}
	}
}

// paths are those of all reports, in a folder that is not there yet.
func reportPaths(t *testing.T) map[string]any {
	folder := filepath.Join(t.TempDir(), "reports")
	return map[string]any{"json": filepath.Join(folder, "r.json"), "html": filepath.Join(folder, "r.html"), "junit": filepath.Join(folder, "r.xml"), "sarif": filepath.Join(folder, "r.sarif")}
}

func readReport(t *testing.T, path any) (text string, run report.Run) {
	t.Helper()
	content, err := os.ReadFile(path.(string))
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path.(string), ".json") {
		document := struct{ Run *report.Run }{&run}
		if err := json.Unmarshal(content, &document); err != nil {
			t.Fatal(err)
		}
	}
	return string(content), run
}

// badAnswer has an unknown setting and a password.
var badAnswer = strings.Replace(testAnswer, "<UserAccounts>", "<NoSuchSetting>1</NoSuchSetting><UserAccounts>", 1)

func TestTheReportOfARunThatIsRefused(t *testing.T) {
	t.Setenv("PACKER_RUN_UUID", "0b1f3a52-7d0e-4a55-9a3c-6a2f3c7d9e10")
	paths, logs := reportPaths(t), t.TempDir()
	g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{"Contoso.Notes_1.0.0.0_x64__8wekyb3d8bbwe"}}, map[string]any{"report": paths, "log_directory": logs, "answer_file_content": badAnswer, "lint": map[string]any{"severities": map[string]string{"setting-unknown": "warn"}}})
	err := g.provision()
	wantError(t, err, "[refused/APPX_NOT_PROVISIONED] ")
	text, run := readReport(t, paths["json"])
	schematest.Valid(t, []byte(text))
	if run.Packer.RunID != "0b1f3a52-7d0e-4a55-9a3c-6a2f3c7d9e10" || run.Packer.BuildName != "test" || run.Packer.BuilderType != "null" || run.Component != "sysprep" || run.Plugin.Version == "" {
		t.Errorf("%+v, %+v", run.Plugin, run.Packer)
	}
	if o := run.Outcome; o.Good || o.Class != "refused" || o.Cause != "APPX_NOT_PROVISIONED" || len(o.Said) == 0 {
		t.Errorf("%+v", o)
	}
	var phases, sections []string
	for _, p := range run.Phases {
		phases = append(phases, p.Name+" "+p.Outcome)
		if p.EndMS == nil {
			t.Errorf("%s does not end", p.Name)
		}
	}
	for _, s := range run.Sections {
		sections = append(sections, s.ID)
	}
	if got := strings.Join(phases, ", "); got != "connect ok, look ok, preflight ok, remedies ok, objections ok, audit ok, hygiene ok, answers ok, sysprep ok, finish failed" || run.TookMS <= 0 {
		t.Errorf("phases: %s, %d ms", got, run.TookMS)
	}
	if got := strings.Join(sections, ", "); strings.TrimPrefix(got, "preflight, ") != "answer_file, diagnosis" {
		t.Fatalf("sections: %s", got)
	}
	if f := run.Sections[len(run.Sections)-1].Findings[0]; f.ID != "F01" || len(f.Evidence) == 0 || len(f.Remedy) == 0 {
		t.Errorf("diagnosis: %+v", f)
	}
	if len(run.Files) < 2 {
		t.Errorf("files: %q", run.Files)
	}
	for _, f := range run.Files {
		if _, err := os.Stat(f); err != nil {
			t.Error(err)
		}
	}
	page, _ := readReport(t, paths["html"])
	want(t, page, "APPX_NOT_PROVISIONED", "sysprep refused, the machine is untouched", "NoSuchSetting", "Failure occurred while executing")
	results, _ := readReport(t, paths["junit"])
	var suites struct {
		Failures int `xml:"failures,attr"`
	}
	if err := xml.Unmarshal([]byte(results), &suites); err != nil || suites.Failures != 1 { // the outcome; the linter only warns
		t.Errorf("%v, %d failures", err, suites.Failures)
	}
	found, _ := readReport(t, paths["sarif"])
	want(t, found, `"version": "2.1.0"`, "NoSuchSetting", "answer_file_content")
	for _, text := range []string{text, page, results, found} {
		if strings.Contains(text, "Tops3cret") || strings.Contains(text, simPassword) {
			t.Errorf("a secret: %s", text)
		}
	}
	if said := g.ui.text(); strings.Count(said, "Report on this run: ") != 4 {
		t.Error(said)
	}
}

func TestTheReportOfAGoodRunReplacesTheOneBefore(t *testing.T) {
	t.Parallel()
	paths := reportPaths(t)
	g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{"Contoso.Notes_1.0.0.0_x64__8wekyb3d8bbwe"}}, map[string]any{"report": paths})
	if g.provision() == nil {
		t.Fatal("no error")
	}
	before, _ := readReport(t, paths["html"])
	g = newGuestRun(t, winsim.Scenario{}, map[string]any{"report": paths})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	page, _ := readReport(t, paths["html"])
	_, run := readReport(t, paths["json"])
	if page == before || !run.Outcome.Good || run.Outcome.Summary != "Windows is generalized: "+strings.TrimPrefix(run.Outcome.Summary, "Windows is generalized: ") || len(run.Sections) != 0 {
		t.Errorf("%+v", run)
	}
	results, _ := readReport(t, paths["junit"])
	want(t, results, `failures="0" errors="0"`, `name="outcome"`)
}

func TestARunWithoutAGuestIsReportedToo(t *testing.T) {
	t.Parallel()
	paths := reportPaths(t)
	var p Provisioner
	if err := p.Prepare(map[string]any{"report": paths, "answer_file_in_guest": `C:\unattend.xml`, "elevated_user": "a", "elevated_password": "Tops3cret-Value"}); err != nil {
		t.Fatal(err)
	}
	ui := &recordUI{}
	r := newRun(p.config, ui, nil, map[string]any{})
	err := r.provision(t.Context())
	wantError(t, err, "[not-started] ")
	wantReport(t, r, err)
	_, run := readReport(t, paths["json"])
	if run.Outcome.Class != "not-started" || run.Begun.IsZero() || run.Phases == nil {
		t.Errorf("%+v", run)
	}
	found, _ := readReport(t, paths["sarif"])
	want(t, found, "the answer file in the guest was not read", `"executionSuccessful": false`)
}

func TestThePathsOfReportsAreChecked(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	answer := filepath.Join(folder, "unattend.xml")
	if err := os.WriteFile(answer, []byte(testAnswer), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options map[string]any
		want    string
	}{
		"the answer file": {map[string]any{"answer_file": answer, "report": map[string]any{"html": answer}}, "report.html: " + answer + " is the same file as"},
		"run.json":        {map[string]any{"log_directory": folder, "report": map[string]any{"json": filepath.Join(folder, "run.json")}}, "report.json: "},
		"a log":           {map[string]any{"log_directory": folder, "report": map[string]any{"junit": filepath.Join(folder, "sysprep", "setupact.log")}}, "report.junit: "},
		"twice":           {map[string]any{"report": map[string]any{"json": filepath.Join(folder, "a"), "sarif": filepath.Join(folder, "a")}}, "report.sarif: "},
		"another file":    {map[string]any{"report": map[string]any{"json": answer}}, "exists already and is no report of this kind"},
		"not known":       {map[string]any{"report": map[string]any{"json": "<unknown>/x", "html": "<unknown>"}}, ""},
	} {
		var p Provisioner
		for range 2 {
			err := p.Prepare(test.options)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// An error that says nothing is reported, and is no crash.
func TestAnErrorWithoutATextIsReported(t *testing.T) {
	for _, text := range []string{"[lost] ", "[lost] \r\n\n"} {
		if o := outcome(errors.New(text), &runlog.Verdict{}); o.Good || o.Class != "lost" || o.Summary == "" {
			t.Errorf("%q: %+v", text, o)
		}
	}
}
