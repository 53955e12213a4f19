package answerfile

import (
	"bytes"
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
		if file, err := Parse(data); err == nil {
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
