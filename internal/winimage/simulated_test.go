package winimage_test

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

const answers = `C:\Windows\System32\Sysprep\sealed.xml`

// simulate runs commands in a simulated guest until it is off, and returns what
// its drive says.
func simulate(t *testing.T, scenario winsim.Scenario, lines ...string) winimage.Windows {
	t.Helper()
	root, off := t.TempDir(), make(chan winsim.PowerEvent, 1)
	g, err := winsim.New(winsim.Options{
		Root: root, User: "packer", Password: "S3cret!", Speed: 1000, Scenario: scenario, Log: t.Logf,
		Power: func(e winsim.PowerEvent) { off <- e },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.Host(answers), []byte(winimagetest.AnswerFile), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		g.Handler().Run(t.Context(), &wsman.Process{Line: line, User: "packer", Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard})
	}
	select {
	case <-off:
	case <-time.After(time.Minute):
		t.Error("the guest does not power off")
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	for _, u := range g.Unknown() {
		t.Errorf("the guest did not know: %s", u)
	}
	return winimage.Look(t.Context(), os.DirFS(filepath.Join(root, "C")))
}

// failed are the assertions that do not hold for a drive on a sound disk.
func failed(w winimage.Windows) (ids []string, p []finding.Finding) {
	w.Volume.LogClean = true
	yes := true
	p = winimage.Prove(
		winimage.Facts{Disk: winimage.Disk{Scheme: "mbr", Generation: 1}, Windows: []winimage.Windows{w}},
		winimage.Expectation{Source: &winimage.Source{}, AnswerFile: true, VMMode: &yes},
	)
	for _, a := range p {
		if !a.Holds {
			ids = append(ids, a.ID)
		}
	}
	return ids, p
}

const (
	sysprep  = `C:\Windows\System32\Sysprep\sysprep.exe /generalize /oobe /quiet /mode:vm /unattend:` + answers
	poweroff = `shutdown /s /t 0`
)

func TestTheDriveOfASimulatedGuestIsProvenAsItStands(t *testing.T) {
	for name, c := range map[string]struct {
		scenario winsim.Scenario
		lines    []string
	}{
		"sysprep shuts down": {winsim.Scenario{}, []string{sysprep + " /shutdown"}},
		"sysprep quits":      {winsim.Scenario{}, []string{sysprep + " /quit", poweroff}},
	} {
		t.Run(name, func(t *testing.T) {
			w := simulate(t, c.scenario, c.lines...)
			if ids, p := failed(w); len(ids) > 0 || finding.Worst(p) == finding.Fail || len(p) < 20 {
				t.Errorf("failed %v, problems %q", ids, w.Problems)
			}
			if w.Tag == nil || time.Since(w.Tag.Modified) > time.Hour || w.Tag.Modified.IsZero() || !w.Log.TagCreated {
				t.Errorf("tag %+v, log %+v", w.Tag, w.Log)
			}
		})
	}
}

func TestTheDriveOfASimulatedGuestThatIsNotGeneralizedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		scenario winsim.Scenario
		lines    []string
		want     []string
		cause    bool
	}{
		"sysprep did not run":            {winsim.Scenario{}, []string{poweroff}, []string{"image-state", "generalization-state", "setup-type", "setup-command", "tag"}, false},
		"validation refused":             {winsim.Scenario{Outcome: winsim.Refused, Class: "F01"}, []string{sysprep + " /quit", poweroff}, []string{"image-state", "generalization-state", "setup-type", "setup-command", "tag", "log"}, true},
		"generalize failed midway":       {winsim.Scenario{Outcome: winsim.Broken, Class: "F38"}, []string{sysprep + " /quit", poweroff}, []string{"image-state", "generalization-state", "setup-type", "tag", "log"}, false},
		"the tag was deleted":            {winsim.Scenario{}, []string{sysprep + " /quit", `cmd /c del C:\Windows\System32\Sysprep\Sysprep_succeeded.tag`, poweroff}, []string{"tag"}, false},
		"the registry was written after": {winsim.Scenario{}, []string{sysprep + " /quit", `reg add HKLM\SYSTEM\Setup /v SetupType /t REG_DWORD /d 0 /f`, poweroff}, []string{"setup-type"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := simulate(t, c.scenario, c.lines...)
			ids, p := failed(w)
			if finding.Worst(p) != finding.Fail {
				t.Error("it is proven")
			}
			for _, want := range c.want {
				if !slices.Contains(ids, want) {
					t.Errorf("%s holds; failed %v", want, ids)
				}
			}
			if len(c.want) == 1 && len(ids) != 1 {
				t.Errorf("failed %v", ids)
			}
			if c.cause && (w.Log == nil || w.Log.Diagnosis == nil) {
				t.Errorf("no cause in the log: %+v", w.Log)
			}
		})
	}
}
