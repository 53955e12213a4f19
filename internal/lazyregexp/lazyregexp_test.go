package lazyregexp

import (
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
)

func TestTheMethodsAreThoseOfRegexp(t *testing.T) {
	r := New(`(\w)(\d)`)
	const text = "a1 b2"
	for name, got := range map[string]bool{
		"FindAllString":              slices.Equal(r.FindAllString(text, -1), []string{"a1", "b2"}),
		"FindAllString, one":         slices.Equal(r.FindAllString(text, 1), []string{"a1"}),
		"FindAllStringIndex":         slices.Equal(r.FindAllStringIndex(text, -1)[1], []int{3, 5}),
		"FindAllStringSubmatch":      slices.Equal(r.FindAllStringSubmatch(text, -1)[1], []string{"b2", "b", "2"}),
		"FindAllStringSubmatchIndex": slices.Equal(r.FindAllStringSubmatchIndex(text, -1)[1], []int{3, 5, 3, 4, 4, 5}),
		"FindString":                 r.FindString(text) == "a1",
		"FindStringIndex":            slices.Equal(r.FindStringIndex(text), []int{0, 2}),
		"FindStringSubmatch":         slices.Equal(r.FindStringSubmatch(text), []string{"a1", "a", "1"}),
		"FindStringSubmatchIndex":    slices.Equal(r.FindStringSubmatchIndex(text), []int{0, 2, 0, 1, 1, 2}),
		"FindSubmatch":               string(r.FindSubmatch([]byte(text))[2]) == "1",
		"Match":                      r.Match([]byte(text)) && !r.Match([]byte("a")),
		"MatchString":                r.MatchString(text) && !r.MatchString("a"),
		"ReplaceAllString":           r.ReplaceAllString(text, "$2") == "1 2",
		"ReplaceAllStringFunc":       r.ReplaceAllStringFunc(text, func(s string) string { return s[1:] }) == "1 2",
		"String":                     r.String() == `(\w)(\d)`,
		"Compiled":                   r.Compiled().NumSubexp() == 2,
	} {
		if !got {
			t.Errorf("%s is not the method of package regexp", name)
		}
	}
}

func TestSeveralGoroutinesMayBeTheFirst(t *testing.T) {
	r := &Regexp{text: "b+"}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if r.FindString("abbc") != "bb" {
				t.Error("nothing is found")
			}
		})
	}
	all.Wait()
}

// A mistake is told by the tests of the package that has it, and costs nothing in the plugin.
func TestOnlyATestCompilesAtOnce(t *testing.T) {
	if os.Getenv("LAZYREGEXP_CHILD") != "" {
		New("(")
		os.Exit(0)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no test tells of an expression with a mistake")
			}
		}()
		New("(")
	}()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), self)
	child.Args = []string{"packer-plugin-sysprep", "-test.run", "^TestOnlyATestCompilesAtOnce$"}
	child.Env = append(os.Environ(), "LAZYREGEXP_CHILD=1")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("outside of a test it was compiled at once: %v\n%s", err, out)
	}
}
