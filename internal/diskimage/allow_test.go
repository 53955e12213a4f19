package diskimage

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// overlayNaming writes an empty qcow2 that names any backing file.
func overlayNaming(t testing.TB, path, backing, format string, size int64) {
	t.Helper()
	be := binary.BigEndian
	b := make([]byte, 2<<16)
	copy(b, qcow2Magic)
	be.PutUint32(b[4:], 3)
	be.PutUint32(b[20:], 16)
	be.PutUint64(b[24:], uint64(size))
	be.PutUint32(b[36:], uint32((size+512*mib-1)/(512*mib)))
	be.PutUint64(b[40:], 1<<16)
	be.PutUint32(b[96:], 4)
	be.PutUint32(b[100:], 104)
	at := 104
	if format != "" {
		be.PutUint32(b[at:], qcow2ExtBacking)
		be.PutUint32(b[at+4:], uint32(len(format)))
		copy(b[at+8:], format)
		at += 8 + (len(format)+7)/8*8
	}
	at += 8
	be.PutUint64(b[8:], uint64(at))
	be.PutUint32(b[16:], uint32(copy(b[at:], backing)))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, path string) {
	t.Helper()
	testutil.Symlink(t, to, path)
}

// TestBackingFilesOutsideOfTheFolderAreRefused: the content of any file of the
// host would become part of the output.
func TestBackingFilesOutsideOfTheFolderAreRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		// make prepares the folder of the image and returns the name in it;
		// secret is a file elsewhere.
		make func(t *testing.T, folder, secret string) string
	}{
		{"an absolute path", func(_ *testing.T, _, secret string) string { return secret }},
		{"a path out of the folder", func(*testing.T, string, string) string { return "../elsewhere/secret" }},
		{"a path through a folder of its own", func(t *testing.T, folder, _ string) string {
			if err := os.Mkdir(filepath.Join(folder, "sub"), 0o700); err != nil {
				t.Fatal(err)
			}
			return "sub/../../elsewhere/secret"
		}},
		{"a link", func(t *testing.T, folder, secret string) string {
			link(t, secret, filepath.Join(folder, "base.raw"))
			return "base.raw"
		}},
		{"a link to a link", func(t *testing.T, folder, _ string) string {
			link(t, "../elsewhere", filepath.Join(folder, "dir"))
			link(t, "dir/secret", filepath.Join(folder, "base.raw"))
			return "base.raw"
		}},
		{"a linked folder", func(t *testing.T, folder, _ string) string {
			link(t, "../elsewhere", filepath.Join(folder, "dir"))
			return "dir/secret"
		}},
		{"up from a linked folder, which is not back here", func(t *testing.T, folder, secret string) string {
			deep := filepath.Join(filepath.Dir(secret), "deep")
			if err := os.Mkdir(deep, 0o700); err != nil {
				t.Fatal(err)
			}
			link(t, deep, filepath.Join(folder, "dir"))
			// What a reader would find that takes "dir/.." for this folder.
			if err := os.WriteFile(filepath.Join(folder, "secret"), make([]byte, mib), 0o600); err != nil {
				t.Fatal(err)
			}
			return "dir/../secret"
		}},
		{"a folder below, as .ssh is below a home folder", func(t *testing.T, folder, secret string) string {
			if err := os.Mkdir(filepath.Join(folder, ".ssh"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Link(secret, filepath.Join(folder, ".ssh", "key")); err != nil {
				t.Fatal(err)
			}
			return ".ssh/key"
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			folder, elsewhere := filepath.Join(dir, "images"), filepath.Join(dir, "elsewhere")
			secret := filepath.Join(elsewhere, "secret")
			for _, d := range []string{folder, elsewhere} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(secret, bytes.Repeat([]byte("secret!\n"), 1<<17), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay := filepath.Join(folder, "overlay.qcow2")
			name := c.make(t, folder, secret)
			overlayNaming(t, overlay, name, "raw", mib)
			d, err := Open(overlay)
			if err == nil {
				d.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, ErrNotAllowed) || !errors.Is(err, ErrParent) {
				t.Errorf("kind of %v", err)
			}
			for _, want := range []string{overlay, fmt.Sprintf("%q", name), "outside the folder", "backing_files", "--allow-backing"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			// With leave of the user, by file or by folder, it is read.
			real, err := realPath(filepath.Join(folder, "overlay.qcow2"))
			if err != nil {
				t.Fatal(err)
			}
			below := filepath.Join(filepath.Dir(real), ".ssh")
			for _, allow := range [][]string{{secret}, {elsewhere, below}, {"/nothing/is/here", dir}} {
				d := open(t, overlay, Allow(allow...))
				got := make([]byte, 7)
				if _, err := d.ReadAt(got, 0); err != nil || string(got) != "secret!" {
					t.Errorf("allowed %q: %q, %v", allow, got, err)
				}
			}
			for _, allow := range []string{overlay, filepath.Join(elsewhere, "secre"), folder + "x", elsewhere + "/deep"} {
				if d, err := Open(overlay, Allow(allow)); err == nil && filepath.Dir(name) != ".ssh" {
					d.Close()
					t.Errorf("opened although only %s is allowed", allow)
				}
			}
		})
	}
}

// TestChainInOneFolderNeedsNoLeave: each image may be based on its neighbours,
// also on those of a file that was allowed or is reached by a link.
func TestChainInOneFolderNeedsNoLeave(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "store")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(store, "base.raw")
	if err := os.WriteFile(base, pattern(mib), 0o600); err != nil {
		t.Fatal(err)
	}
	mid, top, scratch := filepath.Join(store, "mid.qcow2"), filepath.Join(store, "top.qcow2"), filepath.Join(dir, "scratch.qcow2")
	overlayNaming(t, mid, "base.raw", "raw", mib)
	overlayNaming(t, top, mid, "qcow2", 2*mib)
	overlayNaming(t, scratch, top, "qcow2", 3*mib)
	linked := filepath.Join(dir, "linked")
	link(t, store, linked)
	for name, d := range map[string]Disk{
		"the folder":              open(t, top),
		"by a link to the folder": open(t, filepath.Join(linked, "top.qcow2")),
		"an overlay elsewhere":    open(t, scratch, Allow(top)),
	} {
		got := make([]byte, mib)
		if err := readFull(d, got, 0); err != nil || !bytes.Equal(got, pattern(mib)) {
			t.Errorf("%s: %v", name, err)
		}
		i := d.Info()
		c := i.Chain()
		if last := c[len(c)-1]; len(c) != len(i.Files) || len(c) < 3 || last.Format != Raw || filepath.Base(last.Path) != "base.raw" || last.VirtualSize != mib {
			t.Errorf("%s: chain %v", name, c)
		}
	}
	if _, err := Open(scratch, Allow(base)); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("only the base is allowed: %v", err)
	}
}

func TestNamesThatAreNoPlainPaths(t *testing.T) {
	for _, c := range []struct {
		goos, name string
		strange    bool
	}{
		{"linux", "base.raw", false}, {"linux", "../x/base.raw", false}, {"linux", "/a:b/base.raw", false}, {"linux", "./a:b", false},
		{"linux", `C:\base.raw`, true}, {"linux", "nbd:unix:/run/x", true}, {"linux", "nbd://host/x", true}, {"linux", "https://host/x", true},
		{"linux", `json:{"driver":"file","filename":"/etc/shadow"}`, true}, {"linux", "file:/etc/shadow", true}, {"linux", "fat:rw:/etc", true},
		{"linux", "", true}, {"linux", "base.raw\x00x", true}, {"darwin", "ssh://host/x", true},
		{"windows", "base.vhdx", false}, {"windows", `..\x\base.vhdx`, false}, {"windows", `C:\VMs\base.vhdx`, false}, {"windows", "C:/VMs/base.vhdx", false},
		{"windows", `\\host\share\base.vhdx`, false}, // a share, judged by isShare
		{"windows", `\\?\C:\base.vhdx`, true}, {"windows", "//?/C:/base.vhdx", true}, {"windows", `\\.\PhysicalDrive0`, true}, {"windows", "//./PhysicalDrive0", true},
		{"windows", `\??\C:\x`, true}, {"windows", "C:base.vhdx", true}, {"windows", `C:\base.vhdx:stream`, true}, {"windows", "base.vhdx:stream", true},
		{"windows", "NUL", true}, {"windows", `C:\x\nul.txt`, true}, {"windows", "con", true}, {"windows", `com1 .raw`, true}, {"windows", "LPT9", true}, {"windows", "COM¹", true},
		{"windows", "CONIN$", true}, {"windows", "console.raw", false}, {"windows", "com10", false}, {"windows", "lpt", false}, {"windows", "nbd://host/x", true}, {"windows", "json:{}", true},
	} {
		if why := strangePath(c.goos, c.name); (why != "") != c.strange {
			t.Errorf("%s: %q is strange: %q", c.goos, c.name, why)
		}
	}
	for name, share := range map[string]bool{`\\host\share\x`: true, "//host/share/x": true, `\/host/x`: true, `\x`: false, `C:\x`: false, "x": false} {
		if isShare("windows", name) != share || isShare("linux", name) {
			t.Errorf("share %q", name)
		}
	}
	o := opener{path: `\\Host\images/`, allowed: []string{`//nas/pool`}}
	if !o.onKnownShare(`\\nas\Pool\base.raw`) || o.onKnownShare(`\\nas\pool2\base.raw`) || o.onKnownShare(`\\evil\pool\base.raw`) {
		t.Error("shares are not told apart")
	}
}

func TestOnlyRegularFilesAreBackingFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay")
	overlayNaming(t, overlay, "folder", "raw", mib)
	if _, err := Open(overlay); !errors.Is(err, ErrParent) || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := os.Stat("/dev/zero"); err == nil && runtime.GOOS != "windows" { // Wine shows it
		overlayNaming(t, overlay, "/dev/zero", "raw", mib)
		if _, err := Open(overlay, Allow("/dev/zero", "/dev")); !errors.Is(err, ErrParent) || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("a device, allowed: %v", err)
		}
	}
}

// TestFormatOfABackingFileIsTheOneTheImageSays: a guest that writes a qcow2
// header into its raw disk would otherwise choose the files of the host.
func TestFormatOfABackingFileIsTheOneTheImageSays(t *testing.T) {
	dir := t.TempDir()
	inner, overlay := filepath.Join(dir, "base"), filepath.Join(dir, "overlay")
	overlayNaming(t, inner, "/etc/hostname", "raw", mib)
	overlayNaming(t, overlay, "base", "raw", mib)
	d := open(t, overlay)
	got := make([]byte, 4)
	if _, err := d.ReadAt(got, 0); err != nil || string(got) != qcow2Magic || len(d.Info().Files) != 2 {
		t.Errorf("said to be raw: %q, %v, %q", got, err, d.Info().Files)
	}
	// An extension behind the name is not seen by QEMU, which would guess.
	b, err := os.ReadFile(overlay)
	if err != nil {
		t.Fatal(err)
	}
	copy(b[200:], b[104:128])
	copy(b[104:], []byte{0x12, 0x34, 0x56, 0x78, 0, 0, 0, 88})
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := Open(overlay); err == nil {
		d.Close()
		t.Error("an extension of the header behind the backing file's name was read")
	}
	overlayNaming(t, overlay, "base", "", mib)
	overlayNaming(t, inner, "none", "raw", mib)
	if err := os.WriteFile(filepath.Join(dir, "none"), make([]byte, mib), 0o600); err != nil {
		t.Fatal(err)
	}
	if d := open(t, overlay); !d.Info().GuessedFormat {
		t.Error("a format that was guessed is not told")
	}
}

// TestBackingFileThatCannotBeReadIsAnErrorAndNoZeros: an error of the parent
// must come up through the child.
func TestBackingFileThatCannotBeReadIsAnErrorAndNoZeros(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base")
	if err := os.WriteFile(base, bytes.Repeat([]byte{1}, int(mib)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay")
	overlayNaming(t, overlay, "base", "raw", 2*mib)
	d := open(t, overlay)
	if err := os.Truncate(base, 64*kib); err != nil {
		t.Fatal(err)
	}
	if n, err := d.ReadAt(make([]byte, 512), 100*kib); n != 0 || !errors.Is(err, ErrCorrupt) {
		t.Errorf("%d, %v", n, err)
	}
}

func TestReadingEndsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	overlayNaming(t, path, "base", "raw", mib)
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "base"), make([]byte, mib), 0o600); err != nil {
		t.Fatal(err)
	}
	d := open(t, path, Until(ctx))
	if _, err := d.ReadAt(make([]byte, 1), 0); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := d.ReadAt(make([]byte, 1), 0); !errors.Is(err, context.Canceled) {
		t.Errorf("reading: %v", err)
	}
	if _, _, err := d.NextData(0); !errors.Is(err, context.Canceled) {
		t.Errorf("finding data: %v", err)
	}
	if _, err := Open(path, Until(ctx)); !errors.Is(err, context.Canceled) {
		t.Errorf("opening: %v", err)
	}
}
