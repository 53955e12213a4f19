package wim

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim/lz/lztest"
)

// contents are chunks of each kind, whole and cut, several of them in one file, and a real
// program, by the name of a file.
func contents(t testing.TB) map[string][]byte {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"program": program[:min(len(program), 1<<20)], "noise": lztest.Noise(), "one byte": {1}, "ten bytes": make([]byte, 10)}
	var all []byte
	for name, b := range lztest.Chunks() {
		files[name] = b
		files[name+", cut"] = b[:len(b)-1]
		all = append(all, b...)
	}
	files["all"] = all
	return files
}

// wrote writes a WIM of files.
func wrote(t testing.TB, files map[string][]byte, c Compression) string {
	t.Helper()
	root := folder()
	for name, b := range files {
		root.children = append(root.children, child{name, "", &node{meta: Metadata{Attributes: 0x20, Links: 1}, content: bytes.NewReader(b), size: int64(len(b))}})
	}
	path := filepath.Join(t.TempDir(), string(c)+".wim")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Write(context.Background(), f, &source{root: root}, Options{Compression: c})
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestContentsOfAllKindsAreReadBackByWimlib(t *testing.T) {
	wimlib := testutil.Tool(t, "wimlib-imagex")
	files := contents(t)
	for _, c := range []Compression{None, XPRESS, LZX} {
		t.Run(string(c), func(t *testing.T) {
			t.Parallel()
			path, to := wrote(t, files, c), t.TempDir()
			if out, err := exec.Command(wimlib, "apply", path, "1", to).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for name, want := range files {
				if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(want), err)
				}
			}
			out, err := exec.Command(wimlib, "info", path).CombinedOutput()
			if want := map[Compression]string{None: "None", XPRESS: "XPRESS", LZX: "LZX"}[c]; err != nil || !hasLine(string(out), "Compression:", want) {
				t.Errorf("%v, want %s\n%s", err, want, out)
			}
			if want := "32768 bytes"; c != None && !hasLine(string(out), "Chunk Size:", want) {
				t.Errorf("want chunks of %s\n%s", want, out)
			}
		})
	}
}

// hasLine looks for a line of a name and a value, with blanks in between.
func hasLine(text, name, value string) bool {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest) == value
		}
	}
	return false
}

func TestTheHeaderSaysHowItIsCompressed(t *testing.T) {
	for c, want := range map[Compression][2]uint32{None: {0, 0}, XPRESS: {0x00020002, 32768}, LZX: {0x00040002, 32768}} {
		h, err := c.header(resource{}, resource{})
		if err != nil {
			t.Fatal(err)
		}
		if flags, chunk := le.Uint32(h[16:]), le.Uint32(h[20:]); flags != want[0] || chunk != want[1] {
			t.Errorf("%s: flags %#x and chunks of %d, want %#x and %d", c, flags, chunk, want[0], want[1])
		}
	}
}

// The limit is what the documentation says.
func TestLZXIsAboutAsSmallAsWimlibs(t *testing.T) {
	wimlib := testutil.Tool(t, "wimlib-imagex")
	files := map[string][]byte{"program": contents(t)["program"]}
	from, theirs := t.TempDir(), filepath.Join(t.TempDir(), "theirs.wim")
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(from, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(wimlib, "capture", from, theirs, "--compress=LZX").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	size := func(path string) float64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return float64(info.Size())
	}
	ours, other, fast := size(wrote(t, files, LZX)), size(theirs), size(wrote(t, files, XPRESS))
	t.Logf("%.0f bytes, %.3f of wimlib's and %.3f of XPRESS", ours, ours/other, ours/fast)
	if ours > 1.05*other || ours > 0.95*fast {
		t.Errorf("%.0f bytes, %.3f of wimlib's and %.3f of XPRESS", ours, ours/other, ours/fast)
	}
}
