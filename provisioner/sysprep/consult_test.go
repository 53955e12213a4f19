package sysprep

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// Where the cause points to servicing or to app packages, their own logs are
// asked and kept; nothing is asked for other causes.
func TestOtherLogsAreAskedWhereTheCausePointsToThem(t *testing.T) {
	for name, test := range map[string]struct {
		s winsim.Scenario
		// says is in the explanation, kept the name and a text of the log.
		says       []string
		kept, text string
	}{
		"servicing": {winsim.Scenario{Outcome: winsim.Refused, Class: "F21"}, []string{"Windows updates are waiting for a restart", "CBS.log: Package_for_KB5034441~31bf3856ad364e35~amd64~~19041.3920.1.3, 0x800f0922", "Failed to resolve package"}, "servicing/CBS.log", "KB5034441"},
		"reserved":  {winsim.Scenario{Outcome: winsim.Refused, Class: "F22"}, []string{"reserved storage", "dism.log"}, "servicing/dism.log", "0x800f0975"},
		"apps":      {winsim.Scenario{Outcome: winsim.Refused, Class: "F01"}, []string{"Contoso.Notes", "appx-events.txt: 0x80073cfa: the package could not be removed"}, "apps/appx-events.txt", "0x80073CFA"},
		"neither":   {winsim.Scenario{Outcome: winsim.Refused, Class: "F20"}, []string{"BitLocker"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			logs := t.TempDir()
			g := newGuestRun(t, test.s, map[string]any{"log_directory": logs})
			if err := g.provision(); err == nil {
				t.Fatal("refused, and no error")
			}
			said := g.ui.text()
			for _, text := range test.says {
				if !strings.Contains(said, text) {
					t.Errorf("%q is not in\n%s", text, said)
				}
			}
			for _, other := range []string{"servicing/CBS.log", "servicing/dism.log", "apps/appx-events.txt"} {
				content, err := os.ReadFile(filepath.Join(logs, filepath.FromSlash(other)))
				if other == test.kept && !strings.Contains(string(content), test.text) || other != test.kept && err == nil {
					t.Errorf("%s: %v %q", other, err, content)
				}
			}
			wantNothingLeft(t, g)
		})
	}
}

// What the log_directory kept is judged as the run itself was.
func TestTheKeptLogsAreDiagnosedAsTheRunWas(t *testing.T) {
	logs := t.TempDir()
	g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F23"}, map[string]any{"log_directory": logs})
	if err := g.provision(); err == nil {
		t.Fatal("refused, and no error")
	}
	var read []diagnosis.Log
	for _, name := range []string{"sysprep/setupact.log", "sysprep/setuperr.log", "servicing/CBS.log"} {
		content, err := os.ReadFile(filepath.Join(logs, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		read = append(read, diagnosis.ReadLog(name, content))
	}
	d := diagnosis.Collect(read).Diagnosis
	if d == nil || d.ID != "F23" || !strings.Contains(d.Note, "CBS.log: 0x80080005: the COM server did not start") {
		t.Errorf("%+v", d)
	}
}
