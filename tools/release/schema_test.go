//go:build release

package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// checkParts holds the lists of parts against CycloneDX's own schema, which
// comes with a module that Packer is built of.
func checkParts(t *testing.T, folder string) {
	t.Helper()
	const cycloneDX = "github.com/CycloneDX/cyclonedx-go"
	packer := filepath.Join(testutil.Root(), "tools", "packer")
	// A Packer that was built long ago says nothing of what the module cache has today.
	if _, err := goTool(t.Context(), nil, "-C", packer, "mod", "download", cycloneDX); err != nil {
		t.Fatal(err)
	}
	dir, err := goTool(t.Context(), nil, "-C", packer, "list", "-m", "-f", "{{.Dir}}", cycloneDX)
	if err != nil || strings.TrimSpace(dir) == "" {
		t.Fatalf("looking for CycloneDX's schema: %q, %v", dir, err)
	}
	c := jsonschema.NewCompiler()
	// The schema refers to two others by their addresses.
	for name, file := range map[string]string{"spdx": "spdx.schema.json", "jsf-0.82": "jsf-0.82.schemax.json"} {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, filepath.Join(strings.TrimSpace(dir), "schema", file))))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("http://cyclonedx.org/schema/"+name+".schema.json", document); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := c.Compile(filepath.Join(strings.TrimSpace(dir), "schema", "bom-1.6.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	lists, err := filepath.Glob(filepath.Join(folder, "*.cdx.json"))
	if err != nil || len(lists) == 0 {
		t.Fatalf("%d lists of parts, %v", len(lists), err)
	}
	for _, list := range lists {
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(read(t, list)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", filepath.Base(list), err)
		}
	}
}
