package sysprep

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// What cmd.exe tells is what PowerShell tells of the same machine, in the same form,
// or is left out.
func TestFactsWithoutPowerShellAreTheSameFacts(t *testing.T) {
	t.Parallel()
	type locked = winsim.Unkind
	for name, c := range map[string]struct {
		own    bool
		locked locked
		faults []string
	}{
		"a sound machine":               {true, locked{ConstrainedLanguage: true}, nil},
		"a script that is blocked":      {true, locked{BlockedScripts: []string{"preflight"}}, nil},
		"PowerShell 2":                  {true, locked{PowerShellVersion: "2"}, nil},
		"in German":                     {true, locked{ConstrainedLanguage: true, Language: "de"}, []string{"search-running"}},
		"a system drive D":              {true, locked{ConstrainedLanguage: true, SystemDrive: "D"}, []string{"provider-missing", "profile-lost"}},
		"over Packer's communicator":    {false, locked{ConstrainedLanguage: true}, nil},
		"a token that UAC has filtered": {true, locked{ConstrainedLanguage: true, FilteredToken: true}, nil},
		"every fault in registry, files, tasks": {true, locked{ConstrainedLanguage: true}, []string{
			"appxsvc-disabled", "active-scenario", "updates-pending", "packages-pending", "file-renames", "servicing", "dsc", "defender-onboarded", "provider-missing",
			"provider-third-party", "upgraded", "nps", "cluster", "answer-files", "answer-pointer", "profile-lost", "autologon", "page-file-moved", "winrm-open", "packer-leftovers",
			"skip-rearm", "search-running", "domain-controller", "no-token-policy",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			with, _, _ := preflightOver(t, true, winsim.Scenario{Condition: winsim.Condition{Faults: c.faults}, Unkind: winsim.Unkind{SystemDrive: c.locked.SystemDrive, FilteredToken: c.locked.FilteredToken}})
			without, n, took := preflightOver(t, c.own, winsim.Scenario{Condition: winsim.Condition{Faults: c.faults}, Unkind: c.locked})
			if with.WithoutPowerShell || !without.WithoutPowerShell || without.Reason == "" {
				t.Fatalf("%+v, %+v", with, without)
			}
			t.Logf("%d requests, %s", n.requests, took)
			a, b := with.Facts(), without.Facts()
			told := 0
			for name, raw := range b {
				var want, got struct {
					Value   any
					ErrorID string
				}
				if err := json.Unmarshal(raw, &got); err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal(a[name], &want); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got.Value == nil {
					if got.ErrorID != guest.ErrorIDWithoutPowerShell {
						t.Errorf("%s: %s", name, raw)
					}
					continue
				}
				told++
				if name == "answerFiles" { // in another order, and as the search path writes them
					byPath(got.Value)
					byPath(want.Value)
				}
				if why := within(name, got.Value, want.Value); why != "" {
					t.Errorf("%s\n got %s\nwant %s", why, raw, a[name])
				}
			}
			if told != 24 {
				t.Errorf("%d facts are told without PowerShell", told)
			}
			for _, raw := range b {
				if bytes.Contains(raw, []byte("must-not-appear")) {
					t.Errorf("a secret is shown: %s", raw)
				}
			}
		})
	}
}

// byPath sorts answer files, whatever the case of their names.
func byPath(fact any) {
	m, _ := fact.(map[string]any)
	found, _ := m["found"].([]any)
	path := func(v any) string {
		f, _ := v.(map[string]any)
		text, _ := f["path"].(string)
		f["path"] = strings.ToLower(text)
		return strings.ToLower(text)
	}
	slices.SortFunc(found, func(a, b any) int { return strings.Compare(path(a), path(b)) })
	for _, f := range found {
		path(f)
	}
}

// within says what a value has that another has not, or has otherwise. Times of
// files, and what a program began at, are not told by cmd.exe.
func within(at string, got, want any) string {
	switch g := got.(type) {
	case map[string]any:
		w, ok := want.(map[string]any)
		for name, v := range g {
			if _, there := w[name]; !ok || !there {
				return at + "." + name + " is not there"
			}
			if name == "start" && v == nil {
				continue
			}
			if why := within(at+"."+name, v, w[name]); why != "" {
				return why
			}
		}
		return ""
	case []any:
		w, ok := want.([]any)
		if !ok || len(w) != len(g) {
			return at + " has another length"
		}
		for i := range g {
			if why := within(fmt.Sprintf("%s[%d]", at, i), g[i], w[i]); why != "" {
				return why
			}
		}
		return ""
	}
	if !reflect.DeepEqual(got, want) {
		return at + " differs"
	}
	return ""
}
