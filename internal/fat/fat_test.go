package fat

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// made is a volume of mkfs.vfat and mtools.
func made(t testing.TB, width, mib int, files map[string]string) []byte {
	t.Helper()
	dir := t.TempDir()
	image := filepath.Join(dir, "v")
	run := func(args ...string) {
		if out, err := exec.Command(testutil.Tool(t, args[0]), args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, int64(mib)<<20); err != nil {
		t.Fatal(err)
	}
	run("mkfs.vfat", "-F", fmt.Sprint(width), "-s", "1", "-n", "LABEL", image)
	folders := map[string]bool{}
	for path, content := range files {
		for i, c := range path {
			if c == '/' && !folders[path[:i]] {
				folders[path[:i]] = true
				run("mmd", "-i", image, "::/"+path[:i])
			}
		}
		host := filepath.Join(dir, "content")
		if err := os.WriteFile(host, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		run("mcopy", "-i", image, host, "::/"+path)
	}
	b, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFilesOfOtherToolsAreReadWhole(t *testing.T) {
	big := make([]byte, 300_001)
	for i := range big {
		big[i] = byte(rand.IntN(256))
	}
	files := map[string]string{
		"EFI/Microsoft/Boot/bootmgfw.efi": string(big), "EFI/Boot/bootx64.efi": "x", "empty.txt": "",
		"a file with a very long name indeed, ünïcode.txt": "long",
	}
	for i := range 40 {
		files[fmt.Sprintf("EFI/Boot/another long name %d.txt", i)] = fmt.Sprint(i)
	}
	for width, mib := range map[int]int{12: 2, 16: 16, 32: 64} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			b := append(make([]byte, 4096), made(t, width, mib, files)...)
			v, err := Open(bytes.NewReader(b), 4096, int64(len(b)-4096))
			if err != nil || v.width != width {
				t.Fatalf("%v, %+v", err, v)
			}
			found := 0
			err = fs.WalkDir(v.FS(), ".", func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				found++
				got, err := fs.ReadFile(v.FS(), path)
				if want, ok := files[path]; !ok || string(got) != want {
					t.Errorf("%s: %d bytes, want %d", path, len(got), len(want))
				}
				return err
			})
			if err != nil || found != len(files) {
				t.Errorf("%d files of %d, %v", found, len(files), err)
			}
			f, err := v.FS().Open("efi/MICROSOFT/boot/BOOTMGFW.EFI")
			if err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 1000)
			if n, err := f.(io.ReaderAt).ReadAt(p, 299_501); n != 500 || !errors.Is(err, io.EOF) || !bytes.Equal(p[:n], big[299_501:]) {
				t.Errorf("%d bytes, %v", n, err)
			}
			if _, err := v.FS().Open("EFI/none"); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		})
	}
}

func TestWhatIsNoFATIsToldSo(t *testing.T) {
	ntfs := make([]byte, 1<<20)
	copy(ntfs, "\xeb\x52\x90NTFS    \x00\x02\x08")
	ntfs[510], ntfs[511] = 0x55, 0xaa
	for name, b := range map[string][]byte{"zeros": make([]byte, 1<<20), "NTFS": ntfs, "nothing": nil} {
		if _, err := Open(bytes.NewReader(b), 0, int64(len(b))); !errors.Is(err, ErrNotFAT) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Damage ends in an error or in another content, never in a panic or a loop.
func TestDamageEndsInAnError(t *testing.T) {
	good := made(t, 16, 16, map[string]string{"EFI/Boot/bootx64.efi": string(make([]byte, 20_000)), "EFI/Microsoft/a.txt": "x"})
	rng := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for range 400 {
		b := bytes.Clone(good[:256<<10])
		for range 1 + rng.IntN(8) {
			b[rng.IntN(len(b))] = byte(rng.IntN(256))
		}
		for range rng.IntN(3) {
			b[rng.IntN(64)] = byte(rng.IntN(256))
		}
		v, err := Open(bytes.NewReader(b), 0, int64(len(good)))
		if err != nil {
			refused++
			continue
		}
		seen := 0
		_ = fs.WalkDir(v.FS(), ".", func(path string, d fs.DirEntry, err error) error {
			if seen++; seen > 1000 || len(path) > 2000 {
				return fs.SkipAll
			}
			if err == nil && !d.IsDir() {
				_, _ = fs.ReadFile(v.FS(), path)
			}
			return nil
		})
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
	// A chain that leads back to itself is as long as the limit.
	b := bytes.Clone(good)
	v, err := Open(bytes.NewReader(b), 0, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	le.PutUint16(b[v.table+2*5:], 5)
	if at, err := v.chain(5, maxFolder); err != nil || int64(len(at)) != maxFolder/v.cluster {
		t.Errorf("%d clusters, %v", len(at), err)
	}
}
