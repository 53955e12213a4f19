package option

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/agext/levenshtein"
)

// problems are what the decoder of Packer's SDK says, a line each, and what is said
// instead. Of a value that has another type than a text its name is enough: a list or a
// block may hold a password.
var problems = sync.OnceValue(func() []problem {
	const name, cause = `^error decoding '([^']+)': `, `: `
	return []problem{
		{regexp.MustCompile(name + `time: missing unit in duration "(.*)"$`), func(m []string, _ []string) string {
			return fmt.Sprintf("%s%s%q has no unit; write %s", m[1], cause, m[2], units(m[2]))
		}},
		{regexp.MustCompile(name + `time: .*duration "(.*)"$`), func(m []string, _ []string) string {
			return fmt.Sprintf("%s%s%q is not a duration; write a number with its unit, such as \"90s\", \"10m\" or \"1h30m\"", m[1], cause, m[2])
		}},
		{regexp.MustCompile(name + `Error parsing bool from given var: strconv\.ParseBool: parsing "(.*)": invalid syntax$`), func(m []string, _ []string) string {
			return fmt.Sprintf("%s%s%q is neither true nor false; write one of them", m[1], cause, m[2])
		}},
		{regexp.MustCompile(`^cannot parse '([^']+)' as u?int: .* parsing "(.*)": `), func(m []string, _ []string) string {
			return fmt.Sprintf("%s%s%q is not a whole number; write digits only", m[1], cause, m[2])
		}},
		{regexp.MustCompile(`^'([^']+)' expected (?:type '([^']+)', got unconvertible type '([^']+)'|a (map), got '([^']+)')`), func(m []string, _ []string) string {
			return fmt.Sprintf("%s%sit is %s, and has to be %s", m[1], cause, kind(m[3]+m[5]), kind(m[2]+m[4]))
		}},
		{regexp.MustCompile(`^unknown configuration key: '"?([^'"]+)"?'$`), func(m []string, names []string) string {
			if near := Nearest(m[1], names); near != "" {
				return fmt.Sprintf("%s%sthere is no such option; did you mean %s?", m[1], cause, near)
			}
			return m[1] + ": there is no such option here; see the list of options in the documentation"
		}},
	}
})

type problem struct {
	is    *regexp.Regexp
	words func(m, names []string) string
}

var (
	heading = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\d+ errors?(\(s\))? (decoding|occurred):$`) })
	digits  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\d+$`) })
)

// Decoding is an error of the decoder of Packer's SDK in words that name the option, what is
// wrong and what to write. Names are the options that there are. What it does not know
// stays as it is; nil stays nil.
func Decoding(err error, names []string) error {
	if err == nil {
		return nil
	}
	var all []string
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "* ")
		if line == "" || heading().MatchString(line) {
			continue
		}
		said := ""
		for _, p := range problems() {
			if m := p.is.FindStringSubmatch(line); m != nil {
				said = p.words(m, names)
				break
			}
		}
		if said == "" {
			return err
		}
		all = append(all, said)
	}
	if len(all) == 0 {
		return err
	}
	slices.Sort(all)
	return errors.New(strings.Join(slices.Compact(all), "\n"))
}

// units is how a number without a unit may have been meant.
func units(number string) string {
	if digits().MatchString(number) {
		return fmt.Sprintf("%q, %q or %q", number+"s", number+"m", number+"h")
	}
	return `one, as in "90s" or "10m"`
}

// kind is a type of Go in the words of HCL and JSON.
func kind(name string) string {
	switch {
	case strings.HasPrefix(name, "["):
		return "a list"
	case strings.HasPrefix(name, "map"):
		return "a block"
	case name == "string":
		return "a text"
	case name == "bool" || strings.HasSuffix(name, "Trilean"):
		return "true or false"
	case strings.HasPrefix(name, "int"), strings.HasPrefix(name, "float"), name == "json.Number":
		return "a number"
	}
	return "of type " + name
}

// Nearest is the one of some names that was probably meant by a word, empty where none is like it.
func Nearest(word string, names []string) (near string) {
	best := 1 + max(2, len(word)/4) // more is another word
	for _, name := range slices.Sorted(slices.Values(names)) {
		if d := levenshtein.Distance(word, name, nil); d < best {
			near, best = name, d
		}
	}
	return near
}
