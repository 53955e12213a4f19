// Command schema writes docs/report.schema.json, the JSON Schema of every document that
// docs/report.md describes, from the Go types and the descriptions on that page. With
// -check it changes nothing and fails where the file is stale. It is run at the root of
// the checkout, by make generate.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "change nothing, fail where the schema is stale")
	flag.Parse()
	if err := run(".", *check); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	page, err := os.ReadFile(filepath.Join(root, "docs", "report.md"))
	if err != nil {
		return fmt.Errorf("reading the descriptions: %w", err)
	}
	want, err := json.MarshalIndent(schema(described(string(page))), "", "  ")
	if err != nil {
		return err
	}
	want = append(want, '\n')
	path := filepath.Join(root, "docs", "report.schema.json")
	have, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(have, want):
		return nil
	case check:
		return fmt.Errorf("%s is not what the types say: run make generate and commit", path)
	}
	if err := os.WriteFile(path, want, 0o644); err != nil {
		return fmt.Errorf("writing the schema: %w", err)
	}
	return nil
}
