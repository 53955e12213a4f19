package answerfile

import (
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

func TestDirectivesTurnRulesOff(t *testing.T) {
	two := "<CopyProfile>yes</CopyProfile>\n<TimeZone>CET</TimeZone>"
	tests := []struct{ name, data, want string }{
		{"none", shell(two), "value:5 time-zone:6"},
		{"for an element", shell("<!-- sysprep-lint off: value -->\n" + two), "time-zone:7"},
		{"for an element, of another rule", shell("<!-- sysprep-lint off: time-zone -->\n" + two), "value:6 time-zone:7"},
		{"two, over lines", shell("<!-- sysprep-lint off:\n value,\n empty -->" + two), "time-zone:8"},
		{"for a component", strings.Replace(shell(two), "<component", "<!-- sysprep-lint off: value, time-zone --><component", 1), ""},
		{"for the file", strings.Replace(shell(two), "<unattend", "<!-- sysprep-lint off: value time-zone --><unattend", 1), ""},
		{"after the file", shell(two) + "<!-- sysprep-lint off: value, time-zone -->", "value:5 time-zone:6 directive:10"},
		{"the element is over", shell("<!-- sysprep-lint off: value --><TimeZone>UTC</TimeZone>\n<CopyProfile>yes</CopyProfile>"), "value:6"},
	}
	for _, tt := range tests {
		if got := verdict(Lint([]byte(tt.data), Context{})); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	// What has no line is of the whole file.
	whole := strings.Replace(shell(""), "<unattend", "<!-- sysprep-lint off: oobe-attended --><unattend", 1)
	if got := verdict(Lint([]byte(whole), toOOBE)); got != "" {
		t.Errorf("got %q", got)
	}
	if got := verdict(Lint([]byte(shell("<!-- sysprep-lint off: oobe-attended --><TimeZone>UTC</TimeZone>")), toOOBE)); got != "oobe-attended:0" {
		t.Errorf("a directive for an element turns off what is of the file: %q", got)
	}
}

func TestDirectivesOfTheBaseHoldInAMergedFile(t *testing.T) {
	base, err := Parse([]byte(shell("<!-- sysprep-lint off: value --><CopyProfile>yes</CopyProfile>")))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := Build(Unattend{TimeZone: "UTC"}, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	merged, _ := Merge(base, overlay)
	if got := verdict(LintFile(merged, Context{})); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestSeveritiesAreReplaced(t *testing.T) {
	ctx := Context{Severities: finding.Overrides{"value": finding.Info, "time-zone": finding.Fail, "white-space": finding.Off, ruleWellFormed: finding.Warn}}
	found := Lint([]byte(shell("<CopyProfile>yes</CopyProfile>\n<TimeZone>CET </TimeZone>")), ctx)
	if len(found) != 2 || found[0].Severity != finding.Info || found[1].Severity != finding.Fail {
		t.Errorf("got %v", found)
	}
	if found := Lint([]byte("<"), ctx); len(found) != 1 || found[0].Severity != finding.Warn {
		t.Errorf("got %v", found)
	}
}

func TestEveryFindingNamesItsSource(t *testing.T) {
	for _, r := range Rules() {
		if r.Source == "" || r.Summary == "" || r.ID == "" || r.Severity == "" {
			t.Errorf("an incomplete rule: %+v", r)
		}
	}
	for _, f := range Lint([]byte(shell("<CopyProfile>yes</CopyProfile>")), Context{}) {
		if f.Source == "" {
			t.Errorf("no source: %v", f)
		}
	}
}
