package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

func TestTheDocumentsSayWhatTheLedgerDoes(t *testing.T) {
	if err := run(testutil.Root(), true); err != nil {
		t.Error(err)
	}
}

func TestTheCountIsOfAllBeliefs(t *testing.T) {
	var total, sum, n int
	head, parts, _ := strings.Cut(count(), " beliefs: ")
	if _, err := fmt.Sscan(head, &total); err != nil || total != len(windows.Beliefs) {
		t.Errorf("%v: %s", err, count())
	}
	for _, part := range strings.Split(parts, ", ") {
		if _, err := fmt.Sscan(part, &n); err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if sum != total {
		t.Errorf("%s: the parts make %d", count(), sum)
	}
	if rows := strings.Count(page(), "\n## "); rows != len(windows.Beliefs) {
		t.Errorf("%d rows of %d beliefs", rows, len(windows.Beliefs))
	}
}

// The page of the proof says which belief each assertion rests on.
func TestTheProofsPageNamesBeliefsThatThereAre(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testutil.Root(), "docs", "post-processors", "image.mdx"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| id | statement | severity | belief | next |")
	table, _, _ = strings.Cut(table, "\n\n")
	rows := 0
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		if len(cells) != 5 || !strings.HasPrefix(row, "| `") {
			continue
		}
		rows++
		for _, id := range strings.Split(cells[3], ", ") {
			if strings.HasPrefix(id, "`") && !slices.ContainsFunc(windows.Beliefs, func(b windows.Belief) bool { return "`"+b.ID+"`" == id }) {
				t.Errorf("%s rests on %s, which is no belief", cells[0], id)
			}
		}
	}
	if rows < 20 {
		t.Errorf("only %d assertions were found", rows)
	}
}

func TestAStaleFileIsFoundAndWrittenAnew(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	readme := filepath.Join(root, "README.md")
	write := func(text string) {
		if err := os.WriteFile(readme, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("no marks\n")
	if err := run(root, false); err == nil || !strings.Contains(err.Error(), "no place for the count") {
		t.Error(err)
	}
	write("above\n" + begin + "1 beliefs: 1 seen.\n" + end + "below\n")
	if err := run(root, true); err == nil || !strings.Contains(err.Error(), "make generate") {
		t.Error(err)
	}
	if err := run(root, false); err != nil {
		t.Fatal(err)
	}
	if err := run(root, true); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(readme)
	if want := "above\n" + begin + count() + end + "below\n"; err != nil || string(text) != want {
		t.Errorf("%v, README is %q, want %q", err, text, want)
	}
}
