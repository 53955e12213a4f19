package answerfile

import (
	"slices"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// ruleMerge is the id of what Merge says.
const ruleMerge = "merge"

// units that belong together: the overlay's replaces the base's as a whole, or
// the result could pair the user of one with the password of the other.
var atomic = []string{"AutoLogon", "AdministratorPassword", "Credentials", "Generalize", "Reseal"}

// Merge lays overlay on base and returns a new file; neither is changed. The
// findings say what it decided, with the line in the base, and hold no value.
// Settings of the overlay replace those of the base. Its commands are appended
// and renumbered to run after the base's, its accounts replace accounts of the
// same name. A component is the same when name and architecture are. Only
// passes are merged: what else stands in overlay, such as <servicing>, is not.
func Merge(base, overlay *File) (*File, []finding.Finding) {
	m := &merger{file: &File{Root: base.Root.clone(), comments: base.comments}}
	for _, p := range overlay.Passes() {
		for _, c := range p.Components() {
			m.pass, m.component = p.Name(), c.Name()
			m.children(m.target(p, c), c.Element, "")
		}
	}
	return m.file, m.notes
}

type merger struct {
	file            *File
	notes           []finding.Finding
	pass, component string
}

func (m *merger) note(e *Element, setting, message string) {
	m.notes = append(m.notes, remark(ruleMerge, finding.Warn, e.Line, message, "", quotable(m.pass), quotable(m.component), quotable(setting)))
}

// target returns the component of the result that c belongs to, made when the
// base has none.
func (m *merger) target(p Pass, c Component) *Element {
	var home *Element
	for _, bp := range m.file.Passes() {
		if bp.Name() != p.Name() {
			continue
		}
		if home == nil {
			home = bp.Element
		}
		for _, bc := range bp.Components() {
			if strings.EqualFold(bc.Name(), c.Name()) && strings.EqualFold(bc.Architecture(), c.Architecture()) {
				return bc.Element
			}
		}
	}
	if home == nil {
		home = &Element{Name: p.Element.Name, Attrs: slices.Clone(p.Attrs)}
		m.insertPass(home)
	}
	made := &Element{Name: c.Element.Name, Attrs: slices.Clone(c.Attrs)}
	home.Children = append(home.Children, made)
	return made
}

// insertPass puts a new pass where Windows would run it.
func (m *merger) insertPass(pass *Element) {
	rank := func(e *Element) int {
		if !e.Is("settings") {
			return -1
		}
		return slices.Index(passNames, e.Attr("pass"))
	}
	at := 0
	for i, e := range m.file.Root.Children {
		if e.Is("settings") && rank(e) <= rank(pass) {
			at = i + 1
		}
	}
	m.file.Root.Children = slices.Insert(m.file.Root.Children, at, pass)
}

func (m *merger) children(base, overlay *Element, path string) {
	for _, o := range overlay.Children {
		at := path + o.Name.Local
		if o.attr(wcmNamespace, "action") != "" {
			m.item(base, o, at)
			continue
		}
		i := slices.IndexFunc(base.Children, func(b *Element) bool { return b.Name == o.Name })
		switch {
		case i < 0:
			base.Children = append(base.Children, o.clone())
		case len(o.Children) == 0 || len(base.Children[i].Children) == 0 || slices.Contains(atomic, o.Name.Local):
			if !same(base.Children[i], o) {
				m.note(base.Children[i], at, "replaced")
			}
			replace(base, i, o)
		default:
			m.children(base.Children[i], o, at+`\`)
		}
	}
}

func replace(base *Element, i int, o *Element) {
	fresh := o.clone()
	fresh.Tail = base.Children[i].Tail
	base.Children[i] = fresh
}

// item adds an item of a list.
func (m *merger) item(base, o *Element, at string) {
	if key := itemKey(o); key != "" {
		for i, b := range base.Children {
			if b.Name == o.Name && itemKey(b) == key {
				m.note(b, at, "the item of the same name is replaced")
				replace(base, i, o)
				return
			}
		}
	}
	fresh := o.clone()
	if order := fresh.Child("Order"); order != nil {
		last := 0
		for _, b := range base.Children {
			if n, err := strconv.Atoi(strings.TrimSpace(b.Value("Order"))); err == nil && b.Name == o.Name {
				last = max(last, n)
			}
		}
		if next := strconv.Itoa(last + 1); last > 0 && order.Text != next {
			order.Text = next
			m.note(fresh, at, "the command runs after those of the base, as Order "+next)
		}
	}
	base.Children = append(base.Children, fresh)
}

// itemKey is what tells an item of a list from others, "" where nothing does:
// the name of an account, the identifier of an interface, the key of a text.
// Windows does not tell names apart by case.
func itemKey(e *Element) string {
	for _, name := range []string{"Name", "Identifier"} {
		if child := e.Child(name); child != nil {
			return name + "\x00" + strings.ToLower(strings.TrimSpace(child.Text))
		}
	}
	if key := strings.TrimSpace(e.attr(wcmNamespace, "keyValue")); key != "" {
		return "\x00" + key
	}
	return ""
}

// same compares two elements in meaning.
func same(a, b *Element) bool {
	return a.Name == b.Name && a.Text == b.Text && slices.Equal(a.Attrs, b.Attrs) &&
		slices.EqualFunc(a.Children, b.Children, func(x, y *Element) bool { return x.Tail == y.Tail && same(x, y) })
}
