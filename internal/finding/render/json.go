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
		d := document{Schema, r.Subject, r.Name, r.Error, r.Holds(), count(r.Findings), r.Findings}
		if d.Findings == nil {
			d.Findings = []finding.Finding{}
		}
		line, err := json.Marshal(d)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(foreign.JSON(line), '\n')); err != nil {
			return err
		}
	}
	return nil
}
