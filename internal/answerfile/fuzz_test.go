package answerfile

import (
	"bytes"
	"strings"
	"testing"
)

func seed(f *testing.F) {
	for _, data := range ownFiles(f) {
		f.Add(data)
	}
	for _, c := range lintCases {
		if len(c.data) < 1500 {
			f.Add([]byte(c.data))
		}
	}
}

// FuzzParse holds what Parse accepts against what Marshal makes of it.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		if err != nil {
			return
		}
		once := file.Marshal()
		if len(once) > MaxSize {
			return
		}
		again, err := Parse(once)
		if err != nil {
			t.Fatalf("reading what was written: %v\n%s", err, once)
		}
		if !same(file.Root, again.Root) {
			t.Fatalf("what was written reads differently:\n%s", once)
		}
		if twice := again.Marshal(); !bytes.Equal(once, twice) {
			t.Fatalf("written twice:\n%s\n%s", once, twice)
		}
	})
}

func FuzzLint(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, ctx := range []Context{{}, toOOBE, toAudit} {
			for _, f := range Lint(data, ctx) {
				if f.ID == "" || f.Summary == "" || f.Where.Line < 0 || f.Subject == "" {
					t.Fatalf("an incomplete finding: %+v", f)
				}
			}
		}
		if fixed, changes, err := Fix(data, FixOptions{EncodePasswords: true}); err == nil {
			if again, changes, err := Fix(fixed, FixOptions{EncodePasswords: true}); err != nil || len(changes) > 0 || !bytes.Equal(again, fixed) {
				t.Fatalf("fixed twice: %v, %v\n%s\n%s", err, changes, fixed, again)
			}
			if _, err := Parse(fixed); err != nil {
				t.Fatalf("what was fixed cannot be read: %v\n%s", err, fixed)
			}
			if len(changes) == 0 && !bytes.Equal(fixed, data) {
				t.Fatal("changed without a word")
			}
		}
		if file, err := Parse(data); err == nil {
			if _, _, err := Fix(data, FixOptions{EncodePasswords: true}); err != nil {
				t.Fatalf("what can be read cannot be fixed: %v", err)
			}
			for _, s := range Secrets(file) {
				if s == "" {
					t.Fatal("an empty secret")
				}
			}
			if merged, _ := Merge(file, file); !same(file.Root, file.Root.clone()) || merged == nil {
				t.Fatal("merging a file with itself")
			}
		}
	})
}

// FuzzTexts gives what judges single texts whatever there is.
func FuzzTexts(f *testing.F) {
	for _, s := range []string{"", "W. Europe Standard Time_dstoff", "Europe/Berlin", "en-US", "sr-Latn-CS", "0409:00000409", "net user a b", "/v DefaultPassword /d x", "S-1-5-32-544", "ann.", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if zone, ok := WindowsTimeZone(s); ok != (zone != "") {
			t.Fatalf("%q: %q, %v", s, zone, ok)
		}
		if problem, fix := localeProblem(s); (problem == "") != (fix == "") {
			t.Fatalf("%q: %q, %q", s, problem, fix)
		}
		for _, found := range secretsInText(s) {
			if found == "" || !strings.Contains(s, found) {
				t.Fatalf("%q: %q", s, found)
			}
		}
		if name, ok := GroupName(s); ok && name == "" {
			t.Fatal("a group without a name")
		}
		accountProblem(s)
		policyProblem(s, s)
		encodedFor(s)
		if len(s) < 300 && distance(s, s) != 0 {
			t.Fatal("a name differs from itself")
		}
	})
}
