package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// Next stands before a step to take, in all output.
const Next = "next: "

// severity is its word for a person.
func severity(s finding.Severity) string {
	switch s {
	case finding.Fail:
		return "error"
	case finding.Warn:
		return "warning"
	}
	return string(s)
}

// Text writes for each report a line for each finding that does not hold, and
// one with their number.
func Text(w io.Writer, reports ...finding.Report) error {
	for _, r := range reports {
		var lines []string
		if r.Error != "" {
			lines = append(lines, r.Error)
		} else {
			for _, f := range r.Findings {
				if !f.Holds {
					lines = append(lines, Line(f))
				}
			}
			n := count(r.Findings)
			lines = append(lines, fmt.Sprintf("%s: errors: %d, warnings: %d, info: %d", r.Name, n.Fail, n.Warn, n.Info))
		}
		for _, l := range lines {
			if _, err := fmt.Fprintln(w, safe(l)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Line says a finding on one line: file, line, severity, what was found, where
// inside the file, what to do, and the id.
func Line(f finding.Finding) string {
	return safe(file(f) + line(f) + severity(f.Severity) + ": " + statement(f))
}

// Statement is Line without file and severity, for texts that name them in
// their own way.
func Statement(f finding.Finding) string { return safe(line(f) + statement(f)) }

func file(f finding.Finding) string {
	if f.Where.File == "" {
		return ""
	}
	return f.Where.File + ": "
}

func line(f finding.Finding) string {
	if f.Where.Line == 0 {
		return ""
	}
	return fmt.Sprintf("line %d: ", f.Where.Line)
}

func statement(f finding.Finding) string {
	text := said(f)
	if len(f.Remedy) > 0 {
		text += "; " + strings.Join(f.Remedy, "; ")
	}
	if f.Unconfirmed {
		return text + " [" + f.ID + ", " + likely + "]"
	}
	return text + " [" + f.ID + "]"
}

// likely marks what is unconfirmed.
const likely = "likely, not certain"

// said is what was found, and where inside the file.
func said(f finding.Finding) string {
	text := f.Summary
	if f.Expected != "" || f.Found != "" {
		text += fmt.Sprintf(": expected %s, found %s", f.Expected, f.Found)
	}
	if len(f.Where.Path) > 0 {
		text += " (" + strings.Join(f.Where.Path, ", ") + ")"
	}
	return text
}

// Full says findings in full, each under the label (such as "cause"), a fact a
// line. The remedy stands at the end, once: it is that of the first, for the
// callers of finding.SharedRemedy.
func Full(label string, group ...finding.Finding) (lines []string) {
	add := func(label, text string) {
		for _, l := range strings.Split(text, "\n") {
			lines = append(lines, safe(label+l))
		}
	}
	for _, f := range group {
		head := f.ID
		if f.Name != "" {
			head += " " + f.Name
		}
		if f.Unconfirmed {
			head += " (" + likely + ")"
		}
		add(label+": ", head+": "+file(f)+line(f)+said(f))
		if f.Note != "" {
			add("note: ", f.Note)
		}
		for _, e := range f.Evidence {
			add(evidence(f.Subject), e)
		}
	}
	if len(group) > 0 {
		lines = append(lines, Steps(group[0].Remedy)...)
	}
	return lines
}

// Steps says steps to take, one a line.
func Steps(steps []string) (lines []string) {
	for _, step := range steps {
		for _, l := range strings.Split(step, "\n") {
			lines = append(lines, safe(Next+l))
		}
	}
	return lines
}

// Causes says each cause of a failure in full, with what to do about it.
func Causes(list []finding.Finding) (lines []string) {
	for _, f := range list {
		lines = append(lines, Full("cause", f)...)
	}
	return lines
}

// Failed says in full what of a severity does not hold, and once what to do
// about neighbours.
func Failed(list []finding.Finding, s finding.Severity) (lines []string) {
	for group := range finding.SharedRemedy(finding.Failed(list, s)) {
		lines = append(lines, Full(severity(s), group...)...)
	}
	return lines
}

func evidence(s finding.Subject) string {
	if s == finding.Log {
		return "log: "
	}
	return "seen: "
}

// safe makes a line that others had a part in fit to be shown.
func safe(line string) string { return foreign.Text(weburl.Redact(line)) }
