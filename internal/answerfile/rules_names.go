package answerfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// refused is what Windows Setup does with a name that it does not know there.
const refused = "Windows Setup refuses the whole file for it (0x80220001)"

func lintComponentUnknown(l *linter) {
	l.eachComponent(func(p Pass, c Component) {
		if c.Name() == "" || placeholder(c.Name()) || known().component(c.Name()) != nil {
			return
		}
		if near := l.nearest(c.Name(), componentNames); near != "" {
			l.component(finding.Warn, p, c, "unknown component; there is one of a name that is nearly the same", "write "+near)
			return
		}
		l.component(l.rule.Severity, p, c, "the settings of this component are not checked", "")
	})
}

// lintSettingUnknown looks at names that the reference does not hold in the
// known component or container around, and says what could be meant.
func lintSettingUnknown(l *linter) {
	for _, n := range l.nodes {
		if n.def != nil || n.around == nil || n.elsewhere() != "" {
			continue
		}
		if n.around.path != "" && !n.around.container() {
			if !n.around.text {
				continue // what is in it is not known
			}
			l.as(finding.Warn, n, fmt.Sprintf("an element inside of %s, which holds a text", n.around.name()), "write the text without elements around it")
			continue
		}
		if near := l.nearest(n.el.Name.Local, func() []string { return slices.Sorted(maps.Keys(n.around.children)) }); near != "" {
			path := near
			if n.around.path != "" {
				path = n.around.path + `\` + near
			}
			l.at(n, "unknown setting; there is one of a name that is nearly the same", "write "+path)
			continue
		}
		l.at(n, "unknown setting: Microsoft's reference does not hold it, and Windows Setup refuses the whole file if Windows does not know it either (0x80220001)",
			"check the name in the reference of your Windows")
	}
}

// lintSettingMisplaced looks at names that the reference holds elsewhere.
func lintSettingMisplaced(l *linter) {
	for _, n := range l.nodes {
		if n.def != nil || n.around == nil {
			continue
		}
		if place := n.elsewhere(); place != "" {
			around := n.comp.Name()
			if n.around.path != "" {
				around += ` \ ` + n.around.path
			}
			l.at(n, fmt.Sprintf("%s is not a setting of %s in %s; %s", quotable(n.el.Name.Local), quotable(around), quotable(n.pass.Name()), refused), place)
		}
	}
}

// common are names of so many settings that one of them elsewhere says nothing.
var common = []string{"Key", "Value", "Name", "Order", "Description", "Domain", "Password", "Username", "Identifier", "Icon", "ID", "Size",
	"Credentials", "Type", "Mode", "Link", "Title", "Label", "Profile", "Group", "Active", "Action", "Shell", "Start", "Port", "Role", "Hide"}

// elsewhere says where a setting belongs that the reference does not hold where
// it stands: "" where it holds it nowhere else, or where that says nothing.
func (n node) elsewhere() string {
	if n.around == nil || n.def != nil || !n.around.container() {
		return ""
	}
	name := n.el.Name.Local
	if n.around.list && (name == "Path" || name == "CommandLine") {
		for _, twin := range []string{"Path", "CommandLine"} {
			if n.around.child(twin) != nil {
				return fmt.Sprintf("write <%s>: that is what the command line is called in %s", twin, n.around.name())
			}
		}
	}
	var best *setting
	rank := -1
	for _, s := range known().named[name] {
		same := strings.EqualFold(s.component, n.comp.Name())
		outer := !strings.Contains(s.path, `\`)
		if !same && (!outer && !s.container() || slices.Contains(common, name)) || same && slices.Contains(common, name) && n.around.path != "" {
			continue
		}
		r := 0
		if slices.Contains(s.passes, n.pass.Name()) {
			r += 4
		}
		if same {
			r += 2
		}
		if outer {
			r++
		}
		if r > rank {
			best, rank = s, r
		}
	}
	if best == nil {
		return ""
	}
	place := ""
	if i := strings.LastIndexByte(best.path, '\\'); i >= 0 {
		place = best.path[:i]
	}
	switch same := strings.EqualFold(best.component, n.comp.Name()); {
	case same && place == "":
		return "put it directly into the component"
	case same:
		return "it belongs below " + place + ": move it there"
	case place == "":
		return "it belongs to " + best.component + ": move it there"
	}
	return "it belongs to " + best.component + ", below " + place + ": move it there"
}

// maxGuesses bounds how many unknown names of a file are compared with others.
const maxGuesses = 200

// componentNames are those of the reference.
var componentNames = sync.OnceValue(func() []string {
	var names []string
	for _, s := range known().components {
		names = append(names, s.component)
	}
	slices.Sort(names)
	return names
})

// nearest returns the name that differs from an unknown one only in case or in
// a letter or two, "" for none. The names are asked for only where they are
// compared.
func (l *linter) nearest(name string, names func() []string) string {
	if l.guesses++; l.guesses > maxGuesses || len(name) > 64 {
		return ""
	}
	lower, best, least := strings.ToLower(name), "", min(3, len(name)/3+1)
	for _, candidate := range names() {
		other := strings.ToLower(candidate)
		if len(other) > len(lower)+2 || len(lower) > len(other)+2 {
			continue
		}
		if d := distance(lower, other); d < least {
			best, least = candidate, d
		}
	}
	return best
}

// distance counts the letters to put in, take out or change between two names
// (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

func lintSettingPass(l *linter) {
nodes:
	for _, n := range l.nodes {
		if n.def == nil || slices.Contains(n.def.passes, n.pass.Name()) || !slices.Contains(passNames, n.pass.Name()) {
			continue
		}
		// One finding for the outermost setting is enough.
		if n.around.path != "" && !slices.Contains(n.around.passes, n.pass.Name()) {
			continue
		}
		// Published files have a setting in both and work.
		for _, pass := range n.def.passes {
			if l.file.Find(pass, n.comp.Name(), strings.Split(n.path, `\`)...) != nil {
				l.as(finding.Warn, n, "the setting is not valid in pass "+n.pass.Name()+"; it stands in pass "+pass+" too, where it has its effect", "remove it here")
				continue nodes
			}
		}
		l.at(n, "the setting is not valid in pass "+n.pass.Name()+"; "+refused, "move it to pass "+strings.Join(runPasses(n.def.passes), " or "))
	}
}

// runPasses leaves out the passes that sysprep never runs, unless there are no
// others.
func runPasses(passes []string) []string {
	run := slices.DeleteFunc(slices.Clone(passes), func(p string) bool { return p == WindowsPE || p == OfflineServicing })
	if len(run) == 0 {
		return passes
	}
	return run
}
