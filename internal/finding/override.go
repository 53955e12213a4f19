package finding

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Overrides are the severities that a user chose, by the id of the finding.
type Overrides map[string]Severity

// ParseOverrides reads the option of that name, whose values are words, for
// findings of a kind ("assertion") with the given ids. Each error begins with
// the option; ids that do not exist are reported in one. Values that are not
// known yet are the caller's to take out.
func ParseOverrides(option, kind string, words map[string]string, ids []string) (o Overrides, errs []error) {
	o = Overrides{}
	var strange []string
	for _, id := range slices.Sorted(maps.Keys(words)) {
		switch severity := Severity(words[id]); {
		case !slices.Contains(ids, id):
			strange = append(strange, id)
		case !slices.Contains(Severities(), severity):
			errs = append(errs, fmt.Errorf("%s: %s = %q is not one of fail, warn, info, off", option, id, words[id]))
		default:
			o[id] = severity
		}
	}
	if strange != nil {
		errs = append(errs, fmt.Errorf("%s: no %s is called %s; use one of %s", option, kind, strings.Join(strange, " or "), strings.Join(ids, ", ")))
	}
	return o, errs
}

// Apply returns the findings with the severities that were chosen, without
// those that are off.
func (o Overrides) Apply(list []Finding) []Finding {
	out := make([]Finding, 0, len(list))
	for _, f := range list {
		if s, chosen := o[f.ID]; chosen {
			f.Severity = s
		}
		if f.Severity != Off {
			out = append(out, f)
		}
	}
	return out
}
