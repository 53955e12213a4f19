package files

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// tree has empty folders and odd names.
func tree() fstest.MapFS {
	return fstest.MapFS{
		"a.txt": {Data: []byte("a")}, "empty.txt": {}, "big.bin": {Data: random(2 << 20)}, "no folder/is/empty": {Mode: fs.ModeDir},
		"with blank & (more)/100 %PATH%.txt": {Data: []byte("percent")}, "größe/日本語.txt": {Data: []byte("names")}, "a'b;c,d=e[f]{g}!^~`@#$.txt": {Data: []byte("signs")},
		".hidden": {Data: []byte("h")}, "console.txt": {Data: []byte("no device")}, "deep/" + strings.Repeat("d/", 20) + "x": {Data: []byte("deep")},
		"skip.log": {Data: []byte("no")}, "deep/other.log": {Data: []byte("no")}, "node_modules/x/y.js": {Data: []byte("no")}, "deep/secret/key": {Data: []byte("no")},
	}
}

var excluded = []string{"*.log", "node_modules", "deep/secret/", "./nothing"}

// arrived are the files and folders below a folder of the guest.
func (g *guest) arrived(folder string) []string {
	g.t.Helper()
	var all []string
	root := g.host(folder)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && name != root {
			rel, _ := filepath.Rel(root, name)
			all = append(all, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		g.t.Error(err)
	}
	slices.Sort(all)
	return all
}

func TestAFolderArrivesWhole(t *testing.T) {
	for name, test := range map[string]struct {
		scenario winsim.Scenario
		note     string
	}{
		"over stdin":     {},
		"Server 2012 R2": {scenario: winsim.Scenario{Unkind: winsim.Unkind{Windows: "2012r2"}}},
		"constrained":    {scenario: winsim.Scenario{Unkind: winsim.Unkind{ConstrainedLanguage: true}}, note: "language mode"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, test.scenario, nil)
			tr := g.transfer()
			g.put("Data/new/a.txt", []byte("an older file"))
			g.put("Data/new/kept.txt", []byte("kept"))
			from := tree()
			if test.note != "" {
				from["big.bin"] = &fstest.MapFile{Data: random(30_000)} // 5.9 kB a line
			}
			if err := tr.UploadDir(t.Context(), "C:/Data/new", Tree{from, excluded}, nil); err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{"kept.txt": true}
			for name, f := range from {
				if strings.HasSuffix(name, ".log") || strings.HasPrefix(name, "node_modules") || strings.HasPrefix(name, "deep/secret") {
					continue
				}
				for above := name; above != "."; above = path.Dir(above) {
					want[above] = true
				}
				if !f.Mode.IsDir() {
					g.holds("Data/new/"+name, f.Data)
				}
			}
			if got := g.arrived("Data/new"); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
				t.Errorf("got %q", got)
			}
			if note := g.noted(); !strings.Contains(note, test.note) || (note == "") != (test.note == "") {
				t.Error(note)
			}
			g.clean(tr)
		})
	}
}

func TestAFolderThatIsEmpty(t *testing.T) {
	g := start(t, winsim.Scenario{}, nil)
	tr := g.transfer()
	if err := tr.UploadDir(t.Context(), `C:\Data\empty`, Tree{From: fstest.MapFS{}}, nil); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(g.host("Data/empty")); err != nil || !info.IsDir() {
		t.Errorf("%v", err)
	}
	g.clean(tr)
}

func TestAFolderThatWindowsCannotHold(t *testing.T) {
	tr := New(nil, Options{})
	var bad fstest.MapFS = map[string]*fstest.MapFile{"ok": {}, "a": {}, "A": {}, "x:y": {}, "dot.": {}, "blank ": {}, "con": {}, "Nul.txt": {}, "lpt1.log": {}, "q?": {}, `back\slash`: {}, "pipe": {Mode: fs.ModeNamedPipe}}
	err := tr.UploadDir(t.Context(), `C:\x`, Tree{From: bad}, nil)
	if err == nil {
		t.Fatal("it went well")
	}
	for _, name := range []string{"a are one", `"x:y"`, `"dot."`, `"blank "`, `"con"`, `"Nul.txt"`, `"lpt1.log"`, `"q?"`, `back\\slash`, "pipe is no file"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("nothing is said of %s: %v", name, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 10 {
		t.Errorf("%d faults: %v", n, err)
	}
	if err := tr.UploadDir(t.Context(), `C:\x`, Tree{fstest.MapFS{}, []string{"[a"}}, nil); err == nil || !strings.Contains(err.Error(), "[a") {
		t.Errorf("a bad pattern: %v", err)
	}
}

func TestLinksInAFolder(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "real.txt"), []byte("real"), 0o600); err != nil {
		t.Fatal(err)
	}
	testutil.Symlink(t, "real.txt", filepath.Join(dir, "link.txt"))
	g := start(t, winsim.Scenario{}, nil)
	tr := g.transfer()
	if err := tr.UploadDir(t.Context(), `C:\x`, Tree{From: os.DirFS(dir)}, nil); err != nil {
		t.Fatal(err)
	}
	g.holds("x/link.txt", []byte("real"))
	testutil.Symlink(t, ".", filepath.Join(dir, "loop"))
	if err := tr.UploadDir(t.Context(), `C:\x`, Tree{From: os.DirFS(dir)}, nil); err == nil || !strings.Contains(err.Error(), "loop is a link to a folder") {
		t.Errorf("a link to a folder: %v", err)
	}
}

func TestWithoutPowerShellAndTar(t *testing.T) {
	g := start(t, winsim.Scenario{Unkind: winsim.Unkind{Windows: "2016", ConstrainedLanguage: true}}, nil)
	g.forget = true // tar.exe
	tr := g.transfer()
	err := tr.UploadDir(t.Context(), `C:\x`, Tree{From: fstest.MapFS{"a": {}}}, nil)
	if err == nil || !strings.Contains(err.Error(), "Server 2019") {
		t.Errorf("%v", err)
	}
	g.clean(tr)
}

// TestOtherWindowsesTakeFiles sends to releases with other quotas and programs.
func TestOtherWindowsesTakeFiles(t *testing.T) {
	for release, note := range map[string]bool{"2008r2": true, "2012r2": false, "2016": false, "11-25h2": false} {
		t.Run(release, func(t *testing.T) {
			g := start(t, winsim.Scenario{Unkind: winsim.Unkind{Windows: release}}, nil)
			tr := g.transfer()
			content := random(500_000)
			if note {
				content = content[:100_000] // PowerShell 2, so the classic way, 15 operations a shell
			}
			if err := tr.Upload(t.Context(), `C:\x.bin`, strings.NewReader(string(content)), nil); err != nil {
				t.Fatal(err)
			}
			g.holds("x.bin", content)
			if (g.noted() != "") != note {
				t.Error(fmt.Sprint("it says ", g.noted()))
			}
			g.clean(tr)
		})
	}
}
