package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestARunComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.json")
	for _, want := range []Run{{}, {ID: "6b0adda3c4e5", AnswerFile: true}, {ID: "x", VMMode: true}} {
		if err := want.Write(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); err != nil || *got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
}

func TestNoRecordIsNoError(t *testing.T) {
	if got, err := Read(filepath.Join(t.TempDir(), "absent")); got != nil || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatIsNoRecordIsAnError(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "cut": `{"id":"6b`, "another kind": `{"id":7}`, "too long": `{"id":"` + strings.Repeat("x", maxSize) + `"}`} {
		path := filepath.Join(t.TempDir(), "run.json")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Read(path); got != nil || err == nil {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
