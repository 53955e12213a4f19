package guest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func golden(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "internal", "guest", "scripts", "golden", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sentParameters are the parameters of the script that a line runs.
func sentParameters(t *testing.T, lines []string) (p map[string]any) {
	t.Helper()
	line := lines[len(lines)-1]
	raw, err := base64.StdEncoding.DecodeString(line[strings.LastIndexByte(line, ' ')+1:])
	if err != nil || json.Unmarshal(raw, &p) != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return p
}

func TestARepairSaysWhatItDid(t *testing.T) {
	f := &fake{start: says(golden(t, "repair-appx-remove"), "")}
	did, err := New(f, "id").Repair(t.Context(), RepairAppx, map[string]any{"packages": []string{"a", "b"}}, false)
	if err != nil {
		t.Fatal(err)
	}
	var what []string
	for _, a := range did.Actions {
		what = append(what, a.What+" "+a.Target[:9]+" "+a.Error)
		if a.Done != (a.Error == "") {
			t.Errorf("%+v", a)
		}
	}
	if !did.Changed || did.Failed != 1 || did.DryRun || !slices.Equal(what, []string{"appx-remove Microsoft ", "appx-remove Microsoft part of Windows, must not be removed", "appx-deprovision Microsoft "}) {
		t.Errorf("%+v, %q", did, what)
	}
	if len(did.Before) == 0 || len(did.After) == 0 {
		t.Errorf("before %s, after %s", did.Before, did.After)
	}
	if p := sentParameters(t, f.lines()); p["id"] != "appx-remove" || p["dryRun"] != false || len(p["packages"].([]any)) != 2 {
		t.Errorf("sent %v", p)
	}
}

func TestARepairThatIsNotAnsweredIsAnError(t *testing.T) {
	dry := strings.Replace(golden(t, "repair-search-stop"), `"dryRun":false`, `"dryRun":true`, 1)
	for name, c := range map[string]struct {
		says string
		id   Repair
		want error
	}{
		"it broke":              {golden(t, "repair-everything-throws"), RepairAutologon, &ScriptError{Name: "script"}},
		"another repair":        {golden(t, "repair-search-stop"), RepairAutologon, ErrUnreadable},
		"a dry one":             {dry, RepairSearch, ErrUnreadable},
		"nothing":               {"", RepairSearch, ErrNoDocument},
		"half":                  {golden(t, "repair-search-stop")[:80], RepairSearch, ErrNoDocument},
		"actions that are none": {`{"script":"repair","schema":1,"ok":true,"id":"search-stop","dryRun":false,"actions":7}`, RepairSearch, ErrUnreadable},
		"there is none":         {"", "format-disk", ErrNotSent},
	} {
		did, err := New(&fake{start: says(c.says, "")}, "id").Repair(t.Context(), c.id, nil, false)
		if !errors.Is(err, c.want) || did.Changed || did.Actions != nil {
			t.Errorf("%s: %v, %+v", name, err, did)
		}
	}
	quickly(t, "no answer", func(t *testing.T) {
		silent := &fake{start: func(ctx context.Context, _ Request) error { <-ctx.Done(); return context.Cause(ctx) }}
		if _, err := New(silent, "id").Repair(t.Context(), RepairSearch, nil, false); !Unanswered(err) {
			t.Error(err)
		}
	})
	for _, id := range []Repair{RepairAppx, RepairSearch, RepairUpdates, RepairServiceEnable, RepairBitLocker, RepairReservedStorage, RepairProviders, RepairAnswerFiles, RepairAutologon, RepairRadius, RepairDomain} {
		if repairLimits[id] == 0 {
			t.Errorf("%s has no limit", id)
		}
	}
}

func TestHowFarVolumesAreEncrypted(t *testing.T) {
	all, err := Volumes(json.RawMessage(`{"C:":{"conversionStatus":3,"encryptionPercentage":42}}`))
	if err != nil || !slices.Equal(all, []EncryptedVolume{{"C:", 3, 42}}) {
		t.Errorf("%v, %+v", err, all)
	}
	for _, state := range []string{``, `[]`, `{"C:":{}}`, `{"C:":{"conversionStatus":3}}`} {
		if all, err := Volumes(json.RawMessage(state)); err == nil {
			t.Errorf("%s is %+v", state, all)
		}
	}
}

func TestACleanUpTellsOfEachItem(t *testing.T) {
	const temp = `{"script":"hygiene","schema":1,"ok":true,"item":"temp","dryRun":false,"before":{"bytes":10,"count":2},"after":{"bytes":1,"count":1},"left":1,"restart":false,"problem":"in  use","ms":3}` + "\n"
	const store = `{"script":"hygiene","schema":1,"ok":true,"item":"component-store","dryRun":false,"before":null,"after":null,"left":1,"restart":true,"problem":"x","ms":3}` + "\n"
	var got []Cleaned
	each := func(c Cleaned) { got = append(got, c) }
	items := []HygieneItem{HygieneTemp, HygieneComponentStore}
	f := &fake{start: says(temp+store, "")}
	if err := New(f, "id").Clean(t.Context(), items, true, false, each); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Before.Bytes != 10 || got[0].After.Count != 1 || got[0].Problem != "in use" || got[1].Before != nil || !got[1].Restart {
		t.Errorf("%+v", got)
	}
	if p := sentParameters(t, f.lines()); p["keep"] != "id" || p["resetBase"] != true || p["dryRun"] != false {
		t.Errorf("sent %v", p)
	}
	if err := New(&fake{start: says(temp, "")}, "id").Clean(t.Context(), items, false, false, each); !errors.Is(err, ErrUnreadable) {
		t.Errorf("one item of two was answered for: %v", err)
	}
	if HygieneLimit(items) <= HygieneLimit(items[:1]) {
		t.Error("the component store has no more time than files")
	}
}

func TestServicesAreStartedByCmd(t *testing.T) {
	f := &fake{start: says("packer-part:started=1\r\npacker-part:end\r\n", "")}
	left, err := New(f, "id").StartServices(t.Context(), CommandLimit, "WSearch", "BITS")
	if err != nil || !slices.Equal(left, []string{"WSearch"}) {
		t.Errorf("%v, left %q", err, left)
	}
	line := f.lines()[0]
	if !strings.Contains(line, `sc start "WSearch"`) || strings.Contains(line, "powershell") {
		t.Error(line)
	}
	if left, err := New(&fake{start: func(context.Context, Request) error { return ErrNoAnswer }}, "id").StartServices(t.Context(), CommandLimit, "BITS"); err == nil || len(left) != 1 {
		t.Errorf("%v, %q", err, left)
	}
}

// repair.ps1 has the repairs that the plugin asks for, and no others.
func TestRepairsAreThoseOfTheScript(t *testing.T) {
	_, rest, _ := strings.Cut(string(scripts.Text(scripts.Repair)), "$ids = @(")
	list, _, there := strings.Cut(rest, ")\n")
	var ids []string
	for _, quoted := range regexp.MustCompile(`'([a-z-]+)'`).FindAllStringSubmatch(list, -1) {
		ids = append(ids, quoted[1])
	}
	var want []string
	for id := range repairLimits {
		want = append(want, string(id))
	}
	slices.Sort(ids)
	if slices.Sort(want); !there || !slices.Equal(ids, want) {
		t.Errorf("repair.ps1 has %q, and the plugin asks for %q", ids, want)
	}
}
