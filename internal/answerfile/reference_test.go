package answerfile

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// document puts a setting into the place that its path names. Inner is what is
// in the innermost element, outer what stands beside it.
func document(s *setting, pass, path, inner string) string {
	c := known().component(s.component)
	steps := strings.Split(path, `\`)
	open, shut := "", ""
	for i, step := range steps {
		attr := ""
		if def := c.at(strings.Join(steps[:i+1], `\`)); def != nil && def.list {
			attr = ` wcm:action="add" wcm:keyValue="1"`
		}
		open += "<" + step + attr + ">"
		shut = "</" + step + ">" + shut
	}
	return wrap(pass, s.component, open+inner+shut)
}

// valid is a text that a setting accepts.
func valid(s *setting) string {
	switch {
	case s.container() && s.nonempty:
		for _, name := range slices.Sorted(maps.Keys(s.children)) {
			return "<" + name + ` wcm:action="add">` + valid(s.children[name]) + "</" + name + ">"
		}
		return ""
	case s.container():
		return ""
	case s.values != nil:
		if low, _, is := bounds(s.values[0]); is {
			return fmt.Sprint(low)
		}
		return s.values[0]
	case s.name() == "ProductKey":
		return "WX4NM-KYWYW-QJJR4-XV3QB-6VM33"
	case s.name() == "TimeZone":
		return "UTC"
	case strings.HasSuffix(s.name(), "Locale") || strings.HasPrefix(s.name(), "UILanguage"):
		return "en-US"
	}
	return "a"
}

// wrongs are documents that are wrong about one setting, by the rule that has to
// say so.
func wrongs(s *setting) map[string]string {
	all := map[string]string{}
	for _, pass := range passNames {
		// A rule is mild about passes that are never run.
		if !slices.Contains(s.passes, pass) && pass != WindowsPE && pass != OfflineServicing {
			all["setting-pass"] = document(s, pass, s.path, valid(s))
		}
	}
	pass := s.passes[len(s.passes)-1]
	text := !s.container() && !s.command
	if s.values != nil {
		all["value"] = document(s, pass, s.path, "no such value")
	}
	switch {
	case s.is(compShell, "ComputerName") || s.is(compDeployment, `AuditComputerName\Name`):
		all["computer-name"] = document(s, pass, s.path, strings.Repeat("x", s.longest+1))
	case s.longest > 0:
		all["length"] = document(s, pass, s.path, strings.Repeat("x", s.longest+1))
	}
	switch {
	case s.is(compShell, "ProductKey"):
		all["product-key"] = document(s, pass, s.path, "")
	case s.is(compShell, accountName):
		all["account-name"] = document(s, pass, s.path, "")
	case s.nonempty && text:
		all["empty"] = document(s, pass, s.path, "")
	}
	if s.text && text || s.container() {
		all["setting-unknown"] = document(s, pass, s.path+`\NoSuchSetting`, "a")
	}
	if i := strings.LastIndexByte(s.path, '\\'); i >= 0 && !slices.Contains(common, s.name()) && known().component(s.component).child(s.name()) == nil {
		all["setting-misplaced"] = document(s, pass, s.name(), valid(s))
	}
	return all
}

func (s *setting) is(component, path string) bool { return s.component == component && s.path == path }

// judged are the findings of a kind of rule: those about names, passes and values.
func judged(data string) map[string]finding.Severity {
	found := map[string]finding.Severity{}
	for _, f := range Lint([]byte(data), Context{}) {
		switch f.ID {
		case "secret", "deprecated", "oobe-account", "order-commands", "auto-logon", "reseal", "vm-mode", "reboot-loop", "generalize-setting", "skip-rearm", "password-policy", "device-cleanup":
			continue // not about the row
		case "account-name":
			if strings.Contains(f.Summary, "without a name") && !strings.HasSuffix(settingOf(f), "Name") {
				continue // the account lacks one beside the row
			}
		}
		found[f.ID] = f.Severity
	}
	return found
}

func TestEveryRowOfTheReferenceIsJudged(t *testing.T) {
	rows := known().rows
	if n := len(rows) - len(missing); n != 1102 {
		t.Fatalf("%d rows, want 1102", n)
	}
	kinds := map[string]int{}
	for _, s := range rows {
		for _, pass := range s.passes {
			if got := judged(document(s, pass, s.path, valid(s))); len(got) != 0 {
				t.Errorf("%s %s in %s, valid: %v", s.component, s.path, pass, got)
			}
		}
		all := wrongs(s)
		if len(all) == 0 {
			t.Errorf("%s %s: no invalid document", s.component, s.path)
		}
		mild := !slices.ContainsFunc(s.passes, func(p string) bool { return p != WindowsPE && p != OfflineServicing })
		for rule, data := range all {
			kinds[rule]++
			got := judged(data)
			severity, found := got[rule]
			if !found {
				t.Errorf("%s %s, wrong by rule %s: got %v", s.component, s.path, rule, got)
			}
			if last := s.passes[len(s.passes)-1]; rule != "setting-pass" && (last == WindowsPE || last == OfflineServicing || mild) {
				if severity != finding.Info {
					t.Errorf("%s %s, rule %s in a pass that is not run: %s", s.component, s.path, rule, severity)
				}
			} else if found && severity == finding.Info {
				t.Errorf("%s %s, rule %s: only a note", s.component, s.path, rule)
			}
		}
	}
	t.Logf("%d rows, invalid documents by rule: %v", len(rows), kinds)
}

var (
	exampleText  = regexp.MustCompile("(?ms)^```[A-Za-z]*\\s*\n(.*?)^```")
	pageOf       = regexp.MustCompile(`(?m)^\[([A-Za-z][A-Za-z0-9 -]+)\]\([a-z0-9-]+\.md\)\s*\|`)
	componentTag = regexp.MustCompile(`(?i)<component\s+name="([^"]+)"`)
	passTag      = regexp.MustCompile(`<settings\s+pass=`)
)

// TestEveryExampleOfTheReferencePasses reads the pages of the reference, where
// they lie beside the project, and judges their examples in the passes of their
// settings.
func TestEveryExampleOfTheReferencePasses(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(testutil.Reference(t, "unattend-pages"), "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	examples, broken := 0, 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		parts := pageOf.FindStringSubmatch(string(text))
		for _, m := range exampleText.FindAllStringSubmatch(strings.ReplaceAll(string(text), "\r", ""), -1) {
			example := m[1]
			if !strings.Contains(example, "<") {
				continue
			}
			examples++
			name := filepath.Base(page)
			if !isXML(example) {
				broken++
				continue
			}
			for _, f := range exampleFindings(example, parts) {
				if f.Severity == finding.Fail && exampleReasons[name] == "" {
					t.Errorf("%s: %s", name, sayShort(f))
				}
			}
		}
	}
	t.Logf("%d examples of %d pages, of which %d are no XML as published", examples, len(pages), broken)
	if examples < 1000 {
		t.Errorf("only %d examples were found", examples)
	}
}

// isXML reports whether a piece of a file is well-formed, by another reader.
func isXML(piece string) bool {
	d := xml.NewDecoder(strings.NewReader("<all>" + xmlHead.ReplaceAllString(piece, "") + "</all>"))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil {
			return false
		}
	}
}

var xmlHead = regexp.MustCompile(`<\?xml[^>]*\?>`)

func sayShort(f finding.Finding) string {
	return fmt.Sprintf("[%s] %v: %s", f.ID, f.Where.Path, f.Summary)
}

// exampleReasons are why an example of the reference has an error.
var exampleReasons = map[string]string{
	"microsoft-windows-setup-diskconfiguration-disk-modifypartitions-modifypartition-extend.md": "it has a document type",
	"microsoft-windows-shell-setup-oeminformation-supportappurl.md":                             "it is of a manifest, with prefixes that are not declared",
	"microsoft-windows-tpm-tasks-cleartpm.md":                                                   "it was copied from a browser, with a dash before each element",
}

// exampleFindings judges an example, which is a piece of a file, in every pass,
// and returns what is found in the best one.
func exampleFindings(example string, parts []string) []finding.Finding {
	if passTag.MatchString(example) || strings.Contains(example, "<unattend") {
		if !strings.Contains(example, "<unattend") {
			example = `<unattend xmlns="` + Namespace + `" xmlns:wcm="` + wcmNamespace + `">` + example + "</unattend>"
		}
		return Lint([]byte(strings.TrimSpace(example)), Context{})
	}
	component := ""
	if m := componentTag.FindStringSubmatch(example); m != nil {
		component = m[1]
	} else if parts != nil {
		component = parts[1]
	}
	var best []finding.Finding
	for i, pass := range []string{Specialize, OOBESystem, AuditUser, AuditSystem, Generalize, WindowsPE, OfflineServicing} {
		inner := wrap(pass, component, example)
		if componentTag.MatchString(example) {
			inner = `<unattend xmlns="` + Namespace + `" xmlns:wcm="` + wcmNamespace + `"><settings pass="` + pass + `">` + example + `</settings></unattend>`
		}
		found := finding.Failed(Lint([]byte(inner), Context{}), finding.Fail)
		if i == 0 || len(found) < len(best) {
			best = found
		}
	}
	return best
}
