package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// cutShort are the tests of a tree that do less with -race or -short, by the folders they are
// in: by their own code, or by a function beside them that they call.
func cutShort(tree fs.FS) (tests, folders []string, err error) {
	asks := map[string]bool{}             // folder and function that asks for -race or -short
	calls := map[string]map[string]bool{} // folder and test: the functions it calls
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") || name == "build" {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			key := path.Join(path.Dir(name), f.Name.Name)
			calls[key] = map[string]bool{}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if of, ok := n.X.(*ast.Ident); ok && (of.Name+"."+n.Sel.Name == "testutil.Race" || of.Name+"."+n.Sel.Name == "testing.Short") {
						asks[key] = true
					}
				case *ast.CallExpr:
					if f, ok := n.Fun.(*ast.Ident); ok {
						calls[key][f.Name] = true
					}
				}
				return true
			})
		}
		return nil
	})
	for key, called := range calls {
		folder, name := path.Split(key)
		if !strings.HasPrefix(name, "Test") {
			continue
		}
		short := asks[key]
		for function := range called {
			short = short || asks[folder+function]
		}
		if short {
			tests, folders = append(tests, name), append(folders, path.Clean(folder))
		}
	}
	slices.Sort(tests)
	slices.Sort(folders)
	return tests, slices.Compact(folders), err
}

func TestCutShort(t *testing.T) {
	tests, folders, err := cutShort(fstest.MapFS{
		"a/a_test.go": {Data: []byte("package a\nfunc TestLess(t *testing.T) { if testing.Short() {} }\nfunc TestAll(t *testing.T) { other(t) }\nfunc TestByHelper(t *testing.T) { t.Run(\"\", func(t *testing.T) { alone(t) }) }\n")},
		"a/b_test.go": {Data: []byte("package a\nfunc alone(t *testing.T) { if testutil.Race {} }\nfunc other(t *testing.T) {}\n")},
		"b/a_test.go": {Data: []byte("package b\nfunc TestElsewhere(t *testing.T) { alone(t) }\nfunc alone(t *testing.T) {}\n")},
		"b/a.go":      {Data: []byte("package b\nfunc TestNone() { testing.Short() }\n")},
	})
	if want := []string{"TestByHelper", "TestLess"}; err != nil || !slices.Equal(tests, want) || !slices.Equal(folders, []string{"a"}) {
		t.Errorf("%q in %q, %v; want %q in a", tests, folders, err, want)
	}
}

// What CI's run under the race detector leaves out is run without it.
func TestWhatIsCutShortIsRunWhole(t *testing.T) {
	tests, folders, err := cutShort(os.DirFS(testutil.Root()))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "GNUmakefile"))
	if err != nil {
		t.Fatal(err)
	}
	listed := func(name string) []string {
		m := regexp.MustCompile(`(?m)^` + name + `\s*:= ((?:.*\\\n)*.*)$`).FindStringSubmatch(string(text))
		if m == nil {
			t.Fatalf("GNUmakefile has no %s", name)
		}
		all := strings.Fields(strings.ReplaceAll(m[1], "\\\n", " "))
		slices.Sort(all)
		return all
	}
	if got := listed("UNRACED"); !slices.Equal(got, tests) {
		t.Errorf("UNRACED of GNUmakefile is %q, and the tests that do less with -race or -short are %q", got, tests)
	}
	for i := range folders {
		folders[i] = "./" + folders[i]
	}
	if got := listed("UNRACED_IN"); !slices.Equal(got, folders) {
		t.Errorf("UNRACED_IN of GNUmakefile is %q, and such tests are in %q", got, folders)
	}
}
