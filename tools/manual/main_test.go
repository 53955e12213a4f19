package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAStalePageIsFoundAndWrittenAnew(t *testing.T) {
	docs := t.TempDir()
	pages := map[string]string{"a.md": "a", "man/b.1": "b"}
	gone := filepath.Join(docs, "man", "gone.1")
	for step, change := range map[string]func() error{
		"absent":  func() error { return nil },
		"changed": func() error { return os.WriteFile(filepath.Join(docs, "a.md"), []byte("x"), 0o600) },
		"gone":    func() error { return os.WriteFile(gone, nil, 0o600) },
	} {
		if err := os.MkdirAll(filepath.Join(docs, "man"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if step == "absent" {
			os.Remove(filepath.Join(docs, "a.md"))
		}
		if err := run(docs, pages, true); err == nil {
			t.Errorf("%s: not found", step)
		}
		if err := run(docs, pages, false); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		if err := run(docs, pages, true); err != nil {
			t.Errorf("%s: still stale: %v", step, err)
		}
	}
	if _, err := os.Stat(gone); !os.IsNotExist(err) {
		t.Errorf("the page of a command that is gone is there: %v", err)
	}
}
