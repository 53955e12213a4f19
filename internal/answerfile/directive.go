package answerfile

import (
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// directive turns rules off in a part of a file:
//
//	<!-- sysprep-lint off: secret, oobe-region -->
//
// for the element that follows the comment, and for the whole file where the
// comment stands before <unattend>.
type directive struct {
	ids []string
	// from and to are lines; to is 0 for the whole file.
	from, to int
	// at is the line of the comment.
	at int
}

var directiveText = lazyregexp.New(`(?s)^\s*sysprep-lint\b\s*(off\s*:)?\s*(.*?)\s*$`)

// directive reports whether a comment is one.
func (c comment) directive() bool {
	return strings.Contains(c.text, "sysprep-lint") && directiveText.MatchString(c.text)
}

// directives are those of the comments. One without a rule that exists is kept
// too, for the rule that reports it.
func (f *File) directives() (list []directive) {
	for _, c := range f.comments {
		if !c.directive() {
			continue
		}
		parts := directiveText.FindStringSubmatch(strings.Join(strings.Fields(c.text), " "))
		d := directive{at: c.line}
		if parts[1] != "" {
			d.ids = strings.FieldsFunc(parts[2], func(r rune) bool { return r == ',' || r == ' ' })
		}
		switch {
		case c.next == nil: // nothing follows it
			d.from, d.to = -1, -1
		case c.in != nil:
			d.from, d.to = c.next.Line, c.next.last
		}
		list = append(list, d)
	}
	return list
}

// turnedOff reports whether a directive turns a finding off.
func (l *linter) turnedOff(f finding.Finding) bool {
	return f.ID != ruleDirective && slices.ContainsFunc(l.off, func(d directive) bool {
		return slices.Contains(d.ids, f.ID) && (d.to == 0 || d.from <= f.Where.Line && f.Where.Line <= d.to)
	})
}

const ruleDirective = "directive"

func lintDirective(l *linter) {
	ids := RuleIDs()
	for _, d := range l.off {
		report := func(problem, fix string) {
			l.add(remark(l.rule.ID, l.rule.Severity, d.at, problem, fix))
		}
		switch {
		case len(d.ids) == 0:
			report("a directive that names no rule to turn off", "write <!-- sysprep-lint off: ID, ID -->")
		case d.to < 0:
			report("a directive with no element after it turns nothing off", "put it before the element it is for")
		}
		for _, id := range d.ids {
			if !slices.Contains(ids, id) {
				report("a directive names a rule that does not exist", "use the ids at the ends of the findings")
			}
		}
	}
}
