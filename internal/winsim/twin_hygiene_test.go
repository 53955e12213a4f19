package winsim

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/machinestate"
)

type cleaned struct {
	Item          string
	Before, After *struct{ Bytes, Count int64 }
	Left          int
	Restart       bool
	Problem       *string
}

func clean(t *testing.T, g *Guest, p m) (all []cleaned) {
	t.Helper()
	out, code := runScript(t, g, "hygiene", p, "")
	for line := range strings.Lines(out) {
		var c cleaned
		if err := json.Unmarshal([]byte(line), &c); err != nil || code != 0 {
			t.Fatalf("%v, code %d: %s", err, code, out)
		}
		all = append(all, c)
	}
	return all
}

// dirty leaves something of each kind behind, 10 bytes a file.
func dirty(t *testing.T, g *Guest) (files map[string]string) {
	t.Helper()
	files = map[string]string{
		"temp": `\Windows\Temp\a\b.tmp`, "update-cache": `\Windows\SoftwareDistribution\Download\x\u.cab`, "recycle-bin": `\$Recycle.Bin\S-1-5-21-1\$R1.txt`,
		"powershell-history": `\Users\packer\AppData\Roaming\Microsoft\Windows\PowerShell\PSReadLine\ConsoleHost_history.txt`,
		"transcripts":        `\Users\packer\Documents\20260101\PowerShell_transcript.WIN.abc.txt`, "packer-leftovers": `\Windows\Temp\packer-ps-env-vars-1.ps1`,
	}
	for _, path := range files {
		if err := g.drive.WriteFile(path, []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.drive.WriteFile(folderEvents+`\Application.evtx`, []byte("ElfFile\x00record")); err != nil {
		t.Fatal(err)
	}
	if err := g.machine.Change(func(s *machinestate.State) { s.Shadows, s.Superseded = []int64{100, 50}, 1<<30 }); err != nil {
		t.Fatal(err)
	}
	return files
}

func TestEachItemIsCleanedAloneAndMeasured(t *testing.T) {
	for _, item := range hygieneItems {
		t.Run(item, func(t *testing.T) {
			g := newGuest(t, Options{})
			files := dirty(t, g)
			dry := clean(t, g, m{"items": []string{item}, "dryRun": true, "keep": "packer-script"})
			if len(dry) != 1 || dry[0].Before == nil || dry[0].After != nil {
				t.Fatalf("a dry run: %+v", dry)
			}
			got := clean(t, g, m{"items": []string{item}, "keep": "packer-script"})[0]
			if *got.Before != *dry[0].Before || got.Left != 0 || got.Problem != nil || got.Restart {
				t.Errorf("%+v, and dry %+v", got, dry[0])
			}
			want := map[string]int64{"event-logs": 14, "shadow-copies": 150}[item]
			if want == 0 {
				want = 10
			}
			if item == "component-store" {
				if got.After.Bytes-got.Before.Bytes != 1<<30 {
					t.Errorf("%+v of free space, then %+v", got.Before, got.After)
				}
			} else if got.Before.Bytes != want || got.After.Bytes != 0 || got.After.Count != 0 {
				t.Errorf("before %+v, after %+v, want %d bytes", got.Before, got.After, want)
			}
			for of, path := range files {
				if g.drive.IsFile(path) != (of != item) {
					t.Errorf("%s is there: %v", path, of == item)
				}
			}
		})
	}
}

// What this run brought stays, and what Packer runs is none of temp's business.
func TestACleanUpLeavesThisRunAlone(t *testing.T) {
	g := newGuest(t, Options{})
	ours, script := `\Windows\Temp\packer-sysprep-thisrun\launch.ps1`, `\Windows\Temp\script-1.ps1`
	for _, path := range []string{ours, script, folderTasks + `\packer-old`, folderTasks + `\packer-sysprep-thisrun`, `\Windows\System32\Sysprep\Panther.packer-20260101T000000Z\setupact.log`} {
		if err := g.drive.WriteFile(path, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	clean(t, g, m{"items": []string{"temp"}, "keep": "thisrun"})
	if !g.drive.IsFile(ours) || !g.drive.IsFile(script) {
		t.Error("temp took what Packer runs")
	}
	got := clean(t, g, m{"items": []string{"packer-leftovers"}, "keep": "thisrun"})[0]
	if g.drive.IsFile(folderTasks+`\packer-old`) || !g.drive.IsFile(folderTasks+`\packer-sysprep-thisrun`) || got.After.Count != 0 {
		t.Errorf("tasks: %+v", got)
	}
	if !g.drive.IsFile(ours) || g.drive.IsFile(script) || g.drive.IsDir(`\Windows\System32\Sysprep\Panther.packer-20260101T000000Z`) || got.Before.Count < 3 {
		t.Errorf("%+v", got)
	}
}

func TestWhatIsInUseStaysAndIsCounted(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{Hygiene: Hygiene{ComponentStoreExit: 87}}})
	g.drive.InUse = func(host string) bool { return strings.HasSuffix(host, "held.tmp") }
	for _, path := range []string{`\Windows\Temp\held.tmp`, `\Windows\Temp\free.tmp`} {
		if err := g.drive.WriteFile(path, []byte("0123456789")); err != nil {
			t.Fatal(err)
		}
	}
	got := clean(t, g, m{"items": []string{"temp", "component-store"}})
	if c := got[0]; c.Left != 1 || c.Problem == nil || c.After.Count != 1 || c.After.Bytes != 10 {
		t.Errorf("%+v", c)
	}
	if c := got[1]; c.Left != 1 || c.Problem == nil || !strings.Contains(*c.Problem, "exit code 87") {
		t.Errorf("%+v", c)
	}
	g = newGuest(t, Options{Scenario: Scenario{Hygiene: Hygiene{ComponentStoreExit: 3010}}})
	if c := clean(t, g, m{"items": []string{"component-store"}})[0]; !c.Restart || !g.reg.Has(keyRebootPending) {
		t.Errorf("%+v", c)
	}
	for _, p := range []m{{}, {"items": []string{}}, {"items": []string{"temp", "everything"}}} {
		if out, code := runScript(t, g, "hygiene", p, ""); code != 2 || !strings.Contains(out, "bad-parameters") {
			t.Errorf("%v: code %d, %s", p, code, out)
		}
	}
}

// %TEMP% is a variable: where it leads to no temporary folder, nothing there is touched.
func TestOnlyTemporaryFoldersAreEmptied(t *testing.T) {
	for temp, want := range map[string]string{
		`C:\`:                                  "it is the root of a drive",
		`C:`:                                   "it is the root of a drive",
		`C:\Users\packer`:                      "it is a profile",
		`C:\Users\Temp`:                        "it is a profile",
		`C:\Users`:                             `it holds C:\Users`,
		`C:\Windows`:                           `it holds C:\Windows`,
		`c:\windows\system32`:                  `it holds C:\Windows\System32`,
		`C:\Program Files`:                     `it holds C:\Program Files`,
		`C:\Windows\Web`:                       "its name is not that of a temporary folder (Temp, Tmp)",
		`C:\Work\2`:                            "its name is not that of a temporary folder (Temp, Tmp)",
		`\\server\share\Temp`:                  "it is on the network",
		`Z:\Temp`:                              "its drive is no local disk (Network)",
		`C:\Link\Temp`:                         `C:\Link is a junction or a link`,
		`C:\Users\packer\AppData\Local\Temp`:   "",
		`C:\Users\packer\AppData\Local\Temp\2`: "",
		`C:\Windows\TEMP`:                      "",
		`C:\Windows\SystemTemp\`:               "",
		`C:\tmp`:                               "",
	} {
		t.Run(temp, func(t *testing.T) {
			g := newGuest(t, Options{Scenario: Scenario{Hygiene: Hygiene{Temp: temp, Junctions: []string{`C:\Link`}}}})
			mine, folder := strings.TrimRight(temp, `\`)+`\mine.txt`, strings.TrimRight(temp, `\`)+`\packer-mine`
			local := strings.HasPrefix(strings.ToUpper(temp), `C:`)
			for _, path := range []string{mine, folder + `\mine.txt`} {
				if err := g.drive.WriteFile(path, []byte("x")); local && err != nil {
					t.Fatal(err)
				}
			}
			for _, item := range []string{"temp", "packer-leftovers"} {
				c := clean(t, g, m{"items": []string{item}})[0]
				problem := ""
				if c.Problem != nil {
					problem = *c.Problem
				}
				if want == "" && (c.Left != 0 || problem != "") || want != "" && (c.Left != 1 || !strings.Contains(problem, " is left alone: "+want+"; set TEMP and TMP of the build account to ")) {
					t.Errorf("%s: %d left, %s", item, c.Left, problem)
				}
			}
			if local && (g.drive.IsFile(mine) != (want != "") || g.drive.IsFile(folder+`\mine.txt`) != (want != "")) {
				t.Errorf("%s is there: %v", mine, g.drive.IsFile(mine))
			}
		})
	}
}

// Transcripts are collected on a share for many machines, and a cache may lie on another
// volume: neither is ours to empty.
func TestWhatLiesElsewhereIsLeftAlone(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{Hygiene: Hygiene{Junctions: []string{`C:\Windows\SoftwareDistribution`, `C:\Users\All Users`}}}})
	files := []string{`\Windows\SoftwareDistribution\Download\x.cab`, `\Users\All Users\Documents\PowerShell_transcript.A.txt`}
	for _, path := range files {
		if err := g.drive.WriteFile(path, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	g.reg.SetString(keyTranscription, "OutputDirectory", `\\server\transcripts`)
	for _, c := range clean(t, g, m{"items": []string{"update-cache", "transcripts"}}) {
		want := map[string]string{"update-cache": `C:\Windows\SoftwareDistribution\Download is left alone: C:\Windows\SoftwareDistribution is a junction or a link`, "transcripts": `\\server\transcripts is left alone: it is on the network`}[c.Item]
		if c.Left != 1 || c.Problem == nil || *c.Problem != want || c.Before.Count != 0 {
			t.Errorf("%+v", c)
		}
	}
	for _, path := range files {
		if !g.drive.IsFile(path) {
			t.Errorf("%s is gone", path)
		}
	}
	const kept = `\Transcripts\20260101\PowerShell_transcript.WIN.txt`
	if err := g.drive.WriteFile(kept, []byte("x")); err != nil {
		t.Fatal(err)
	}
	g.reg.SetString(keyTranscription, "OutputDirectory", `C:\Transcripts`)
	if c := clean(t, g, m{"items": []string{"transcripts"}})[0]; c.Left != 0 || c.Before.Count != 1 || g.drive.IsFile(kept) {
		t.Errorf("%+v", c)
	}
}
