// Package finding is the one shape of whatever is found: by the linter, the
// first look at a guest, the proof of an image, the diagnosis of a log. Who
// finds something says what it is and how bad; finding/render says it to
// people and to programs.
package finding

import (
	"cmp"
	"iter"
	"slices"
)

// Severity is what a finding means where what it asks for does not hold. Its
// words are those of the option `severities` and of the JSON reports.
type Severity string

// Severities, the worst first. Off leaves a finding out.
const (
	Fail Severity = "fail"
	Warn Severity = "warn"
	Info Severity = "info"
	Off  Severity = "off"
)

// Severities lists all of them, the worst first.
func Severities() []Severity { return []Severity{Fail, Warn, Info, Off} }

// Worse reports whether s is worse than other. Each is worse than none ("").
func (s Severity) Worse(other Severity) bool {
	rank := func(s Severity) int {
		if i := slices.Index(Severities(), s); i >= 0 {
			return i
		}
		return len(Severities())
	}
	return rank(s) < rank(other)
}

// Subject is the kind of thing that a finding is about.
type Subject string

// Subjects.
const (
	AnswerFile Subject = "answer_file"
	Disk       Subject = "disk"
	Guest      Subject = "guest"
	Log        Subject = "log"
)

// Place is where something was found; the zero value is the subject as a whole.
type Place struct {
	// File is the file as the user calls it.
	File string `json:"file,omitempty"`
	// Line counts from 1; 0 where there is none.
	Line int `json:"line,omitempty"`
	// Path leads from the outside to the inside: in an answer file the pass, the
	// component and the setting.
	Path []string `json:"path,omitempty"`
}

// Finding is one thing that was found. Its texts may be those of others (a log,
// a registry value): render makes them safe. None of them holds a secret.
type Finding struct {
	// ID is the same for all findings of a kind: that of a lint rule, of an
	// assertion, of a cause.
	ID string `json:"id"`
	// Name is a longer id, for a person; most kinds have none.
	Name     string   `json:"name,omitempty"`
	Severity Severity `json:"severity"`
	// Holds: what was asked for is there. A proof lists those as well.
	Holds   bool    `json:"holds"`
	Subject Subject `json:"subject"`
	Where   Place   `json:"where,omitzero"`
	// Summary is one line: what is wrong or, of an assertion, what is asserted.
	Summary string `json:"summary"`
	// Expected and Found are set together, where something was compared.
	Expected string `json:"expected,omitempty"`
	Found    string `json:"found,omitempty"`
	// Evidence are lines of the subject, verbatim.
	Evidence []string `json:"evidence,omitempty"`
	// Remedy are the steps to take, in their order.
	Remedy []string `json:"remedy,omitempty"`
	// Note is what helps to understand it.
	Note string `json:"note,omitempty"`
	// Source is what it rests on: an address, or an artefact by its name.
	Source string `json:"source,omitempty"`
	// Unconfirmed: neither the vendor's documents nor an artefact support it.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
}

// Report is what was found about one thing.
type Report struct {
	Subject Subject
	// Name is the thing as the user calls it, without credentials.
	Name string
	// Error is why it could not be judged, and names it; there are no findings
	// then.
	Error    string
	Findings []Finding
	// Facts are what was read of the thing, a value with a JSON form of its own;
	// nil where there is nothing besides the findings.
	Facts any
}

// Holds reports whether the thing was judged and nothing of severity fail
// speaks against it.
func (r Report) Holds() bool { return r.Error == "" && Worst(r.Findings) != Fail }

// Failed returns the findings of a severity that do not hold.
func Failed(list []Finding, s Severity) []Finding {
	var failed []Finding
	for _, f := range list {
		if !f.Holds && f.Severity == s {
			failed = append(failed, f)
		}
	}
	return failed
}

// Worst returns the worst severity of what does not hold, "" where all does.
func Worst(list []Finding) (worst Severity) {
	for _, f := range list {
		if !f.Holds && f.Severity.Worse(worst) {
			worst = f.Severity
		}
	}
	return worst
}

// ByLine brings findings into the order of the file they are about; those of
// one line keep theirs.
func ByLine(list []Finding) {
	slices.SortStableFunc(list, func(a, b Finding) int { return cmp.Compare(a.Where.Line, b.Where.Line) })
}

// SharedRemedy yields neighbours with the same remedy together, so that it is
// said once.
func SharedRemedy(list []Finding) iter.Seq[[]Finding] {
	return func(yield func([]Finding) bool) {
		for len(list) > 0 {
			n := 1
			for n < len(list) && slices.Equal(list[n].Remedy, list[0].Remedy) {
				n++
			}
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}
