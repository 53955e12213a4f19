package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
)

// crashing is an artifact that the post-processor does not survive.
type crashing struct{ packersdk.MockArtifact }

func (*crashing) Files() []string { panic("of a test") }

// A defect of our own is an error, its report claims no image, and the input is kept.
func TestAProofThatCrashesLeavesItsReport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "report.json")
	var p PostProcessor
	if err := p.Configure(map[string]any{"packer_build_name": "b", "report": map[string]any{"json": path}}); err != nil {
		t.Fatal(err)
	}
	made, _, _, err := p.PostProcess(t.Context(), &packersdk.MockUi{}, &crashing{})
	if made != nil || err == nil || !strings.Contains(err.Error(), "a defect in the plugin ended the run while it was proving or converting the disk: of a test; next: report it") {
		t.Errorf("%v, %v", made, err)
	}
	content, readErr := os.ReadFile(path)
	if readErr != nil || !strings.Contains(string(content), `"good": false`) || !strings.Contains(string(content), "a defect in the plugin") {
		t.Errorf("%v: %s", readErr, content)
	}
}
