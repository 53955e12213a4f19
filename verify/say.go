package verify

import (
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// Error names every assertion that failed and its fix, and the cause of a
// failed sysprep run where the disk's log shows one.
func (e *NotProven) Error() string {
	lines := append([]string{e.headline()}, e.against()...)
	return strings.Join(append(lines, "  report: "+e.ReportPath), "\n")
}

// headline is the judgement with the first thing to do.
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
	return text + "; " + failed[0].Fix
}

// against is what speaks against an image: the assertions that failed, a fix
// that several share once, and the cause in the log of the last run.
func (r Result) against() (lines []string) {
	failed := r.Proof.Failed(winimage.Fail)
	for i, a := range failed {
		lines = append(lines, fmt.Sprintf("  failed %s: %s: expected %s, found %s", a.ID, a.Title, a.Expected, a.Found))
		if a.Note != "" {
			lines = append(lines, "    note: "+a.Note)
		}
		if i+1 == len(failed) || failed[i+1].Fix != a.Fix {
			lines = append(lines, "    fix: "+a.Fix)
		}
	}
	for _, w := range r.Report.Windows {
		if w.Log != nil && w.Log.Diagnosis != nil {
			lines = append(lines, explain(*w.Log.Diagnosis)...)
		}
	}
	return lines
}

func explain(d diagnosis.Diagnosis) []string {
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
		lines = append(append(lines, "NOT PROVEN: "+(&NotProven{disk, r}).headline()), r.against()...)
	}
	for _, a := range r.Proof.Failed(winimage.Warn) {
		lines = append(lines, fmt.Sprintf("  warning %s: %s: found %s; %s", a.ID, a.Title, a.Found, a.Fix))
	}
	return append(lines, "  report: "+r.ReportPath)
}
