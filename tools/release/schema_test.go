//go:build release

package main

import (
	"path/filepath"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sbom/cyclonedxtest"
)

// checkParts holds the lists of parts against CycloneDX's own schema.
func checkParts(t *testing.T, folder string) {
	t.Helper()
	lists, err := filepath.Glob(filepath.Join(folder, "*.cdx.json"))
	if err != nil || len(lists) == 0 {
		t.Fatalf("%d lists of parts, %v", len(lists), err)
	}
	for _, list := range lists {
		if err := cyclonedxtest.Check(t, read(t, list)); err != nil {
			t.Errorf("%s: %v", filepath.Base(list), err)
		}
	}
}
