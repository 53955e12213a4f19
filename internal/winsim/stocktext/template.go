// Package stocktext recognises, whole and exactly, the PowerShell texts that
// Packer and the libraries below it send to a guest. Texts of libraries are
// obtained by running the library itself against a recorder; those of Packer's
// own provisioners, which are not linked here, are known by the digest of what
// is left when their variable parts are cut out.
package stocktext

import (
	"fmt"
	"regexp"
	"strings"
)

// template is a text with variable parts.
type template struct {
	re    *regexp.Regexp
	names []string
}

// variable is one variable part of a recorded text: what stood there when it
// was recorded, and what may stand there (a regular expression without
// groups).
type variable struct{ name, recorded, class string }

// newTemplate turns a recorded text into a template. A variable may occur
// several times and must then be the same everywhere; one that does not occur
// is an error, because the library has changed.
func newTemplate(text string, vars ...variable) (*template, error) {
	for _, v := range vars {
		if !strings.Contains(text, v.recorded) {
			return nil, fmt.Errorf("no %s in the recorded text %q", v.name, text)
		}
	}
	t := &template{}
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for text != "" {
		at, next := len(text), -1
		for i, v := range vars {
			if p := strings.Index(text, v.recorded); p >= 0 && p < at {
				at, next = p, i
			}
		}
		b.WriteString(regexp.QuoteMeta(text[:at]))
		text = text[at:]
		if next >= 0 {
			v := vars[next]
			b.WriteString("(" + v.class + ")")
			t.names = append(t.names, v.name)
			text = text[len(v.recorded):]
		}
	}
	b.WriteString(`\z`)
	var err error
	t.re, err = regexp.Compile(b.String())
	return t, err
}

// match returns the variable parts of a text, if it is this one.
func (t *template) match(text string) (map[string]string, bool) {
	m := t.re.FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	vars := map[string]string{}
	for i, name := range t.names {
		if old, twice := vars[name]; twice && old != m[i+1] {
			return nil, false
		}
		vars[name] = m[i+1]
	}
	return vars, true
}
