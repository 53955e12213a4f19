package winimage

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diagnosis"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

func proven(list []finding.Finding) bool { return finding.Worst(list) != finding.Fail }

// shown is all that a person may be told of a report and its proof.
func shown(r Facts, list []finding.Finding) []string {
	lines := slices.Concat(render.Failed(list, finding.Fail), render.Failed(list, finding.Warn))
	return append(append(lines, render.Causes(r.Causes())...), r.Describe()...)
}

func num(n uint32) *uint32 { return &n }
func yes(b bool) *bool     { return &b }

var buildStart = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// good is the report of a generalized Server 2022.
func good() Facts {
	return Facts{
		Disk: Disk{VirtualSize: 40 << 30, Scheme: "gpt", Generation: 2},
		Boot: &Boot{Partition: 1, Loader: `\EFI\Boot\bootx64.efi`, Entries: []BootEntry{{ID: "{a}", Name: "Windows", Partition: 3}}},
		Windows: []Windows{{
			Setup: Setup{
				ImageState: "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", StateINI: "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE",
				GeneralizationState: num(4), SetupType: num(2), CmdLine: `oobe\windeploy.exe`,
			},
			Tag:         &File{Path: tagFile, Modified: buildStart.Add(10 * time.Minute)},
			Log:         &Log{Runs: 1, Options: []string{"OOBE", "GENERALIZE", "SHUTDOWN"}, TagCreated: true},
			Hives:       []Hive{{Name: "SYSTEM", Clean: true}, {Name: "SOFTWARE", Clean: true}},
			Volume:      Volume{LogClean: true},
			Drivers:     Drivers{Storage: []Driver{{Name: "storahci"}}},
			AnswerFiles: []AnswerFile{{File: File{Path: `\Windows\Panther\unattend.xml`}}},
		}},
	}
}

func expectation() Expectation {
	return Expectation{Source: &Source{}, AnswerFile: true, VMMode: yes(false)}
}

func TestAGoodImageIsProvenWithoutWarnings(t *testing.T) {
	p := Prove(good(), expectation())
	if finding.Worst(p) != "" {
		t.Errorf("not proven: %+v", p)
	}
	if len(p) != len(AssertionIDs()) {
		t.Errorf("%d assertions, want all %d", len(p), len(AssertionIDs()))
	}
}

func TestEveryBrokenFactIsNamedAndNothingElse(t *testing.T) {
	covered := map[string]bool{}
	for _, c := range []struct {
		name, id string
		severity finding.Severity
		breaks   func(r *Facts, w *Windows, e *Expectation)
	}{
		{"no Windows on the disk", "windows", finding.Fail, func(r *Facts, _ *Windows, _ *Expectation) { r.Windows = nil }},
		{"no Windows in the partition", "windows", finding.Fail, func(_ *Facts, _ *Windows, e *Expectation) { e.Partition = 5 }},
		{"a hive that was not flushed", "hives-clean", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Hives[1].Clean = false }},
		{"a hive that cannot be read", "hives-clean", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Hives[0].Problem = "corrupt" }},
		{"a hive that is missing", "hives-clean", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Hives = w.Hives[:1] }},
		{"a dirty volume", "file-system-clean", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Volume.Dirty = true }},
		{"a volume with changes in its log", "file-system-clean", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Volume.LogClean = false }},
		{"a hibernated Windows", "hibernation", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Volume.Hibernated = true }},
		{"a Windows in use", "image-state", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Setup.ImageState = "IMAGE_STATE_COMPLETE" }},
		{"no ImageState", "image-state", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Setup.ImageState = "" }},
		{"another State.ini", "state-ini", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Setup.StateINI = "IMAGE_STATE_UNDEPLOYABLE" }},
		{"generalize that failed midway", "generalization-state", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Setup.GeneralizationState = num(3) }},
		{"no GeneralizationState", "generalization-state", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Setup.GeneralizationState = nil }},
		{"SetupType of a running machine", "setup-type", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Setup.SetupType = num(0) }},
		{"nothing to start at the next boot", "setup-command", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Setup.CmdLine = "" }},
		{"no tag", "tag", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Tag = nil }},
		{"the tag of the source", "tag", finding.Fail, func(_ *Facts, w *Windows, e *Expectation) { e.Source.Tag = w.Tag }},
		{"a copy of the source's tag", "tag", finding.Fail, func(_ *Facts, w *Windows, e *Expectation) {
			old := *w.Tag
			e.Source.Tag = &old
			w.Tag.Record, w.Tag.Sequence = 77, 2
		}},
		{"the source's tag with another date", "tag", finding.Fail, func(_ *Facts, w *Windows, e *Expectation) {
			old := *w.Tag
			e.Source.Tag = &old
			w.Tag.Modified = w.Tag.Modified.Add(time.Hour)
		}},
		{"AuditBoot that cannot be read", "audit-boot", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) {
			w.Unread = []string{`SYSTEM\Setup\Status\AuditBoot`}
		}},
		{"a pointer that cannot be read", "unattend-pointer", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Unread = []string{`SYSTEM\Setup\UnattendFile`} }},
		{"a folder that cannot be read", "leftovers", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Unread = []string{`\Windows\System32\Tasks`} }},
		{"automatic logon that cannot be read", "autologon", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) {
			w.Unread = []string{`SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon\DefaultPassword`}
		}},
		{"shadow copies that cannot be looked for", "shadow-copies", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Unread = []string{"shadow copies"} }},
		{"an answer file that cannot be read", "secrets", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.AnswerFiles[0].Problem = "corrupt" }},
		{"a hive that is too much", "limits", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Limits = []string{"x: more than 5 values"} }},
		{"a disk that is too much", "limits", finding.Fail, func(r *Facts, _ *Windows, _ *Expectation) { r.Limits = []string{"more than 4 installations"} }},
		{"no log", "log", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Log = nil }},
		{"a last run without success", "log", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Log.TagCreated = false }},
		{"a last run without generalize", "log", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Log.Options = []string{"OOBE"} }},
		{"audit mode", "audit-boot", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Setup.AuditBoot = num(1) }},
		{"a dangling answer file pointer", "unattend-pointer", finding.Fail, func(_ *Facts, w *Windows, _ *Expectation) { w.Setup.UnattendFile = `C:\gone.xml` }},
		{"no cached answer file", "cached-answer-file", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.AnswerFiles = nil }},
		{"a password in an answer file", "secrets", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) {
			w.AnswerFiles[0].Secrets = []string{"oobeSystem AutoLogon"}
		}},
		{"/mode:vm that nobody asked for", "vm-mode", finding.Info, func(_ *Facts, w *Windows, _ *Expectation) { w.Setup.SysprepMode = "vm" }},
		{"automatic logon", "autologon", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Autologon.DefaultPasswordPresent = true }},
		{"files of Packer", "leftovers", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Leftovers = []string{`\Windows\Temp\packer-x`} }},
		{"no storage driver at boot", "boot-drivers", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Drivers.Storage[0].Start = 3 }},
		{"a storage driver that Windows overrides", "boot-drivers", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Drivers.Storage[0].StartOverride = num(3) }},
		{"a shadow copy", "shadow-copies", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Volume.ShadowCopies = 1 }},
		{"an encrypted volume", "bitlocker", finding.Fail, func(r *Facts, _ *Windows, _ *Expectation) { r.Disk.BitLocker = []int{3} }},
		{"no system partition", "boots", finding.Warn, func(r *Facts, _ *Windows, _ *Expectation) { r.Disk.Generation = 0 }},
		{"an empty system partition", "boots", finding.Warn, func(r *Facts, _ *Windows, _ *Expectation) { r.Boot.Missing = []string{"a file system"} }},
		{"an entry for another disk", "boot-entries", finding.Warn, func(r *Facts, _ *Windows, _ *Expectation) { r.Boot.Entries[0].Partition = 0 }},
		{"a boot store that cannot be read", "boot-entries", finding.Warn, func(r *Facts, _ *Windows, _ *Expectation) { r.Boot.Problem = "corrupt" }},
		{"an update that waits", "servicing", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Servicing.RestartPending = true }},
		{"servicing that waits", "servicing", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Servicing.PendingXML = true }},
		{"servicing that cannot be read", "servicing", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) {
			w.Unread = []string{`SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`}
		}},
		{"a file that cannot be read", "readable", finding.Warn, func(_ *Facts, w *Windows, _ *Expectation) { w.Problems = []string{"x: corrupt"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			covered[c.id] = true
			r, e := good(), expectation()
			c.breaks(&r, &r.Windows[0], &e)
			p := Prove(r, e)
			var ids []string
			for _, a := range p {
				if !a.Holds {
					ids = append(ids, a.ID)
					if a.Severity != c.severity || a.Remedy == nil || a.Expected == "" || a.Found == "" {
						t.Errorf("assertion %+v: want severity %s, a remedy, what was expected and found", a, c.severity)
					}
				}
			}
			if !slices.Equal(ids, []string{c.id}) {
				t.Errorf("broken: %v, want exactly %s", ids, c.id)
			}
			if proven(p) != (c.severity != finding.Fail) {
				t.Errorf("proven is %t for a %s", proven(p), c.severity)
			}
		})
	}
	for _, id := range AssertionIDs() {
		if !covered[id] {
			t.Errorf("no case breaks assertion %s", id)
		}
	}
}

func TestADiskWithoutWindowsSaysWhatElseIsWrongWithIt(t *testing.T) {
	r := good()
	r.Windows, r.Disk.BitLocker, r.Disk.Generation = nil, []int{2}, 0
	p := Prove(r, expectation())
	var ids []string
	for _, a := range p {
		if !a.Holds {
			ids = append(ids, a.ID)
		}
	}
	if proven(p) || !slices.Equal(ids, []string{"windows", "bitlocker", "boots"}) {
		t.Errorf("broken: %v, proven: %t", ids, proven(p))
	}
}

func TestAnOverrideBeatsTheStartOfADriver(t *testing.T) {
	for _, c := range []struct {
		driver Driver
		want   bool
	}{
		{Driver{Start: 0}, true},
		{Driver{Start: 3}, false},
		{Driver{Start: 0, StartOverride: num(3)}, false},
		{Driver{Start: 0, StartOverride: num(0)}, true},
	} {
		if got := c.driver.StartsAtBoot(); got != c.want {
			t.Errorf("%+v starts at boot: %t", c.driver, got)
		}
	}
}

func TestSeveritiesCanBeChanged(t *testing.T) {
	r, e := good(), expectation()
	r.Windows[0].Leftovers = []string{`\Windows\Temp\packer-x`}
	e.Severities = finding.Overrides{"leftovers": finding.Fail}
	if p := Prove(r, e); proven(p) || len(finding.Failed(p, finding.Fail)) != 1 {
		t.Errorf("a warning made a failure is not one: %+v", finding.Failed(p, finding.Fail))
	}
	e.Severities = finding.Overrides{"leftovers": finding.Off}
	if p := Prove(r, e); !proven(p) || len(p) != len(AssertionIDs())-1 {
		t.Error("an assertion that is off is still judged")
	}
	// Without a Windows nothing can be proven, whatever is switched off.
	r.Windows, e.Severities = nil, finding.Overrides{"windows": finding.Off}
	if p := Prove(r, e); proven(p) {
		t.Error("a disk without Windows is proven")
	}
}

func TestWrappersOfCloudAgentsAreAcceptedWithANote(t *testing.T) {
	r := good()
	r.Windows[0].Setup.CmdLine = `"C:\Program Files\Google\Compute Engine\sysprep\windeploy.cmd"`
	p := Prove(r, expectation())
	i := slices.IndexFunc(p, func(a finding.Finding) bool { return a.ID == "setup-command" })
	if !proven(p) || p[i].Note == "" {
		t.Errorf("got %+v", p[i])
	}
}

func TestAnAuditImageIsHeldAgainstAuditMode(t *testing.T) {
	r, e := good(), expectation()
	e.Audit = true
	w := &r.Windows[0]
	w.Setup.ImageState, w.Setup.StateINI, w.Setup.AuditBoot = "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT", "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT", num(1)
	if p := Prove(r, e); !proven(p) {
		t.Errorf("not proven: %+v", finding.Failed(p, finding.Fail))
	}
	if p := Prove(good(), e); proven(p) {
		t.Error("an OOBE image is proven for audit mode")
	}
}

func TestTheCauseOfAFailedRunIsAmongTheFacts(t *testing.T) {
	r := good()
	if got := r.Causes(); got != nil {
		t.Errorf("a good image has the causes %+v", got)
	}
	r.Windows[0].Log.Diagnosis = &diagnosis.Diagnosis{Finding: finding.Finding{ID: "F01", Name: "APPX"}}
	if got := r.Causes(); len(got) != 1 || got[0].ID != "F01" {
		t.Errorf("got %+v", got)
	}
}

// What an assertion cites is in the ledger, and field reports are called so.
func TestEveryAssertionSaysWhatItRestsOn(t *testing.T) {
	var without, unconfirmed []string
	for _, f := range Prove(good(), expectation()) {
		if f.Subject != finding.Disk || f.Remedy != nil {
			t.Errorf("%+v: want a disk, and nothing to do where it holds", f)
		}
		switch {
		case f.Source == "":
			without = append(without, f.ID)
		case !strings.Contains(f.Source, "https://") && !f.Unconfirmed:
			t.Errorf("%s: nobody can follow the source %q", f.ID, f.Source)
		}
		if f.Unconfirmed {
			unconfirmed = append(unconfirmed, f.ID)
		}
	}
	for _, r := range rules {
		for _, id := range r.basis.beliefs {
			if !slices.ContainsFunc(windows.Beliefs, func(b windows.Belief) bool { return b.ID == id }) {
				t.Errorf("%s rests on %s, which is not in the ledger", r.id, id)
			}
		}
	}
	// They are about what could be read.
	if want := strings.Fields("limits readable"); !slices.Equal(without, want) {
		t.Errorf("without a source: %q, want %q", without, want)
	}
	if want := strings.Fields("generalization-state setup-type setup-command vm-mode"); !slices.Equal(unconfirmed, want) {
		t.Errorf("unconfirmed: %q, want %q", unconfirmed, want)
	}
}

func TestLeftoversOfThisBuildAreToldFromOthers(t *testing.T) {
	r, e := good(), expectation()
	e.Run = "6b03b18d418c"
	ours, other, packers := `\Windows`+footprint.Mark.Path("6B03B18D418C"), `\Windows`+footprint.Mark.Path("6b0000000000"), `\Windows\Temp\packer-elevated-shell-1.ps1`
	r.Windows[0].Leftovers = []string{ours, other, packers, "and 3 more"}
	want := ours + " (of this build), " + other + ", " + packers + ", and 3 more"
	for run, want := range map[string]string{e.Run: want, "": strings.ReplaceAll(want, " (of this build)", "")} {
		e.Run = run
		failed := finding.Failed(Prove(r, e), finding.Warn)
		if len(failed) != 1 || failed[0].Found != want {
			t.Errorf("got %+v, want %s", failed, want)
		}
	}
}

func TestStateINIIsReadInEveryFormWindowsWrites(t *testing.T) {
	const want = "IMAGE_STATE_COMPLETE"
	for name, text := range map[string]string{
		"quoted, CRLF":          "[State]\r\nImageState=\"IMAGE_STATE_COMPLETE\"\r\n",
		"unquoted, a single LF": "[State]\nImageState=IMAGE_STATE_COMPLETE",
		"UTF-16":                "\xff\xfeI\x00m\x00a\x00g\x00e\x00S\x00t\x00a\x00t\x00e\x00=\x00I\x00M\x00A\x00G\x00E\x00_\x00S\x00T\x00A\x00T\x00E\x00_\x00C\x00O\x00M\x00P\x00L\x00E\x00T\x00E\x00",
	} {
		if got := parseStateINI([]byte(text)); got != want {
			t.Errorf("%s: got %q", name, got)
		}
	}
	for _, text := range []string{"", "ImageState=", "\xff\xfe\x00", "Other=IMAGE_STATE_COMPLETE"} {
		if got := parseStateINI([]byte(text)); got != "" {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

// The page of the proof has a row for every assertion, with its severity and what it
// rests on.
func TestThePageOfTheProofNamesEveryAssertion(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(testutil.Root(), "docs", "post-processors", "image.mdx"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range append([]rule{oneWindows}, rules...) {
		_, row, ok := strings.Cut(string(page), "\n| `"+r.id+"` | ")
		row, _, _ = strings.Cut(row, "\n")
		if !ok || !strings.Contains(row, " | "+string(r.severity)+" | ") {
			t.Errorf("%s: no row with %s: %q", r.id, r.severity, row)
		}
		for _, belief := range r.basis.beliefs {
			if !strings.Contains(row, "`"+belief+"`") {
				t.Errorf("%s: %s is not in the row", r.id, belief)
			}
		}
	}
}
