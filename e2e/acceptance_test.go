//go:build acceptance

package e2e

import (
	"os"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// The acceptance test generalizes a real Windows machine that is given by
// environment variables, see docs/development.md. It is skipped without them.
// What it cannot answer by itself, docs/simulated-guest.md asks a person.
func TestARealWindowsIsGeneralized(t *testing.T) {
	if os.Getenv("SYSPREP_ACC_HOST") == "" {
		t.Skip("SKIPPED: SYSPREP_ACC_HOST is not set; give a Windows machine that may be generalized, see docs/development.md")
	}
	accept(t, testutil.Tool(t, "packer"), func(name string) string { return os.Getenv("SYSPREP_ACC_" + name) })
}
