package windows

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// ledger is the file with the beliefs themselves.
const ledger = "beliefs.go"

var citation = regexp.MustCompile(`\[([a-z0-9-]+)\]`)

// cited are the ids in the comments of a file: which beliefs it rests on, and
// what in it rests on none.
func cited(fset *token.FileSet, file *ast.File) (ids, without []string) {
	comments := map[int]string{} // by line
	for _, group := range file.Comments {
		for _, c := range group.List {
			comments[fset.Position(c.Pos()).Line] += c.Text
		}
	}
	check := func(what string, doc *ast.CommentGroup, from, to token.Pos) {
		text := doc.Text()
		for line := fset.Position(from).Line; line <= fset.Position(to).Line; line++ {
			text += comments[line]
		}
		found := citation.FindAllStringSubmatch(text, -1)
		if found == nil {
			without = append(without, what)
		}
		for _, m := range found {
			ids = append(ids, m[1])
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil && d.Name.IsExported() {
				check("func "+d.Name.Name, d.Doc, d.Pos(), d.Pos())
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok {
					continue
				}
				for i, name := range v.Names {
					if i < len(v.Values) {
						if table, ok := v.Values[i].(*ast.CompositeLit); ok && table.Elts != nil {
							for j, row := range table.Elts {
								check(fmt.Sprintf("row %d of %s", j+1, name.Name), nil, row.Pos(), row.End())
							}
							continue
						}
					}
					check(name.Name, v.Doc, v.Pos(), v.End())
				}
			}
		}
	}
	return ids, without
}

func room(t *testing.T) (*token.FileSet, map[string]*ast.File) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	fset, files := token.NewFileSet(), map[string]*ast.File{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		if files[e.Name()], err = parser.ParseFile(fset, e.Name(), nil, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
	}
	return fset, files
}

func TestEveryFactRestsOnABeliefAndEveryBeliefIsUsed(t *testing.T) {
	fset, files := room(t)
	used := map[string]bool{}
	for name, file := range files {
		if name == ledger {
			continue
		}
		ids, without := cited(fset, file)
		for _, what := range without {
			t.Errorf("%s: %s names no belief: add the [id] of one in %s to its comment", name, what, ledger)
		}
		for _, id := range ids {
			used[id] = true
			if !slices.ContainsFunc(Beliefs, func(b Belief) bool { return b.ID == id }) {
				t.Errorf("%s names the belief [%s], which is not in %s", name, id, ledger)
			}
		}
	}
	for _, b := range Beliefs {
		if !used[b.ID] {
			t.Errorf("nothing rests on the belief %s", b.ID)
		}
	}
}

func TestEveryBeliefCanBeLookedUp(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range Beliefs {
		if seen[b.ID] || !regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`).MatchString(b.ID) {
			t.Errorf("id %q is not one, or there are two of it", b.ID)
		}
		seen[b.ID] = true
		if len(b.Statement) < 20 || !slices.Contains(Standings, b.Standing) {
			t.Errorf("%s: %+v", b.ID, b)
		}
		address := strings.Contains(b.Source, "https://")
		switch {
		case b.Standing == Unproven:
		case !address && (b.Standing != Reported || !strings.Contains(b.Source, unrecorded)):
			t.Errorf("%s is %s, but its source %q is no address", b.ID, b.Standing, b.Source)
		}
	}
}

// What the check above does not see it cannot demand.
func TestAFactWithoutABeliefIsFound(t *testing.T) {
	for source, want := range map[string][]string{
		"const A = 1 // [x-1]": {},
		"const A = 1":          {"A"},
		"// [x] is for the group only.\nconst (\n\tA = 1\n)":   {"A"},
		"const (\n\t// A is it. [x]\n\tA = 1\n\tb = 2\n)":      {"b"},
		"var T = []int{\n\t1, // [x]\n\t2,\n}":                 {"row 2 of T"},
		"var T = map[string]int{\n\t\"a\": 1, // why\n}":       {"row 1 of T"},
		"// F does. [x]\nfunc F() {}\nfunc G() {}\nfunc h(){}": {"func G"},
	} {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, "x.go", "package x\n"+source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if _, without := cited(fset, file); !slices.Equal(without, want) && len(without)+len(want) > 0 {
			t.Errorf("%s: %q, want %q", source, without, want)
		}
	}
}

func TestTheRoomIsALeaf(t *testing.T) {
	_, files := room(t)
	for name, file := range files {
		for _, i := range file.Imports {
			if strings.Contains(i.Path.Value, ".") {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
	}
}
