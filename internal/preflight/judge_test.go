package preflight

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// A guest that answers no question is accused of nothing and cleared of nothing.
func TestUnknownIsNeverAPassAndNeverAFail(t *testing.T) {
	told := []string{"hyperv-switches", "packer-leftovers", "sysprep-missing"} // the golden answers these
	j := Judge(facts(t, "everything-throws"), Plan{Generalize: true, VMMode: true, SetupComplete: true, Azure: true, Now: now}, nil)
	for _, r := range j.Results {
		if want := CannotTell; (r.Outcome != want) != slices.Contains(told, r.Check.ID) {
			t.Errorf("%s: outcome %d: %s", r.Check.ID, r.Outcome, r.Summary)
		}
		if f := r.Finding(); r.Outcome == CannotTell && (f.Holds || f.Severity != finding.Info || !strings.HasPrefix(f.Summary, "could not tell whether ")) {
			t.Errorf("%s: %+v", r.Check.ID, f)
		}
	}
	if len(j.Results) != len(Checks()) || j.Stops(finding.Warn) != nil {
		t.Errorf("%d of %d checks made, %d stop", len(j.Results), len(Checks()), len(j.Stops(finding.Warn)))
	}
	// Not even where its severity is chosen.
	j = Judge(facts(t, "everything-throws"), ordinary, finding.Overrides{"bitlocker": finding.Fail})
	if got := j.Stops(finding.Fail); got != nil {
		t.Errorf("%v stops", got)
	}
}

// twelve is a guest with twelve faults at once, of every part of the table.
var twelve = []string{
	`setup.status.GeneralizationState=3`, `rebootPending.cbsRebootPending=true`,
	`bitlocker.volumes=[{"drive":"C:","returnValue":0,"conversionStatus":1,"encryptionPercentage":100}]`,
	`services.AppXSvc={"start":4}`, `licensing.remainingWindowsReArmCount=0`,
	`externalProviders.list=[{"phase":"Generalize","name":"azure","data":"C:\\Windows\\System32\\VMAgentDisabler.dll,x","dll":"C:\\Windows\\System32\\VMAgentDisabler.dll","exists":false}]`,
	`defender.senseGuid=true`, `computer.partOfDomain=true`, `autologon.defaultPasswordPresent=true`, `disk.free=5`,
	`services.dmwappushservice={"start":4}`,
}

func TestTwelveFaultsAtOnce(t *testing.T) {
	edits := slices.Concat(quiet, []string{`services.WSearch={"start":2,"status":"Stopped"}`}, twelve)
	j := Judge(facts(t, "appx-per-user", edits...), ordinary, nil)
	var got []string
	for _, r := range slices.Concat(j.Of(Failed, finding.Fail), j.Of(Failed, finding.Warn)) {
		got = append(got, string(r.Severity)+" "+r.Check.ID)
	}
	want := []string{
		"fail setup-state", "fail reboot-pending", "fail bitlocker", "fail appxsvc-disabled", "fail appx-per-user", "fail rearm", "fail external-provider-missing",
		"warn disk-space", "warn dmwappushservice-disabled", "warn defender-onboarded", "warn domain-joined", "warn autologon",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if n := j.Count(); n != fmt.Sprintf("7 of %d checks fail, 5 warn", len(j.Results)) {
		t.Errorf("%s", n)
	}
	table := strings.Join(j.Table(), "\n") + "\n"
	path := filepath.Join("testdata", "twelve.txt")
	if os.Getenv("UPDATE") == "1" {
		if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wanted, err := os.ReadFile(path)
	if err != nil || table != string(wanted) {
		t.Errorf("%s %v", table, err)
	}
}

func TestThePartsOfAJudgement(t *testing.T) {
	edits := append(slices.Clone(quiet), `services.AppXSvc={"start":4}`, `disk.free=5`, `storePolicy.hiberbootEnabled=1`, `cluster!`)
	j := Judge(facts(t, win11, edits...), ordinary, nil)
	var words []string
	for _, line := range j.Table() {
		if word, _, _ := strings.Cut(line, ":"); !strings.HasPrefix(line, " ") {
			words = append(words, strings.Join(strings.Fields(word), " "))
		}
	}
	want := []string{"fail appxsvc-disabled", "warn disk-space", "warn windows-search", "note fast-startup", "unknown cluster", j.Passes()}
	if !slices.Equal(words, want) {
		t.Errorf("%q, want %q", words, want)
	}
	if got, want := j.Count(), fmt.Sprintf("1 of %d checks fails, 2 warn, 1 could not tell", len(j.Results)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	ids := func(list []Result) (ids []string) {
		for _, r := range list {
			ids = append(ids, r.Check.ID)
		}
		return ids
	}
	for on, want := range map[finding.Severity][]string{
		finding.Fail: {"appxsvc-disabled"}, finding.Warn: {"appxsvc-disabled", "disk-space", "windows-search"}, finding.Off: nil,
	} {
		if got := ids(j.Stops(on)); !slices.Equal(got, want) {
			t.Errorf("fail_on %s: %q, want %q", on, got, want)
		}
	}
	findings := j.Findings()
	if len(findings) != len(j.Results) || findings[0].ID != "appxsvc-disabled" || findings[0].Severity != finding.Fail || findings[0].Holds ||
		!strings.Contains(findings[0].Remedy[0], "[remedy service-start]") || findings[0].Note == "" || !findings[len(findings)-1].Holds {
		t.Errorf("%+v", findings[0])
	}
	chosen := finding.Overrides{"appxsvc-disabled": finding.Warn, "disk-space": finding.Off, "windows-search": finding.Fail, "bitlocker": finding.Warn}
	changed := Judge(facts(t, win11, edits...), ordinary, chosen)
	if got := ids(changed.Stops(finding.Fail)); !slices.Equal(got, []string{"windows-search"}) || len(changed.Results) != len(j.Results)-1 {
		t.Errorf("with severities: %q, %d results", got, len(changed.Results))
	}
	if r := judgedBy(changed, "bitlocker"); r.Outcome != Passed {
		t.Errorf("a severity makes a check fail that passes")
	}
}

func judgedBy(j Judgement, id string) Result {
	for _, r := range j.Results {
		if r.Check.ID == id {
			return r
		}
	}
	return Result{}
}

// What was not asked for is not judged.
func TestOnlyTheGroupsThatWereAskedForAreJudged(t *testing.T) {
	f := facts(t, "leftovers", quiet...)
	f.Asked = []Group{Base}
	j := Judge(f, ordinary, nil)
	for _, r := range j.Results {
		if r.Check.Group != Base {
			t.Errorf("%s was judged", r.Check.ID)
		}
	}
	if judgedBy(j, "autologon").Outcome != Failed {
		t.Error("the base group was not judged")
	}
}

func TestTheNameOfAPackageGoesIntoItsStep(t *testing.T) {
	f := facts(t, win11, `appx.packages=[`+app("Microsoft.X", "1.0", "", user)+`]`)
	if steps := judged(t, f, ordinary, "appx-per-user").Steps; !strings.Contains(steps[0].Text, "-Name 'Microsoft.X'") {
		t.Errorf("%q", steps)
	}
	f = facts(t, win11, `appx.packages=[`+app("X'; format C:", "1.0", "", user)+`]`)
	if steps := judged(t, f, ordinary, "appx-per-user").Steps; strings.Contains(steps[0].Text, "format") {
		t.Errorf("%q", steps)
	}
	if got := judged(t, f, ordinary, "appx-per-user").Remedies(); !slices.Equal(got, []string{RemedyAppx}) {
		t.Errorf("%q", got)
	}
}

// The table is whole: a reader of the page gets each part.
func TestTheTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks() {
		if seen[c.ID] {
			t.Errorf("%s is there twice", c.ID)
		}
		seen[c.ID] = true
		if c.Asserts == "" || c.Means == "" || len(c.Steps) == 0 || !strings.HasPrefix(c.Source, "http") || c.judge == nil {
			t.Errorf("%s is not whole", c.ID)
		}
		if !slices.Contains(Groups(), c.Group) || !slices.Contains([]finding.Severity{finding.Fail, finding.Warn, finding.Info}, c.Severity) {
			t.Errorf("%s: group %q, severity %q", c.ID, c.Group, c.Severity)
		}
		// A licence that cannot be reset costs the machine; all else sysprep refuses itself.
		if c.Severity == finding.Fail && c.Unconfirmed && c.ID != "software-protection-disabled" {
			t.Errorf("%s fails on reports alone", c.ID)
		}
	}
}

// What the guest is called cannot pass for a line of the table.
func TestATextOfOthersStaysOnItsLine(t *testing.T) {
	j := Judge(facts(t, server, `packerLeftovers.tasks=["packer-x\nfail    bitlocker: C: is encrypted"]`, `computer.partOfDomain=true`, `computer.domain="a\u2028b\rc"`), ordinary, nil)
	for _, line := range j.Table() {
		if strings.HasPrefix(line, "fail ") || strings.ContainsAny(line, "\n\r\u2028") {
			t.Errorf("%q", line)
		}
	}
}

// A list that did not come is no empty one.
func TestAListThatDidNotComeIsNotKnown(t *testing.T) {
	for id, edit := range map[string]string{
		"sysprep-running": `processes={}`, "servicing-busy": `processes={}`, "external-provider-missing": `externalProviders={}`, "external-provider-other": `externalProviders={}`,
		"event-logs-moved": `eventLogs={}`, "upgraded": `setup={}`, "hyperv-switches": `hyperv={}`, "nps-clients": `nps={"installed":true}`, "answer-files-left": `answerFiles={}`,
		"orphaned-profiles": `profiles={}`, "efs": `encryptedFiles={}`, "packer-leftovers": `packerLeftovers={}`, "page-file": `pageFile={}`, "winrm-certificate": `winrm={}`,
	} {
		if r := judged(t, facts(t, server, edit), ordinary, id); r.Outcome != CannotTell {
			t.Errorf("%s: %+v", id, r.Outcome)
		}
	}
}

func TestWhatIsAwaited(t *testing.T) {
	f := facts(t, "reboot-pending", `services={"RdAgent":{"start":2,"status":"Stopped"},"AmazonSSMAgent":{"start":2,"status":"Running"},"GCEAgent":{"start":4,"status":"Stopped"},"WindowsAzureGuestAgent":{"start":2},"cloudbase-init":{"start":2,"status":"Running"}}`)
	for _, c := range []struct {
		servicing, agents bool
		want              []string
	}{
		{false, false, nil},
		{true, false, []string{"TiWorker (process id 812) is at work", "TrustedInstaller (process id 804) is at work"}},
		{false, true, []string{"the agent RdAgent does not run (Stopped)", "Cloudbase-Init has not ended"}},
	} {
		if got := f.Awaited(false, c.servicing, c.agents); !slices.Equal(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if got := facts(t, server, `processes!`, `services!`).Awaited(true, true, true); got != nil {
		t.Errorf("waits for what is not known: %q", got)
	}
}

func TestTheFirstBootIsAwaited(t *testing.T) {
	setup := []string{"Windows Setup is at work"}
	for edit, want := range map[string][]string{
		`setup.setup.OOBEInProgress=1`:                                     setup,
		`setup.setup.SystemSetupInProgress=1`:                              setup,
		`imageState.registry="IMAGE_STATE_UNDEPLOYABLE"`:                   setup,
		`imageState.registry="IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE"`:      setup,
		`imageState.registry="IMAGE_STATE_COMPLETE"`:                       nil,
		`imageState.registry="IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"`:      nil,
		`imageState={"registry":"IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"}`: nil,
	} {
		f := facts(t, server, edit)
		if got := f.Awaited(true, false, false); !slices.Equal(got, want) {
			t.Errorf("%s: %q", edit, got)
		}
		if got := f.Awaited(false, true, true); got != nil {
			t.Errorf("%s: %q", edit, got)
		}
	}
	f := facts(t, server, `setup.setup.OOBEInProgress=1`, `imageState.registry="IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"`)
	if got := f.Awaited(true, false, false); got != nil {
		t.Errorf("in audit mode: %q", got)
	}
}

func TestFactsOfOtherGroupsAreTaken(t *testing.T) {
	all := facts(t, win11)
	var f Facts
	if f.Told() {
		t.Error("nothing tells something")
	}
	f.Add(now, []Group{Base}, map[string]json.RawMessage{"disk": json.RawMessage(`{"value":{"free":7}}`), "cluster": json.RawMessage(`{"error":"no"}`)})
	if !f.Told() {
		t.Error("something tells nothing")
	}
	f.Take(all)
	if d, _ := f.Disk.Get(); *d.Free != 30000000000 || len(f.Asked) != len(Groups()) || f.Cluster.Why() != "" || f.Time != now {
		t.Errorf("%+v", f)
	}
	f.Take(Facts{Cluster: Unknown[Cluster]("again not")})
	if f.Cluster.Why() != "again not" || !f.Told() {
		t.Errorf("%q", f.Cluster.Why())
	}
}

// What the questions of the pre-flight start is not taken for an update, when the guest is
// asked again.
func TestServicingThatTheQuestionsStarted(t *testing.T) {
	list := func(processes string) Facts { return facts(t, server, `processes.list=[`+processes+`]`) }
	const old, ours, setup = `{"name":"TiWorker","id":8}`, `{"name":"TiWorker.exe","id":12},{"name":"TrustedInstaller","id":16},{"name":"DismHost","id":20}`, `{"name":"msiexec","id":24}`
	for name, c := range map[string]struct {
		first string
		again []string
		want  Outcome
	}{
		"asked once":                 {first: ours, want: Failed},
		"started since":              {again: []string{ours}, want: Passed},
		"and once more":              {again: []string{ours, ours}, want: Passed},
		"there before":               {first: old, again: []string{old + "," + ours}, want: Failed},
		"another program":            {again: []string{ours + "," + setup}, want: Failed},
		"it is gone, and then ours":  {first: old, again: []string{ours}, want: Passed},
		"the first was not answered": {first: "none", again: []string{ours}, want: Failed},
	} {
		f := facts(t, server, `processes!`)
		if c.first != "none" {
			f = list(c.first)
		}
		for _, next := range c.again {
			f.Take(list(next))
		}
		if got := judged(t, f, ordinary, "servicing-busy"); got.Outcome != c.want {
			t.Errorf("%s: %v: %s", name, got.Outcome, got.Summary)
		}
	}
}
