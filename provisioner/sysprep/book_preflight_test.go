package sysprep

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// What was found, mended and cleaned before sysprep is in run.json.
func TestRunJSONHoldsThePreflight(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	g, _ := remedyRun(t, winsim.Scenario{}, []string{"search-running"}, map[string]any{}, "windows-search")
	g.options["log_directory"], g.options["hygiene"] = folder, []string{"transcripts"}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	l, err := runlog.Read(filepath.Join(folder, runlog.RunFile))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Facts    map[string]json.RawMessage
		Findings []struct{ ID string }
		Remedies []struct {
			ID, Verified string
			Changed      bool
		}
		Cleaned []struct{ Item string }
	}
	if err := json.Unmarshal(l.Preflight, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Facts) < 20 || len(got.Findings) < 20 || len(got.Remedies) != 1 || got.Remedies[0].ID != "windows-search" || !got.Remedies[0].Changed || got.Remedies[0].Verified != "holds" ||
		len(got.Cleaned) != 1 || got.Cleaned[0].Item != "transcripts" {
		t.Errorf("%d facts, %d findings, remedies %+v, cleaned %+v", len(got.Facts), len(got.Findings), got.Remedies, got.Cleaned)
	}
	if l.Options["hygiene"] == nil || l.Options["preflight.remedies"] == nil {
		t.Errorf("options %v", l.Options)
	}
}
