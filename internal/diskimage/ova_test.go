package diskimage

import (
	"bytes"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bootable is a disk with an active partition.
func bootable(size int) []byte {
	b := make([]byte, size)
	copy(b[446:], "\x80\x00\x00\x00\x07\x00\x00\x00\x08\x00\x00\x00\x00\x04\x00\x00")
	copy(b[510:], "\x55\xaa")
	copy(b[size-512:], "the last sector")
	return b
}

func TestTheDiskInAnOVAIsReadInPlace(t *testing.T) {
	disk := pattern(5<<20 + 512)
	for name, b := range map[string][]byte{
		"as VirtualBox writes it": tarOf(tarFile{"vm.ovf", ovf("", "vm-disk001.vmdk")}, tarFile{"vm-disk001.vmdk", streamVMDK(disk)}, tarFile{"vm.mf", []byte("SHA256 (vm.ovf) = 00\n")}),
		"in a folder":             tarOf(tarFile{"./vm/vm.OVF", ovf(`ovf:compression="identity"`, "vm%20disk001.vmdk")}, tarFile{"./vm/vm disk001.vmdk", streamVMDK(disk)}),
		"with an optical disc":    tarOf(tarFile{"vm.ovf", ovf("", "cd2.iso", "vm-disk001.vmdk")}, tarFile{"vm-disk001.vmdk", streamVMDK(disk)}, tarFile{"cd2.iso", []byte("x")}),
		"with another format":     tarOf(tarFile{"vm.ovf", ovf("", "vm-disk001.vmdk")}, tarFile{"vm-disk001.vmdk", imageOf(t, disk, Options{Format: QCOW2})}),
		"the OVF at the end":      tarOf(tarFile{"vm-disk001.vmdk", disk}, tarFile{"vm.ovf", ovf("", "vm-disk001.vmdk")}),
	} {
		path := writeFile(t, "vm.ova", b)
		d := open(t, path)
		sameContent(t, content(t, d), disk)
		i := d.Info()
		if !strings.Contains(i.Member, "disk001.vmdk") || len(i.Files) != 1 || i.Files[0] != path || i.FileSize != int64(len(b)) || len(i.OtherDisks) != 0 || i.VirtualSize != int64(len(disk)) {
			t.Errorf("%s: %+v", name, i)
		}
		if err := notItself(d, path); err == nil {
			t.Errorf("%s: the OVA could be replaced by what is read from it", name)
		}
		out := filepath.Join(t.TempDir(), "out")
		convertTo(t, path, out, Options{Format: VHD, AlignMiB: true})
		sameContent(t, content(t, open(t, out))[:len(disk)], disk)
		// And from a web server.
		r, err := OpenReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameContent(t, content(t, r), disk)
	}
}

func TestOfSeveralDisksTheOneThatStartsIsTaken(t *testing.T) {
	system, data := bootable(1<<20), pattern(2<<20)
	of := func(first, second []byte) []byte {
		return tarOf(tarFile{"vm.ovf", ovf("", "a.vmdk", "b.vmdk")}, tarFile{"a.vmdk", first}, tarFile{"b.vmdk", second})
	}
	for name, b := range map[string][]byte{
		"first": of(streamVMDK(system), streamVMDK(data)), "second": of(streamVMDK(data), streamVMDK(system)), "beside a damaged one": of([]byte("KDMVx"), streamVMDK(system)),
	} {
		d, err := OpenReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameContent(t, content(t, d), system)
		member, other := "b.vmdk", "a.vmdk"
		if name == "first" {
			member, other = other, member
		}
		i := d.Info()
		if i.Member != member || len(i.OtherDisks) != 1 || i.OtherDisks[0] != other || len(i.Warnings) != 1 || !strings.Contains(i.Warnings[0], `not looked into: "`+other) {
			t.Errorf("%s: %+v", name, i)
		}
	}
	for name, b := range map[string][]byte{"none": of(streamVMDK(data), streamVMDK(data)), "two": of(streamVMDK(system), streamVMDK(system))} {
		_, err := OpenReader(bytes.NewReader(b), int64(len(b)))
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), `"a.vmdk", which`) || !strings.Contains(err.Error(), `"b.vmdk", which`) || !strings.Contains(err.Error(), "tar -xf") {
			t.Errorf("%s that starts: %v", name, err)
		}
	}
}

func TestOVAsThatCannotBeReadSayWhy(t *testing.T) {
	disk := streamVMDK(pattern(1 << 20))
	file := tarFile{"d.vmdk", disk}
	whole := tarOf(tarFile{"vm.ovf", ovf("", "d.vmdk")}, file)
	many := slices.Repeat([]tarFile{{"x", nil}}, maxMembers+1)
	for name, c := range map[string]struct {
		b    []byte
		is   error
		says string
	}{
		"cut in the disk":          {whole[:len(whole)-1024-512-int(roundUp(int64(len(disk)), 512))+512+1000], ErrCorrupt, "missing; copy or download it again"},
		"cut before the disk":      {whole[:512+int(roundUp(int64(len(ovf("", "d.vmdk"))), 512))], ErrCorrupt, `the disk "d.vmdk" (123456 bytes by the OVF) is not in the archive`},
		"cut in a header":          {whole[:512+int(roundUp(int64(len(ovf("", "d.vmdk"))), 512))+100], ErrCorrupt, "cut off inside of the archive"},
		"no OVF":                   {tarOf(file), ErrUnsupported, "a tar file that is no OVA"},
		"many files":               {tarOf(many...), ErrUnsupported, "a tar file that is no OVA"},
		"an OVF among many files":  {tarOf(append(many, tarFile{"vm.ovf", ovf("", "d.vmdk")}, file)...), ErrUnsupported, "a tar file that is no OVA"},
		"many files and an OVF":    {tarOf(append([]tarFile{{"vm.ovf", ovf("", "d.vmdk")}}, many...)...), ErrUnsupported, "more than 1000 files"},
		"an OVA in an OVA":         {tarOf(tarFile{"vm.ovf", ovf("", "x.ova")}, tarFile{"x.ova", whole}), ErrUnsupported, "a tar file that is no OVA"},
		"a packed disk":            {tarOf(tarFile{"vm.ovf", ovf(`ovf:compression="gzip"`, "d.vmdk")}, file), ErrUnsupported, "packed once more (gzip); unpack the OVA (tar -xf) and then the disk (gunzip)"},
		"a disk in chunks":         {tarOf(tarFile{"vm.ovf", ovf(`ovf:chunkSize="7"`, "d.vmdk")}, file), ErrUnsupported, "cut into chunks"},
		"no disk":                  {tarOf(tarFile{"vm.ovf", ovf("")}, file), ErrCorrupt, "names no disk"},
		"no XML":                   {tarOf(tarFile{"vm.ovf", []byte("<Envelope>")}, file), ErrCorrupt, "cannot be read"},
		"another XML":              {tarOf(tarFile{"vm.ovf", []byte("<x/>")}, file), ErrCorrupt, "cannot be read"},
		"a huge OVF":               {tarOf(tarFile{"vm.ovf", make([]byte, maxOVF+1)}, file), ErrUnsupported, "more than 4194304"},
		"a file that is not there": {tarOf(tarFile{"vm.ovf", []byte(strings.Replace(string(ovf("", "d.vmdk")), `ovf:id="file0"`, `ovf:id="file9"`, 1))}, file), ErrCorrupt, "that it does not list"},
		"a snapshot":               {tarOf(tarFile{"vm.ovf", []byte(strings.Replace(string(ovf("", "d.vmdk")), `ovf:fileRef="file0"`, `ovf:fileRef="file0" ovf:parentRef="p"`, 1))}, file), ErrUnsupported, "without snapshots"},
		"a disk in many files":     {tarOf(tarFile{"vm.ovf", ovf("", "d.vmdk")}, tarFile{"d.vmdk", descriptor("monolithicFlat", "ffffffff", `RW 1 FLAT "x-flat.vmdk" 0`)}), ErrUnsupported, "beside it"},
		"a disk that is damaged":   {tarOf(tarFile{"vm.ovf", ovf("", "d.vmdk")}, tarFile{"d.vmdk", disk[:len(disk)-512]}), ErrCorrupt, `opening "d.vmdk" in the OVA`},
	} {
		d, err := OpenReader(bytes.NewReader(c.b), int64(len(c.b)))
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) || d != nil {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	// How much is missing is counted to the end of the archive.
	short := whole[:len(whole)-1024-3000]
	if _, err := OpenReader(bytes.NewReader(short), int64(len(short))); err == nil || !strings.Contains(err.Error(), "so 4024 are missing") {
		t.Errorf("%v", err)
	}
}
