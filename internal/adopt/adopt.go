// Package adopt finds the home-made sysprep step of a Packer template (a call of
// sysprep.exe with a loop over ImageState, a shutdown_command that calls it, an agent's own
// sysprep) and works out what the template looks like with provisioner "sysprep" instead.
// It reads HCL and JSON, changes only the text that it replaces, and says of each change
// what it means and what is left to decide. It writes nothing.
package adopt

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// MaxSize is how large a template or a script may be, in bytes.
const MaxSize = 4 << 20

// Note is one thing to know of a change, or one that is left to decide.
type Note struct {
	File string `json:"file"`
	// Line is counted from 1; 0 where it is about the whole file.
	Line int `json:"line,omitempty"`
	// Decide says that the person has to do something, and that the change is not
	// complete without it.
	Decide bool   `json:"decide"`
	Text   string `json:"text"`
}

// Result is what came of a template.
type Result struct {
	// Steps is how many home-made steps were found; Replaced is how many of them the
	// change replaces.
	Steps    int    `json:"steps"`
	Replaced int    `json:"replaced"`
	Notes    []Note `json:"notes"`
	// Diff is the change as a unified diff, empty where there is none.
	Diff string `json:"diff,omitempty"`
	// After is the text with the change; the text itself where there is none.
	After []byte `json:"-"`
}

// Reader reads a local file that a template names.
type Reader func(path string) ([]byte, error)

// Folder is what lies beside a template: Packer takes a folder as one.
type Folder struct {
	// Named is another file of it that names the plugin already, empty where none does:
	// Packer refuses the name twice.
	Named string
	// Files are the texts of its other files in HCL, templates and variable files, by
	// their names.
	Files map[string][]byte
}

// Names tells whether a text names the plugin, as required_plugins has it.
func Names(text []byte) bool { return bytes.Contains(text, []byte(`"`+ours+`"`)) }

// Template looks into the text of a template. Its format is told by the end of name: .json
// but not .pkr.json is the older JSON, all else HCL. An error says that the text is
// no template.
func Template(name string, text []byte, folder Folder, read Reader) (Result, error) {
	var (
		t   *template
		err error
	)
	switch {
	case len(text) > MaxSize:
		return Result{}, fmt.Errorf("%s is larger than %d MiB, which no template is", name, MaxSize>>20)
	case strings.HasSuffix(strings.ToLower(name), ".pkr.json"):
		return Result{}, fmt.Errorf("%s is HCL written as JSON, which is not read; give the .pkr.hcl or the older .json form", name)
	case strings.EqualFold(filepath.Ext(name), ".json"):
		t, err = readJSON(text)
	default:
		t, err = readHCL(name, text)
	}
	if err != nil {
		return Result{}, fmt.Errorf("reading the template %s: %w", name, err)
	}
	t.name, t.text, t.named, t.read = name, text, folder.Named, read
	if !t.json {
		t.elsewhere = elsewhere(folder.Files)
	}
	w := &work{template: t}
	w.run()
	slices.SortStableFunc(w.notes, func(a, b Note) int { return a.Line - b.Line })
	r := Result{Steps: w.steps, Replaced: w.replaced, Notes: together(w.notes), After: text}
	if len(w.edits) > 0 {
		r.After, r.Diff = apply(name, text, w.edits)
	}
	return r, nil
}

// together makes one note of those that say the same of several lines.
func together(notes []Note) (out []Note) {
	also := map[int][]string{} // lines, by the place in out
	for _, n := range notes {
		i := slices.IndexFunc(out, func(o Note) bool { return o.Text == n.Text && o.Decide == n.Decide })
		switch {
		case i < 0:
			out = append(out, n)
		case n.Line != out[i].Line && !slices.Contains(also[i], fmt.Sprint(n.Line)):
			also[i] = append(also[i], fmt.Sprint(n.Line))
		}
	}
	for i, lines := range also {
		out[i].Text += "; the same in line " + strings.Join(lines, ", ")
	}
	return out
}

// template is what matters of one, in either format.
type template struct {
	name  string
	text  []byte
	json  bool
	read  Reader
	named string  // the file that names the plugin, where that is another one
	steps []block // provisioners
	// builders are its sources.
	builders []block
	builds   []build
	// values are the defaults of variables, and locals, by the text that stands for them:
	// ${var.name}, ${local.name}, and in JSON {{user `name`}}.
	values map[string]attr
	// elsewhere are those of the other files of its folder.
	elsewhere map[string][]value
	// plugins is where required_plugins has room for one more, -1 where there is no such
	// block; hasPlugin says that ours is there.
	plugins   int
	hasPlugin bool
}

// build is a list of provisioners.
type build struct {
	// end is where one more provisioner can be put, and indent what stands before it.
	end    int
	indent string
	// first says that there is none yet, which matters to the commas of JSON.
	first bool
	// builders are the names of what it builds, as only takes them.
	builders []string
	// root is where the whole begins, in JSON.
	root int
}

// span is a piece of the text.
type span struct{ from, to int }

// block is a provisioner or a builder.
type block struct {
	span
	line   int
	kind   string
	name   string // of a builder, as only takes it
	indent string
	attrs  map[string]attr
}

// attr is an option of a block.
type attr struct {
	span // the value
	line int
	// elems are the texts of it, one where it is no list.
	elems []elem
	list  bool
	// computed says that it is made of more than texts.
	computed bool
}

// elem is one text. An expression in it stands there as it is written, ${...}.
type elem struct {
	span
	line int
	text string
}

func (t *template) source(s span) string { return string(t.text[s.from:s.to]) }

// line is the line of an offset, counted from 1.
func lineAt(text []byte, offset int) int { return 1 + bytes.Count(text[:offset], []byte("\n")) }

// indentAt is the white space that the line of an offset begins with.
func indentAt(text []byte, offset int) string {
	from := bytes.LastIndexByte(text[:offset], '\n') + 1
	to := from
	for to < offset && (text[to] == ' ' || text[to] == '\t') {
		to++
	}
	return string(text[from:to])
}
