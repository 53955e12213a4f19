package ntfs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func TestFixtureReadsAsNTFS3GShowsIt(t *testing.T) {
	v := openBytes(t, fixture(t))
	want := listed(t)
	seen := 0
	root, err := v.root()
	if err != nil {
		t.Fatal(err)
	}
	walk(t, v, root, "", func(path string, f *file) {
		if strings.HasPrefix(path, "$") || f.rec.directory {
			return
		}
		streams, err := streamsOf(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range streams {
			full := path
			if name != "" {
				full += ":" + name
			}
			if name == wofStream {
				continue
			}
			s, err := f.open(name)
			if err != nil {
				t.Errorf("%s: %v", full, err)
				continue
			}
			seen++
			if got := fmt.Sprintf("%d\t%s", s.size, hashOf(t, full, s)); got != want[full] {
				t.Errorf("%s: %s, want %q", full, got, want[full])
			}
			if name != "" {
				continue
			}
			// The same by path, whatever the case.
			byPath, err := fs.ReadFile(v.FS(), strings.ToUpper(path))
			sum := sha256.Sum256(byPath)
			if err != nil || strconv.Itoa(len(byPath))+"\t"+hex.EncodeToString(sum[:]) != want[full] {
				t.Errorf("%s by path: %v", path, err)
			}
			if info, err := fs.Stat(v.FS(), path); err != nil || info.Size() != s.size || info.IsDir() || info.ModTime().Year() < 2020 {
				t.Errorf("%s: %+v, %v", path, info, err)
			}
		}
	})
	if seen != len(want) {
		t.Errorf("%d streams, want %d", seen, len(want))
	}
	if v.cluster != 4096 {
		t.Errorf("clusters of %d bytes", v.cluster)
	}
}

func TestFixtureHasWhatItIsMeantToShow(t *testing.T) {
	v := openBytes(t, fixture(t))
	b := fixture(t)
	name := []byte("f\x00i\x00l\x00e\x00 \x00w\x00i\x00t\x00h\x00 \x00a\x00 \x00l\x00o\x00n\x00g\x00 \x00n\x00a\x00m\x00e\x00 \x002\x009\x009\x00")
	if !bytes.Contains(b, name) {
		t.Error("no remains of a deleted file in the volume")
	}
	if _, err := v.find("many/file with a long name 299.txt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("deleted file: %v", err)
	}
	for path, check := range map[string]func(*file, *stream) bool{
		"compressed/setupact.log": func(_ *file, s *stream) bool { return s.unit > 0 },
		"pieces.bin":              func(f *file, s *stream) bool { return f.rec.find(kindAttributeList) != nil && len(s.runs) >= 100 },
		"sparse.bin":              func(_ *file, s *stream) bool { return s.runs[1].LCN < 0 },
		"wof/lzx":                 func(_ *file, s *stream) bool { return s.packed != nil },
	} {
		f, err := v.find(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.open("")
		if err != nil {
			t.Fatal(err)
		}
		if !check(f, s) {
			t.Errorf("%s is stored in another way: %+v", path, s)
		}
	}
}

func TestPathsThatDoNotExist(t *testing.T) {
	v := openBytes(t, fixture(t))
	for _, path := range []string{"none", "Windows/none", "streams.txt/below a file", "Windows/System32/config/SOFTWARE2", `Windows\System32`} {
		if _, err := v.FS().Open(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	f, err := v.find("streams.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.open("third"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing stream: %v", err)
	}
	if _, err := f.content(3); !errors.Is(err, ErrTooLarge) {
		t.Errorf("file above the limit: %v", err)
	}
	if _, err := f.list(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("listing a file: %v", err)
	}
}

func TestDamageIsToldNotReadOver(t *testing.T) {
	record := func(t *testing.T, v *Volume, path string) int64 {
		f, err := v.find(path)
		if err != nil {
			t.Fatal(err)
		}
		return f.rec.number
	}
	read := func(b []byte, path string) error {
		v, err := Open(bytes.NewReader(b), 0, int64(len(b)))
		if err != nil {
			return err
		}
		f, err := v.find(path)
		if err != nil {
			return err
		}
		if f.rec.directory {
			_, err = entriesOf(f)
			return err
		}
		_, err = f.content(1 << 30)
		return err
	}
	for _, c := range []struct {
		name, path, says string
		change           func(t *testing.T, b []byte, v *Volume)
	}{
		{"boot sector of more sectors than there are", "many", "announces", func(_ *testing.T, b []byte, _ *Volume) { le.PutUint64(b[40:], 1<<40) }},
		{"torn record", "streams.txt", "torn write", func(t *testing.T, b []byte, v *Volume) {
			n := record(t, v, "streams.txt")
			patchRecord(t, b, n, func(r []byte) {})
			off := v.mft.runs[0].LCN*v.cluster + n*v.recordSize
			b[off+510] ^= 0xff
		}},
		{"record not in use", "streams.txt", "not in use", func(t *testing.T, b []byte, v *Volume) {
			patchRecord(t, b, record(t, v, "streams.txt"), func(r []byte) { r[22] &^= 1 })
		}},
		{"stale reference", "streams.txt", "with sequence", func(t *testing.T, b []byte, v *Volume) {
			patchRecord(t, b, record(t, v, "streams.txt"), func(r []byte) { r[16]++ })
		}},
		{"index block marked free", "many", "marked free", func(t *testing.T, b []byte, v *Volume) {
			patchRecord(t, b, record(t, v, "many"), func(r []byte) { clear(residentValue(r, kindBitmap)) })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := fixture(t)
			if err := read(b, c.path); err != nil {
				t.Fatal(err)
			}
			c.change(t, b, openBytes(t, b))
			if err := read(b, c.path); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.says) {
				t.Error(err)
			}
		})
	}
}

func TestVolumesThatAreNotNTFS(t *testing.T) {
	if _, err := Open(bytes.NewReader(make([]byte, 4096)), 0, 4096); !errors.Is(err, ErrNotNTFS) {
		t.Errorf("zeros: %v", err)
	}
	if is, err := BitLocker(bytes.NewReader(make([]byte, 4096)), 0); is || err != nil {
		t.Errorf("zeros: BitLocker %v, %v", is, err)
	}
}

func TestVolumesOfAllGeometriesReadAsWimlibWroteThem(t *testing.T) {
	mkntfs, wimlib := testutil.Tool(t, "mkntfs"), testutil.Tool(t, "wimlib-imagex")
	tree, dir := t.TempDir(), t.TempDir()
	want := map[string][]byte{}
	for i := range 200 {
		path := fmt.Sprintf("Windows/System32/dir%d/файл %d.bin", i%7, i)
		want[path] = bytes.Repeat([]byte{byte(i), byte(i >> 4), 7}, i*i)
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, path)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, path), want[path], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wim := filepath.Join(dir, "t.wim")
	if out, err := exec.Command(wimlib, "capture", tree, wim, "--compress=none").CombinedOutput(); err != nil {
		t.Fatalf("wimlib-imagex: %v\n%s", err, out)
	}
	for _, g := range []struct{ sector, cluster int64 }{
		{512, 512}, {512, 1024}, {512, 4096}, {512, 65536}, {1024, 4096}, {4096, 4096}, {4096, 65536}, {512, 2 << 20},
	} {
		t.Run(fmt.Sprintf("sectors %d clusters %d", g.sector, g.cluster), func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "ntfs")
			if err := os.WriteFile(image, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			size := max(32<<20, 1000*g.cluster)
			if err := os.Truncate(image, size); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(mkntfs, "-F", "-Q", "-q", "-s", fmt.Sprint(g.sector), "-c", fmt.Sprint(g.cluster), "-p", "2048", "-H", "16", "-S", "63", image).CombinedOutput()
			if err != nil {
				t.Fatalf("mkntfs: %v\n%s", err, out)
			}
			if out, err := exec.Command(wimlib, "apply", wim, "1", image).CombinedOutput(); err != nil {
				t.Fatalf("wimlib-imagex: %v\n%s", err, out)
			}
			f, err := os.Open(image)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			v, err := Open(f, 0, size)
			if err != nil {
				t.Fatal(err)
			}
			if v.cluster != g.cluster {
				t.Errorf("clusters of %d bytes", v.cluster)
			}
			root, err := v.find("Windows")
			if err != nil {
				t.Fatal(err)
			}
			files := 0
			walk(t, v, root, "Windows/", func(path string, f *file) {
				if f.rec.directory {
					return
				}
				files++
				b, err := f.content(1 << 20)
				if err != nil || !bytes.Equal(b, want[path]) {
					t.Errorf("%s: %d bytes, %v", path, len(b), err)
				}
			})
			if files != len(want) {
				t.Errorf("%d files, want %d", files, len(want))
			}
			if _, err := v.FreeMap(t.Context()); err != nil {
				t.Errorf("map of free clusters: %v", err)
			}
		})
	}
}
