package diagnosis

import (
	"fmt"
	"strings"
	"sync"
)

// belongs are lists of names by what they belong to.
type belongs struct {
	lists  map[string]string
	once   sync.Once
	byName map[string]string
}

// all is what each name belongs to, by the name in lower case.
func (b *belongs) all() map[string]string {
	b.once.Do(func() {
		b.byName = map[string]string{}
		for owner, names := range b.lists {
			for name := range strings.FieldsSeq(names) {
				b.byName[strings.ToLower(name)] = owner
			}
		}
	})
	return b.byName
}

// spelled are the names of settings as Microsoft writes them, by the name in
// lower case.
var spelled = sync.OnceValue(func() map[string]string {
	all := map[string]string{}
	for _, lists := range []map[string]string{homes.lists, parents.lists} {
		for _, names := range lists {
			for name := range strings.FieldsSeq(names) {
				all[strings.ToLower(name)] = name
			}
		}
	}
	return all
})

// settingNames turns the path of a setting into the name that a person knows,
// and says where it belongs: {setting}, {move} and {limit}.
func settingNames(groups map[string]string) map[string]string {
	path := strings.Trim(strings.TrimPrefix(groups["setting"], "/settings"), "/")
	component := groups["component"]
	names := strings.Split(path, "/")
	groups["setting"] = path
	if path == "" {
		groups["setting"] = "/settings"
	}
	groups["move"] = move(component, path, names)
	groups["limit"] = ""
	if n := longest[strings.ToLower(names[len(names)-1])]; n > 0 {
		groups["limit"] = fmt.Sprintf(" (at most %d characters)", n)
	}
	if strings.Contains(groups["code"], ": ") {
		delete(groups, "why") // the code says it in plain words
	}
	return groups
}

// move says where a setting belongs that its component does not have.
func move(component, path string, names []string) string {
	first, last := names[0], names[len(names)-1]
	home, parent := homes.all()[strings.ToLower(first)], parents.all()[strings.ToLower(first)]
	switch {
	case home != "" && !strings.EqualFold(home, component):
		return fmt.Sprintf("Move %s to %s.", first, home)
	case home == "" && parent != "":
		return fmt.Sprintf("Move %s below %s of %s.", first, parent, homes.all()[strings.ToLower(parent)])
	}
	if len(names) > 1 {
		above := names[len(names)-2]
		home, parent = homes.all()[strings.ToLower(last)], parents.all()[strings.ToLower(last)]
		switch {
		case home != "":
			return fmt.Sprintf("Move %s out of %s, directly below the component %s.", last, above, home)
		case parent != "" && !strings.EqualFold(parent, above):
			return fmt.Sprintf("Move %s out of %s to below %s of %s.", last, above, parent, homes.all()[strings.ToLower(parent)])
		}
	}
	if right := meant(last); right != "" {
		return fmt.Sprintf("Write %s instead of %s, if that is meant; otherwise remove it from %s.", right, last, component)
	}
	return fmt.Sprintf("Remove %s from %s, or move it to the component that has it: Microsoft's reference lists the settings of each, and in which passes.", path, component)
}

// meant is the setting whose name is nearly the given one, by at most two
// letters; empty without one, or for a name that is known.
func meant(name string) string {
	low := strings.ToLower(name)
	if spelled()[low] != "" || len(low) < 5 {
		return ""
	}
	best, at := "", 3
	for other, right := range spelled() {
		if d := distance(low, other, 2); d < at || d == at && right < best {
			best, at = right, d
		}
	}
	return best
}

// distance is how many letters differ between two texts (Levenshtein), more than
// most where it is more than that.
func distance(a, b string, most int) int {
	if len(a)-len(b) > most || len(b)-len(a) > most {
		return most + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := before
			if a[i-1] != b[j-1] {
				change++
			}
			before = row[j]
			row[j] = min(change, before+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
