package adopt

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// references is how many variables may stand behind each other.
const references = 5

var user = lazily("\\{\\{\\s*user\\s+[`'\"]([\\w.-]+)[`'\"]\\s*\\}\\}")

// meaning is an option, or where it is nothing but a variable or a local of the file, the
// value of that.
func (w *work) meaning(a attr) attr {
	for range references {
		if len(a.elems) != 1 {
			return a
		}
		text := a.elems[0].text
		if w.json {
			text = user().ReplaceAllString(text, "{{user `$1`}}")
		}
		value, ok := w.values[text]
		if !ok {
			return a
		}
		a = value
	}
	return a
}

// spelled is a text with the variables and locals of the file put in, as far as each is
// one text.
func (w *work) spelled(text string) string {
	if w.json {
		text = user().ReplaceAllString(text, "{{user `$1`}}")
	}
	for range references {
		before := text
		for name, value := range w.values {
			if len(value.elems) == 1 && !value.list && strings.Contains(text, name) {
				text = strings.ReplaceAll(text, name, value.elems[0].text)
			}
		}
		if text == before || len(text) > MaxSize {
			break
		}
	}
	return text
}

// value is one that another file gives.
type value struct {
	attr
	file string
}

// elsewhere are the values in other files of a folder, by the text that stands for each. A
// file that cannot be read as HCL has none.
func elsewhere(files map[string][]byte) map[string][]value {
	all := map[string][]value{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		file, diags := hclsyntax.ParseConfig(files[name], name, hcl.InitialPos)
		if diags.HasErrors() {
			continue
		}
		body, ok := file.Body.(*hclsyntax.Body)
		if !ok {
			continue
		}
		r := &hclReader{files[name], &template{values: map[string]attr{}}}
		for _, b := range body.Blocks {
			r.values(b)
		}
		for variable, a := range body.Attributes { // a variable file
			r.value("var."+variable, a)
		}
		for name2, a := range r.t.values {
			all[name2] = append(all[name2], value{a, name})
		}
	}
	return all
}

// given are the values that the folder may give an option: its own, and where it is a variable or a
// local, those of the other files.
func (w *work) given(a attr) []value {
	own := w.meaning(a)
	all := []value{{own, w.name}}
	if len(own.elems) == 1 {
		all = append(all, w.elsewhere[own.elems[0].text]...)
	}
	if len(a.elems) == 1 && a.span != own.span { // a variable file may overrule a default
		all = append(all, w.elsewhere[a.elems[0].text]...)
	}
	return all
}
