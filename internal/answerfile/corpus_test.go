package answerfile

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// ownFiles returns the answer files of testdata.
func ownFiles(t testing.TB) map[string][]byte {
	paths, err := filepath.Glob("testdata/*.xml")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, path := range paths {
		if files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// verdict is what Lint found as "rule:line ...", without what is good to know.
func verdict(found []finding.Finding) string {
	var parts []string
	for _, f := range found {
		if f.Severity != finding.Info {
			parts = append(parts, fmt.Sprintf("%s:%d", f.ID, f.Where.Line))
		}
	}
	return strings.Join(parts, " ")
}

func TestOwnAnswerFilesAreJudged(t *testing.T) {
	want := map[string]string{
		"bom.xml":                      "oobe-attended:0",
		"utf16le.xml":                  "oobe-licence:0 oobe-account:0",
		"namespaces-on-components.xml": "oobe-attended:0",
		"architectures.xml":            "oobe-attended:0",
		"comments.xml":                 "oobe-attended:0",
		"entities.xml":                 "oobe-attended:0",
		"template.xml":                 "oobe-attended:0 text-between:5 template:5 text-between:7 template:7",
		"formatted-values.xml":         "oobe-region:0 oobe-licence:0 white-space:7",
		"foreign-elements.xml":         "oobe-attended:0",
		"deploy.xml":                   "oobe-region:0",
	}
	files := ownFiles(t)
	for name, data := range files {
		w, ok := want[name]
		if got := verdict(Lint(data, toOOBE)); !ok || got != w {
			t.Errorf("%s: got %q, want %q", name, got, w)
		}
	}
	if len(files) != len(want) {
		t.Errorf("testdata holds %d files, want %d", len(files), len(want))
	}
}

// TestPublishedAnswerFilesAreJudged names what is really wrong with published
// files. Each finding was checked by reading the file.
func TestPublishedAnswerFilesAreJudged(t *testing.T) {
	emptyKey := []string{"23: product-key ProductKey"}
	want := map[string][]string{
		// Templates that a deployment toolkit fills in.
		"FriendsOfMDT-PSD__Templates-Unattend_x64.xml": emptyKey,
		"FriendsOfMDT-PSD__Templates-Unattend_x86.xml": emptyKey,
	}
	// Findings and files, by rule.
	type count struct{ findings, files int }
	wantWarnings := map[string]count{
		"architecture": {1, 1}, "auto-logon": {33, 33}, "deprecated": {112, 53}, "empty": {17, 4}, "locale": {2, 2},
		"oobe-account": {4, 4}, "oobe-attended": {3, 3}, "oobe-licence": {10, 10}, "oobe-region": {22, 22},
		"order-credentials": {2, 2}, "password-policy": {42, 42}, "reseal": {2, 2}, "secret": {95, 34}, "setting-pass": {1, 1},
		"skip-rearm": {16, 16}, "template": {35, 5}, "time-zone": {1, 1}, "vm-mode": {1, 1}, "white-space": {4, 1},
	}
	warnings := map[string]count{}
	for name, data := range corpusFiles(t) {
		report := Lint(data, Context{CommandLine: &CommandLine{Generalize: true, OOBE: true}})
		var errs []string
		seen := map[string]bool{}
		for _, f := range report {
			switch f.Severity {
			case finding.Fail:
				errs = append(errs, fmt.Sprintf("%d: %s %s", f.Where.Line, f.ID, settingOf(f)))
			case finding.Warn:
				c := warnings[f.ID]
				c.findings++
				if !seen[f.ID] {
					c.files++
				}
				warnings[f.ID], seen[f.ID] = c, true
			}
		}
		_, broken := brokenInCorpus[name]
		if broken != (len(report) == 1 && report[0].ID == ruleWellFormed) {
			t.Errorf("%s: got %v, want it refused: %v", name, report, broken)
		}
		if !broken && !slices.Equal(errs, want[name]) {
			t.Errorf("%s: got errors %q, want %q", name, errs, want[name])
		}
	}
	if !maps.Equal(warnings, wantWarnings) {
		t.Errorf("warnings by rule: %v\nwant %v", warnings, wantWarnings)
	}
}
