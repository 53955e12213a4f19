package preflight

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

const evidenceShown = 5 // lines of each finding; the rest is counted

// Count says how many checks of how many say what: "3 of 27 checks fail, 2 warn, 1
// could not tell".
func (j Judgement) Count() string {
	n := func(list []Result) int { return len(list) }
	fail, warn, unsure := n(j.Of(Failed, finding.Fail)), n(j.Of(Failed, finding.Warn)), n(j.Of(CannotTell, ""))
	text := fmt.Sprintf("%d of %d checks fail", fail, len(j.Results))
	if fail == 1 {
		text = fmt.Sprintf("1 of %d checks fails", len(j.Results))
	}
	if warn > 0 {
		text += fmt.Sprintf(", %d warn", warn)
	}
	if unsure > 0 {
		text += fmt.Sprintf(", %d could not tell", unsure)
	}
	return text
}

// Passes says how many hold, and how many were not made.
func (j Judgement) Passes() string {
	text := fmt.Sprintf("%d checks hold", len(j.Of(Passed, "")))
	if j.Skipped > 0 {
		text += fmt.Sprintf("; %d are not for this Windows or this run", j.Skipped)
	}
	return text
}

// Table is the results as lines: what fails first, then warnings, notes and what could
// not be told; what holds is a number. The texts of others in it are for render to make
// safe.
func (j Judgement) Table() (lines []string) {
	for _, r := range j.Ordered() {
		lines = append(lines, r.lines()...)
	}
	return append(lines, j.Passes())
}

// label is the word for a result in the table.
func (r Result) label() string {
	switch {
	case r.Outcome == CannotTell:
		return "unknown"
	case r.Severity == finding.Info:
		return "note"
	}
	return string(r.Severity)
}

func (r Result) lines() []string {
	lines := []string{oneLine(fmt.Sprintf("%-8s%s: %s", r.label(), r.Check.ID, r.Finding().Summary))}
	add := func(format string, args ...any) {
		lines = append(lines, "        "+oneLine(fmt.Sprintf(format, args...)))
	}
	if r.Outcome == CannotTell || r.Severity == finding.Info {
		return lines
	}
	for i, e := range r.Evidence {
		if i == evidenceShown {
			add("and %d more", len(r.Evidence)-i)
			break
		}
		add("%s", e)
	}
	if r.Note != "" {
		add("note: %s", r.Note)
	}
	for _, s := range r.Steps {
		add("next: %s%s", strings.TrimSuffix(s.Text, "."), remedyOf(s))
	}
	return lines
}

func remedyOf(s Step) string {
	if s.Remedy == "" {
		return ""
	}
	return fmt.Sprintf(" (or the remedy %q)", s.Remedy)
}

// Steps are the first steps of results, each once, with the check that they are for.
func Steps(results []Result) (steps []string) {
	for _, r := range results {
		if len(r.Steps) > 0 {
			steps = append(steps, r.Check.ID+": "+strings.TrimSuffix(r.Steps[0].Text, "."))
		}
	}
	return steps
}

// oneLine keeps texts of others from making lines of their own.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}
