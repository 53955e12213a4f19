package preflight

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// told are the facts of a golden, after some were replaced.
func told(t *testing.T, golden string, replace map[string]string) Facts {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testutil.Root(), "internal", "guest", "scripts", "golden", "preflight-"+golden+".json"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	other := map[string]json.RawMessage{}
	for name, value := range replace {
		other[name] = json.RawMessage(value)
	}
	f.Add(f.Time, f.Asked, other)
	return f
}

// planned are the calls of a plan, as text.
func planned(t *testing.T, plan []Planned) (calls []string) {
	t.Helper()
	for _, p := range plan {
		if p.Unknown != "" {
			calls = append(calls, p.Remedy.ID+" unknown: "+p.Unknown)
		}
		for _, c := range p.Calls {
			parameters, err := json.Marshal(c.Parameters)
			if err != nil || len(c.Targets) == 0 {
				t.Errorf("%v: %+v", err, c)
			}
			calls = append(calls, c.Repair+" "+string(parameters))
		}
	}
	return calls
}

func wantCalls(t *testing.T, name string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n  %s\nwant\n  %s", name, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestWhatRemediesHaveToDo(t *testing.T) {
	const stray = `{"value":{"available":true,"packages":[{"name":"A","fullName":"A_1_x64__p","version":"1","users":[{"state":"Installed"}]},` +
		`{"name":"B","fullName":"B_1_x64__p","version":"1","users":[{"state":"Installed"}]},{"name":"B","fullName":"B_2_x64__p","version":"2","users":[{"state":"Staged"}]},` +
		`{"name":"C","fullName":"C_1_x64__p","version":"1","users":[{"state":"Installed"}]},{"name":"D","fullName":"D_1_x64__p","version":"1","signatureKind":"System","users":[{"state":"Installed"}]}]}}`
	const provisioned = `{"value":{"available":true,"packages":[{"displayName":"B","packageName":"B_1_neutral_~_p"},{"displayName":"C","packageName":"C_1_neutral_~_p"}]}}`
	for _, c := range []struct {
		name, golden string
		replace      map[string]string
		choice       Choice
		want         []string
	}{
		{"nothing asked for", "leftovers", nil, Choice{}, nil},
		{"nothing to do", "clean-server-2022", nil, Choice{IDs: RemedyIDs()}, []string{"update-services-stop null"}},
		{"what is harmless", "leftovers", nil, Choice{IDs: []string{Suggested}}, []string{"update-services-stop null",
			`external-provider-remove {"providers":[{"name":"azure","named":false,"phase":"Generalize"},{"name":"bare","named":false,"phase":"Generalize"}]}`}},
		{"all that is left over", "leftovers", nil, Choice{IDs: []string{RemedyAutologon, RemedyAnswers, RemedyStartTypes}, Keep: []string{`c:\AUTOUNATTEND.xml`}}, []string{
			`service-enable {"services":["AppXSvc"]}`, `answer-files-aside {"files":["C:\\Windows\\Panther\\unattend.xml"],"pointer":true}`, "autologon-clear null"}},
		{"a provider that is named", "clean-win11", nil, Choice{IDs: []string{RemedyProviders}, Providers: []string{`c:\windows\system32\AGENTPROV.dll`}},
			[]string{`external-provider-remove {"providers":[{"name":"agent","named":true,"phase":"Generalize"}]}`}},
		{"a provider that is not", "clean-win11", nil, Choice{IDs: []string{RemedyProviders}, Providers: []string{"other"}}, nil},
		{"BitLocker", "bitlocker-on", nil, Choice{IDs: []string{RemedyBitLocker}}, []string{`bitlocker-off {"drives":["C:"]}`}},
		{"a package of a user", "appx-per-user", nil, Choice{IDs: []string{RemedyAppx}},
			[]string{`appx-remove {"first":[],"packages":["Microsoft.Winget.Source_2024.414.1454.918_neutral__8wekyb3d8bbwe","Editeur.Cafe_1.0.0.0_x64__abcdefghjkmnp"],"provisioned":[]}`}},
		{"two versions and a stray", "clean-win11", map[string]string{"appx": stray, "appxProvisioned": provisioned}, Choice{IDs: []string{RemedyAppx}},
			[]string{`appx-remove {"first":["B_p"],"packages":["B_1_x64__p","A_1_x64__p"],"provisioned":["B_1_neutral_~_p"]}`}},
		{"two versions for two architectures", "clean-win11", map[string]string{"appxProvisioned": provisioned, "appx": `{"value":{"available":true,"packages":[` +
			`{"name":"B","fullName":"B_1_x86__p","version":"1","users":[{"state":"Installed"}]},{"name":"B","fullName":"B_1_x64__p","version":"1","users":[{"state":"Installed"}]},` +
			`{"name":"B","fullName":"B_2_x64__p","version":"2","users":[{"state":"Installed"}]},{"name":"B","fullName":"B_9_neutral_~_p","version":"9","users":[{"state":"Installed"}]}]}}`}, Choice{IDs: []string{RemedyAppx}},
			[]string{`appx-remove {"first":["B_p"],"packages":["B_1_x86__p","B_1_x64__p","B_2_x64__p"],"provisioned":["B_1_neutral_~_p"]}`}},
		{"two versions that nobody has", "clean-win11", map[string]string{"appxProvisioned": provisioned, "appx": `{"value":{"available":true,"packages":[` +
			`{"name":"B","fullName":"B_1_x64__p","version":"1","users":[{"state":"Staged"}]},{"name":"B","fullName":"B_2_x64__p","version":"2","users":[{"state":"Staged"}]}]}}`}, Choice{IDs: []string{RemedyAppx}}, nil},
		{"RADIUS clients", "nps", nil, Choice{IDs: []string{RemedyNPS}}, []string{`nps-clients-remove {"clients":["switch-1"]}`}},
		{"a domain", "clean-server-2022", map[string]string{"computer": `{"value":{"partOfDomain":true,"domain":"example.test"}}`}, Choice{IDs: []string{RemedyDomain}}, []string{"domain-leave null"}},
		{"reserved storage", "clean-win11", map[string]string{"reservedStorage": `{"value":{"ActiveScenario":0,"state":"Enabled"}}`}, Choice{IDs: []string{RemedyReserves}}, []string{"reserved-storage-off null"}},
		{"a volume that does not tell", "bitlocker-on", map[string]string{"bitlocker": `{"value":{"available":true,"systemDrive":"C:","volumes":[{"drive":"C:","returnValue":2150694912,"conversionStatus":null}]}}`}, Choice{IDs: []string{RemedyBitLocker}},
			[]string{"bitlocker unknown: Windows did not tell how far C: is encrypted (0x80310000)"}},
		{"reserved storage that does not tell", "clean-win11", map[string]string{"reservedStorage": `{"value":{"ActiveScenario":0,"state":null,"stateError":"no session"}}`}, Choice{IDs: []string{RemedyReserves}},
			[]string{"reserved-storage unknown: Windows did not tell the state of reserved storage: no session"}},
		{"a scenario", "clean-win11", map[string]string{"reservedStorage": `{"value":{"ActiveScenario":3,"state":"Enabled"}}`}, Choice{IDs: []string{RemedyReserves}}, []string{`reserved-storage-off {"scenario":true}`}},
		{"a scenario at work", "clean-win11", map[string]string{"reservedStorage": `{"value":{"ActiveScenario":3}}`, "processes": `{"value":{"list":[{"name":"TiWorker","id":7}]}}`}, Choice{IDs: []string{RemedyReserves}},
			[]string{"reserved-storage unknown: TiWorker is at work, and reserved storage may be in use: let it finish"}},
		{"what is not known is not touched", "everything-throws", map[string]string{"services": `{"error":"Access is denied."}`}, Choice{IDs: []string{RemedySearch}}, []string{"windows-search unknown: Access is denied."}},
	} {
		wantCalls(t, c.name, planned(t, PlanRemedies(told(t, c.golden, c.replace), c.choice)), c.want...)
	}
	for _, p := range PlanRemedies(Facts{}, Choice{IDs: RemedyIDs()}) {
		if p.Unknown == "" || p.Calls != nil {
			t.Errorf("nothing is known, and %s would do %+v", p.Remedy.ID, p.Calls)
		}
	}
}

// The names of many packages have to fit on command lines: a family is not torn apart.
func TestManyPackagesAreSeveralCalls(t *testing.T) {
	var all []Call
	for range 30 {
		all = add(all, []string{"a_1__p"}, nil, nil)
	}
	all = add(all, []string{"b_1__p", "b_2__p"}, []string{"b_1_~_p"}, []string{"b_p"})
	total := 0
	for _, c := range all {
		if len(c.Targets) > mostPackages {
			t.Errorf("%d in one call", len(c.Targets))
		}
		total += len(c.Targets)
	}
	last := all[len(all)-1]
	if total != 33 || len(all) < 3 || len(last.Parameters["provisioned"].([]string)) != 1 || !slices.Contains(last.Targets, "b_1__p") {
		t.Errorf("%d calls, %d packages: %+v", len(all), total, last)
	}
}

// Each remedy that a check names is there, and says so; each answers checks that exist.
func TestRemediesAndChecksNameEachOther(t *testing.T) {
	for _, c := range Checks() {
		for _, s := range c.Steps {
			if s.Remedy == "" {
				continue
			}
			r, there := RemedyOf(s.Remedy)
			if !there || !slices.Contains(r.Answers, c.ID) || !slices.Contains(r.Groups, c.Group) {
				t.Errorf("%s names the remedy %s, which answers %q of %q", c.ID, s.Remedy, r.Answers, r.Groups)
			}
		}
	}
	for _, r := range Remedies() {
		for _, id := range r.Answers {
			if _, there := ByID(id); !there {
				t.Errorf("%s answers %s, which is no check", r.ID, id)
			}
		}
		if len(r.Answers) == 0 || r.Changes == "" || r.Keeps == "" || r.Source == "" || r.ForTheRun && !r.Harmless || r.calls == nil {
			t.Errorf("%+v", r)
		}
	}
	if _, there := RemedyOf("none"); there {
		t.Error("there is one")
	}
}

func TestWhatChecksMakeOfARemedy(t *testing.T) {
	of := func(id string, o Outcome) Result { return Result{Check: Check{ID: id}, Outcome: o} }
	for name, c := range map[string]struct {
		results []Result
		want    string
		open    int
	}{
		"both hold":         {[]Result{of("a", Passed), of("b", Passed), of("c", Failed)}, VerifiedHolds, 0},
		"one fails":         {[]Result{of("a", Passed), of("b", Failed)}, VerifiedNot, 1},
		"one is not known":  {[]Result{of("a", CannotTell), of("b", Passed)}, VerifiedUnknown, 1},
		"one of each":       {[]Result{of("a", CannotTell), of("b", Failed)}, VerifiedNot, 2},
		"neither was made":  {[]Result{of("c", Passed)}, VerifiedUnknown, 0},
		"nothing was asked": {nil, VerifiedUnknown, 0},
	} {
		if got, open := (Judgement{Results: c.results}).Verifies([]string{"a", "b"}); got != c.want || len(open) != c.open {
			t.Errorf("%s: %s, %d open", name, got, len(open))
		}
	}
}

func TestWhatIsSaidOfARemedy(t *testing.T) {
	a := Applied{ID: "x", Actions: []Done{{What: "service-stop", Target: "WSearch", Done: true}, {What: "set-2", Target: "k", Done: true}, {What: "new-word", Target: "z", Done: true}, {What: "rename", Target: "f", Error: "denied"}}}
	if got := Says(a); got != "Warning: Remedy x has changed: stopped the service WSearch; set to 2 k; new-word z\n  not done: f (rename): denied" || a.Failed() != 1 {
		t.Errorf("%d: %s", a.Failed(), got)
	}
	if got := Says(Applied{ID: "x", Error: "no answer"}); got != "Remedy x has changed nothing\n  it did not come to its end: no answer" {
		t.Error(got)
	}
}

// docs/remedies.md has the remedies and the table of cleanings of the code, in their order.
func TestRemediesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "docs", "remedies.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(text), "\r\n", "\n")
	yes := map[bool]string{true: "yes", false: "no"}
	var rows []string
	for _, r := range Remedies() {
		source := r.Source
		if r.Unconfirmed {
			source += " (unconfirmed)"
		}
		undone := "no"
		if r.ForTheRun {
			undone = "started again unless the image is good"
		}
		rows = append(rows, "### "+r.ID+"\n\n- **Answers:** `"+strings.Join(r.Answers, "`, `")+"`\n- **Changes:** "+r.Changes+"\n- **Leaves alone:** "+r.Keeps+
			"\n- **Harmless:** "+yes[r.Harmless]+"\n- **Undone:** "+undone+"\n- **Source:** "+source)
	}
	for _, c := range Cleanings() {
		rows = append(rows, "| `"+c.ID+"` | "+c.Changes+" | "+c.Keeps+" | "+map[bool]string{true: "last", false: "before sysprep"}[c.AtTheEnd]+" | "+c.Source+" |")
	}
	at := 0
	for _, row := range rows {
		i := strings.Index(page[at:], row+"\n")
		if i < 0 {
			t.Errorf("not there, or not in its place:\n%s", row)
			continue
		}
		at += i
	}
	for id, why := range refused {
		if !strings.Contains(page, "`"+id+"`") || why == "" {
			t.Errorf("%s is not said to be missing", id)
		}
	}
}
