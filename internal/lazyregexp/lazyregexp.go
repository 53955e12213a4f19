// Package lazyregexp compiles a regular expression when it is used first. Packer starts the
// plugin several times for each command of its own, and most starts use none of them.
package lazyregexp

import (
	"os"
	"regexp"
	"strings"
	"sync"
)

// Regexp is a regular expression as package regexp has it. It may be used by several
// goroutines at once.
type Regexp struct {
	text     string
	once     sync.Once
	compiled *regexp.Regexp
}

// inTest: New compiles at once, so that the tests of a package tell of a mistake in any of
// its expressions.
var inTest = strings.HasSuffix(strings.TrimSuffix(os.Args[0], ".exe"), ".test")

// New makes a Regexp of an expression that is part of the program: one that cannot be
// compiled panics, at the latest when it is used.
func New(text string) *Regexp {
	r := &Regexp{text: text}
	if inTest {
		r.Compiled()
	}
	return r
}

// Compiled returns the expression of package regexp, for what is not a method here.
func (r *Regexp) Compiled() *regexp.Regexp {
	r.once.Do(func() { r.compiled = regexp.MustCompile(r.text) })
	return r.compiled
}

// String returns the text of the expression.
func (r *Regexp) String() string { return r.text }

// FindAllString is the method of package regexp.
func (r *Regexp) FindAllString(s string, n int) []string { return r.Compiled().FindAllString(s, n) }

// FindAllStringIndex is the method of package regexp.
func (r *Regexp) FindAllStringIndex(s string, n int) [][]int {
	return r.Compiled().FindAllStringIndex(s, n)
}

// FindAllStringSubmatch is the method of package regexp.
func (r *Regexp) FindAllStringSubmatch(s string, n int) [][]string {
	return r.Compiled().FindAllStringSubmatch(s, n)
}

// FindAllStringSubmatchIndex is the method of package regexp.
func (r *Regexp) FindAllStringSubmatchIndex(s string, n int) [][]int {
	return r.Compiled().FindAllStringSubmatchIndex(s, n)
}

// FindString is the method of package regexp.
func (r *Regexp) FindString(s string) string { return r.Compiled().FindString(s) }

// FindStringIndex is the method of package regexp.
func (r *Regexp) FindStringIndex(s string) []int { return r.Compiled().FindStringIndex(s) }

// FindStringSubmatch is the method of package regexp.
func (r *Regexp) FindStringSubmatch(s string) []string { return r.Compiled().FindStringSubmatch(s) }

// FindStringSubmatchIndex is the method of package regexp.
func (r *Regexp) FindStringSubmatchIndex(s string) []int {
	return r.Compiled().FindStringSubmatchIndex(s)
}

// FindSubmatch is the method of package regexp.
func (r *Regexp) FindSubmatch(b []byte) [][]byte { return r.Compiled().FindSubmatch(b) }

// Match is the method of package regexp.
func (r *Regexp) Match(b []byte) bool { return r.Compiled().Match(b) }

// MatchString is the method of package regexp.
func (r *Regexp) MatchString(s string) bool { return r.Compiled().MatchString(s) }

// ReplaceAllString is the method of package regexp.
func (r *Regexp) ReplaceAllString(s, replacement string) string {
	return r.Compiled().ReplaceAllString(s, replacement)
}

// ReplaceAllStringFunc is the method of package regexp.
func (r *Regexp) ReplaceAllStringFunc(s string, replacement func(string) string) string {
	return r.Compiled().ReplaceAllStringFunc(s, replacement)
}
