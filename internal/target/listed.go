package target

// Rule is one thing that a target asks for, for those who list them. Its severity
// is fail.
type Rule struct {
	ID, Title, Expected, Source string
	Remedy                      []string
}

// Rules lists what a target asks for, in the order in which it is judged.
func Rules(t Target) []Rule {
	var all []Rule
	for _, r := range rules[t] {
		all = append(all, Rule{ID: string(t) + "-" + r.id, Title: r.title, Expected: r.expected, Source: r.source, Remedy: r.remedy})
	}
	return all
}
