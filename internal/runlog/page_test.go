package runlog

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// keysOf are the keys of a type, below a path. Those of findings are described elsewhere, and
// the facts of an observation are those of the first look.
func keysOf(t reflect.Type, path string) (keys []string) {
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[finding.Finding](), reflect.TypeFor[json.RawMessage]():
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		return keysOf(t.Elem(), path)
	case reflect.Struct:
	default:
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue // embedded
		}
		key := strings.TrimPrefix(path+"."+name, ".")
		keys = append(append(keys, key), keysOf(f.Type, key)...)
	}
	return keys
}

// The page describes each key of the file, and no other.
func TestThePageDescribesTheFile(t *testing.T) {
	page, err := os.ReadFile("../../docs/run.md")
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_.]+)` \\| (.+) \\|$").FindAllStringSubmatch(string(page), -1) {
		described = append(described, m[1])
	}
	keys := keysOf(reflect.TypeFor[Log](), "")
	if len(keys) < 80 {
		t.Fatalf("%d keys: %q", len(keys), keys)
	}
	for _, key := range keys {
		if !slices.Contains(described, key) {
			t.Errorf("docs/run.md does not describe %s", key)
		}
	}
	for _, key := range described {
		if !slices.Contains(keys, key) {
			t.Errorf("docs/run.md describes %s, which run.json has not", key)
		}
	}
}

// A reader of the file finds the page.
func TestTheFileSaysWhatItIs(t *testing.T) {
	for component, want := range map[string]string{Provisioner: `provisioner "sysprep"`, Builder: `source "sysprep-vhd"`} {
		r := New(Log{Component: component}, time.Now, func(s string) string { return s })
		about := r.Log().About
		if !strings.Contains(about, want) || !strings.Contains(about, "https://github.com/packer-plugin-sysprep/packer-plugin-sysprep/blob/main/docs/run.md") || strings.Contains(about, "\n") {
			t.Errorf("%s: %q", component, about)
		}
	}
	if about := New(Log{}, time.Now, nil).Log().About; about != "" { // it is in no file
		t.Errorf("%q", about)
	}
}
