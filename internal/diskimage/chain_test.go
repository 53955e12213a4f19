package diskimage

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// libvhdi reads a chain by FUSE: other people's reading of a file that no tool
// here but our test code writes.
func libvhdi(t *testing.T, path string) []byte {
	t.Helper()
	tool := testutil.Tool(t, "vhdimount")
	if f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0); err != nil {
		testutil.Missing(t, "vhdimount needs FUSE: "+err.Error())
	} else {
		f.Close()
	}
	dir := t.TempDir()
	if out, err := exec.Command(tool, path, dir).CombinedOutput(); err != nil {
		t.Fatalf("vhdimount: %v\n%s", err, out)
	}
	defer func() {
		if out, err := exec.Command("fusermount", "-u", dir).CombinedOutput(); err != nil {
			t.Errorf("fusermount: %v %s", err, out)
		}
	}()
	for range 50 {
		// The chain's first disk is the last name.
		if m, _ := filepath.Glob(filepath.Join(dir, "vhdi*")); len(m) > 0 {
			b, err := os.ReadFile(m[len(m)-1])
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Fatal("vhdimount shows no disk")
	return nil
}

func TestDifferencingVHDShowsItsSectorsOverThoseOfTheParent(t *testing.T) {
	base := pattern(9 << 20)
	raw := writeFile(t, "base.raw", base)
	for _, o := range []Options{{Format: VHD}, {Format: VHD, Type: Dynamic}} {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
			t.Fatal(err)
		}
		parent := filepath.Join(dir, "base.vhd")
		convertTo(t, raw, parent, o)
		sectors, want := changes(base, 512, 0, 1, 7, 8, 9, 4095, 4096, 9000, 9<<11-1)
		child := filepath.Join(dir, "sub", "child.vhd")
		if err := os.WriteFile(child, diffVHD(t, parent, `..\base.vhd`, sectors), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(child); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("a parent in another folder: %v", err)
		}
		sameContent(t, content(t, open(t, child, Allow(parent))), want)

		sectors, want = changes(want, 512, 8, 10, 4096)
		grandchild := filepath.Join(dir, "sub", "grandchild.vhd")
		if err := os.WriteFile(grandchild, diffVHD(t, child, `.\child.vhd`, sectors, Allow(parent)), 0o600); err != nil {
			t.Fatal(err)
		}
		d := open(t, grandchild, Allow(dir))
		sameContent(t, content(t, d), want)
		if i := d.Info(); i.Type != Differencing || len(i.Files) != 3 {
			t.Errorf("info %+v", i)
		}
		flat := filepath.Join(dir, "flat.vhdx")
		if _, err := Convert(t.Context(), d, flat, Options{Format: VHDX}); err != nil {
			t.Fatal(err)
		}
		sameContent(t, content(t, open(t, flat)), want)

		if _, err := Convert(t.Context(), d, parent, Options{Format: VHD}); err == nil {
			t.Error("a conversion onto the parent of its source was not refused")
		}
	}
}

func TestDifferencingVHDXShowsItsSectorsOverThoseOfTheParent(t *testing.T) {
	base := pattern(9 << 20)
	raw := writeFile(t, "base.raw", base)
	dir := t.TempDir()
	parent := filepath.Join(dir, "base.vhdx")
	convertTo(t, raw, parent, Options{Format: VHDX})
	sectors, want := changes(base, 512, 0, 1, 7, 8, 9, 4095, 4096, 9<<11-1)
	clear(want[6<<20 : 8<<20])
	child := filepath.Join(dir, "child.vhdx")
	diffVHDX(t, parent, child, `.\base.vhdx`, sectors, 3)
	d := open(t, child)
	sameContent(t, content(t, d), want)
	if i := d.Info(); i.Type != Differencing || len(i.Files) != 2 {
		t.Errorf("info %+v", i)
	}
	// libvhdi 20210425 shows the parent through a block in the state
	// PAYLOAD_BLOCK_ZERO; [MS-VHDX] 2.5.1.1.1 says that it is zeros.
	copy(want[6<<20:8<<20], base[6<<20:8<<20])
	sameContent(t, libvhdi(t, child), want)
}

func TestLibvhdiReadsTheSameChain(t *testing.T) {
	base := pattern(9 << 20)
	raw := writeFile(t, "base.raw", base)
	dir := t.TempDir()
	parent := filepath.Join(dir, "base.vhd")
	convertTo(t, raw, parent, Options{Format: VHD, Type: Dynamic})
	sectors, want := changes(base, 512, 0, 1, 7, 8, 9, 4095, 4096)
	child := filepath.Join(dir, "child.vhd")
	if err := os.WriteFile(child, diffVHD(t, parent, `.\base.vhd`, sectors), 0o600); err != nil {
		t.Fatal(err)
	}
	sameContent(t, content(t, open(t, child)), want)
	sameContent(t, libvhdi(t, child), want)
}

func TestParentThatIsMissingOrAnotherDiskIsNamed(t *testing.T) {
	base := pattern(3 << 20)
	raw := writeFile(t, "base.raw", base)
	sectors, _ := changes(base, 512, 5)
	for _, o := range []Options{{Format: VHD, Type: Dynamic}, {Format: VHDX}} {
		dir := t.TempDir()
		parent, child := filepath.Join(dir, "base.img"), filepath.Join(dir, "child.img")
		convertTo(t, raw, parent, o)
		if o.Format == VHD {
			if err := os.WriteFile(child, diffVHD(t, parent, "base.img", sectors), 0o600); err != nil {
				t.Fatal(err)
			}
		} else {
			diffVHDX(t, parent, child, "base.img", sectors, 1)
		}
		refused := func(want ...string) {
			t.Helper()
			d, err := Open(child)
			if err == nil {
				d.Close()
				t.Fatal("the child was opened")
			}
			if !errors.Is(err, ErrParent) {
				t.Errorf("not ErrParent: %v", err)
			}
			for _, w := range want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not say %q", err, w)
				}
			}
		}
		// Made anew: another id.
		convertTo(t, raw, parent, o)
		refused(parent, child, "child was made on")
		if err := os.Remove(parent); err != nil {
			t.Fatal(err)
		}
		refused(child, "not found", "base.img")
		if err := os.Link(child, parent); err != nil {
			t.Fatal(err)
		}
		refused("its own parent")
		b, err := os.ReadFile(child)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenReader(strings.NewReader(string(b)), int64(len(b))); !errors.Is(err, ErrParent) {
			t.Errorf("a child that is not a file: %v", err)
		}
	}
}

func TestParentPathsOfWindowsAreLookedForHere(t *testing.T) {
	for name, c := range map[string]struct {
		relative, absolute, name string
		want                     []string
	}{
		"relative, with backslashes":     {`..\x\base.vhd`, "", "", []string{"../x/base.vhd"}},
		"absolute only by its last name": {"", `C:\VMs\base.vhd`, "", []string{"base.vhd"}},
		"never another machine":          {`\\server\share\base.vhd`, `\\server\share\base.vhd`, "", []string{"base.vhd"}},
		"a drive is not a relative path": {`D:\base.vhd`, "", "", nil},
		"the name in the header":         {"", "", `base.vhd`, []string{"base.vhd"}},
		"a NUL is no path":               {"a\x00b", "", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.HasPrefix(c.absolute, "C:") {
				c.want = append([]string{c.absolute}, c.want...)
			}
			got := parentCandidates(c.relative, c.absolute, c.name)
			if strings.Join(got, "|") != strings.Join(c.want, "|") {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestBackingFileOfAnOverlayIsNotGuessed(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay")
	for name, c := range map[string]struct {
		args []string
		want error
		text string
	}{
		"raw without a format":  {[]string{"-o", "compat=0.10", "-u", "-b", secret, "-F", "raw"}, ErrUnsupported, "without a format"},
		"a network address":     {[]string{"-u", "-b", "nbd://localhost/x", "-F", "raw"}, ErrUnsupported, "not a plain path"},
		"a JSON description":    {[]string{"-u", "-b", `json:{"driver":"file"}`, "-F", "raw"}, ErrUnsupported, "not a plain path"},
		"a format not read":     {[]string{"-u", "-b", secret, "-F", "vdi"}, ErrUnsupported, "vdi"},
		"missing":               {[]string{"-u", "-b", "gone", "-F", "raw"}, ErrParent, "gone"},
		"said raw, but is vhdx": {[]string{"-u", "-b", secret, "-F", "vhdx"}, ErrCorrupt, "VHDX"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, "qemu-img", append(append([]string{"create", "-q", "-f", "qcow2"}, c.args...), overlay, "1M")...)
			if name == "raw without a format" {
				// The extension is the first after the header.
				b, err := os.ReadFile(overlay)
				if err != nil {
					t.Fatal(err)
				}
				copy(b[72:], []byte{0x12, 0x34, 0x56, 0x78})
				if err := os.WriteFile(overlay, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d, err := Open(overlay)
			if err == nil {
				d.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%v", err)
			}
		})
	}
}
