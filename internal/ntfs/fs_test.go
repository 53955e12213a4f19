package ntfs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func TestTheFixtureIsAFileSystem(t *testing.T) {
	v := openBytes(t, fixture(t))
	if err := fstest.TestFS(v.FS(), "Windows/System32/Sysprep/Sysprep_succeeded.tag", "compressed/setupact.log", "wof/lzx", "Новая папка/ñandú 𝄞.txt"); err != nil {
		t.Error(err)
	}
}

// populated is a new volume with the files of a folder.
func populated(t *testing.T, tree string) []byte {
	t.Helper()
	mkntfs, wimlib := testutil.Tool(t, "mkntfs"), testutil.Tool(t, "wimlib-imagex")
	dir := t.TempDir()
	image, wim := filepath.Join(dir, "ntfs"), filepath.Join(dir, "t.wim")
	if err := os.WriteFile(image, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{mkntfs, "-F", "-Q", "-q", "-s", "512", "-p", "2048", "-H", "16", "-S", "63", image},
		{wimlib, "capture", tree, wim, "--compress=none", "--norpfix"},
		{wimlib, "apply", wim, "1", image},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestAVolumeOfManyNamesAndLinksIsAFileSystem(t *testing.T) {
	tree := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(tree, "Windows", "empty"), 0o755))
	for i := range 150 { // more than one index block has
		must(os.WriteFile(filepath.Join(tree, "Windows", fmt.Sprintf("a file with a long name %d.txt", i)), bytes.Repeat([]byte{byte(i)}, i*40), 0o600))
	}
	written := time.Date(2026, 11, 23, 12, 0, 0, 123456700, time.UTC)
	must(os.Chtimes(filepath.Join(tree, "Windows", "a file with a long name 7.txt"), written, written))
	must(os.Symlink("Windows", filepath.Join(tree, "link to a folder")))
	must(os.Symlink("Windows/a file with a long name 7.txt", filepath.Join(tree, "link to a file")))
	v := openBytes(t, populated(t, tree))
	if err := fstest.TestFS(v.FS(), "Windows/a file with a long name 149.txt", "Windows/empty"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"link to a folder", "link to a file"} {
		info, err := fs.Stat(v.FS(), name)
		if err != nil || info.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s: %v, %v", name, info, err)
		}
		if _, err := fs.ReadFile(v.FS(), name); !errors.Is(err, ErrUnsupported) {
			t.Errorf("reading %s: %v", name, err)
		}
	}
	if _, err := fs.Stat(v.FS(), "link to a folder/empty"); !errors.Is(err, ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path through a link: %v", err)
	}
	info, err := fs.Stat(v.FS(), "WINDOWS/A File with a long name 7.TXT")
	if err != nil || info.Size() != 280 || !info.ModTime().Equal(written) {
		t.Errorf("another case: %+v, %v", info, err)
	}
	about := info.Sys().(interface {
		Created() time.Time
		Reference() (int64, uint16)
	})
	if record, sequence := about.Reference(); record < 24 || sequence == 0 || about.Created().IsZero() {
		t.Errorf("record %d-%d, created %s", record, sequence, about.Created())
	}
}

func TestErrorsNameTheFileAndWhatIsWrong(t *testing.T) {
	b := fixture(t)
	fsys := openBytes(t, b).FS()
	for name, is := range map[string]error{"none": fs.ErrNotExist, "streams.txt/below": fs.ErrNotExist, "/streams.txt": fs.ErrInvalid, "": fs.ErrInvalid} {
		var path *fs.PathError
		if _, err := fsys.Open(name); !errors.Is(err, is) || !errors.As(err, &path) || path.Path != name {
			t.Errorf("%q: %v", name, err)
		}
	}
	f, err := fsys.Open("streams.txt")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Read(make([]byte, 1)); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("reading a closed file: %v", err)
	}
	// A file that is there and whose content is not is damaged, not absent.
	patchRecord(t, b, f.(*openContent).f.rec.number, func(r []byte) {
		for off := int(le.Uint16(r[20:])); le.Uint32(r[off:]) != kindEnd; off += int(le.Uint32(r[off+4:])) {
			if le.Uint32(r[off:]) == kindData {
				le.PutUint32(r[off:], kindData+0x100)
			}
		}
	})
	fsys = openBytes(t, b).FS()
	for what, err := range map[string]error{"content": second(fs.ReadFile(fsys, "streams.txt")), "size": second(fs.Stat(fsys, "streams.txt"))} {
		if !errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A folder is listed piece by piece, and no further than the budget allows.
func TestAFolderIsListedWithinTheBudget(t *testing.T) {
	b := fixture(t)
	v := openBytes(t, b)
	dir, err := v.FS().Open("many")
	if err != nil {
		t.Fatal(err)
	}
	v.budget = limits(t.Context(), 0, 2)
	seen := 0
	for err == nil {
		var entries []fs.DirEntry
		entries, err = dir.(fs.ReadDirFile).ReadDir(10)
		seen += len(entries)
	}
	if !errors.Is(err, budget.ErrExceeded) || seen == 0 {
		t.Errorf("%d names, then %v", seen, err)
	}
}

func TestAFileIsReadAtAnOffset(t *testing.T) {
	v := openBytes(t, fixture(t))
	f, err := v.FS().Open("compressed/setupact.log")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := fs.ReadFile(v.FS(), "compressed/setupact.log")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := f.(io.ReaderAt).ReadAt(b, int64(len(whole)-60)); n != 60 || err != io.EOF || !bytes.Equal(b[:n], whole[len(whole)-60:]) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// wide is an ASCII text in UTF-16.
func wide(s string) []byte {
	var b []byte
	for _, c := range s {
		b = append(b, byte(c), 0)
	}
	return b
}

// names lists a directory by the kinds of its entries.
func names(t *testing.T, fsys fs.FS, dir string) map[string]fs.FileMode {
	t.Helper()
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		t.Errorf("%s: %v", dir, err)
	}
	kinds := map[string]fs.FileMode{}
	for _, e := range entries {
		kinds[e.Name()] = e.Type()
		if _, err := e.Info(); (err != nil) != (e.Type() == fs.ModeIrregular) || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s is %s: %v", e.Name(), e.Type(), err)
		}
	}
	return kinds
}

// A name that is none in io/fs would be read as the path of another file, and
// hides nothing that stands beside it.
func TestANameThatIsNoneInIOFSIsEscaped(t *testing.T) {
	for bad, listed := range map[string]string{"streams/txt": "streams%2Ftxt", "a/b/c/d.txt": "a%2Fb%2Fc%2Fd.txt"} {
		b := fixture(t)
		before := names(t, openBytes(t, b).FS(), ".")
		fsys := openBytes(t, bytes.ReplaceAll(b, wide("streams.txt"), wide(bad))).FS()
		after := names(t, fsys, ".")
		if after[listed] != fs.ModeIrregular || len(after) != len(before) {
			t.Errorf("%q: %v instead of %v", bad, after, before)
		}
		if _, err := fs.Stat(fsys, listed); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", listed, err)
		}
	}
	for name, want := range map[string]string{"": "%", ".": "%2E", "..": "%2E%2E", "a.b": "a.b", "...": "...", "/": "%2F"} {
		if got := escaped(name); got != want || !fs.ValidPath(got) || got == "." {
			t.Errorf("%q: %q", name, got)
		}
	}
}

// Of a reparse point the record has to be opened: what is wrong in there, or
// with the reference to it, hides nothing that stands beside it.
func TestAReparsePointThatCannotBeOpenedIsListed(t *testing.T) {
	for what, change := range map[string]func(r []byte){
		"no record":              func(r []byte) { copy(r, "BAAD") },
		"a record of another":    func(r []byte) { le.PutUint16(r[16:], le.Uint16(r[16:])+1) },
		"a record in a base":     func(r []byte) { le.PutUint64(r[32:], recordRoot) },
		"a reparse point of one": func(r []byte) { shorten(r, kindReparsePoint, 1) },
	} {
		b := fixture(t)
		before := names(t, openBytes(t, b).FS(), "wof")
		f, err := openBytes(t, b).find("wof/lzx")
		if err != nil {
			t.Fatal(err)
		}
		patchRecord(t, b, f.rec.number, change)
		after := names(t, openBytes(t, b).FS(), "wof")
		if after["lzx"] != fs.ModeIrregular || before["lzx"] != 0 || len(after) != len(before) {
			t.Errorf("%s: %v instead of %v", what, after, before)
		}
		if err := everyName(openBytes(t, b)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		dir, err := openBytes(t, b).find("wof")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dir.stores(); err != nil { // as in System Volume Information
			t.Errorf("%s: looking for shadow copies: %v", what, err)
		}
	}
}

// shorten gives a resident attribute of a record a value of n bytes.
func shorten(r []byte, kind, n uint32) {
	for off := int(le.Uint16(r[20:])); le.Uint32(r[off:]) != kindEnd; off += int(le.Uint32(r[off+4:])) {
		if le.Uint32(r[off:]) == kind {
			le.PutUint32(r[off+16:], n)
		}
	}
}

// What cannot be read is not damage, and ends the listing.
func TestAReparsePointThatIsNotReadEndsTheListing(t *testing.T) {
	v := openBytes(t, fixture(t))
	dir, err := v.FS().Open("wof")
	if err != nil {
		t.Fatal(err)
	}
	v.budget = limits(t.Context(), 0, 1)
	for range 2 { // and stays so
		if _, err := dir.(fs.ReadDirFile).ReadDir(-1); !errors.Is(err, budget.ErrExceeded) {
			t.Errorf("error %v", err)
		}
	}
}
