package render

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"image"
	"image/color"
	"image/png"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
)

var begun = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// phasesUntil are 12 minutes of a build.
func phasesUntil(failed string) (all []runlog.Phase) {
	at := int64(0)
	for _, p := range []struct {
		name string
		ms   int64
	}{{"source", 1200}, {"boot", 400}, {"wait", 95000}, {"provision", 540000}, {"power-off", 31000}, {"proof", 600}, {"convert", 52000}} {
		end := at + p.ms
		phase := runlog.Phase{Name: p.name, BeginMS: at, EndMS: &end, Outcome: runlog.OK}
		if at = end; p.name == failed {
			phase.Outcome, phase.Error = runlog.Failed, "sysprep refused, and its log says why"
			return append(all, phase)
		}
		all = append(all, phase)
	}
	return all
}

var packer = report.Packer{Version: "1.14.2", RunID: "0b1f3a52-7d0e-4a55-9a3c-6a2f3c7d9e10", BuildName: "server", BuilderType: "sysprep-vhd"}

// goodRun is a disk that was made and proven.
func goodRun() report.Run {
	run := report.Run{
		Component: "sysprep-vhd", Plugin: report.Plugin{Name: "packer-plugin-sysprep", Version: "0.1.0"}, Packer: packer,
		Source:  &report.Source{Name: "/images/server2022.vhdx"},
		Output:  &report.Output{Path: "output-server/server2022-generalized.vhd", Format: "vhd (fixed)", Size: 40<<30 + 512, VirtualSize: 40 << 30, SHA256: strings.Repeat("0123456789abcdef", 4)},
		Outcome: report.Outcome{Good: true, Class: "proven", Summary: "The image is proven to be generalized: Windows Server 2022 Standard build 20348.2340 amd64"},
		Begun:   begun, TookMS: 720250, Phases: phasesUntil(""), Facts: reports[1].Facts,
	}
	run.Add(report.NewSection(report.SectionProof, reports[1].Findings[0], reports[1].Findings[2],
		finding.Finding{ID: "hives-clean", Severity: finding.Fail, Holds: true, Subject: finding.Disk, Summary: "the registry hives SYSTEM and SOFTWARE were flushed by a full shutdown", Expected: "clean", Found: "clean"}))
	return run
}

// badRun has something in every part.
func badRun() report.Run {
	run := goodRun()
	run.Output, run.Phases = nil, phasesUntil("provision")
	run.Files = []string{"output-server-logs/sysprep/setupact.log", "output-server-screen.png"}
	run.Outcome = report.Outcome{Class: "refused", Cause: "APPX_NOT_PROVISIONED", Summary: "sysprep refused, the machine is untouched: app package Contoso.Notes_1.0.0.0_x64__8wekyb3d8bbwe is installed for a user but not provisioned for all users",
		Said: []string{"what: the log says that validation failed", "seen: ImageState IMAGE_STATE_COMPLETE, no tag, after 1m12s"}}
	run.Sections = nil
	run.Add(report.NewSection(report.SectionPreflight,
		finding.Finding{ID: "pending-restart", Severity: finding.Warn, Subject: finding.Guest, Summary: "no restart is pending", Expected: "none", Found: `Component Based Servicing\RebootPending`, Remedy: []string{"restart the guest before this provisioner"}},
		finding.Finding{ID: "free-space", Severity: finding.Info, Subject: finding.Guest, Summary: "the system drive has room", Expected: "2 GiB", Found: "1.4 GiB", Remedy: []string{"remove what is not needed"}},
		finding.Finding{ID: "bitlocker", Severity: finding.Fail, Holds: true, Subject: finding.Guest, Summary: "the system drive is not encrypted", Expected: "off", Found: "off"}))
	run.Add(report.NewSection(report.SectionAnswerFile, reports[0].Findings...))
	run.Add(report.NewSection(report.SectionDiagnosis, finding.Finding{
		ID: "F01", Name: "APPX_NOT_PROVISIONED", Severity: finding.Fail, Subject: finding.Log, Summary: "app package Contoso.Notes_1.0.0.0_x64__8wekyb3d8bbwe is installed for a user but not provisioned for all users",
		Where:  finding.Place{File: `\Windows\System32\Sysprep\Panther\setupact.log`, Line: 217},
		Note:   "Windows refuses to generalize while a user has an app that new users would not get.",
		Source: "https://learn.microsoft.com/troubleshoot/windows-client/setup-upgrade-and-drivers/sysprep-fails-remove-or-update-store-apps",
		Evidence: []string{
			"2026-11-23 12:00:00, Error                 SYSPRP Package Contoso.Notes_1.0.0.0_x64__8wekyb3d8bbwe was installed for a user, but not provisioned for all users. This package will not function properly in the sysprep image.",
			"2026-11-23 12:00:00, Error                 SYSPRP Failed to remove apps for the current user: 0x80073cf2.",
			"2026-11-23 12:00:00, Error      [0x0f0082] SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'SysprepGeneralizeValidate' from C:\\Windows\\System32\\AppxSysprep.dll; dwRet = 0x3cf2",
		},
		Remedy: []string{"In Windows PowerShell on the guest: Get-AppxPackage -AllUsers -Name 'Contoso.Notes' | Remove-AppxPackage -AllUsers", "Run the build again; the source is untouched."}}))
	run.Add(report.NewSection(report.SectionProof, reports[1].Findings[:3]...))
	run.Add(report.Section{ID: report.SectionProof, Title: "Another proof", Error: "the disk could not be read"})
	run.Picture = screen(320, 200)
	return run
}

// screen is a picture of some size.
func screen(w, h int) []byte {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, color.RGBA{0, uint8(60 + 80*y/h), uint8(120 + 80*x/w), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func rendered(t *testing.T, f func(io.Writer, report.Run) error, r report.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// hostileText would be a script, an attribute and the end of an element.
const hostileText = `</pre></script><script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>" onload="alert(1) ' style='background:url(//evil.example) {{.Title}} ]]> &lt; ` + foreigntest.Hostile + ` https://user:TopSecret@example.com/?sig=TopSecret` + "\xff\ufffe"

// outline is the tree of a page: elements with the names of their attributes.
func outline(t *testing.T, page string) (all []string) {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		text := n.Data
		for _, a := range n.Attr {
			text += " " + a.Key
		}
		all = append(all, text)
	}
	return all
}

func TestTextsOfOthersAreNoMarkup(t *testing.T) {
	plain := badRun()
	change := func(to string) report.Run {
		run := plain.Each(func(s string) string {
			if s == "" || slices.Contains([]string{string(finding.Fail), string(finding.Warn), string(finding.Info), report.SectionDiagnosis, report.SectionProof, report.SectionPreflight, report.SectionAnswerFile}, s) {
				return s
			}
			return to
		})
		run.Facts = map[string]string{to: to}
		return run
	}
	good, bad := rendered(t, HTML, change("x")), rendered(t, HTML, change(hostileText))
	if want, got := outline(t, good), outline(t, bad); !slices.Equal(want, got) {
		t.Errorf("hostile text changes the page:\n%q\n%q", want, got)
	}
	if h := foreigntest.Harm(bad); h != "" {
		t.Errorf("page: %s", h)
	}
	for _, never := range []string{"<script", "evil.example) {{.Title}} ]]> <", "onerror=alert(1)>", "TopSecret"} {
		if strings.Contains(strings.ToLower(bad), strings.ToLower(never)) {
			t.Errorf("the page has %q", never)
		}
	}
	results := rendered(t, JUnit, change(hostileText))
	if h := foreigntest.Harm(results); h != "" {
		t.Errorf("results: %s", h)
	}
	if suites := parsed(t, results); suites[0].Cases[0].Name == "" {
		t.Error("no name")
	}
	document, err := RunFile(change(foreigntest.Hostile))
	if h := foreigntest.Harm(string(document)); err != nil || h != "" {
		t.Errorf("JSON: %v, %s", err, h)
	}
}

var reference = regexp.MustCompile(`(?i)(src|href|action|poster|data|srcset)\s*=\s*["']?([^"'> ]*)|url\(|@import|<(script|link|iframe|object|embed|base|form|svg|audio|video)`)

func TestThePageStandsAlone(t *testing.T) {
	for name, r := range map[string]report.Run{"good": goodRun(), "bad": badRun()} {
		page := rendered(t, HTML, r)
		for _, m := range reference.FindAllStringSubmatch(page, -1) {
			if !strings.HasPrefix(m[2], "data:image/png;base64,") {
				t.Errorf("%s: %q", name, m[0])
			}
		}
		if !strings.Contains(page[:256], HTMLMark) {
			t.Errorf("%s: not known as a page of ours: %s", name, page[:256])
		}
		if strings.Contains(page, "ZgotmplZ") {
			t.Errorf("%s: the template has refused a value", name)
		}
	}
}

// text is what a reader of the page sees.
func text(t *testing.T, page string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode && n.Parent.Data != "style" {
			b.WriteString(n.Data + "\n")
		}
	}
	return b.String()
}

func TestThePageSaysEverythingOfARun(t *testing.T) {
	r := badRun()
	said := text(t, rendered(t, HTML, r))
	var missing []string
	run := r.Each(func(s string) string {
		ids := []string{report.SectionPreflight, report.SectionAnswerFile, report.SectionDiagnosis, report.SectionProof}
		words := []string{string(finding.Fail), string(finding.Warn), string(finding.Guest), string(finding.Disk), string(finding.Log), string(finding.AnswerFile)}
		if !slices.Contains(slices.Concat(ids, words), s) && !strings.Contains(said, s) {
			missing = append(missing, s)
		}
		return s
	})
	// Of what holds the finding is enough, and only a diagnosis says its source.
	missing = slices.DeleteFunc(missing, func(s string) bool { return s == "ws2012r2-state.ini" || s == runlog.OK || s == "boot" })
	if len(missing) > 0 {
		t.Errorf("not on the page: %q", missing)
	}
	if run.Outcome.Good || !strings.Contains(said, "✗ failed") || !strings.Contains(said, "2 errors") || !strings.Contains(said, "ended here") {
		t.Errorf("the page is not that of a failed run:\n%s", said)
	}
	good := text(t, rendered(t, HTML, goodRun()))
	for _, want := range []string{"✓ good", "40.0 GiB disk", strings.Repeat("0123456789abcdef", 4), "1 warning, 2 hold", "disk.virtual_size", "42949672960", "12m0s", "wait for the power-off"} {
		if !strings.Contains(good, want) {
			t.Errorf("the page of a good run does not have %q", want)
		}
	}
	if strings.Contains(good, "ended here") || strings.Contains(good, "✗ failed") {
		t.Error("the page of a good run says that it is not")
	}
}

func TestWhatFailedComesFirst(t *testing.T) {
	s := sectionOf(report.NewSection(report.SectionProof, goodRun().Sections[0].Findings[0], reports[1].Findings[2], reports[1].Findings[1]))
	var got []string
	for _, r := range s.Rows {
		got = append(got, r.ID)
	}
	if want := []string{"generalization-state", "secrets", "setup-type"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if s.Sum != "1 error, 1 warning, 1 holds" {
		t.Errorf("sum %q", s.Sum)
	}
}

func TestTheTimelineStaysInItsTrack(t *testing.T) {
	for name, r := range map[string]report.Run{
		"usual": goodRun(), "no time at all": {Phases: []runlog.Phase{{Name: "a"}}},
		"a clock that jumped": {Begun: begun, TookMS: 5000, Phases: []runlog.Phase{{Name: "a", BeginMS: -3600000}, {Name: "b", BeginMS: 3600000}}},
	} {
		for _, b := range timeline(r) {
			if b.Left < 0 || b.Width < 0 || b.Left+b.Width > 100 {
				t.Errorf("%s: %+v", name, b)
			}
		}
	}
	bars := timeline(goodRun())
	if b := bars[3]; b.Left < 13 || b.Left > 14 || b.Width != 74.97 || b.Took != "9m0s" {
		t.Errorf("%+v", b)
	}
}

func TestOnlyAPictureOfBearableSizeIsShown(t *testing.T) {
	large := append(screen(4, 4), make([]byte, maxPicture)...)
	for name, test := range map[string]struct {
		content []byte
		want    string // of the page
	}{
		"none": {nil, ""}, "a picture": {screen(4, 4), "data:image/png;base64,iVBOR"}, "too large": {large, "too large for this page (2.0 MiB, of at most 2.0 MiB)"},
		"markup": {[]byte("<svg onload=alert(1)>"), "no PNG or JPEG"},
	} {
		r := goodRun()
		r.Picture = test.content
		page := rendered(t, HTML, r)
		if strings.Contains(page, "Screen of the guest") != (test.want != "") || !strings.Contains(page, test.want) || strings.Contains(page, "onload") {
			t.Errorf("%s: %v", name, strings.Contains(page, "Screen of the guest"))
		}
	}
}

// junit10 are the elements of junit-10.xsd (Jenkins, plugin xunit) with what may stand
// in them, the attributes with a + where one is required.
var junit10 = map[string]struct{ attributes, elements string }{
	"testsuites": {"name time tests failures disabled errors", "testsuite"},
	"testsuite":  {"+name +tests failures errors group time skipped timestamp hostname id package file log url version", "testsuite properties testcase system-out system-err"},
	"properties": {"", "property"},
	"property":   {"+name +value", ""},
	"testcase":   {"+name time classname status group", "skipped error failure system-out system-err"},
	"failure":    {"type message", ""},
	"error":      {"type message", ""},
	"skipped":    {"type message", ""},
	"system-out": {"", ""},
}

// parsed holds results against the schema, and returns them.
func parsed(t *testing.T, results string) []junitSuite {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(results))
	var open []string
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, results)
		}
		switch e := token.(type) {
		case xml.StartElement:
			rule, known := junit10[e.Name.Local]
			if !known || len(open) > 0 && !slices.Contains(strings.Fields(junit10[open[len(open)-1]].elements), e.Name.Local) {
				t.Errorf("%s in %q", e.Name.Local, open)
			}
			have := map[string]bool{}
			for _, a := range e.Attr {
				have[a.Name.Local] = true
			}
			for _, a := range strings.Fields(rule.attributes) {
				name, required := strings.CutPrefix(a, "+")
				if required && !have[name] {
					t.Errorf("%s has no %s", e.Name.Local, name)
				}
				delete(have, name)
			}
			for a := range have {
				t.Errorf("%s has %s", e.Name.Local, a)
			}
			open = append(open, e.Name.Local)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
	var all junitSuites
	if err := xml.Unmarshal([]byte(results), &all); err != nil {
		t.Fatal(err)
	}
	return all.Suites
}

func TestTheResultsReadAsTheGoldenFile(t *testing.T) {
	bad := rendered(t, JUnit, badRun())
	golden(t, "run.junit.xml", []byte(bad))
	if !strings.HasPrefix(strings.TrimPrefix(bad, xml.Header), JUnitMark) {
		t.Errorf("not known as results of ours: %.120s", bad)
	}
	tests, failed, broken := 0, 0, 0
	for _, s := range parsed(t, bad) {
		names := map[string]bool{}
		n, f, e := 0, 0, 0
		for _, c := range s.Cases {
			if names[c.Name] {
				t.Errorf("%s twice", c.Name)
			}
			names[c.Name] = true
			n++
			if c.Failure != nil {
				f++
			}
			if c.Error != nil {
				e++
			}
		}
		if s.Tests != n || s.Failures != f || s.Errors != e {
			t.Errorf("%s counts %d, %d, %d and has %d, %d, %d", s.Name, s.Tests, s.Failures, s.Errors, n, f, e)
		}
		tests, failed, broken = tests+n, failed+f, broken+e
	}
	// The outcome, a finding of the linter, one of the proof; the section that could
	// not be checked.
	if failed != 3 || broken != 1 || tests != 14 {
		t.Errorf("%d tests, %d failed, %d errors", tests, failed, broken)
	}
	for _, s := range parsed(t, rendered(t, JUnit, goodRun())) {
		if s.Failures+s.Errors > 0 {
			t.Errorf("%s fails in a good run", s.Name)
		}
	}
}

func TestTheDocumentOfARunCountsItsChecks(t *testing.T) {
	var d struct {
		Subject string
		Holds   bool
		Counts  counts
		Run     struct{ Sections []struct{ ID string } }
	}
	content, err := RunFile(badRun())
	if err == nil {
		err = json.Unmarshal(content, &d)
	}
	// The cause is no check.
	if err != nil || d.Subject != "run" || d.Holds || d.Counts != (counts{2, 2, 2}) || len(d.Run.Sections) != 5 {
		t.Errorf("%v, %+v", err, d)
	}
	if bytes.Contains(content, []byte("iVBOR")) {
		t.Error("the picture is in the document")
	}
	golden(t, "run.json", content)
}

// A page that does not list all facts says so.
func TestFactsThatDoNotFitAreCounted(t *testing.T) {
	for n, want := range map[int]string{maxFacts: "", maxFacts + 7: "7 more are not in this page"} {
		var b bytes.Buffer
		if err := HTML(&b, report.Run{Facts: make([]int, n)}); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "more are not in this page"); got != (want != "") || !strings.Contains(b.String(), want) || strings.Count(b.String(), "<dd ") < maxFacts {
			t.Errorf("%d facts: said %v", n, got)
		}
	}
}
