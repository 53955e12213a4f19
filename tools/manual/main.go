// Command manual writes the man pages and the reference of the command line into docs. With
// -check it changes nothing and fails where one is stale. It is run at the root of the
// checkout, by make generate.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/cli"
)

func main() {
	check := flag.Bool("check", false, "change nothing, fail where a page is stale")
	flag.Parse()
	if err := run("docs", cli.Manual(), *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(docs string, pages map[string]string, check bool) error {
	// The page of a command that is gone would stay.
	old, err := filepath.Glob(filepath.Join(docs, "man", "*.1"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if _, ok := pages["man/"+filepath.Base(path)]; ok {
			continue
		}
		if check {
			return stale(path)
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("removing the page of a command that is gone: %w", err)
		}
	}
	for name, want := range pages {
		path := filepath.Join(docs, filepath.FromSlash(name))
		have, err := os.ReadFile(path)
		switch {
		case err == nil && bytes.Equal(have, []byte(want)):
			continue
		case check:
			return stale(path)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("writing the pages of the command line: %w", err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			return fmt.Errorf("writing the pages of the command line: %w", err)
		}
	}
	return nil
}

func stale(path string) error {
	return fmt.Errorf("%s is not what internal/cli defines: run make generate and commit", path)
}
