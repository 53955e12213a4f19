package house

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// longest is how many lines of code a file may have: neither blank nor comment.
const longest = 400

// room is one package of the design.
type room struct {
	name string // its path below the module, "." for the root
	// may are the rooms that its code imports, each of them; tests may import any.
	may []string
	// packer: it knows Packer's SDK or HCL.
	packer bool
	// never are rooms that not even its tests import.
	never []string
}

// outside are modules that make a room know Packer's interface or HCL.
var outside = []string{"github.com/hashicorp/packer-plugin-sdk", "github.com/hashicorp/hcl", "github.com/zclconf/go-cty"}

// source is one package as it stands in the tree, whatever its build tags.
type source struct {
	imports     map[string]bool // of its code
	testImports map[string]bool
	comment     bool
}

// check tells what is wrong in a tree, one line a fault, and nothing of the paths of
// this machine. The rooms are in an order in which arrows run downwards.
func check(tree fs.FS, module string, rooms []room) ([]string, error) {
	if faults := order(rooms); len(faults) > 0 {
		return faults, nil // nothing is judged by a table that is wrong
	}
	packages, faults, err := read(tree)
	if err != nil {
		return nil, err
	}
	known := map[string]room{}
	for _, r := range rooms {
		known[r.name] = r
		if packages[r.name] == nil {
			faults = append(faults, fmt.Sprintf("%s is not there", r.name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		p := packages[name]
		if !p.comment {
			faults = append(faults, fmt.Sprintf("%s has no package comment", name))
		}
		r, ok := known[name]
		if !ok {
			faults = append(faults, fmt.Sprintf("%s is no room", name))
			continue
		}
		faults = append(faults, arrows(r, p, module)...)
	}
	return faults, nil
}

// order checks the table itself.
func order(rooms []room) (faults []string) {
	place := map[string]int{}
	for i, r := range rooms {
		if _, twice := place[r.name]; twice {
			faults = append(faults, fmt.Sprintf("the table has %s twice", r.name))
		}
		place[r.name] = i
	}
	for i, r := range rooms {
		for _, name := range append(slices.Clone(r.may), r.never...) {
			if j, ok := place[name]; !ok {
				faults = append(faults, fmt.Sprintf("the table lets %s import %s, which it does not have", r.name, name))
			} else if j <= i && slices.Contains(r.may, name) {
				faults = append(faults, fmt.Sprintf("the table has an arrow upwards, %s -> %s", r.name, name))
			}
		}
	}
	return faults
}

// arrows checks the imports of one room.
func arrows(r room, p *source, module string) (faults []string) {
	knows := false
	for _, name := range slices.Sorted(maps.Keys(p.imports)) {
		ours, isOurs := within(module, name)
		foreign := slices.ContainsFunc(outside, func(m string) bool { return name == m || strings.HasPrefix(name, m+"/") })
		knows = knows || foreign
		switch {
		case isOurs && !slices.Contains(r.may, ours):
			faults = append(faults, fmt.Sprintf("%s -> %s", r.name, ours))
		case foreign && !r.packer:
			faults = append(faults, fmt.Sprintf("%s knows Packer: %s", r.name, name))
		}
	}
	// What nobody uses lets the next one in without a question.
	for _, may := range r.may {
		if !p.imports[path.Join(module, may)] {
			faults = append(faults, fmt.Sprintf("the table lets %s import %s, which it does not", r.name, may))
		}
	}
	if r.packer && !knows {
		faults = append(faults, fmt.Sprintf("the table lets %s know Packer, which it does not", r.name))
	}
	for _, never := range r.never {
		if name := path.Join(module, never); p.testImports[name] {
			faults = append(faults, fmt.Sprintf("%s -> %s, in a test", r.name, never))
		}
	}
	return faults
}

// within is the room of an import path of ours.
func within(module, name string) (string, bool) {
	if name == module {
		return ".", true
	}
	return strings.CutPrefix(name, module+"/")
}

// read parses every Go file of a module, and tells which ones are too long.
func read(tree fs.FS) (packages map[string]*source, long []string, err error) {
	packages = map[string]*source{}
	err = fs.WalkDir(tree, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return skip(tree, name)
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return fmt.Errorf("parsing: %w", err)
		}
		if n := lines(text); n > longest && !ast.IsGenerated(file) {
			long = append(long, fmt.Sprintf("%s is longer than %d lines of code", name, longest))
		}
		return add(packages, name, file)
	})
	return packages, long, err
}

// skip passes over what the go command passes over too, and over nested modules.
func skip(tree fs.FS, name string) error {
	if name == "." {
		return nil
	}
	base := path.Base(name)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return fs.SkipDir
	}
	switch _, err := fs.Stat(tree, path.Join(name, "go.mod")); {
	case err == nil:
		return fs.SkipDir
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

func add(packages map[string]*source, name string, file *ast.File) error {
	folder := path.Dir(name)
	p := packages[folder]
	if p == nil {
		p = &source{imports: map[string]bool{}, testImports: map[string]bool{}}
		packages[folder] = p
	}
	p.comment = p.comment || file.Doc != nil
	to := p.imports
	if strings.HasSuffix(name, "_test.go") {
		to = p.testImports
	}
	for _, i := range file.Imports {
		of, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		to[of] = true
	}
	return nil
}

// lines counts those with code on them. A text of several lines is code on each.
func lines(text []byte) int {
	set := token.NewFileSet()
	file := set.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	last, n := 0, 0
	for {
		at, kind, literal := s.Scan()
		if kind == token.EOF {
			return n
		}
		if kind == token.SEMICOLON && literal == "\n" {
			continue
		}
		first := file.Line(at)
		end := first + strings.Count(literal, "\n")
		n += max(0, end-max(first, last+1)+1)
		last = max(last, end)
	}
}
