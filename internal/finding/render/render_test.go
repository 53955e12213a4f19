package render

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// reports have a finding of each kind: of the linter, the proof, the diagnosis.
var reports = []finding.Report{
	{Subject: finding.AnswerFile, Name: "unattend.xml", Findings: []finding.Finding{
		{ID: "value", Severity: finding.Fail, Subject: finding.AnswerFile, Summary: "not one of the values of this setting",
			Where:  finding.Place{File: "unattend.xml", Line: 12, Path: []string{"oobeSystem", "Microsoft-Windows-Shell-Setup", `OOBE\ProtectYourPC`}},
			Remedy: []string{"write 1 or 2 or 3"}},
		{ID: "pass-not-run", Severity: finding.Info, Subject: finding.AnswerFile, Summary: "this command line of sysprep does not run the pass",
			Where: finding.Place{File: "unattend.xml", Line: 20, Path: []string{"auditUser"}}},
	}},
	{Subject: finding.Disk, Name: "image.vhd", Facts: winimage.Facts{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Disk: winimage.Disk{Path: "image.vhd", Format: "vhd (fixed)", VirtualSize: 40 << 30, Scheme: "gpt", Generation: 2}, Windows: []winimage.Windows{},
	}, Findings: []finding.Finding{
		{ID: "setup-type", Severity: finding.Fail, Holds: true, Subject: finding.Disk, Summary: `Setup\SetupType`, Expected: "2", Found: "2"},
		{ID: "generalization-state", Severity: finding.Fail, Subject: finding.Disk, Summary: `SysprepStatus\GeneralizationState`, Expected: "4", Found: "7",
			Remedy: []string{"run sysprep /generalize again on a fresh copy of the source"}, Note: "a machine that was not generalized", Source: "ws2012r2-state.ini"},
		{ID: "secrets", Severity: finding.Warn, Subject: finding.Disk, Summary: "no secret in the answer files of the image", Expected: "none", Found: `\Windows\Panther\unattend.xml: specialize ProductKey`,
			Remedy: []string{"use passwords that are changed at first boot"}},
		{ID: "F35", Name: "WMP_NETWORK_SHARING", Severity: finding.Fail, Subject: finding.Log, Summary: "Windows Media Player network sharing could not be reset",
			Evidence: []string{"2026-01-02 03:04:05, Error SYSPRP first line\ncontinued", "2026-01-02 03:04:06, Error SYSPRP second line"},
			Remedy:   []string{"net stop WMPNetworkSvc", "sc config WMPNetworkSvc start= disabled"}, Source: "https://example.com/thread", Unconfirmed: true},
	}},
	{Subject: finding.AnswerFile, Name: "none.xml", Error: "open none.xml: no such file or directory"},
	{Subject: finding.AnswerFile, Name: "good.xml"},
}

func TestReportsReadAsTheGoldenFiles(t *testing.T) {
	for name, format := range map[string]Renderer{"report.txt": Text, "report.jsonl": JSON} {
		var b bytes.Buffer
		if err := format(&b, reports...); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
	content, err := File(reports[1])
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", content)
}

func TestFullSaysAFactALine(t *testing.T) {
	image := reports[1].Findings
	lines := Full("cause", image[3])
	for group := range finding.SharedRemedy(image[1:3]) {
		lines = append(lines, Full(severity(group[0].Severity), group...)...)
	}
	shared := slices.Clone(image[1:3])
	shared[1].Remedy = shared[0].Remedy
	lines = append(lines, Full("failed", shared...)...)
	golden(t, "full.txt", []byte(strings.Join(lines, "\n")+"\n"))
	if got := Full("cause"); got != nil {
		t.Errorf("nothing is said as %q", got)
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")); !bytes.Equal(got, want) {
		t.Errorf("the output differs from %s (UPDATE_GOLDEN=1 rewrites it):\n%s", path, got)
	}
}

func TestTextsOfOthersDoNoHarm(t *testing.T) {
	hostile := foreigntest.Hostile + "\n::error::x https://user:TopSecret@example.com/?sig=TopSecret"
	f := finding.Finding{ID: hostile, Name: hostile, Severity: finding.Fail, Subject: finding.Log, Summary: hostile, Expected: hostile, Found: hostile, Note: hostile,
		Where: finding.Place{File: hostile, Line: 1, Path: []string{hostile, hostile}}, Evidence: []string{hostile}, Remedy: []string{hostile}, Source: hostile}
	var text bytes.Buffer
	if err := Text(&text, finding.Report{Name: hostile, Findings: []finding.Finding{f}}, finding.Report{Error: hostile}); err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"Text": text.String(), "Line": Line(f), "Statement": Statement(f), "Full": strings.Join(Full("cause", f, f), "\n")} {
		if h := foreigntest.Harm(got); h != "" {
			t.Errorf("%s: %s in %q", name, h, got)
		}
	}
	if n := strings.Count(text.String(), "\n"); n != 3 {
		t.Errorf("%d lines: %q", n, text.String())
	}
	// JSON says what it was given; credentials are the finder's to leave out.
	var document bytes.Buffer
	if err := JSON(&document, finding.Report{Name: foreigntest.Hostile, Findings: []finding.Finding{{Summary: foreigntest.Hostile}}}); err != nil {
		t.Fatal(err)
	}
	if h := foreigntest.Harm(document.String()); h != "" {
		t.Errorf("JSON: %s in %q", h, document.String())
	}
}

var documented = regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` ")

func TestTheDocumentNamesEveryKeyOfTheSchema(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "report.md"))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, m := range documented.FindAllStringSubmatch(string(text), -1) {
		told = append(told, m[1])
	}
	var have []string
	keys(t, reflect.TypeFor[document](), "", &have)
	keys(t, reflect.TypeFor[winimage.Facts](), "facts.", &have)
	for _, key := range have {
		if !slices.Contains(told, key) {
			t.Errorf("docs/report.md does not describe %s", key)
		}
		if !regexp.MustCompile(`^[a-z0-9_.]+$`).MatchString(key) {
			t.Errorf("%s is not in snake_case", key)
		}
	}
	for _, key := range told {
		if !slices.Contains(have, key) {
			t.Errorf("docs/report.md describes %s, which no report has", key)
		}
	}
	for _, s := range append(finding.Severities()[:3], "answer_file", "disk", "guest", "log") {
		if !strings.Contains(string(text), "`"+string(s)+"`") {
			t.Errorf("docs/report.md does not name the word %s", s)
		}
	}
}

// described are once and for all: the keys of a finding, and those of a file.
var described = []reflect.Type{reflect.TypeFor[finding.Finding](), reflect.TypeFor[winimage.File]()}

// keys lists the keys of a struct in JSON, those of structs inside with the
// name of their own in front.
func keys(t *testing.T, s reflect.Type, prefix string, list *[]string) {
	for i := range s.NumField() {
		inner := s.Field(i).Type
		if inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		name, _, _ := strings.Cut(s.Field(i).Tag.Get("json"), ",")
		switch {
		case s.Field(i).Anonymous && slices.Contains(described, inner):
			continue
		case name == "-":
			continue
		case name == "":
			t.Errorf("%s.%s has no key", s, s.Field(i).Name)
		}
		*list = append(*list, prefix+name)
		if inner == reflect.TypeFor[finding.Finding]() && prefix != "" {
			continue // its keys are those of findings
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[time.Time]() {
			keys(t, inner, prefix+name+".", list)
		}
	}
}
