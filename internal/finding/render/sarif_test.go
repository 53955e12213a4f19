package render

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

func TestSARIFIsWhatCodeHostsRead(t *testing.T) {
	kinds := []Kind{
		{"a", finding.Fail, "nothing is a", "https://example.com/a; a book"},
		{"b", finding.Info, "nothing is b", "a book"},
	}
	reports := []finding.Report{
		{Name: "folder name/unattend.xml", Findings: []finding.Finding{
			{ID: "b", Severity: finding.Info, Summary: "it is b"},
			{ID: "a", Severity: finding.Fail, Summary: "it is a", Remedy: []string{"make it b"}, Where: finding.Place{File: "folder name/unattend.xml", Line: 7, Path: []string{"specialize", "x"}}},
			{ID: "a", Severity: finding.Warn, Summary: "it holds", Holds: true},
			{ID: "new", Severity: finding.Warn, Summary: "it is new"},
		}},
		{Name: "none.xml", Error: "none.xml is not there"},
	}
	var out bytes.Buffer
	if err := SARIF(&out, "1.2.3", kinds, reports...); err != nil {
		t.Fatal(err)
	}
	checkSARIF(t, out.Bytes())
	var log sarifLog
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if d := run.Tool.Driver; d.SemanticVersion != "1.2.3" || len(d.Rules) != 2 || d.Rules[0].HelpURI != "https://example.com/a" || d.Rules[1].HelpURI != "" || d.Rules[1].DefaultConfiguration.Level != "note" {
		t.Errorf("driver %+v", d)
	}
	if len(run.Results) != 3 {
		t.Fatalf("results %+v", run.Results)
	}
	if r := run.Results[0]; r.RuleID != "b" || *r.RuleIndex != 1 || r.Level != "note" || r.Locations[0].Physical.Region.StartLine != 1 {
		t.Errorf("got %+v", r)
	}
	if r := run.Results[1]; r.Level != "error" || r.Message.Text != "it is a; make it b" || r.Locations[0].Physical.Artifact.URI != "folder%20name/unattend.xml" ||
		r.Locations[0].Physical.Region.StartLine != 7 || r.Locations[0].Logical[0].FullyQualifiedName != "specialize/x" {
		t.Errorf("got %+v", r)
	}
	if r := run.Results[2]; r.RuleIndex != nil || r.Level != "warning" {
		t.Errorf("got %+v", r)
	}
	if i := run.Invocations[0]; i.ExecutionSuccessful || len(i.Notifications) != 1 || !strings.Contains(i.Notifications[0].Message.Text, "none.xml") {
		t.Errorf("got %+v", i)
	}
}

func TestSARIFOfNothing(t *testing.T) {
	var out bytes.Buffer
	if err := SARIF(&out, "1.2.3", nil); err != nil {
		t.Fatal(err)
	}
	checkSARIF(t, out.Bytes())
	if !strings.Contains(out.String(), `"results": []`) || !strings.Contains(out.String(), `"executionSuccessful": true`) {
		t.Errorf("got %s", out.String())
	}
}

func TestFilesHaveAddresses(t *testing.T) {
	for path, want := range map[string]string{
		"a/b.xml": "a/b.xml", "a b#c?.xml": "a%20b%23c%3F.xml", "/srv/a.xml": "file:///srv/a.xml", "C:/a/b c.xml": "file:///C:/a/b%20c.xml",
	} {
		if got := address(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

// checkSARIF holds a log against what the schema of SARIF 2.1.0 requires of the
// parts that are written: properties that must be there, their types, and the
// values of those that have a fixed set.
func checkSARIF(t *testing.T, text []byte) {
	t.Helper()
	var log map[string]any
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatal(err)
	}
	levels := []string{"none", "note", "warning", "error"}
	check := func(ok bool, what string) {
		if !ok {
			t.Errorf("not SARIF: %s\n%s", what, text)
		}
	}
	in := func(list []string, v any) bool {
		for _, one := range list {
			if one == v {
				return true
			}
		}
		return false
	}
	check(log["version"] == "2.1.0", "version")
	for _, r := range log["runs"].([]any) {
		run := r.(map[string]any)
		driver := run["tool"].(map[string]any)["driver"].(map[string]any)
		name, _ := driver["name"].(string)
		check(name != "", "tool.driver.name")
		rules := driver["rules"].([]any)
		seen := map[any]bool{}
		for _, one := range rules {
			rule := one.(map[string]any)
			check(rule["id"] != nil && !seen[rule["id"]], "a rule without an id of its own")
			seen[rule["id"]] = true
			check(rule["shortDescription"].(map[string]any)["text"] != "", "shortDescription.text")
			check(in(levels, rule["defaultConfiguration"].(map[string]any)["level"]), "defaultConfiguration.level")
			if help, is := rule["helpUri"].(string); is {
				u, err := url.Parse(help)
				check(err == nil && u.IsAbs(), "helpUri")
			}
		}
		check(in([]string{"utf16CodeUnits", "unicodeCodePoints"}, run["columnKind"]), "columnKind")
		for _, one := range run["invocations"].([]any) {
			_, is := one.(map[string]any)["executionSuccessful"].(bool)
			check(is, "executionSuccessful")
		}
		for _, one := range run["results"].([]any) {
			result := one.(map[string]any)
			check(result["message"].(map[string]any)["text"] != "", "message.text")
			check(in(levels, result["level"]), "level")
			if i, is := result["ruleIndex"].(float64); is {
				check(int(i) < len(rules) && rules[int(i)].(map[string]any)["id"] == result["ruleId"], "ruleIndex")
			}
			for _, l := range result["locations"].([]any) {
				place := l.(map[string]any)["physicalLocation"].(map[string]any)
				_, err := url.Parse(place["artifactLocation"].(map[string]any)["uri"].(string))
				check(err == nil, "artifactLocation.uri")
				line := place["region"].(map[string]any)["startLine"].(float64)
				check(line >= 1, "region.startLine")
			}
		}
	}
}
