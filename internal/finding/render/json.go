package render

import (
	"encoding/json"
	"io"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
)

// Schema is the version of the JSON form, which docs/report.md describes. It
// changes when a key goes or means something else, not when one is added.
const Schema = 2

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
}

func newDocument(r finding.Report) document {
	d := document{Schema, r.Subject, r.Name, r.Error, r.Holds(), count(r.Findings), r.Findings, r.Facts}
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
	content, err := json.MarshalIndent(newDocument(r), "", "  ")
	if err != nil {
		return nil, err
	}
	return append(foreign.JSON(content), '\n'), nil
}
