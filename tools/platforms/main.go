// Command platforms checks that the plugin compiles for every platform that
// HashiCorp releases plugins for, without compiling it twenty times: the
// packages of this module are type-checked whole, those of others without the
// bodies of their functions.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/tools/released"
)

func main() {
	failed := 0
	for _, platform := range released.Platforms {
		packages, err := check(platform)
		if err != nil {
			failed++
			fmt.Printf("FAIL %s\n%v\n", platform, err)
			continue
		}
		fmt.Printf("ok   %s: %d packages\n", platform, packages)
	}
	fmt.Printf("%d platforms, %d do not compile\n", len(released.Platforms), failed)
	if failed > 0 {
		os.Exit(1)
	}
}

// listed is what go list says of a package.
type listed struct {
	Dir, ImportPath string
	GoFiles         []string
	ImportMap       map[string]string
	Module          *struct{ Main bool }
	Error           *struct{ Err string }
}

// loader type-checks packages in the order of go list -deps: what a package
// imports comes first.
type loader struct {
	files    *token.FileSet
	packages map[string]*types.Package
	sizes    types.Sizes
}

func check(platform string) (packages int, err error) {
	goos, goarch, _ := strings.Cut(platform, "/")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,ImportPath,GoFiles,ImportMap,Module,Error", ".")
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("listing packages: %w\n%s", err, &stderr)
	}
	l := loader{token.NewFileSet(), map[string]*types.Package{"unsafe": types.Unsafe}, types.SizesFor("gc", goarch)}
	for d := json.NewDecoder(bytes.NewReader(out)); ; packages++ {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return 0, fmt.Errorf("reading the list of packages: %w", err)
		}
		if err := l.load(p); err != nil {
			return 0, err
		}
	}
}

func (l loader) load(p listed) error {
	if p.ImportPath == "unsafe" {
		return nil
	}
	if p.Error != nil {
		return errors.New(p.Error.Err)
	}
	ours := p.Module != nil && p.Module.Main
	var files []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(l.files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	var wrong []error
	config := types.Config{
		Sizes: l.sizes, IgnoreFuncBodies: !ours, FakeImportC: true,
		Importer: importer(func(path string) (*types.Package, error) {
			if mapped, ok := p.ImportMap[path]; ok {
				path = mapped
			}
			if found := l.packages[path]; found != nil {
				return found, nil
			}
			return nil, fmt.Errorf("package %s is not there", path)
		}),
		Error: func(err error) { wrong = append(wrong, err) },
	}
	checked, _ := config.Check(p.ImportPath, l.files, files, nil) // its errors are in wrong
	l.packages[p.ImportPath] = checked
	if !ours {
		return nil // unused imports: the bodies were not read
	}
	return errors.Join(wrong...)
}

type importer func(path string) (*types.Package, error)

func (i importer) Import(path string) (*types.Package, error) { return i(path) }
