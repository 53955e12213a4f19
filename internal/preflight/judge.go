package preflight

import (
	"cmp"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// Result is what one check says.
type Result struct {
	Check   Check
	Outcome Outcome
	// Severity is that of Failed, after the severities that were chosen.
	Severity finding.Severity
	// Summary is one line: what is wrong, or why it cannot be told.
	Summary  string
	Evidence []string
	Note     string
	// Steps are what to do, in the order that works.
	Steps []Step
}

// Remedies are the ids of the remedies for it, in their order and each once.
func (r Result) Remedies() (ids []string) {
	for _, s := range r.Steps {
		if s.Remedy != "" && !slices.Contains(ids, s.Remedy) {
			ids = append(ids, s.Remedy)
		}
	}
	return ids
}

// Judgement is what all checks say of a guest.
type Judgement struct {
	// Results are those of the checks that were made, in the order of Checks.
	Results []Result
	// Skipped is how many are not for this Windows, or not for what is asked for.
	Skipped int
}

// Judge makes all checks. Those whose facts were not asked for, which are off, or which
// do not apply, are left out.
func Judge(facts Facts, plan Plan, chosen finding.Overrides) Judgement {
	var j Judgement
	q := inquiry{facts, plan}
	for _, c := range Checks() {
		severity, set := chosen[c.ID]
		if severity == finding.Off {
			continue
		}
		a := skip()
		if slices.Contains(facts.Asked, c.Group) {
			a = c.judge(q)
		}
		if a.outcome == Skipped {
			j.Skipped++
			continue
		}
		r := Result{Check: c, Outcome: a.outcome, Summary: a.text}
		if a.outcome == Failed {
			r.Severity = cmp.Or(a.severity, c.Severity)
			if set {
				r.Severity = severity
			}
			r.Evidence, r.Note, r.Steps = a.evidence, a.note, c.Steps
			if a.steps != nil {
				r.Steps = a.steps
			}
		}
		j.Results = append(j.Results, r)
	}
	return j
}

// Of returns the results with an outcome, and of those that failed with a severity.
func (j Judgement) Of(o Outcome, s finding.Severity) (list []Result) {
	for _, r := range j.Results {
		if r.Outcome == o && (o != Failed || r.Severity == s) {
			list = append(list, r)
		}
	}
	return list
}

// Stops returns what stops a run: of severity fail, and where failOn is warn of that
// one, too. What cannot be told never does.
func (j Judgement) Stops(failOn finding.Severity) []Result {
	list := j.Of(Failed, finding.Fail)
	if failOn == finding.Warn {
		list = append(list, j.Of(Failed, finding.Warn)...)
	}
	if failOn == finding.Off {
		return nil
	}
	return list
}

// Ordered are the results that are shown one by one: what fails, warnings, notes, and
// what could not be told.
func (j Judgement) Ordered() (list []Result) {
	for _, s := range []finding.Severity{finding.Fail, finding.Warn, finding.Info} {
		list = append(list, j.Of(Failed, s)...)
	}
	return append(list, j.Of(CannotTell, "")...)
}

// Findings are all results in the shape of findings, in that order and then what holds.
// What could not be told neither holds nor has a severity that anybody goes by.
func (j Judgement) Findings() (list []finding.Finding) {
	for _, r := range append(j.Ordered(), j.Of(Passed, "")...) {
		list = append(list, r.Finding())
	}
	return list
}

// Finding is the result in that shape. Its name is the cause that the check predicts, if
// there is one.
func (r Result) Finding() finding.Finding {
	f := finding.Finding{
		ID: r.Check.ID, Severity: finding.Info, Subject: finding.Guest, Summary: r.Summary,
		Evidence: r.Evidence, Note: r.Note, Source: r.Check.Source, Unconfirmed: r.Check.Unconfirmed,
	}
	switch r.Outcome {
	case Passed:
		f.Severity, f.Holds, f.Summary = r.Check.Severity, true, r.Check.Asserts
	case CannotTell:
		f.Summary = "could not tell whether " + r.Check.Asserts + ": " + r.Summary
		return f
	case Failed:
		f.Severity = r.Severity
		f.Note = r.Check.Means
		if r.Note != "" {
			f.Note += " " + r.Note
		}
	}
	for _, s := range r.Steps {
		text := s.Text
		if s.Remedy != "" {
			text += " [remedy " + s.Remedy + "]"
		}
		f.Remedy = append(f.Remedy, text)
	}
	return f
}
