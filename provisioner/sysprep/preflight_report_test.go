package sysprep

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

// tree is all that a guest has: its files, with the hives that its registry is written
// to.
func (g *guestRun) tree() map[string]string {
	g.t.Helper()
	if err := g.sim.Guest.Flush(); err != nil {
		g.t.Fatal(err)
	}
	all := map[string]string{}
	err := filepath.WalkDir(g.root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil {
				all[strings.TrimPrefix(path, g.root)+"/"] = ""
			}
			return err
		}
		content, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, g.root)] = string(content)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return all
}

// volatile is the hive that has no file. A guest that takes sealed messages only is not
// asked.
func (g *guestRun) volatile() string {
	g.t.Helper()
	if g.server.Encrypted {
		return ""
	}
	_, said := g.exec(`reg query HKLM\HARDWARE /s`)
	return said
}

// A run that only reports leaves registry, files and the rest of the machine's state as
// they were, whatever the guest is like.
func TestReportOnlyChangesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults  []string
		more    []string
		running bool
		fails   string
	}{
		"a guest in order":         {},
		"many faults":              {faults: []string{"appx-per-user", "bitlocker", "answer-files", "answer-pointer", "autologon", "servicing"}, fails: "nothing was changed in the guest (preflight.report_only)"},
		"the build does not fail":  {faults: []string{"bitlocker"}, more: []string{"fail_on", "never"}},
		"warnings count":           {faults: []string{"search-running"}, more: []string{"fail_on", "warn"}, fails: "windows-search"},
		"what look would refuse":   {faults: []string{"rearm-exhausted"}, fails: "rearm"},
		"over our own, and events": {faults: []string{"event-log-moved", "encrypted-files"}},
	} {
		for _, own := range []bool{true, false} {
			if own != strings.Contains(name, "own") && name != "many faults" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				block := on(c.more...)
				block["report_only"] = true
				options := map[string]any{"preflight": block, "remove_answer_files": true, "delete_cached_answer_file": true, "answer_file_content": testAnswer}
				g := newGuestRun(t, winsim.Scenario{Condition: winsim.Condition{Faults: c.faults}}, options)
				if own {
					g = newOwnRun(t, g.scenario, options)
				}
				g.start()
				files, values, machine := g.tree(), g.volatile(), stateOf(t, g)
				err := g.provision()
				if (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
					t.Errorf("%v\n%s", err, g.ui.text())
				}
				if l := g.last.book.Log(); c.fails == "" && (l.Verdict.Class != classChecked || !strings.Contains(l.Verdict.FirstLine, "sysprep was not run: nothing was changed")) {
					t.Errorf("%+v", l.Verdict)
				}
				if got := g.volatile(); got != values {
					t.Errorf("the volatile hive has changed: %q, was %q", got, values)
				}
				if got := stateOf(t, g); got != machine {
					t.Errorf("the state has changed: %s\nwas %s", got, machine)
				}
				after := g.tree()
				for path, content := range after {
					if was, there := files[path]; !there || was != content {
						t.Errorf("%s has changed, or is new", path)
					}
				}
				if len(after) != len(files) {
					t.Errorf("%d files and folders, were %d", len(after), len(files))
				}
				if slices.Contains(c.faults, "event-log-moved") && (!slices.Contains(shown(g.ui.lines), "warn event-logs-moved") || !slices.Contains(shown(g.ui.lines), "warn efs")) {
					t.Errorf("the slow groups were not asked:\n%s", g.ui.text())
				}
			})
		}
	}
}

func stateOf(t *testing.T, g *guestRun) string {
	t.Helper()
	var text string
	g.sim.Guest.Machine().View(func(s *machinestate.State) {
		raw, err := json.Marshal(s)
		if err != nil {
			t.Error(err)
		}
		text = string(raw)
	})
	return text
}
