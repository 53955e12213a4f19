package winfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

func TestClean(t *testing.T) {
	for path, want := range map[string]string{
		`C:\a\..\b`: `C:\b`, `c:/Windows/Temp`: `C:\Windows\Temp`, `x\y`: `C:\dir\x\y`, `\x`: `C:\x`, `C:x`: `C:\dir\x`,
		`..\..\..\x`: `C:\x`, `C:`: `C:\`, `\\?\C:\x`: `C:\x`, ``: `C:\dir`, `C:\`: `C:\`,
	} {
		if got, err := winfs.Clean(path, `C:\dir`); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", path, got, err, want)
		}
	}
	for _, path := range []string{`D:\x`, `\\server\share`, `C:\a*b`, `C:\a:b`, "C:\\a\x00b", `"C:\x"`} {
		if got, err := winfs.Clean(path, `C:\dir`); err == nil {
			t.Errorf("%q became %q", path, got)
		}
	}
}

// The drive of the folder is the only one.
func TestAnotherDriveThanC(t *testing.T) {
	for path, want := range map[string]string{`d:/x`: `D:\x`, `x`: `D:\dir\x`, `\x`: `D:\x`, `D:x`: `D:\dir\x`, `..\..`: `D:\`, `\\?\D:\x`: `D:\x`} {
		if got, err := winfs.Clean(path, `D:\dir`); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", path, got, err, want)
		}
	}
	d := winfs.Drive{Root: t.TempDir(), Letter: "D"}
	if err := d.WriteFile(`D:\x.txt`, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(d.Root, "C", "x.txt")); err != nil || !d.IsFile(`\x.txt`) {
		t.Errorf("the host's folder: %v", err)
	}
	if _, err := d.Stat(`C:\x.txt`); !errors.Is(err, winfs.ErrNoDrive) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("C: %v", err)
	}
}

func TestPathFindsNamesWhateverTheirCase(t *testing.T) {
	d := winfs.Drive{Root: t.TempDir()}
	if err := d.WriteFile(`C:\Windows\System32\File.TXT`, []byte("x")); err != nil {
		t.Fatal(err)
	}
	got, err := d.Path(`c:\WINDOWS\system32\file.txt`)
	same := func(a, b string) bool { return a == b }
	if runtime.GOOS == "windows" { // its own file system takes any case
		same = strings.EqualFold
	}
	if want := filepath.Join(d.Root, "C", "Windows", "System32", "File.TXT"); err != nil || !same(got, want) {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if got, _ := d.Path(`C:\windows\New`); !same(got, filepath.Join(d.Root, "C", "Windows", "New")) {
		t.Errorf("a new name: %q", got)
	}
	if !d.IsFile(`C:\WINDOWS\SYSTEM32\FILE.txt`) || d.IsFile(`C:\windows`) || !d.IsDir(`C:\windows`) {
		t.Error("IsFile or IsDir")
	}
}

func FuzzPathStaysInside(f *testing.F) {
	for _, s := range []string{`C:\..\..\etc\passwd`, `..\..\..`, `C:/../x`, `\..`, `C:..\x`} {
		f.Add(s)
	}
	root, err := os.MkdirTemp("", "winfs")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { os.RemoveAll(root) })
	f.Fuzz(func(t *testing.T, s string) {
		full, err := winfs.Clean(s, `C:\dir`)
		if err != nil {
			return
		}
		host, err := winfs.Drive{Root: root}.Path(full)
		if err != nil {
			t.Fatalf("%q is clean and has no path: %v", full, err)
		}
		if rel, err := filepath.Rel(filepath.Join(root, "C"), host); err != nil || !filepath.IsLocal(rel) {
			t.Errorf("%q leads outside: %q", s, host)
		}
	})
}
