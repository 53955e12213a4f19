package render

import (
	"encoding/json"
	"io"
	"reflect"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/report"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
)

// Schema is the version of the JSON form, which docs/report.md describes. It
// changes when a key goes or means something else, not when one is added.
const Schema = 2

// Document is the type of the JSON form of a report, for the tool that writes its schema.
func Document() reflect.Type { return reflect.TypeFor[document]() }

// document is the JSON form of a report.
type document struct {
	Schema   int               `json:"schema"`
	Subject  finding.Subject   `json:"subject"`
	Name     string            `json:"name"`
	Error    string            `json:"error,omitempty"`
	Holds    bool              `json:"holds"`
	Counts   counts            `json:"counts"`
	Findings []finding.Finding `json:"findings"`
	Facts    any               `json:"facts,omitempty"`
	Run      *report.Run       `json:"run,omitempty"`
}

func newDocument(r finding.Report) document {
	d := document{Schema, r.Subject, r.Name, r.Error, r.Holds(), count(r.Findings), r.Findings, r.Facts, nil}
	if d.Findings == nil {
		d.Findings = []finding.Finding{}
	}
	return d
}

// counts are the findings that do not hold, by severity.
type counts struct {
	Fail int `json:"fail"`
	Warn int `json:"warn"`
	Info int `json:"info"`
}

func count(list []finding.Finding) counts {
	of := func(s finding.Severity) int { return len(finding.Failed(list, s)) }
	return counts{of(finding.Fail), of(finding.Warn), of(finding.Info)}
}

// JSON writes each report as a document on a line of its own.
func JSON(w io.Writer, reports ...finding.Report) error {
	for _, r := range reports {
		line, err := json.Marshal(newDocument(r))
		if err != nil {
			return err
		}
		if _, err := w.Write(append(foreign.JSON(line), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// File is the document of one report as the content of a file that people read
// too.
func File(r finding.Report) ([]byte, error) {
	return newDocument(r).file()
}

// RunFile is the document of a whole run as File is that of one report. Its findings
// are in the sections of the run.
func RunFile(r report.Run) ([]byte, error) {
	r.Phases = append([]runlog.Phase{}, r.Phases...)
	r.Sections = append([]report.Section{}, r.Sections...)
	for i, s := range r.Sections {
		r.Sections[i].Findings = append([]finding.Finding{}, s.Findings...)
	}
	d := newDocument(finding.Report{Subject: report.Subject, Name: r.Packer.BuildName, Facts: r.Facts})
	d.Holds, d.Counts, d.Run = r.Outcome.Good, count(r.Findings()), &r
	return d.file()
}

func (d document) file() ([]byte, error) {
	content, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(foreign.JSON(content), '\n'), nil
}
