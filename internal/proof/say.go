package proof

import (
	"fmt"
	"iter"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// Error is short, since Packer prints it twice below what the Ui was told in
// full: every assertion that failed, what to do, and where the report is.
func (e *NotProven) Error() string {
	lines := []string{e.headline()}
	for group := range sharedFix(e.Proof.Failed(winimage.Fail)) {
		var found []string
		for _, a := range group {
			found = append(found, fmt.Sprintf("%s (%s)", a.ID, a.Found))
		}
		lines = append(lines, fmt.Sprintf("  failed: %s; %s", strings.Join(found, ", "), group[0].Fix))
	}
	for _, d := range e.causes() {
		for _, step := range d.Remedy {
			lines = append(lines, "  remedy: "+step)
		}
	}
	if e.ReportPath != "" {
		lines = append(lines, "  report: "+e.ReportPath)
	}
	return strings.Join(oneLine(lines), "\n")
}

// headline is the judgement with the cause, if sysprep's log on the disk names
// one, else with the first thing to do.
func (e *NotProven) headline() string {
	failed := e.Proof.Failed(winimage.Fail)
	text := fmt.Sprintf("%s is not proven to be generalized", e.Disk)
	if len(failed) == 0 {
		return text
	}
	text += fmt.Sprintf(": %s is %s", failed[0].ID, failed[0].Found)
	if len(failed) > 1 {
		text += fmt.Sprintf(" (and %d more)", len(failed)-1)
	}
	if causes := e.causes(); len(causes) > 0 {
		return text + "; the last sysprep run failed: " + causes[0].Summary
	}
	return text + "; " + failed[0].Fix
}

// sharedFix groups neighbours that one fix is for.
func sharedFix(failed []winimage.Assertion) iter.Seq[[]winimage.Assertion] {
	return func(yield func([]winimage.Assertion) bool) {
		for len(failed) > 0 {
			n := 1
			for n < len(failed) && failed[n].Fix == failed[0].Fix {
				n++
			}
			if !yield(failed[:n]) {
				return
			}
			failed = failed[n:]
		}
	}
}

// causes are what the log of the last run says of its failure.
func (r Result) causes() (list []diagnosis.Diagnosis) {
	for _, w := range r.Report.Windows {
		if w.Log != nil && w.Log.Diagnosis != nil {
			list = append(list, *w.Log.Diagnosis)
		}
	}
	return list
}

// against is what speaks against an image: the assertions that failed, a fix
// that several share once, and the cause in the log of the last run.
func (r Result) against() (lines []string) {
	for group := range sharedFix(r.Proof.Failed(winimage.Fail)) {
		for _, a := range group {
			lines = append(lines, fmt.Sprintf("  failed %s: %s: expected %s, found %s", a.ID, a.Title, a.Expected, a.Found))
			if a.Note != "" {
				lines = append(lines, "    note: "+a.Note)
			}
		}
		lines = append(lines, "    fix: "+group[0].Fix)
	}
	for _, d := range r.causes() {
		lines = append(lines, Explain(d)...)
	}
	return lines
}

// Explain says a cause with its evidence and its remedies.
func Explain(d diagnosis.Diagnosis) []string {
	lines := []string{fmt.Sprintf("  cause: %s %s: %s", d.ID, d.Name, d.Summary)}
	for _, evidence := range d.Evidence {
		lines = append(lines, "    "+evidence)
	}
	for _, step := range d.Remedy {
		lines = append(lines, "  remedy: "+step)
	}
	return lines
}

// judgement is what the Ui is told: the outcome, then what failed in full,
// then the warnings in a line each.
func judgement(disk string, r Result) []string {
	var lines []string
	if r.Proof.Proven {
		lines = append(lines, fmt.Sprintf("Proven: %s holds %s, generalized (%d assertions)", disk, r.Report.Windows[0].Describe(), len(r.Proof.Assertions)))
	} else {
		lines = append(append(lines, (&NotProven{disk, r}).headline()), r.against()...)
	}
	for _, a := range r.Proof.Failed(winimage.Warn) {
		lines = append(lines, fmt.Sprintf("  warning %s: %s: found %s; %s", a.ID, a.Title, a.Found, a.Fix))
	}
	if r.ReportPath != "" {
		lines = append(lines, "  report: "+r.ReportPath)
	}
	return oneLine(lines)
}

// oneLine keeps what an image says from making lines of its own.
func oneLine(lines []string) []string {
	for i, l := range lines {
		lines[i] = foreign.Text(l)
	}
	return lines
}
