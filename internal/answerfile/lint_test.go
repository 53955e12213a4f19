package answerfile

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// settingOf is the innermost part of the place, "" where that is no setting.
func settingOf(f finding.Finding) string {
	if len(f.Where.Path) < 3 {
		return ""
	}
	return f.Where.Path[2]
}

func TestLintRules(t *testing.T) {
	for _, tt := range lintCases {
		t.Run(tt.rule+": "+tt.name, func(t *testing.T) {
			var found []finding.Finding
			for _, f := range Lint([]byte(tt.data), tt.ctx) {
				if f.ID == tt.rule {
					found = append(found, f)
				}
			}
			if tt.want == "" {
				if len(found) != 0 {
					t.Errorf("got %v, want no finding", found)
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("got %v, want one finding", found)
			}
			f := found[0]
			if f.Severity != tt.want || f.Where.Line != tt.line || tt.setting != "" && settingOf(f) != tt.setting || f.Summary == "" {
				t.Errorf("got %+v, want severity %s, line %d, setting %s", f, tt.want, tt.line, tt.setting)
			}
			if f.Severity != finding.Info && f.Remedy == nil {
				t.Errorf("no remedy in %v", f)
			}
		})
	}
}

func TestEveryRuleHasAPassingAndAFailingCase(t *testing.T) {
	for _, r := range Rules() {
		passing, failing := false, false
		for _, c := range lintCases {
			passing = passing || c.rule == r.ID && c.want == ""
			failing = failing || c.rule == r.ID && c.want == r.Severity
		}
		if !passing || !failing {
			t.Errorf("rule %s: passing case %v, failing case with severity %s %v", r.ID, passing, r.Severity, failing)
		}
	}
	for _, c := range lintCases {
		if !slices.ContainsFunc(Rules(), func(r Rule) bool { return r.ID == c.rule }) {
			t.Errorf("case %q tests rule %q, which does not exist", c.name, c.rule)
		}
	}
}

func TestThePageOnTheLinterHasEveryRule(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(testutil.Root(), "docs", "lint.md"))
	if err != nil {
		t.Fatal(err)
	}
	words := map[finding.Severity]string{finding.Fail: "error", finding.Warn: "warning", finding.Info: "note"}
	for _, r := range Rules() {
		if row := fmt.Sprintf("| `%s` | %s | ", r.ID, words[r.Severity]); !strings.Contains(string(page), row) {
			t.Errorf("the page has no row %s", row)
		}
	}
	if n := strings.Count(string(page), "| error | ") + strings.Count(string(page), "| warning | ") + strings.Count(string(page), "| note | "); n != len(Rules()) {
		t.Errorf("the page has %d rows, there are %d rules", n, len(Rules()))
	}
	for _, f := range fixers {
		if !strings.Contains(string(page), "\n| `"+f.rule+"` | ") {
			t.Errorf("the page does not say what --fix does for %s", f.rule)
		}
	}
}

func TestFindingReadsAsOneLine(t *testing.T) {
	got := finding.Failed(Lint([]byte(oobe("<OOBE>\n<ProtectYourPC>9</ProtectYourPC></OOBE>")), Context{}), finding.Fail)
	want := `line 6: error: not one of the values of this setting (oobeSystem, Microsoft-Windows-Shell-Setup, OOBE\ProtectYourPC); write 1 or 2 or 3 [value]`
	if len(got) != 1 || render.Line(got[0]) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

func TestFindingsNeverHoldAValue(t *testing.T) {
	const secret = "hunter2"
	files := []string{
		oobe("<UserAccounts><AdministratorPassword><Value>\n" + secret + "</Value><PlainText>false</PlainText></AdministratorPassword></UserAccounts>"),
		shell("<ComputerName>" + secret + "   </ComputerName><ProductKey>" + secret + "</ProductKey><CopyProfile>" + secret + "</CopyProfile>" + secret),
		deployment("<RunSynchronous>" + secret + "<RunSynchronousCommand><Order>" + secret + "</Order><Path>" + strings.Repeat(secret, 50) + "</Path></RunSynchronousCommand></RunSynchronous>"),
		shell("<ComputerName>a&" + secret + ";</ComputerName>"),
		shell("<ComputerName>a<" + secret + "</ComputerName>"),
		shell("<ComputerName>a<" + secret + "></ComputerName>"),
		shell("<ComputerName>a<" + secret + ":></ComputerName>"),
		shell("<ComputerName>a<!-- -- " + secret + "--></ComputerName>"),
	}
	for _, data := range files {
		for _, ctx := range []Context{{}, toOOBE, toAudit} {
			report := Lint([]byte(data), ctx)
			if len(report) == 0 {
				t.Errorf("no finding in %s", data)
			}
			for _, f := range report {
				if strings.Contains(fmt.Sprintf("%#v", f), secret) {
					t.Errorf("a finding holds a value: %#v", f)
				}
			}
		}
	}
}

func TestFindingsOnAMergedFileHaveTheLinesOfTheBase(t *testing.T) {
	base, err := Parse([]byte("<?xml version=\"1.0\"?>\n<unattend xmlns=\"" + Namespace + "\">\n<settings pass=\"oobeSystem\">\n" +
		"<component name=\"" + compShell + "\" processorArchitecture=\"amd64\" publicKeyToken=\"31bf3856ad364e35\" language=\"neutral\" versionScope=\"nonSxS\">\n" +
		"<OOBE><ProtectYourPC>9</ProtectYourPC></OOBE>\n</component>\n</settings>\n</unattend>"))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := Build(Unattend{ComputerName: "123"}, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	merged, _ := Merge(base, overlay)
	lines := map[string]int{}
	for _, f := range finding.Failed(LintFile(merged, Context{}), finding.Fail) {
		lines[settingOf(f)] = f.Where.Line
	}
	if len(lines) != 2 || lines[`OOBE\ProtectYourPC`] != 5 || lines["ComputerName"] != 0 {
		t.Errorf("got %v", lines)
	}
}
