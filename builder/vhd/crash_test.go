package vhd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// crashing is a driver with a defect.
type crashing struct{ hypervisor.Options }

func (crashing) Check(hypervisor.Firmware) error { panic("of a test") }

// A defect of our own is an error, and its report claims no image.
func TestABuildThatCrashesLeavesItsReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	b := new(Builder)
	if _, _, err := b.Prepare(valid(t, map[string]any{"output_directory": filepath.Join(t.TempDir(), "out"), "report": map[string]any{"json": path}})); err != nil {
		t.Fatal(err)
	}
	b.config.drivers[b.config.Hypervisor] = crashing{b.config.driver()}
	made, err := b.Run(t.Context(), &packersdk.MockUi{}, &packersdk.MockHook{})
	if made != nil || err == nil || !strings.Contains(err.Error(), "a defect in the plugin ended the run while it was building: of a test; next: report it") {
		t.Errorf("%v, %v", made, err)
	}
	content, readErr := os.ReadFile(path)
	if readErr != nil || !strings.Contains(string(content), `"good": false`) || !strings.Contains(string(content), "a defect in the plugin") {
		t.Errorf("%v: %s", readErr, content)
	}
}
