package windows

import (
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Every fact has somebody who goes by it.
func TestEveryFactIsUsed(t *testing.T) {
	_, files := room(t)
	declared, inside := map[string]bool{}, map[string]int{}
	for name, file := range files {
		if name == ledger {
			continue
		}
		for _, decl := range file.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					for _, id := range s.Names {
						declared[id.Name] = id.IsExported()
					}
				case *ast.TypeSpec:
					declared[s.Name.Name] = s.Name.IsExported()
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				inside[id.Name]++
			}
			return true
		})
	}
	outside := usedOutside(t)
	for name, exported := range declared {
		if exported && !outside[name] && inside[name] < 2 {
			t.Errorf("nobody uses %s", name)
		}
	}
}

// usedOutside are the names that the product's other rooms take from this one.
func usedOutside(t *testing.T) map[string]bool {
	t.Helper()
	root := filepath.Join("..", "..")
	selector := regexp.MustCompile(`[^.\w]windows\.([A-Z]\w*)`) // not a field of that name
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"build", "node_modules", "windows", "winsim"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), `/internal/windows"`) {
			for _, m := range selector.FindAllStringSubmatch(string(b), -1) {
				used[m[1]] = true
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}
