package answerfile

import (
	"fmt"
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
		"bom.xml":                      "",
		"utf16le.xml":                  "",
		"namespaces-on-components.xml": "",
		"architectures.xml":            "",
		"comments.xml":                 "",
		"entities.xml":                 "",
		"template.xml":                 "text-between:5 template:5 text-between:7 template:7",
		"formatted-values.xml":         "white-space:7",
		"foreign-elements.xml":         "",
		"deploy.xml":                   "",
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
// files: errors only, as other people's files are full of old settings.
func TestPublishedAnswerFilesAreJudged(t *testing.T) {
	emptyKey := "23: product-key ProductKey"
	want := map[string][]string{
		// Templates that a deployment toolkit fills in.
		"FriendsOfMDT-PSD__Templates-Unattend_x64.xml": {emptyKey},
		"FriendsOfMDT-PSD__Templates-Unattend_x86.xml": {emptyKey},
		// The same name stands in specialize, where it has its effect.
		"cloudbase-windows-imaging-tools__UnattendTemplate.xml": {"143: setting-pass ComputerName"},
	}
	counts := map[string]int{}
	for name, data := range corpusFiles(t) {
		report := Lint(data, Context{})
		var errs []string
		for _, f := range report {
			counts[f.ID]++
			if f.Severity == finding.Fail {
				errs = append(errs, fmt.Sprintf("%d: %s %s", f.Where.Line, f.ID, settingOf(f)))
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
	t.Log(counts)
}
