package render

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
)

// JUnitMark begins every JUnit report, behind the XML declaration.
const JUnitMark = `<testsuites name="packer-plugin-sysprep"`

// The elements of a JUnit report in the form that Jenkins reads (junit-10.xsd of its
// plugin xunit), which GitLab, GitHub's actions and Azure Pipelines read too.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		XMLName    xml.Name `xml:"testsuite"`
		Name       string   `xml:"name,attr"`
		Tests      int      `xml:"tests,attr"`
		Failures   int      `xml:"failures,attr"`
		Errors     int      `xml:"errors,attr"`
		Skipped    int      `xml:"skipped,attr"`
		Time       string   `xml:"time,attr"`
		Timestamp  string   `xml:"timestamp,attr,omitempty"`
		Properties *junitProperties
		Cases      []junitCase `xml:"testcase"`
	}
	junitProperties struct {
		XMLName xml.Name        `xml:"properties"`
		All     []junitProperty `xml:"property"`
	}
	junitProperty struct {
		XMLName xml.Name `xml:"property"`
		Name    string   `xml:"name,attr"`
		Value   string   `xml:"value,attr"`
	}
	junitCase struct {
		XMLName   xml.Name      `xml:"testcase"`
		Name      string        `xml:"name,attr"`
		Classname string        `xml:"classname,attr"`
		Time      string        `xml:"time,attr"`
		Failure   *junitProblem `xml:"failure"`
		Error     *junitProblem `xml:"error"`
		Out       string        `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the report on a run as test results: a suite for the run with its
// phases and its outcome, and one for each section, with each finding a case. Only
// what has the severity fail fails: JUnit knows no warning, so that what warns
// passes, and says so in its output.
func JUnit(w io.Writer, r report.Run) error {
	run := r.Each(safeLines)
	all := junitSuites{Name: "packer-plugin-sysprep", Time: inSeconds(run.TookMS), Suites: []junitSuite{ofRun(run)}}
	for _, s := range run.Sections {
		if s.ID != report.SectionDiagnosis {
			all.Suites = append(all.Suites, ofSection(run.Component, s))
		}
	}
	for i := range all.Suites {
		s := &all.Suites[i]
		for _, c := range s.Cases {
			s.Tests++
			if c.Failure != nil {
				s.Failures++
			}
			if c.Error != nil {
				s.Errors++
			}
		}
		all.Tests, all.Failures, all.Errors = all.Tests+s.Tests, all.Failures+s.Failures, all.Errors+s.Errors
	}
	text, err := xml.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, xml.Header+string(text)+"\n")
	return err
}

// ofRun has the phases as cases, and last the outcome.
func ofRun(r report.Run) junitSuite {
	s := junitSuite{Name: r.Component + joined(": ", r.Packer.BuildName), Time: inSeconds(r.TookMS), Properties: &junitProperties{}}
	if !r.Begun.IsZero() {
		s.Timestamp = r.Begun.UTC().Format("2006-01-02T15:04:05")
	}
	for _, e := range about(r) {
		s.Properties.All = append(s.Properties.All, junitProperty{Name: e.Name, Value: e.Text})
	}
	names := map[string]int{}
	for _, p := range r.Phases {
		c := junitCase{Name: once(names, "phase "+p.Name), Classname: r.Component, Time: inSeconds(end(r, p) - p.BeginMS)}
		if p.Outcome == runlog.Failed || p.Outcome == runlog.Cancelled {
			c.Out = "the run ended in this phase" + joined(": ", p.Error)
		}
		s.Cases = append(s.Cases, c)
	}
	said := strings.Join(append([]string{r.Outcome.Summary}, r.Outcome.Said...), "\n")
	outcome := junitCase{Name: "outcome", Classname: r.Component, Time: "0.000"}
	if r.Outcome.Good {
		outcome.Out = said
	} else {
		for _, section := range r.Sections {
			if section.ID == report.SectionDiagnosis {
				said += "\n" + strings.Join(Causes(section.Findings), "\n")
			}
		}
		outcome.Failure = &junitProblem{r.Outcome.Summary, r.Outcome.Class + joined("/", r.Outcome.Cause), said}
	}
	s.Cases = append(s.Cases, outcome)
	return s
}

func ofSection(component string, s report.Section) junitSuite {
	suite := junitSuite{Name: s.Title, Time: "0.000"}
	class := component + "." + s.ID
	if s.Error != "" {
		suite.Cases = append(suite.Cases, junitCase{Name: "checked", Classname: class, Time: "0.000", Error: &junitProblem{s.Error, "error", s.Error}})
	}
	names := map[string]int{}
	for _, f := range s.Findings {
		name := f.ID
		if f.Where.Line > 0 {
			name = fmt.Sprintf("%s, line %d", name, f.Where.Line)
		}
		c := junitCase{Name: once(names, name), Classname: class, Time: "0.000"}
		text := strings.Join(Full(severity(f.Severity), f), "\n")
		switch {
		case f.Holds:
			c.Out = said(f)
		case f.Severity == finding.Fail:
			c.Failure = &junitProblem{said(f), string(f.Severity), text}
		default:
			c.Out = text
		}
		suite.Cases = append(suite.Cases, c)
	}
	return suite
}

// once gives each case of a suite a name of its own.
func once(names map[string]int, name string) string {
	names[name]++
	if n := names[name]; n > 1 {
		return fmt.Sprintf("%s (%d)", name, n)
	}
	return name
}

// inSeconds is a duration in milliseconds as JUnit writes it.
func inSeconds(ms int64) string { return fmt.Sprintf("%d.%03d", ms/1000, ms%1000) }
