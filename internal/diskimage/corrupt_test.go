package diskimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func openBytes(b []byte) (Disk, error) { return OpenReader(bytes.NewReader(b), int64(len(b))) }

func TestDirtyVHDXIsReadAsItsLogSays(t *testing.T) {
	disk := pattern(9 << 20)
	clean := imageOf(t, disk, Options{Format: VHDX})
	for _, start := range []int64{0, 100, 250, 254, 255} { // the last ones wrap around
		for _, entries := range []int{1, 2, 5} {
			b := dirtyVHDX(clean, start, entries)
			path := writeFile(t, "dirty.vhdx", b)
			d := open(t, path)
			if !d.Info().LogReplayed {
				t.Error("the replay is not said")
			}
			sameContent(t, content(t, d), disk)
			if after, _ := os.ReadFile(path); !bytes.Equal(after, b) {
				t.Error("the source was written")
			}
			run(t, "qemu-img", "check", "-q", "-r", "all", "-f", "vhdx", path)
			compare(t, Raw, writeFile(t, "disk.raw", disk), VHDX, path)
		}
	}
}

func TestDamagedFieldIsNamed(t *testing.T) {
	be, le := binary.BigEndian, binary.LittleEndian
	all := fixtures(t)
	end := func(b []byte) []byte { return b[len(b)-footerSize:] }
	for name, c := range map[string]struct {
		image string
		edit  func(b []byte)
		raw   bool // leave the checksums wrong
		is    error
		say   string
	}{
		"VHD size beyond the file":         {"vhd-fixed", func(b []byte) { be.PutUint64(end(b)[48:], 1<<40) }, false, ErrCorrupt, "cut off"},
		"VHD size zero":                    {"vhd-fixed", func(b []byte) { be.PutUint64(end(b)[48:], 0) }, false, ErrCorrupt, "current size 0"},
		"VHD footer checksum":              {"vhd-fixed", func(b []byte) { end(b)[70]++ }, true, ErrCorrupt, "checksum"},
		"VHD version":                      {"vhd-fixed", func(b []byte) { end(b)[13] = 2 }, false, ErrUnsupported, "version 2.0"},
		"VHD disk type":                    {"vhd-fixed", func(b []byte) { be.PutUint32(end(b)[60:], 9) }, false, ErrUnsupported, "type 9"},
		"VHD header cookie":                {"vhd-dynamic", func(b []byte) { b[512] = 'X' }, false, ErrCorrupt, "cookie"},
		"VHD header checksum":              {"vhd-dynamic", func(b []byte) { b[600]++ }, true, ErrCorrupt, "checksum"},
		"VHD data offset":                  {"vhd-dynamic", func(b []byte) { be.PutUint64(end(b)[16:], 1<<62) }, false, ErrCorrupt, "data offset"},
		"VHD block size":                   {"vhd-dynamic", func(b []byte) { be.PutUint32(b[512+32:], 12345) }, false, ErrCorrupt, "block size 12345"},
		"VHD table too short":              {"vhd-dynamic", func(b []byte) { be.PutUint32(b[512+28:], 1) }, false, ErrCorrupt, "1 table entries"},
		"VHD table beyond the file":        {"vhd-dynamic", func(b []byte) { be.PutUint64(b[512+16:], 1<<50) }, false, ErrCorrupt, "beyond the file"},
		"VHD block beyond the file":        {"vhd-dynamic", func(b []byte) { be.PutUint32(b[1536:], 1<<30) }, false, ErrCorrupt, "block 0"},
		"VHD blocks overlap":               {"vhd-dynamic", func(b []byte) { copy(b[1540:1544], b[1536:]) }, false, ErrCorrupt, "share"},
		"VHD table too large to be read":   {"vhd-dynamic", func(b []byte) { hugeVHD(b, end(b)) }, false, ErrUnsupported, "table of"},
		"VHDX headers":                     {"vhdx", func(b []byte) { b[vhdxHeader1]++; b[vhdxHeader2]++ }, false, ErrCorrupt, "neither"},
		"VHDX version":                     {"vhdx", func(b []byte) { b[vhdxHeader2+66] = 2 }, false, ErrUnsupported, "version 2"},
		"VHDX log position":                {"vhdx", func(b []byte) { b[vhdxHeader2+79] = 1 }, false, ErrCorrupt, "log of"},
		"VHDX log without entries":         {"vhdx", func(b []byte) { b[vhdxHeader2+48] = 1 }, false, ErrCorrupt, "no complete sequence"},
		"VHDX region tables":               {"vhdx", func(b []byte) { b[vhdxRegions1]++; b[vhdxRegions2]++ }, false, ErrCorrupt, "neither"},
		"VHDX region count":                {"vhdx", func(b []byte) { le.PutUint32(b[vhdxRegions1+8:], 1<<31) }, false, ErrCorrupt, "entries"},
		"VHDX region beyond the file":      {"vhdx", func(b []byte) { b[vhdxRegions1+16+22] = 1 }, false, ErrCorrupt, "region 0"},
		"VHDX unknown required region":     {"vhdx", func(b []byte) { b[vhdxRegions1+16]++ }, false, ErrUnsupported, "required region"},
		"VHDX region missing":              {"vhdx", func(b []byte) { le.PutUint32(b[vhdxRegions1+8:], 1) }, false, ErrCorrupt, "missing"},
		"VHDX region twice":                {"vhdx", func(b []byte) { copy(b[vhdxRegions1+48:vhdxRegions1+64], b[vhdxRegions1+16:]) }, false, ErrCorrupt, "twice"},
		"VHDX metadata signature":          {"vhdx", func(b []byte) { b[vhdxMetadataAt]++ }, false, ErrCorrupt, "signature"},
		"VHDX metadata item outside":       {"vhdx", func(b []byte) { le.PutUint32(b[vhdxMetadataAt+32+16:], 1<<31) }, false, ErrCorrupt, "item"},
		"VHDX unknown required item":       {"vhdx", func(b []byte) { b[vhdxMetadataAt+32]++ }, false, ErrUnsupported, "required item"},
		"VHDX without a size":              {"vhdx", func(b []byte) { b[vhdxMetadataAt+64]++; b[vhdxMetadataAt+64+24] = 0 }, false, ErrCorrupt, "no virtual disk size"},
		"VHDX block size":                  {"vhdx", func(b []byte) { b[vhdxMetadataAt+vhdxItemsAt]++ }, false, ErrCorrupt, "block size"},
		"VHDX disk size":                   {"vhdx", func(b []byte) { b[vhdxMetadataAt+vhdxItemsAt+8]++ }, false, ErrCorrupt, "disk size"},
		"VHDX sector size":                 {"vhdx", func(b []byte) { b[vhdxMetadataAt+vhdxItemsAt+32]++ }, false, ErrCorrupt, "sector size"},
		"VHDX parent without locator":      {"vhdx", func(b []byte) { b[vhdxMetadataAt+vhdxItemsAt+4] = 2 }, false, ErrCorrupt, "locator"},
		"VHDX block beyond the file":       {"vhdx", func(b []byte) { b[vhdxTableAt+6] = 1 }, false, ErrCorrupt, "block 0"},
		"VHDX block over the metadata":     {"vhdx", func(b []byte) { le.PutUint64(b[vhdxTableAt:], 2<<20|6) }, false, ErrCorrupt, "share"},
		"VHDX block state":                 {"vhdx", func(b []byte) { b[vhdxTableAt] = 5 }, false, ErrCorrupt, "state 5"},
		"VHDX partial block without child": {"vhdx", func(b []byte) { b[vhdxTableAt] = 7 }, false, ErrCorrupt, "state 7"},
		"VHDX table too large to be read": {"vhdx", func(b []byte) {
			le.PutUint32(b[vhdxMetadataAt+vhdxItemsAt:], 1<<20)
			le.PutUint64(b[vhdxMetadataAt+vhdxItemsAt+8:], 64<<40)
		}, false, ErrUnsupported, "table of"},
		"VHDX log data of another entry": {"vhdx-dirty", func(b []byte) { b[vhdxLogAt+logSector*1+logSector+4]++ }, false, ErrCorrupt, "log"},
		"VHDX cut off under its log":     {"vhdx-dirty", func(b []byte) { eachLogEntry(b, func(e []byte) { le.PutUint64(e[48:], 1<<40) }) }, false, ErrCorrupt, "cut off"},
		"VHDX log zeros without end":     {"vhdx-dirty", func(b []byte) { eachLogEntry(b, func(e []byte) { le.PutUint64(e[64+64+8:], 1<<60) }) }, false, ErrCorrupt, "bytes of zeros"},
		"qcow2 version":                  {"qcow2", func(b []byte) { b[7] = 9 }, false, ErrUnsupported, "version 9"},
		"qcow2 cluster bits":             {"qcow2", func(b []byte) { b[23] = 60 }, false, ErrCorrupt, "cluster bits 60"},
		"qcow2 size":                     {"qcow2", func(b []byte) { b[24] = 1 }, false, ErrCorrupt, "size"},
		"qcow2 L1 too large":             {"qcow2", func(b []byte) { be.PutUint32(b[36:], 1<<31) }, false, ErrCorrupt, "L1 table"},
		"qcow2 L1 too small":             {"qcow2", func(b []byte) { be.PutUint64(b[24:], 1<<40) }, false, ErrCorrupt, "L1 table"},
		"qcow2 L1 beyond the file":       {"qcow2", func(b []byte) { be.PutUint64(b[40:], 1<<40) }, false, ErrCorrupt, "outside the file"},
		"qcow2 L2 beyond the file":       {"qcow2", func(b []byte) { b[be.Uint64(b[40:])+2] = 1 }, false, ErrCorrupt, "L2 table"},
		"qcow2 encrypted":                {"qcow2", func(b []byte) { b[35] = 2 }, false, ErrUnsupported, "the qcow2 is encrypted (LUKS"},
		"qcow2 marked corrupt":           {"qcow2", func(b []byte) { b[79] = 2 }, false, ErrCorrupt, "marked"},
		"qcow2 external data":            {"qcow2", func(b []byte) { b[79] = 4 }, false, ErrUnsupported, "data-file"},
		"qcow2 unknown feature":          {"qcow2", func(b []byte) { b[79] = 0x20 }, false, ErrUnsupported, "features 0x20"},
		"qcow2 header length":            {"qcow2", func(b []byte) { be.PutUint32(b[100:], 7) }, false, ErrCorrupt, "header length 7"},
		"qcow2 backing name":             {"qcow2", func(b []byte) { b[15], b[17] = 200, 9 }, false, ErrCorrupt, "backing file name"},
		"VMDK":                           {"vhd-fixed", func(b []byte) { copy(b, "KDMV"); end(b)[0] = 0 }, false, ErrUnsupported, "VMDK header: version 0"},
		"VDI":                            {"vhd-fixed", func(b []byte) { copy(b[64:], "\x7f\x10\xda\xbe"); end(b)[0] = 0 }, false, ErrUnsupported, "VDI"},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(all[c.image])
			c.edit(b)
			if !c.raw {
				reseal(b)
			}
			path := writeFile(t, "disk.img", b)
			d, err := Open(path)
			if err == nil {
				d.Close()
				t.Fatal("opened")
			}
			if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.say) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v", err)
			}
		})
	}
}

// hugeVHD asks for a table of 8 GiB.
func hugeVHD(b, foot []byte) {
	be := binary.BigEndian
	be.PutUint64(foot[48:], 8<<40)
	be.PutUint32(b[512+28:], 0xffffffff)
	be.PutUint32(b[512+32:], 4096)
}

func eachLogEntry(b []byte, edit func(e []byte)) {
	for at := vhdxLogAt; at < vhdxMetadataAt; at += logSector {
		if string(b[at:at+4]) == "loge" {
			edit(b[at:])
		}
	}
}

func TestDamagedEndOfADynamicVHDIsReadFromItsCopy(t *testing.T) {
	b := fixtures(t)["vhd-dynamic"]
	d, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	want := content(t, d)
	b[len(b)-1-footerSize/2]++
	b[len(b)-footerSize+70]++
	if d, err = openBytes(b); err != nil {
		t.Fatal(err)
	}
	sameContent(t, content(t, d), want)
	if w := d.Info().Warnings; len(w) != 1 || !strings.Contains(w[0], "copy at the start") {
		t.Errorf("warnings %q", w)
	}
}

func TestNewerHeaderOfAVHDXCounts(t *testing.T) {
	b := fixtures(t)["vhdx"]
	// The older one, first, is marked dirty; then the newer one is destroyed.
	b[vhdxHeader1+48] = 1
	reseal(b)
	if _, err := openBytes(b); err != nil {
		t.Error(err)
	}
	b[vhdxHeader2+100]++
	if _, err := openBytes(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

func TestCutOffImageIsAnErrorWhereverItEnds(t *testing.T) {
	for name, b := range fixtures(t) {
		if name == "vhd-fixed" {
			continue // without its end it is a raw disk
		}
		d, err := openBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		want := content(t, d)
		for n := 0; n < len(b); n += max(1, min(n/7, len(b)/50)) {
			d, err := openBytes(b[:n])
			if err == nil && d.Format() == Raw {
				if n >= 8 {
					t.Errorf("%s of %d bytes is taken for a raw disk", name, n)
				}
				continue
			}
			if err == nil {
				got := make([]byte, d.Size())
				if _, err = io.ReadFull(io.NewSectionReader(d, 0, d.Size()), got); err == nil && bytes.Equal(got, want) {
					continue
				}
			}
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Errorf("%v", err)
	}
	if _, err := Open(filepath.Join(dir, "gone")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := Open(writeFile(t, "empty", nil)); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "empty") {
		t.Errorf("%v", err)
	}
}

func TestFormatIsFoundByContentUnlessSaid(t *testing.T) {
	for name, b := range fixtures(t) {
		path := writeFile(t, "disk.raw", b)
		if got := open(t, path).Format(); !strings.HasPrefix(name, string(got)) {
			t.Errorf("%s is found to be %s", name, got)
		}
		if d := open(t, path, As(Raw)); d.Format() != Raw || d.Size() != int64(len(b)) {
			t.Errorf("%s said to be raw is %s of %d bytes", name, d.Format(), d.Size())
		}
	}
	for _, s := range []string{"vpc", "vhd"} {
		if f, err := ParseFormat(s); err != nil || f != VHD || f.QEMU() != "vpc" {
			t.Errorf("%s: %v %v", s, f, err)
		}
	}
	if _, err := ParseFormat("vmdk"); err == nil {
		t.Error("vmdk was accepted")
	}
}

func TestReadsFollowTheRulesOfReaderAt(t *testing.T) {
	for name, b := range fixtures(t) {
		d, err := openBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 1024)
		if n, err := d.ReadAt(p, d.Size()-512); n != 512 || err != io.EOF {
			t.Errorf("%s: over the end: %d, %v", name, n, err)
		}
		if n, err := d.ReadAt(p, d.Size()); n != 0 || err != io.EOF {
			t.Errorf("%s: at the end: %d, %v", name, n, err)
		}
		if n, err := d.ReadAt(p, -1); n != 0 || err == nil || err == io.EOF {
			t.Errorf("%s: before the start: %d, %v", name, n, err)
		}
		if n, err := d.ReadAt(nil, 0); n != 0 || err != nil {
			t.Errorf("%s: nothing: %d, %v", name, n, err)
		}
	}
}
