package capture

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/ntfs"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim"
)

// fixture is a volume with every kind of entry.
func fixture(t testing.TB) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "volume.raw.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// captured writes a WIM of a volume.
func captured(t testing.TB, image []byte, compression wim.Compression) (string, wim.Result) {
	t.Helper()
	v, err := ntfs.Open(bytes.NewReader(image), 0, int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ours.wim")
	r, err := writeFile(context.Background(), path, volume{v}, wim.Options{Compression: compression, Image: wim.Image{Name: "Fixture"}, Exclude: wim.DefaultExclusions()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return path, r
}

func wimlib(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(testutil.Tool(t, "wimlib-imagex"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("wimlib-imagex %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// theirs is what wimlib captures of a volume.
func theirs(t testing.TB, volume string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "theirs.wim")
	wimlib(t, "capture", volume, path, "--compress=none")
	return path
}

func written(t testing.TB, image []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "volume.ntfs")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// entry is what wimlib says of a name, by the names of its lines: times in seconds, the
// hash of every stream, the names of one file as what they have in common.
type entry map[string][]string

var (
	entryLine = regexp.MustCompile(`(?m)^\s*([A-Za-z][A-Za-z0-9 -]*?)\s*= (.*)$`)
	// placed are lines about where a stream lies in the WIM, or how.
	placed = regexp.MustCompile(`Offset|[Cc]ompressed size|Part Number|Flags|Reference Count|Full Path`)
)

// entries are those of a WIM by their path.
func entries(t testing.TB, path string) map[string]entry {
	t.Helper()
	all, groups := map[string]entry{}, map[string][]string{}
	for _, block := range strings.Split(wimlib(t, "dir", path, "1", "--detailed"), strings.Repeat("-", 76)+"\n") {
		e, name := entry{}, ""
		for _, m := range entryLine.FindAllStringSubmatch(block, -1) {
			switch {
			case m[1] == "Full Path":
				name = m[2]
			case placed.MatchString(m[1]) && m[1] != "Uncompressed size":
			case m[1] == "Link Group ID":
				if strings.Trim(m[2], "0x") != "" {
					groups[m[2]] = append(groups[m[2]], name)
				}
			default:
				e[m[1]] = append(e[m[1]], m[2])
			}
		}
		if name != "" {
			// Names of streams stand at the end of a line of their own.
			e["streams"] = regexp.MustCompile(`(?m)^\s*(?:Named|Unnamed|Reparse).*$`).FindAllString(block, -1)
			all[name] = e
		}
	}
	for _, names := range groups {
		slices.Sort(names)
		for _, name := range names {
			all[name]["same file"] = names
		}
	}
	return all
}

// differences are what two WIMs do not have in common, but for names that skip tells of.
func differences(a, b map[string]entry, skip func(path string) bool) (diffs []string) {
	names := map[string]bool{}
	for _, m := range []map[string]entry{a, b} {
		for name := range m {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if skip(name) {
			continue
		}
		keys := map[string]bool{}
		for _, m := range []map[string]entry{a, b} {
			for k := range m[name] {
				keys[k] = true
			}
		}
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			if x, y := a[name][k], b[name][k]; !slices.Equal(x, y) {
				diffs = append(diffs, fmt.Sprintf("%s: %s: %.100q, %.100q", name, k, x, y))
			}
		}
	}
	return diffs
}

// compact tells of the files that Windows keeps compressed: wimlib takes them as they lie
// on the volume, DISM and this package by their content.
func compact(path string) bool { return strings.HasPrefix(path, `"/wof/`) }

func TestAWIMIsWhatWimlibCaptures(t *testing.T) {
	image := fixture(t)
	want := entries(t, theirs(t, written(t, image)))
	if len(want) < 160 {
		t.Fatalf("wimlib shows %d entries", len(want))
	}
	for _, compression := range wim.Compressions() {
		t.Run(compression, func(t *testing.T) {
			t.Parallel()
			path, r := captured(t, image, wim.Compression(compression))
			wimlib(t, "verify", path)
			got := entries(t, path)
			for _, d := range differences(want, got, compact) {
				t.Error(d)
			}
			if r.Folders+r.Files+1 != len(want) {
				t.Errorf("%d folders and %d files are %d entries", r.Folders, r.Files, len(want))
			}
		})
	}
}

func TestAFileOfCompactOSIsStoredByItsContent(t *testing.T) {
	path, _ := captured(t, fixture(t), wim.XPRESS)
	to := t.TempDir()
	wimlib(t, "extract", path, "1", "/wof", "--dest-dir="+to)
	var content bytes.Buffer
	for i := range 7000 {
		fmt.Fprintf(&content, "a line %d of a program\r\n", i)
	}
	content.Write(make([]byte, 100000))
	got := entries(t, path)
	for _, name := range []string{"xpress4k.exe", "lzx.exe", "xpress8k.exe", "xpress16k.exe"} {
		b, err := os.ReadFile(filepath.Join(to, "wof", name))
		if err != nil || string(b) != content.String()+name {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
		e := got[`"/wof/`+name+`"`]
		if e == nil || len(e["Hash"]) != 1 || e["Reparse Tag"] != nil || e["Attributes"][0] != "0x00000020" {
			t.Errorf("%s is no ordinary file: %.300v", name, e)
		}
	}
}

func TestAnAppliedWIMIsTheVolumeAgain(t *testing.T) {
	image := fixture(t)
	for _, compression := range []wim.Compression{wim.XPRESS, wim.LZX} {
		t.Run(string(compression), func(t *testing.T) {
			t.Parallel()
			appliedAgain(t, image, compression)
		})
	}
}

func appliedAgain(t *testing.T, image []byte, compression wim.Compression) {
	t.Helper()
	path, _ := captured(t, image, compression)
	target := filepath.Join(t.TempDir(), "target.ntfs")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(target, 16<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(testutil.Tool(t, "mkntfs"), "-F", "-Q", "-q", "-s", "512", "-c", "4096", "-p", "2048", "-H", "16", "-S", "63", target).CombinedOutput(); err != nil {
		t.Fatalf("mkntfs: %v\n%s", err, out)
	}
	wimlib(t, "apply", path, "1", target)
	for _, d := range differences(entries(t, path), entries(t, theirs(t, target)), func(string) bool { return false }) {
		t.Error(d)
	}
}

func TestWhatIsLeftOutIsTold(t *testing.T) {
	path, r := captured(t, fixture(t), wim.XPRESS)
	want := []string{`\$Recycle.Bin`, `\RECYCLER`, `\System Volume Information`, `\Windows\CSC`, `\hiberfil.sys`, `\pagefile.sys`, `\swapfile.sys`}
	slices.Sort(r.Excluded)
	if !slices.Equal(r.Excluded, want) {
		t.Errorf("left out: %q, want %q", r.Excluded, want)
	}
	got := entries(t, path)
	for _, name := range want {
		if got[`"`+strings.ReplaceAll(name, `\`, "/")+`"`] != nil {
			t.Errorf("%s is there", name)
		}
	}
	if got[`"/Windows/pagefile.sys"`] == nil {
		t.Error(`\Windows\pagefile.sys, which is another file, is left out`)
	}
}
