package finding

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func ids(list []Finding) (ids []string) {
	for _, f := range list {
		ids = append(ids, f.ID)
	}
	return ids
}

var found = []Finding{
	{ID: "a", Severity: Info},
	{ID: "b", Severity: Fail, Holds: true},
	{ID: "c", Severity: Warn},
	{ID: "d", Severity: Warn},
}

func TestWhatHoldsCountsAgainstNothing(t *testing.T) {
	if got := ids(Failed(found, Warn)); !slices.Equal(got, []string{"c", "d"}) {
		t.Errorf("warnings: %q", got)
	}
	if Failed(found, Fail) != nil || Worst(found) != Warn || !(Report{Findings: found}).Holds() {
		t.Errorf("worst %q", Worst(found))
	}
	failed := append(slices.Clone(found), Finding{ID: "e", Severity: Fail})
	if Worst(failed) != Fail || (Report{Findings: failed}).Holds() {
		t.Errorf("worst %q", Worst(failed))
	}
	if Worst(found[1:2]) != "" || Worst(nil) != "" {
		t.Error("nothing fails, and there is a worst")
	}
	if (Report{Error: "not read"}).Holds() {
		t.Error("what was not judged holds")
	}
}

func TestSeveritiesAreOrdered(t *testing.T) {
	order := append(Severities(), "")
	for i, worse := range order {
		for j, other := range order {
			if worse.Worse(other) != (i < j) {
				t.Errorf("%q worse than %q: %v", worse, other, i >= j)
			}
		}
	}
}

func TestOverridesReplaceSeveritiesAndLeaveOut(t *testing.T) {
	o, errs := ParseOverrides("verify.severities", "assertion", map[string]string{"a": "fail", "c": "off"}, ids(found))
	if errs != nil {
		t.Fatal(errs)
	}
	got := o.Apply(found)
	if !slices.Equal(ids(got), []string{"a", "b", "d"}) || got[0].Severity != Fail || found[0].Severity != Info {
		t.Errorf("got %+v", got)
	}
}

func TestOverridesNameEveryMistakeOnce(t *testing.T) {
	o, errs := ParseOverrides("severities", "rule", map[string]string{"x": "fail", "y": "nonsense", "a": "error", "c": "info"}, ids(found))
	text := errors.Join(errs...).Error()
	if len(errs) != 2 || strings.Count(text, "severities: ") != 2 || !strings.Contains(text, `a = "error" is not one of fail, warn, info, off`) || !strings.Contains(text, "no rule is called x or y; use one of a, b, c, d") {
		t.Errorf("got %q", text)
	}
	if len(o) != 1 || o["c"] != Info {
		t.Errorf("got %v", o)
	}
}

func TestNeighboursShareTheirRemedy(t *testing.T) {
	again, other := []string{"run it again"}, []string{"look", "then run it again"}
	list := []Finding{{ID: "a", Remedy: again}, {ID: "b", Remedy: again}, {ID: "c", Remedy: other}, {ID: "d", Remedy: again}}
	var groups []string
	for group := range SharedRemedy(list) {
		groups = append(groups, strings.Join(ids(group), "+"))
	}
	if !slices.Equal(groups, []string{"a+b", "c", "d"}) {
		t.Errorf("got %q", groups)
	}
	for range SharedRemedy(list) {
		break
	}
}

func TestOrderOfLinesIsStable(t *testing.T) {
	list := []Finding{{ID: "a", Where: Place{Line: 7}}, {ID: "b"}, {ID: "c", Where: Place{Line: 2}}, {ID: "d", Where: Place{Line: 7}}}
	ByLine(list)
	if got := ids(list); !slices.Equal(got, []string{"b", "c", "a", "d"}) {
		t.Errorf("got %q", got)
	}
}
