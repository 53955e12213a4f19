package proof

import (
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/boots"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
)

// Error is short, since Packer prints it twice below what the Ui was told in
// full: every assertion that failed, what to do, and where the report is.
func (e *NotProven) Error() string {
	var lines []string
	for group := range finding.SharedRemedy(finding.Failed(e.Findings, finding.Fail)) {
		var found []string
		for _, f := range group {
			found = append(found, fmt.Sprintf("%s (%s)", f.ID, f.Found))
		}
		lines = append(lines, "failed: "+strings.Join(found, ", "))
		lines = append(lines, render.Steps(group[0].Remedy)...)
	}
	for _, cause := range e.Facts.Causes() {
		lines = append(lines, render.Steps(cause.Remedy)...)
	}
	return strings.Join(append([]string{foreign.Text(e.headline())}, below(e.withReport(lines))...), "\n")
}

// headline is the judgement with the cause, if sysprep's log on the disk names
// one, else with the first thing to do.
func (e *NotProven) headline() string {
	text := fmt.Sprintf("%s is not proven to be generalized", e.Disk)
	failed := finding.Failed(e.Findings, finding.Fail)
	if len(failed) == 0 {
		return text
	}
	text += fmt.Sprintf(": %s is %s", failed[0].ID, failed[0].Found)
	if len(failed) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(failed)-1)
	}
	if causes := e.Facts.Causes(); len(causes) > 0 {
		return text + "; the last sysprep run failed: " + causes[0].Summary
	}
	return text + "; " + render.Next + failed[0].Remedy[0]
}

// judgement is what the Ui is told: the outcome, then what failed with the cause
// in the log of the last run, in full, then the warnings in a line each.
func judgement(disk string, r Result) []string {
	var head string
	var lines []string
	if r.Proven() {
		head = fmt.Sprintf("Proven: %s holds %s, generalized (%d assertions)", disk, r.Windows, len(r.Findings))
	} else {
		head = (&NotProven{disk, r}).headline()
		lines = append(render.Failed(r.Findings, finding.Fail), render.Causes(r.Facts.Causes())...)
	}
	for _, f := range finding.Failed(r.Findings, finding.Warn) {
		lines = append(lines, render.Line(f))
	}
	if starts := boots.Verdicts(r.Findings); starts != "" {
		lines = append(lines, "starts on: "+starts)
	}
	return append([]string{foreign.Text(head)}, below(r.withReport(lines))...)
}

// Explain says a cause in full, below a headline.
func Explain(cause finding.Finding) []string { return below(render.Full("cause", cause)) }

func (r Result) withReport(lines []string) []string {
	if r.ReportPath == "" {
		return lines
	}
	return append(lines, "report: "+r.ReportPath)
}

// below puts lines under their headline, and keeps what an image says from
// making lines of its own.
func below(lines []string) []string {
	for i, l := range lines {
		lines[i] = "  " + foreign.Text(l)
	}
	return lines
}
