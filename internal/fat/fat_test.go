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
	"strings"
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

func TestAVolumeThatDoesNotFitItsPlaceOrItsTablesIsCorrupt(t *testing.T) {
	good := made(t, 16, 16, nil)
	small := bytes.Clone(good)
	le.PutUint16(small[22:], 2) // sectors of a table
	for name, c := range map[string]struct {
		image  []byte
		length int
	}{"cut off": {good, len(good) - 512}, "tables of two sectors": {small, len(good)}} {
		if _, err := Open(bytes.NewReader(c.image), 0, int64(c.length)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADeletedFileIsNotListed(t *testing.T) {
	b := made(t, 12, 2, map[string]string{"KEPT.TXT": "a", "GONE.TXT": "b"})
	b[bytes.Index(b, []byte("GONE    TXT"))] = deleted
	v, err := Open(bytes.NewReader(b), 0, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	list, err := fs.ReadDir(v.FS(), ".")
	if err != nil || len(list) != 1 || list[0].Name() != "KEPT.TXT" {
		t.Errorf("%v, %v", list, err)
	}
}

// The upper half of a cluster number counts with FAT32 only.
func TestAnEntryNamesItsFirstCluster(t *testing.T) {
	b := make([]byte, entrySize)
	copy(b, "A       TXT")
	b[20], b[26] = 2, 3
	for width, want := range map[int]uint32{12: 3, 16: 3, 32: 2<<16 | 3} {
		if e := (&Volume{width: width}).decode(b); e.first != want {
			t.Errorf("FAT%d: cluster %d, want %d", width, e.first, want)
		}
	}
}

// The size of a folder is that of nothing: whoever makes room for it would make 4 GiB.
func TestAFolderHasNoSize(t *testing.T) {
	b := make([]byte, entrySize)
	copy(b, "SUB        ")
	le.PutUint32(b[28:], 0xffffffff)
	if e := (&Volume{width: 16}).decode(b); e.size != 0xffffffff {
		t.Errorf("a file of %d bytes", e.size)
	}
	b[11] = folder
	if e := (&Volume{width: 16}).decode(b); e.size != 0 {
		t.Errorf("a folder of %d bytes", e.size)
	}
}

// A piece of another name, which a tool without long names has left, ends the name.
func TestALongNameIsOfOneEntry(t *testing.T) {
	short := []byte("LONGNA~1TXT")
	sum := byte(0)
	for _, c := range short {
		sum = sum>>1 | sum<<7
		sum += c
	}
	piece := func(number, sum byte) []byte {
		b := bytes.Repeat([]byte{'x', 0}, entrySize/2)
		b[0], b[11], b[13] = number, longName, sum
		return b
	}
	for name, c := range map[string]struct {
		pieces [][]byte
		length int
	}{
		"whole":                {[][]byte{piece(0x42, sum), piece(1, sum)}, 26},
		"a piece of another":   {[][]byte{piece(0x42, sum), piece(1, sum+1)}, 0},
		"of another, whole":    {[][]byte{piece(0x41, sum+1)}, 0},
		"a piece that lacks":   {[][]byte{piece(0x42, sum)}, 0},
		"a piece of no number": {[][]byte{piece(0x40, sum)}, 0},
	} {
		var l longest
		for _, p := range c.pieces {
			l.add(p)
		}
		if got := l.of(short); len([]rune(got)) != c.length {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A file of 4 GiB in a volume of 1 MiB whose clusters form a ring ends with its volume.
func TestARingOfClustersEndsWithTheVolume(t *testing.T) {
	b := made(t, 12, 1, map[string]string{"RING.TXT": "a"})
	entry := b[bytes.Index(b, []byte("RING    TXT")):]
	le.PutUint32(entry[28:], 0xffffffff)
	v, err := Open(bytes.NewReader(b), 0, int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	first := le.Uint16(entry[26:])
	at := v.table + int64(first)*12/8
	pair := le.Uint16(b[at:])
	if first%2 == 0 {
		pair = pair&0xf000 | first
	} else {
		pair = pair&0xf | first<<4
	}
	le.PutUint16(b[at:], pair)
	if _, err := v.FS().Open("RING.TXT"); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// window is a volume of 4 MiB of which only the beginning is not zero, so that the
// fuzzer has little to carry. It counts what is read.
type window struct {
	head []byte
	left *int
}

const windowSize = 4 << 20

func (w window) ReadAt(b []byte, off int64) (int, error) {
	if *w.left -= len(b); off < 0 || off+int64(len(b)) > windowSize {
		return 0, io.ErrUnexpectedEOF
	}
	clear(b)
	if off < int64(len(w.head)) {
		copy(b, w.head[off:])
	}
	return len(b), nil
}

// FuzzFAT opens whatever it is given and reads its tree, as far as a reader would.
func FuzzFAT(f *testing.F) {
	for _, width := range []int{12, 16} {
		b := make([]byte, 24<<10)
		copy(b, "\xeb\x3c\x90mkfs.fat")
		le.PutUint16(b[11:], 512)
		b[13], b[14], b[16], b[17], b[21] = 1, 1, 2, 16, 0xf8
		le.PutUint16(b[19:], 4000)
		tableSize := 12
		if width == 16 {
			le.PutUint16(b[19:], 0)
			le.PutUint32(b[32:], 5000)
			tableSize = 20
		}
		le.PutUint16(b[22:], uint16(tableSize))
		b[510], b[511] = 0x55, 0xaa
		root := b[(1+2*tableSize)*512:]
		copy(root, "A       TXT")
		root[26], root[28] = 2, 200
		copy(root[32:], "SUB        ")
		root[32+11], root[32+26] = folder, 3
		copy(b[512:], "\xf8\xff\xff\xff\xff\xff")
		left := 1 << 20
		if v, err := Open(window{b, &left}, 0, windowSize); err != nil || v.width != width {
			f.Fatalf("the seed of FAT%d: %v, %+v", width, err, v)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		left := 64 << 20
		v, err := Open(window{head, &left}, 0, windowSize)
		if err != nil {
			return
		}
		seen := 0
		_ = fs.WalkDir(v.FS(), ".", func(path string, d fs.DirEntry, err error) error {
			if seen++; seen > 50 || strings.Count(path, "/") > 3 || left < 0 { // a folder may hold itself
				return fs.SkipAll
			}
			if err == nil && !d.IsDir() {
				if content, err := fs.ReadFile(v.FS(), path); err == nil {
					if info, err := d.Info(); err != nil || int64(len(content)) != info.Size() {
						t.Errorf("%q: %d bytes, %v", path, len(content), err)
					}
				}
			}
			return nil
		})
		if left < -(16 << 20) {
			t.Errorf("%d bytes were read", 64<<20-left)
		}
	})
}
