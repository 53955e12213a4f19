package evidence

import (
	"context"
	"crypto/elliptic"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// names are the files of a folder.
func names(t *testing.T, folder string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEvidenceIsWrittenWholeOrNotAtAll, and what there was of an earlier disk goes.
func TestEvidenceIsWrittenWholeOrNotAtAll(t *testing.T) {
	folder := t.TempDir()
	disk := filepath.Join(folder, "disk.vhd")
	statement := must[[]byte](t)(Statement(image, proven()))
	unsigned := must[[]Document](t)(Documents(disk, statement, nil))
	key := must[*Key](t)(LoadKey(keyFile(t, ecKey(t, elliptic.P256()), "PRIVATE KEY")))
	signed := must[[]Document](t)(Documents(disk, statement, key))

	if err := Write(t.Context(), disk, unsigned); err != nil {
		t.Fatal(err)
	}
	if got := names(t, folder); !reflect.DeepEqual(got, []string{"disk.vhd.statement.json"}) {
		t.Errorf("unsigned: %q", got)
	}
	if got := string(must[[]byte](t)(os.ReadFile(unsigned[0].Path))); got != string(statement)+"\n" {
		t.Errorf("the file is not the statement: %s", got)
	}
	if err := Write(t.Context(), disk, signed); err != nil {
		t.Fatal(err)
	}
	if got := names(t, folder); !reflect.DeepEqual(got, []string{"disk.vhd.intoto.json", "disk.vhd.intoto.sigstore.json"}) {
		t.Errorf("signed: %q", got)
	}
	// The second file cannot be written: its name is too long for any file system.
	long := append([]Document{}, signed...)
	long[1].Path = filepath.Join(folder, strings.Repeat("x", 300))
	if err := Write(t.Context(), disk, long); err == nil {
		t.Error("a file of 300 letters was written")
	}
	if got := names(t, folder); len(got) != 0 {
		t.Errorf("after a failure: %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Write(ctx, disk, signed); err == nil {
		t.Error("written after a cancel")
	}
	if got := names(t, folder); len(got) != 0 {
		t.Errorf("after a cancel: %q", got)
	}
}

// TestWhatIsNoEvidenceIsNeverReplaced, whichever of the files it is in the way of.
func TestWhatIsNoEvidenceIsNeverReplaced(t *testing.T) {
	statement := must[[]byte](t)(Statement(image, proven()))
	for _, suffix := range []string{StatementSuffix, EnvelopeSuffix, BundleSuffix} {
		disk := filepath.Join(t.TempDir(), "disk.vhd")
		put(t, disk+suffix, `{"mine": true}`)
		documents := must[[]Document](t)(Documents(disk, statement, nil))
		err := Write(t.Context(), disk, documents)
		if err == nil || !strings.Contains(err.Error(), disk+suffix+" exists already and is no evidence") {
			t.Errorf("%s: %v", suffix, err)
		}
		if err := Remove(t.Context(), disk); err != nil {
			t.Error(err)
		}
		if got := string(must[[]byte](t)(os.ReadFile(disk + suffix))); got != `{"mine": true}` {
			t.Errorf("%s: %s", suffix, got)
		}
		if got := names(t, filepath.Dir(disk)); len(got) != 1 {
			t.Errorf("%s: %q", suffix, got)
		}
	}
	disk := filepath.Join(t.TempDir(), "disk.vhd")
	put(t, disk+StatementSuffix, "")
	if err := Check(disk); err != nil {
		t.Errorf("an empty file: %v", err)
	}
	if err := Check(disk, disk+EnvelopeSuffix); err == nil {
		t.Error("an input is replaced")
	}
}
