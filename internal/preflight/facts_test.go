package preflight

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every golden is read whole: each fact that it has is known, or says why not.
func TestEveryGoldenIsRead(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(goldens, "preflight-*.json"))
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d goldens, %v", len(paths), err)
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(raw)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		var doc struct {
			Facts map[string]struct {
				Error *string
			}
		}
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		byName := whys(f)
		for name, fact := range doc.Facts {
			why, ok := byName[name]
			switch {
			case !ok:
				t.Errorf("%s: nobody reads %s", path, name)
			case fact.Error == nil && why != "" || fact.Error != nil && why != *fact.Error:
				t.Errorf("%s: %s: %q", path, name, why)
			}
		}
		if !slices.Equal(f.Asked, Groups()) || f.Time.IsZero() {
			t.Errorf("%s: %q, %s", path, f.Asked, f.Time)
		}
	}
}

// whys are what all facts say of why they are not known, by their names in a document.
func whys(f Facts) map[string]string {
	all := map[string]string{}
	fields := map[string]string{}
	v := reflect.ValueOf(f)
	for i := range v.NumField() {
		if w, ok := v.Field(i).Interface().(interface{ Why() string }); ok {
			fields[strings.ToLower(v.Type().Field(i).Name)] = w.Why()
		}
	}
	for name := range f.takers() {
		all[name] = fields[strings.ToLower(name)]
	}
	return all
}

func TestWhatCannotBeReadIsUnknown(t *testing.T) {
	document := func(fact string) string {
		return `{"script":"preflight","schema":1,"ok":true,"time":"2026-01-02T03:04:05.0000000Z","groups":["base","new"],"facts":{"disk":` + fact + `,"other":{"value":1}}}`
	}
	for fact, want := range map[string]string{
		`{"value":{"free":1}}`:    "",
		`{"value":null}`:          "no value",
		`{}`:                      "no value",
		`{"error":"a\u0007\n b"}`: "a\a b",
		`{"error":"` + strings.Repeat("x", 1000) + `"}`: strings.Repeat("x", 300) + "...",
		`{"value":{"free":"much"}}`:                     "free is a string",
		`{"value":[1]}`:                                 "is a array",
		`7`:                                             "cannot be read",
		`{"value":{"drive":"` + strings.Repeat("x", maxText+1) + `"}}`: "more than 65536 bytes",
	} {
		f, err := Parse([]byte(document(fact)))
		if err != nil {
			t.Errorf("%.60s: %v", fact, err)
		}
		if why := f.Disk.Why(); !strings.Contains(why, want) || (why == "") != (want == "") {
			t.Errorf("%.60s: %q, want %q", fact, why, want)
		}
		if !slices.Equal(f.Asked, []Group{Base}) {
			t.Errorf("%q", f.Asked)
		}
	}
	long := `{"value":{"list":[` + strings.Repeat(`{},`, maxList) + `{}]}}`
	f, err := Parse([]byte(strings.Replace(document(long), "disk", "profiles", 1)))
	if err != nil || !strings.Contains(f.Profiles.Why(), "more than 20000 entries") {
		t.Errorf("%q, %v", f.Profiles.Why(), err)
	}
}

func TestWhatIsNoReportIsRefused(t *testing.T) {
	for _, raw := range []string{
		``, `[]`, `{"script":"watch","schema":1,"ok":true}`, `{"script":"preflight","schema":2,"ok":true}`, `{"script":"preflight","schema":1,"ok":false}`,
		`{"script":"preflight","schema":1,"ok":true,"facts":3}`, strings.Repeat(" ", maxDocument+1),
	} {
		if _, err := Parse([]byte(raw)); !errors.Is(err, ErrNotPreflight) {
			t.Errorf("%.60s: %v", raw, err)
		}
	}
}

// Several documents are one guest; the first time counts.
func TestDocumentsAddUp(t *testing.T) {
	one := `{"script":"preflight","schema":1,"ok":true,"time":"2026-01-02T03:04:05.0000000Z","groups":["base"],"facts":{"disk":{"value":{"free":1}}}}`
	two := `{"script":"preflight","schema":1,"ok":true,"time":"2027-01-02T03:04:05.0000000Z","groups":["appx","base"],"facts":{"appx":{"error":"no"}}}`
	f, err := Parse([]byte(one), []byte(two))
	if err != nil {
		t.Fatal(err)
	}
	if _, known := f.Disk.Get(); !known || f.Appx.Why() != "no" || f.Cluster.Why() == "" || f.Time.Year() != 2026 || !slices.Equal(f.Asked, []Group{Base, Appx}) {
		t.Errorf("%+v", f)
	}
}

// For a report: what is known is written as it was read, and read again it is the same.
func TestFactsAreWrittenAsTheyWereRead(t *testing.T) {
	for _, name := range []string{win11, "leftovers", "everything-throws", "nps"} {
		f := facts(t, name)
		raw, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Time   time.Time                  `json:"time"`
			Groups []Group                    `json:"groups"`
			Facts  map[string]json.RawMessage `json:"-"`
		}
		if err := errors.Join(json.Unmarshal(raw, &doc), json.Unmarshal(raw, &doc.Facts)); err != nil {
			t.Fatal(err)
		}
		var again Facts
		again.Add(doc.Time, doc.Groups, doc.Facts)
		if !reflect.DeepEqual(again, f) {
			t.Errorf("%s: %+v\nwas %+v", name, again, f)
		}
	}
	if raw, err := json.Marshal(Facts{}); err != nil || string(raw) != "{}" {
		t.Errorf("%s, %v", raw, err)
	}
}

// No answer of a guest breaks a judgement, and the table of it is bounded by what was
// found.
func FuzzParse(f *testing.F) {
	paths, _ := filepath.Glob(filepath.Join(goldens, "preflight-*.json"))
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		facts, err := Parse(raw)
		if err != nil && !errors.Is(err, ErrNotPreflight) {
			t.Error(err)
		}
		j := Judge(facts, Plan{Generalize: true, VMMode: true, SetupComplete: true, Azure: true, Now: now}, nil)
		for _, r := range j.Results {
			if r.Outcome == Failed && r.Severity == "" || r.Outcome != Passed && r.Summary == "" {
				t.Errorf("%s: %+v", r.Check.ID, r)
			}
		}
		j.Table()
	})
}
