package diskimage

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func warned(d Disk, text string) bool {
	return strings.Contains(strings.Join(d.Info().Warnings, "\n"), text)
}

func TestTheTwoFootersOfAVHDAreHeldAgainstEachOther(t *testing.T) {
	whole := fixtures(t)["vhd-dynamic"]
	other := func(edit func(f []byte)) func([]byte) {
		return func(b []byte) {
			edit(b[:footerSize])
			be.PutUint32(b[64:], 0)
			be.PutUint32(b[64:], vhdChecksum(b[:footerSize], 0))
		}
	}
	for name, c := range map[string]struct {
		change  func(b []byte)
		damaged bool
		says    string
	}{
		"sound":            {func([]byte) {}, false, ""},
		"another time":     {other(func(f []byte) { f[27]++ }), false, ""},
		"copy of zeros":    {func(b []byte) { clear(b[:footerSize]) }, true, "the copy of the footer at the start of the file is damaged"},
		"copy flipped":     {func(b []byte) { b[100]++ }, true, "the copy of the footer at the start of the file is damaged"},
		"copy of the size": {other(func(f []byte) { be.PutUint64(f[48:], 10<<20) }), true, "differ"},
		"copy of the id":   {other(func(f []byte) { f[70]++ }), true, "differ"},
		"end flipped":      {func(b []byte) { b[len(b)-1]++ }, true, "the footer at the end of the file is damaged"},
	} {
		b := bytes.Clone(whole)
		c.change(b)
		d, err := openBytes(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if i := d.Info(); i.FooterDamaged != c.damaged || (len(i.Warnings) != 0) != c.damaged || c.says != "" && !warned(d, c.says) {
			t.Errorf("%s: damaged %t, warnings %q", name, i.FooterDamaged, i.Warnings)
		}
		if d.Size() != 5<<20 {
			t.Errorf("%s: %d bytes", name, d.Size())
		}
	}
}

func TestADamagedDynamicHeaderSaysTheWayOut(t *testing.T) {
	whole := fixtures(t)["vhd-dynamic"]
	for _, at := range []int{0, 8, 16, 24, 28, 32, 36, 40, 1000} {
		b := bytes.Clone(whole)
		b[footerSize+at]++
		if _, err := openBytes(b); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "copy or download it again") {
			t.Errorf("byte %d: %v", at, err)
		}
	}
}

func TestADamagedFixedFooterSaysThatTheDiskIsWhole(t *testing.T) {
	whole := fixtures(t)["vhd-fixed"]
	for at, says := range map[int]bool{70: true, 64: true, 51: true, 63: true} {
		b := bytes.Clone(whole)
		b[len(b)-footerSize+at]++
		_, err := openBytes(b)
		if !errors.Is(err, ErrCorrupt) || strings.Contains(fmt.Sprint(err), "truncate -s -512") != says {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	// What has no end of a fixed disk is not said to be whole.
	b := bytes.Clone(fixtures(t)["vhd-dynamic"])
	b[100]++
	b[len(b)-footerSize+70]++
	if _, err := openBytes(b); !errors.Is(err, ErrCorrupt) || strings.Contains(err.Error(), "truncate") {
		t.Errorf("a dynamic VHD: %v", err)
	}
}

func TestAFooterThatIsNotInTheLastSectorIsTold(t *testing.T) {
	disk := pattern(1 << 20)
	footer := newVHDFooter(1<<20, vhdTypeFixed, newID()).encode()
	broken := bytes.Clone(footer)
	broken[80]++
	for name, c := range map[string]struct {
		file  string
		b     []byte
		stray int64
		says  string
	}{
		"bytes behind":             {"x.vhd", append(append(bytes.Clone(disk), footer...), make([]byte, 2<<20-512)...), 1 << 20, "one stands at 1048576, 2096640 bytes before"},
		"one byte behind":          {"x.VHD", append(append(bytes.Clone(disk), footer...), '\n'), 1 << 20, "1 bytes before: Azure refuses such a file"},
		"none":                     {"x.vhd", disk, 0, "there is no VHD footer"},
		"one that is damaged":      {"x.vhd", append(append(bytes.Clone(disk), broken...), make([]byte, 512)...), 0, "there is no VHD footer"},
		"far away":                 {"x.vhd", append(append(bytes.Clone(disk), footer...), make([]byte, strayReach+1)...), 0, "there is no VHD footer"},
		"an older one before it":   {"x.vhd", append(append(append(bytes.Clone(disk), footer...), footer...), make([]byte, 512)...), 1<<20 + 512, "one stands at 1049088"},
		"a raw disk of that name":  {"x.raw", append(append(bytes.Clone(disk), footer...), make([]byte, 512)...), 0, ""},
		"named vhdx":               {"x.vhdx", disk, 0, "named .vhdx, but its content is no such file"},
		"named qcow2":              {"x.qcow2", disk, 0, "named .qcow2, but its content is no such file"},
		"without an extension too": {"vhd", disk, 0, ""},
	} {
		i := open(t, writeFile(t, c.file, c.b)).Info()
		if i.StrayFooter != c.stray || i.NamedVHD != strings.HasSuffix(strings.ToLower(c.file), ".vhd") || c.says == "" && strings.Contains(strings.Join(i.Warnings, "\n"), "named") {
			t.Errorf("%s: %+v", name, i)
		}
		if !strings.Contains(strings.Join(i.Warnings, "\n"), c.says) {
			t.Errorf("%s: %q", name, i.Warnings)
		}
	}
	// By its name where it is no file.
	b := append(append(bytes.Clone(disk), footer...), make([]byte, 4096)...)
	d, err := OpenReader(bytes.NewReader(b), int64(len(b)), Named("https://host/x.vhd"))
	if err != nil || d.Info().StrayFooter != 1<<20 {
		t.Errorf("%v, %+v", err, d.Info())
	}
	// Whoever says that it is raw knows.
	if i := open(t, writeFile(t, "x.vhd", b), As(Raw)).Info(); len(i.Warnings) > 1 || i.NamedVHD {
		t.Errorf("%q", i.Warnings)
	}
}

func TestAParentIsFoundWhateverTheCaseOfItsName(t *testing.T) {
	base := pattern(3 << 20)
	raw := writeFile(t, "base.raw", base)
	dir := t.TempDir()
	parent := filepath.Join(dir, "Base.VHD")
	convertTo(t, raw, parent, Options{Format: VHD, Type: Dynamic})
	sectors, want := changes(base, 512, 0, 9, 4095)
	child := filepath.Join(dir, "child.vhd")
	if err := os.WriteFile(child, diffVHD(t, parent, `.\bAsE.vhd`, sectors), 0o600); err != nil {
		t.Fatal(err)
	}
	sameContent(t, content(t, open(t, child)), want)

	parentX := filepath.Join(dir, "BASE.vhdx")
	convertTo(t, raw, parentX, Options{Format: VHDX})
	childX := filepath.Join(dir, "child.vhdx")
	diffVHDX(t, parentX, childX, `.\base.VHDX`, sectors, 1)
	d := open(t, childX)
	if files := d.Info().Files; len(files) != 2 || !strings.EqualFold(filepath.Clean(files[1]), parentX) {
		t.Errorf("%q", files)
	}
	d.Close()
	// A qcow2 means the name it has.
	overlay := filepath.Join(dir, "overlay.qcow2")
	overlayNaming(t, overlay, "BASE.RAW", "raw", 3<<20)
	if err := os.WriteFile(filepath.Join(dir, "base.raw"), base, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "BASE.RAW")); err == nil {
		return // a file system where case does not count has nothing more to show
	}
	if _, err := Open(overlay); !errors.Is(err, ErrParent) {
		t.Errorf("a qcow2: %v", err)
	}
	// Two that differ in case only: neither is guessed.
	if err := os.Rename(parent, filepath.Join(dir, "BASE.vhd")); err != nil {
		t.Fatal(err)
	}
	convertTo(t, raw, filepath.Join(dir, "base.VHD"), Options{Format: VHD, Type: Dynamic})
	if _, err := Open(child); !errors.Is(err, ErrParent) || !strings.Contains(err.Error(), "not found") {
		t.Errorf("two of a name: %v", err)
	}
	// Folders as well, and still nothing outside that was not allowed.
	if got := foldCase(filepath.Join(strings.ToUpper(dir), "child.VHD")); got == "" {
		t.Error("the case of folders counts")
	}
}

func TestSectorsOf4096AreTakenFromTheGPT(t *testing.T) {
	disk := make([]byte, 8<<20)
	copy(disk[4096:], "EFI PART")
	raw := writeFile(t, "disk.raw", disk)
	if got := open(t, raw).SectorSize(); got != 4096 {
		t.Errorf("raw: %d", got)
	}
	qcow2 := filepath.Join(t.TempDir(), "disk.qcow2")
	convertTo(t, raw, qcow2, Options{Format: QCOW2})
	if got := open(t, qcow2).SectorSize(); got != 4096 {
		t.Errorf("qcow2: %d", got)
	}
	vhdx := filepath.Join(t.TempDir(), "disk.vhdx")
	convertTo(t, qcow2, vhdx, Options{Format: VHDX})
	if d := open(t, vhdx); d.SectorSize() != 4096 || len(d.Info().Warnings) != 0 {
		t.Errorf("vhdx: %d, %q", d.SectorSize(), d.Info().Warnings)
	}
	if _, err := Convert(t.Context(), open(t, raw), filepath.Join(t.TempDir(), "x.vhd"), Options{Format: VHD}); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "sectors of 4096") {
		t.Errorf("vhd: %v", err)
	}
	// Somebody else's VHD of such a disk.
	vhd := append(bytes.Clone(disk), newVHDFooter(8<<20, vhdTypeFixed, newID()).encode()...)
	d, err := openBytes(vhd)
	if err != nil || d.SectorSize() != 512 || !warned(d, "firmware and Windows see no partition") {
		t.Errorf("%v, %d, %q", err, d.SectorSize(), d.Info().Warnings)
	}
	// With a header in both places the smaller one counts, as partition reads it.
	copy(disk[512:], "EFI PART")
	if got := open(t, writeFile(t, "disk.raw", disk)).SectorSize(); got != 512 {
		t.Errorf("both: %d", got)
	}
}

func TestADiskTooLargeForItsOutputIsRefusedWithTheWayOut(t *testing.T) {
	for _, c := range []struct {
		i    Info
		o    Options
		says string // "" : it is taken
	}{
		{Info{VirtualSize: maxVHD, SectorSize: 512}, Options{Format: VHD, AlignMiB: true}, ""},
		{Info{VirtualSize: maxVHD + 512, SectorSize: 512}, Options{Format: VHD, AlignMiB: true}, `a VHD holds at most 2040 GiB, this disk has 2041 GiB: set format = "vhdx"`},
		{Info{VirtualSize: 4 * tib, SectorSize: 512}, Options{Format: VHD, Type: Dynamic}, `a VHD holds at most 2040 GiB, this disk has 4096 GiB: set format = "vhdx"`},
		{Info{VirtualSize: 4 * tib, SectorSize: 512}, Options{Format: VHDX}, ""},
		{Info{VirtualSize: 4 * tib, SectorSize: 4096}, Options{Format: Raw}, ""},
		{Info{VirtualSize: 65 * tib, SectorSize: 512}, Options{Format: VHDX}, "at most 65536 GiB, this disk has 66560 GiB"},
		{Info{VirtualSize: mib, SectorSize: 4096}, Options{Format: VHD}, `set format = "vhdx"`},
		{Info{}, Options{Format: VHD}, ""},
		{Info{}, Options{Format: "vmdk"}, "vmdk"},
	} {
		err := CanHold(c.i, c.o)
		if (err == nil) != (c.says == "") || err != nil && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%+v as %s: %v", c.i, c.o.Format, err)
		}
	}
}

// A footer that is not all there, or whose cookie is damaged, is no part of the
// disk: what is said does not ask to convert it with the disk.
func TestAFooterThatIsNotWholeIsTold(t *testing.T) {
	disk := pattern(1 << 20)
	footer := newVHDFooter(1<<20, vhdTypeFixed, newID()).encode()
	noCookie := bytes.Clone(footer)
	copy(noCookie, "\x00\x00\x00\x00")
	other := newVHDFooter(2<<20, vhdTypeFixed, newID()).encode()
	for name, c := range map[string]struct {
		tail []byte
		says string
	}{
		"511 bytes of it":        {footer[:511], "one begins at 1048576 of which 511 bytes are there"},
		"its begin only":         {footer[:80], "one begins at 1048576 of which 80 bytes are there"},
		"without its cookie":     {noCookie, "one with a damaged cookie"},
		"of a disk of that size": {other[:511], ""},
		"a sector of something":  {bytes.Repeat([]byte{7}, 512), ""},
	} {
		i := open(t, writeFile(t, "x.vhd", append(bytes.Clone(disk), c.tail...))).Info()
		said := strings.Join(i.Warnings, "\n")
		if c.says == "" && strings.Contains(said, "truncate") || c.says != "" && (!strings.Contains(said, c.says) || !strings.Contains(said, "truncate -s 1048576 FILE")) || !i.NamedVHD {
			t.Errorf("%s: %q", name, i.Warnings)
		}
	}
}

// qemu-img info calls a fixed VHD raw, and qemu-img convert then makes its footer a
// part of the disk.
func TestAVHDThatWasTakenForARawDiskIsTold(t *testing.T) {
	vhd := append(pattern(1<<20), newVHDFooter(1<<20, vhdTypeFixed, newID()).encode()...)
	source := writeFile(t, "source.raw", vhd)
	seen := 0
	for _, f := range []Format{Raw, QCOW2, VHDX, VHD} {
		for _, inside := range []bool{true, false} {
			d, err := Open(source, As(Raw))
			if !inside {
				d, err = Open(source)
			}
			if err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(t.TempDir(), "disk")
			if _, err := Convert(t.Context(), d, out, Options{Format: f}); err != nil {
				t.Fatal(err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			made, err := Open(out, As(f))
			if err != nil {
				t.Fatal(err)
			}
			told := strings.Contains(strings.Join(made.Info().Warnings, "\n"), "is the footer of a VHD")
			if told {
				seen++
			}
			if want := inside && made.Size()%mib == footerSize; told != want {
				t.Errorf("%s, the footer inside %t (%d bytes): %q", f, inside, made.Size(), made.Info().Warnings)
			}
			if err := made.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seen < 2 {
		t.Errorf("told of %d disks", seen)
	}
}
