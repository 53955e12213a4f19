package hostfile

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSweepRemovesOurScratchFoldersOnly(t *testing.T) {
	dir := t.TempDir()
	ours, err := NewScratch(dir, ".scratch-")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(ours, "deep", "disk.qcow2"), "overlay")
	kept, err := NewScratch(dir, ".scratch-")
	if err != nil {
		t.Fatal(err)
	}
	if err := KeepScratch(kept); err != nil {
		t.Fatal(err)
	}
	other, err := NewScratch(dir, ".other-")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, ".scratch-of-somebody", "thesis.txt"), "x")
	write(t, filepath.Join(dir, ".scratch-file"), "x")
	elsewhere, err := NewScratch(t.TempDir(), ".scratch-")
	if err != nil {
		t.Fatal(err)
	}
	symlink(t, elsewhere, filepath.Join(dir, ".scratch-link"))
	removed, err := SweepScratch(dir, ".scratch-")
	if err != nil || !slices.Equal(removed, []string{ours}) {
		t.Errorf("removed %q, %v; want %s", removed, err, ours)
	}
	want := []string{filepath.Base(other), ".scratch-file", ".scratch-link", ".scratch-of-somebody", filepath.Base(kept)}
	slices.Sort(want)
	if got := names(t, dir); !slices.Equal(got, want) {
		t.Errorf("left %s, want %s", strings.Join(got, " "), strings.Join(want, " "))
	}
	if got := names(t, elsewhere); len(got) != 1 {
		t.Errorf("a folder behind a link holds %q", got)
	}
}
