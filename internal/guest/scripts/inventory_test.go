package scripts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each script in the folder is one that the plugin runs, with a section in the
// contract; goldens are of such scripts only, and test/run.ps1 knows which of them
// are no files in the guest.
func TestThereIsNoScriptThatNobodyRuns(t *testing.T) {
	want := slices.Sorted(slices.Values(Names()))
	var files []string
	for _, file := range scriptFiles(t) {
		files = append(files, strings.TrimSuffix(file, ".ps1"))
	}
	if slices.Sort(files); !slices.Equal(files, want) {
		t.Errorf("the folder has %q, and the plugin runs %q", files, want)
	}
	var sections []string
	for _, match := range regexp.MustCompile(`(?m)^## (\w+)\.ps1`).FindAllStringSubmatch(text(t, "contract.md"), -1) {
		sections = append(sections, match[1])
	}
	if slices.Sort(sections); !slices.Equal(sections, want) {
		t.Errorf("contract.md has sections of %q, and the plugin runs %q", sections, want)
	}
	goldens, err := filepath.Glob("golden/*.json")
	if err != nil || len(goldens) == 0 {
		t.Fatalf("%d goldens: %v", len(goldens), err)
	}
	for _, golden := range goldens {
		first, _, _ := strings.Cut(text(t, golden), "\n")
		var d struct{ Script string }
		if err := json.Unmarshal([]byte(first), &d); err != nil || !slices.Contains(want, d.Script) {
			t.Errorf("%s is of the script %q, which the plugin does not run: %v", golden, d.Script, err)
		}
	}
	var quoted []string
	for _, name := range Inlines() {
		quoted = append(quoted, "'"+name+".ps1'")
	}
	if line := "$inline = @(" + strings.Join(quoted, ", ") + ")\n"; !strings.Contains(text(t, "test/run.ps1"), line) {
		t.Errorf("test/run.ps1 lacks %s", line)
	}
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}
