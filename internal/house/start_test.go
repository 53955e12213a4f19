package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// costly are calls that a package may not make for its variables, or in init, each with what
// takes its place: Packer starts the plugin several times for each of its own commands.
var costly = map[string]string{
	"regexp.MustCompile": "internal/lazyregexp", "regexp.Compile": "internal/lazyregexp", "regexp.MustCompilePOSIX": "internal/lazyregexp",
	"template.Must": "sync.OnceValue", "template.New": "sync.OnceValue",
}

// linked are the rooms that the plugin is made of.
func linked(rooms []room) []string {
	all := []string{"."}
	for i := 0; i < len(all); i++ {
		for _, r := range rooms {
			if r.name != all[i] {
				continue
			}
			for _, below := range r.may {
				if !slices.Contains(all, below) {
					all = append(all, below)
				}
			}
		}
	}
	return all
}

// atStart are the costly calls that the packages make when the program starts.
func atStart(tree fs.FS, packages []string) (faults []string, err error) {
	for _, name := range packages {
		files, err := fs.Glob(tree, path.Join(name, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := fs.ReadFile(tree, file)
			if err != nil {
				return nil, err
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
			if err != nil {
				return nil, err
			}
			for _, d := range parsed.Decls {
				if f, is := d.(*ast.FuncDecl); is && (f.Recv != nil || f.Name.Name != "init") {
					continue
				}
				for _, call := range callsOf(d) {
					if instead := costly[call]; instead != "" {
						faults = append(faults, fmt.Sprintf("%s calls %s at every start: use %s", file, call, instead))
					}
				}
			}
		}
	}
	return faults, nil
}

// callsOf are the functions of other packages that a declaration calls at once: a function
// within it is called later, unless it is called on the spot.
func callsOf(d ast.Node) (all []string) {
	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.CallExpr:
			if f, is := n.Fun.(*ast.FuncLit); is {
				all = append(all, callsOf(f.Body)...)
			}
			if s, is := n.Fun.(*ast.SelectorExpr); is {
				if x, is := s.X.(*ast.Ident); is {
					all = append(all, x.Name+"."+s.Sel.Name)
				}
			}
		}
		return true
	})
	return all
}

func TestNothingIsCompiledAtEveryStart(t *testing.T) {
	packages := linked(rooms)
	if len(packages) < 20 || !slices.Contains(packages, "internal/secrets") || slices.Contains(packages, "internal/winsim") {
		t.Fatalf("the plugin is made of %v", packages)
	}
	faults, err := atStart(os.DirFS(testutil.Root()), packages)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

func TestWhatIsCompiledAtEveryStartIsFound(t *testing.T) {
	for text, want := range map[string]string{
		"var x = regexp.MustCompile(`a`)":                                                  "a/a.go calls regexp.MustCompile at every start: use internal/lazyregexp",
		"var (\n\ty = 1\n\tx = []*regexp.Regexp{regexp.MustCompile(`a`)}\n)":               "a/a.go calls regexp.MustCompile at every start: use internal/lazyregexp",
		"func init() { x = template.Must(nil, nil) }":                                      "a/a.go calls template.Must at every start: use sync.OnceValue",
		"var x = func() *regexp.Regexp { return regexp.MustCompile(`a`) }()":               "a/a.go calls regexp.MustCompile at every start: use internal/lazyregexp",
		"var x = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`a`) })": "",
		"func f() { regexp.MustCompile(`a`) }":                                             "",
		"func (t T) init() { regexp.MustCompile(`a`) }":                                    "",
		"var x = lazyregexp.New(`a`)":                                                      "",
	} {
		tree := fstest.MapFS{
			"a/a.go":      {Data: []byte("package a\n\n" + text + "\n")},
			"a/a_test.go": {Data: []byte("package a\n\nvar y = regexp.MustCompile(`a`)\n")},
		}
		faults, err := atStart(tree, []string{"a"})
		if got := strings.Join(faults, "; "); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
}
