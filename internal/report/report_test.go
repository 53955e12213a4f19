package report

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// fill puts a text into every text of a value, and returns how many there are.
func fill(v reflect.Value, text string) (n int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return 1
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return 0
		}
		for i := range v.NumField() {
			n += fill(v.Field(i), text)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		n += fill(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			n += fill(v.Index(i), text)
		}
	}
	return n
}

// A field that is added later is among them by itself.
func TestEveryTextOfARunIsChanged(t *testing.T) {
	var run Run
	n := fill(reflect.ValueOf(&run).Elem(), "secret")
	seen := 0
	changed := run.Each(func(s string) string {
		if s == "secret" {
			seen++
		}
		return "changed"
	})
	if n < 60 || seen != n {
		t.Errorf("%d of %d texts", seen, n)
	}
	again := 0
	changed.Each(func(s string) string {
		if s == "changed" {
			again++
		}
		return s
	})
	if again != n {
		t.Errorf("%d of %d are changed", again, n)
	}
	// What was given is as it was.
	run.Each(func(s string) string {
		if s != "secret" {
			t.Errorf("%q in the run that was given", s)
		}
		return s
	})
}

func TestASectionThatSaysNothingIsLeftOut(t *testing.T) {
	var run Run
	run.Add(NewSection(SectionPreflight))
	run.AddProof(nil, "facts", nil)
	if len(run.Sections) > 0 || run.Facts != nil {
		t.Errorf("%+v", run)
	}
	run.AddProof(nil, "facts", errors.New("a\nb"))
	run.Add(NewSection(SectionDiagnosis, finding.Finding{ID: "F01"}))
	run.AddProof([]finding.Finding{{ID: "tag"}}, "facts", nil)
	if len(run.Sections) != 3 || run.Sections[0].Error != "a; b" || run.Facts != "facts" || run.Sections[0].Title == "" {
		t.Errorf("%+v", run)
	}
	// The cause explains; it is not counted.
	if all := run.Findings(); len(all) != 1 || all[0].ID != "tag" {
		t.Errorf("%+v", all)
	}
}

func TestLines(t *testing.T) {
	if got := strings.Join(Lines("a\r\n\n  b \n"), "|"); got != "a|  b" {
		t.Errorf("%q", got)
	}
	if Lines("\n") != nil {
		t.Error("an empty line is one")
	}
}
