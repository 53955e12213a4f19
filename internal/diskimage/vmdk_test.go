package diskimage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// subformats are the kinds of VMDK that QEMU writes.
var subformats = []string{"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized"}

func TestVMDKsOfQEMUAreReadAndConverted(t *testing.T) {
	disk := pattern(37<<20 + 512*3)
	raw := writeFile(t, "disk.raw", disk)
	for i, kind := range subformats {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "disk.vmdk")
			run(t, "qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat="+kind, raw, path)
			d := open(t, path)
			if d.Format() != VMDK || d.Info().Type != Type(kind) || d.Info().Files[0] != path {
				t.Errorf("%+v", d.Info())
			}
			sameContent(t, content(t, d), disk)
			o := outputs[i%len(outputs)]
			out := filepath.Join(t.TempDir(), "out")
			convertTo(t, path, out, o)
			sameContent(t, content(t, open(t, out, As(o.Format)))[:len(disk)], disk)
			// What belongs to the disk is not written over.
			for _, file := range d.Info().Files {
				if err := notItself(d, file); err == nil {
					t.Errorf("%s could be replaced", file)
				}
			}
		})
	}
}

// TestADiskInSeveralFilesIsOne: QEMU cuts at 2 GB.
func TestADiskInSeveralFilesIsOne(t *testing.T) {
	for _, kind := range []string{"twoGbMaxExtentSparse", "twoGbMaxExtentFlat"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			testutil.Tool(t, "qemu-img")
			dir := t.TempDir()
			raw, path := filepath.Join(dir, "disk.raw"), filepath.Join(dir, "disk.vmdk")
			f, err := os.Create(raw)
			if err != nil {
				t.Fatal(err)
			}
			at := map[int64]string{0: "first", 2<<30 - 1000: strings.Repeat("boundary", 300), 5<<30 - 512: "last"}
			for off, s := range at {
				f.WriteAt([]byte(s), off)
			}
			if err := errors.Join(f.Truncate(5<<30), f.Close()); err != nil {
				testutil.Missing(t, "the file system has no files of 5 GiB: "+err.Error())
			}
			run(t, "qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat="+kind, raw, path)
			d := open(t, path)
			if d.Size() != 5<<30 || len(d.Info().Files) != 4 {
				t.Fatalf("%+v", d.Info())
			}
			for off, s := range at {
				b := make([]byte, len(s))
				if err := readFull(d, b, off); err != nil || string(b) != s {
					t.Errorf("at %d: %q, %v", off, b, err)
				}
			}
			held := int64(0)
			for off := int64(0); off < d.Size(); {
				start, end, err := d.NextData(off)
				if err != nil {
					t.Fatal(err)
				}
				held, off = held+end-start, end
			}
			if held == 0 || held > 1<<20 {
				t.Errorf("%d bytes are said to be data", held)
			}
			// A piece alone is not the disk.
			if kind == "twoGbMaxExtentSparse" {
				if _, err := Open(filepath.Join(dir, "disk-s001.vmdk")); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "one piece of a VMDK") {
					t.Errorf("a piece: %v", err)
				}
			}
		})
	}
}

// TestFilesMadeByHandAreReadAsQEMUReadsThem guards the fixtures of the other tests.
func TestFilesMadeByHandAreReadAsQEMUReadsThem(t *testing.T) {
	disk := pattern(33<<20 + 3*512)
	for name, b := range map[string][]byte{
		"sparse": sparseVMDK(disk, descriptor("monolithicSparse", "ffffffff", fmt.Sprintf("RW %d SPARSE \"x.vmdk\"", len(disk)/512))),
		"stream": streamVMDK(disk),
	} {
		path := writeFile(t, name+".vmdk", b)
		d := open(t, path)
		if w := d.Info().Warnings; len(w) != 1 || !strings.Contains(w[0], "not a whole number of MiB") {
			t.Errorf("%s: warnings %q", name, w)
		}
		sameContent(t, content(t, d), disk)
		raw := filepath.Join(t.TempDir(), "raw")
		run(t, "qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, raw)
		got, err := os.ReadFile(raw)
		if err != nil {
			t.Fatal(err)
		}
		sameContent(t, got, disk)
	}
}

func TestEveryKindOfExtentIsRead(t *testing.T) {
	a, b := pattern(1<<20), pattern(1<<20+512)
	dir := t.TempDir()
	for name, content := range map[string][]byte{
		"d.vmdk": []byte(strings.ReplaceAll(string(descriptor("custom", "ffffffff",
			`RW 2048 FLAT "Flat 1.vmdk" 3`, `RDONLY 2049 VMFS "d-flat.vmdk"`, `RW 100 ZERO`, ` rw 2048 SPARSE "D-S001.vmdk"`)), "\n", "\r\n")),
		"Flat 1.vmdk": append(make([]byte, 3*512), a...), "d-flat.vmdk": b, "d-s001.vmdk": sparseVMDK(a, nil),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := open(t, filepath.Join(dir, "d.vmdk"))
	want := bytes.Join([][]byte{a, b, make([]byte, 100*512), a}, nil)
	sameContent(t, content(t, d), want)
	if len(d.Info().Files) != 4 || d.Info().Type != "custom" {
		t.Errorf("%+v", d.Info())
	}
}

func TestADiskThatVMwareHasOpenIsWarnedOf(t *testing.T) {
	path := writeFile(t, "d.vmdk", plainSparse(make([]byte, 1<<20)))
	for _, want := range []int{0, 1} {
		if w := open(t, path).Info().Warnings; len(w) != want || want == 1 && !strings.Contains(w[0], "VMware has the disk open") {
			t.Errorf("%q", w)
		}
		os.Mkdir(path+".lck", 0o700)
	}
}

func TestADescriptorReadsNoFileElsewhere(t *testing.T) {
	outside := writeFile(t, "secret", make([]byte, 1<<20))
	for name, c := range map[string]struct {
		line string
		is   error
		says string
	}{
		"an absolute path":       {fmt.Sprintf(`RW 2048 FLAT %q 0`, filepath.ToSlash(outside)), ErrUnsupported, "only files in its own folder are read"},
		"a path upwards":         {`RW 2048 FLAT "../secret" 0`, ErrUnsupported, "only files in its own folder are read"},
		"a folder":               {`RW 2048 FLAT "x/secret" 0`, ErrUnsupported, "only files in its own folder are read"},
		"a path of Windows":      {`RW 2048 FLAT "..\secret" 0`, ErrUnsupported, "only files in its own folder are read"},
		"a device of Windows":    {`RW 2048 FLAT "\\.\PhysicalDrive0" 0`, ErrUnsupported, "only files in its own folder are read"},
		"an address":             {`RW 2048 FLAT "nbd:10.0.0.1:1" 0`, ErrUnsupported, "only files in its own folder are read"},
		"no name":                {`RW 2048 FLAT "" 0`, ErrUnsupported, "only files in its own folder are read"},
		"a link":                 {`RW 2048 FLAT "link" 0`, ErrNotAllowed, "as a part of its disk"},
		"a folder's name":        {`RW 2048 FLAT "folder" 0`, ErrParent, "not a regular file"},
		"a missing file":         {`RW 2048 FLAT "gone.vmdk" 0`, ErrCorrupt, "copy or download all files of the disk"},
		"a file that is cut off": {`RW 2048 FLAT "short" 0`, ErrCorrupt, "so 1047576 are missing"},
		"snapshots of ESX":       {`RW 2048 VMFSSPARSE "short"`, ErrUnsupported, "delete the snapshots"},
		"snapshots of ESX 6.5":   {`RW 2048 SESPARSE "short"`, ErrUnsupported, "delete the snapshots"},
		"a device":               {`RW 2048 VMFSRDM "short"`, ErrUnsupported, "a device of the host"},
		"an unknown type":        {`RW 2048 TAPE "short"`, ErrUnsupported, "unknown type"},
		"no access":              {`NOACCESS 2048 FLAT "short" 0`, ErrUnsupported, "may not be accessed"},
		"no sparse header":       {`RW 2048 SPARSE "short"`, ErrCorrupt, "magic number"},
		"a smaller extent":       {`RW 4096 SPARSE "s.vmdk"`, ErrCorrupt, "capacity of 2048 sectors, its descriptor says 4096"},
		"a size below zero":      {`RW -1 FLAT "short" 0`, ErrCorrupt, "no number of sectors"},
		"a size that overflows":  {`RW 9223372036854775807 FLAT "short" 0`, ErrCorrupt, "no number of sectors"},
		"an offset far away":     {`RW 2048 FLAT "short" 9223372036854775807`, ErrCorrupt, "no offset"},
		"a name without end":     {`RW 2048 FLAT "short`, ErrCorrupt, "does not end"},
		"more than any disk has": {strings.Repeat("RW 137438953472 ZERO\n", 2), ErrCorrupt, "more than 64 TiB"},
		"too many extents":       {strings.Repeat("RW 1 ZERO\n", vmdkMaxExtents+1), ErrUnsupported, "more than 1024 extents"},
		"no extents":             {"", ErrCorrupt, "names no extent"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for name, b := range map[string][]byte{"short": make([]byte, 1000), "s.vmdk": sparseVMDK(pattern(1<<20), nil), "d.vmdk": descriptor("custom", "ffffffff", c.line)} {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			os.Mkdir(filepath.Join(dir, "folder"), 0o700)
			if name == "a link" {
				testutil.Symlink(t, outside, filepath.Join(dir, "link"))
			}
			_, err := Open(filepath.Join(dir, "d.vmdk"))
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if name != "a link" {
				return
			}
			if d, err := Open(filepath.Join(dir, "d.vmdk"), Allow(outside)); err != nil {
				t.Errorf("allowed: %v", err)
			} else {
				d.Close()
			}
		})
	}
	b := descriptor("monolithicFlat", "ffffffff", `RW 1 FLAT "x-flat.vmdk" 0`)
	if _, err := OpenReader(bytes.NewReader(b), int64(len(b))); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "beside it") {
		t.Errorf("a descriptor that is no file: %v", err)
	}
}

func TestAVMDKAndItsParentAreOneDisk(t *testing.T) {
	base, dir := pattern(3<<20), t.TempDir()
	copy(base[2*testGrain:], "hidden by the child")
	// The child has grain 1, says that grain 2 is zeros, and has the rest from below.
	own := make([]byte, len(base))
	copy(own[testGrain:], bytes.Repeat([]byte("child"), 1000))
	child := func(hint string) []byte {
		return sparseVMDK(own, append(descriptor("monolithicSparse", "12345678", `RW 6144 SPARSE "child.vmdk"`), "parentFileNameHint=\""+hint+"\"\n"...), 2)
	}
	want := bytes.Clone(base)
	copy(want[testGrain:2*testGrain], own[testGrain:])
	clear(want[2*testGrain : 3*testGrain])
	put := func(name string, b []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	parent := put("base.vmdk", descriptor("monolithicFlat", "ffffffff", `RW 6144 FLAT "base-flat.vmdk" 0`))
	put("base-flat.vmdk", base)
	for _, hint := range []string{"base.vmdk", `C:\VMs\base.vmdk`, "/vmfs/volumes/1/base.vmdk"} {
		path := put("child.vmdk", child(hint))
		d := open(t, path)
		sameContent(t, content(t, d), want)
		if i := d.Info(); len(i.Parents) != 1 || i.Parents[0].Path != parent || len(i.Files) != 3 {
			t.Errorf("%s: %+v", hint, i)
		}
	}
	raw := filepath.Join(dir, "raw")
	path := put("child.vmdk", child("base.vmdk"))
	run(t, "qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, raw)
	got, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	sameContent(t, got, want)

	elsewhere := put("elsewhere/child.vmdk", child(parent))
	if _, err := Open(elsewhere); !errors.Is(err, ErrNotAllowed) {
		t.Errorf("a parent in another folder: %v", err)
	}
	if d, err := Open(elsewhere, Allow(parent)); err != nil {
		t.Errorf("allowed: %v", err)
	} else {
		d.Close()
	}
	put("base.vmdk", descriptor("monolithicFlat", "ffffffff\nCID=12345679", `RW 6144 FLAT "base-flat.vmdk" 0`))
	if _, err := Open(path); !errors.Is(err, ErrParent) || !strings.Contains(err.Error(), "content id 12345679, the child was made on 12345678") {
		t.Errorf("another parent: %v", err)
	}
	put("child.vmdk", child("gone.vmdk"))
	if _, err := Open(path); !errors.Is(err, ErrParent) || !strings.Contains(err.Error(), "gone.vmdk") {
		t.Errorf("a missing parent: %v", err)
	}
	put("child.vmdk", child("child.vmdk"))
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "its own parent") {
		t.Errorf("its own parent: %v", err)
	}
}
