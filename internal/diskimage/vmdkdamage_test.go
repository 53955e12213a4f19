package diskimage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func plainSparse(disk []byte) []byte {
	return sparseVMDK(disk, descriptor("monolithicSparse", "ffffffff", fmt.Sprintf("RW %d SPARSE \"x.vmdk\"", len(disk)/512)))
}

// cut is what is left of a file.
func cut(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }

// set changes the header, and the footer where there is one.
func set(change func(h *vmdkHeader)) func([]byte) []byte {
	return func(b []byte) []byte {
		for _, at := range []int{0, len(b) - 2*vmdkSector} {
			var h vmdkHeader
			if _, err := readStruct(bytes.NewReader(b), int64(at), le, &h); err == nil && string(h.MagicNumber[:]) == vmdkMagic {
				change(&h)
				copy(b[at:], pack(le, h))
			}
		}
		return b
	}
}

func put32(at int, v uint32) func([]byte) []byte {
	return func(b []byte) []byte { le.PutUint32(b[at:], v); return b }
}

func TestDamagedVMDKsAreRefusedWithTheReason(t *testing.T) {
	disk := bytes.Repeat([]byte("data"), 3<<18)
	sparse, stream := plainSparse(disk), streamVMDK(disk)
	var h vmdkHeader
	if _, err := readStruct(bytes.NewReader(sparse), 0, le, &h); err != nil {
		t.Fatal(err)
	}
	directory, table := int(h.GDOffset)*512, int(h.GDOffset+1)*512
	noCopy := func(f func([]byte) []byte) func([]byte) []byte {
		return func(b []byte) []byte { return f(set(func(h *vmdkHeader) { h.Flags &^= vmdkRedundant })(b)) }
	}
	for name, c := range map[string]struct {
		base   []byte
		damage func([]byte) []byte
		is     error
		says   string
	}{
		"cut in its data":          {sparse, cut(100), ErrCorrupt, "so 100 are missing"},
		"cut in its tables":        {sparse, func(b []byte) []byte { return b[:table+100] }, ErrCorrupt, fmt.Sprintf("so %d are missing", 2048-100)},
		"cut in its directory":     {sparse, func(b []byte) []byte { return b[:23*512] }, ErrCorrupt, "are missing"},
		"cut in its descriptor":    {sparse, func(b []byte) []byte { return b[:1000] }, ErrCorrupt, "reading VMDK descriptor: corrupt image: the file ends at 1000"},
		"a header alone":           {sparse, func(b []byte) []byte { return b[:512] }, ErrCorrupt, "the file ends at 512"},
		"a stream cut":             {stream, cut(512), ErrCorrupt, "the footer of the stream-optimized disk"},
		"a stream cut long before": {stream, cut(len(stream) / 2), ErrCorrupt, "the footer of the stream-optimized disk"},
		"a stream without an end":  {stream, func(b []byte) []byte { b[len(b)-500] = 7; return b }, ErrCorrupt, "the footer of the stream-optimized disk"},
		"a footer without marker":  {stream, func(b []byte) []byte { b[len(b)-3*512+12] = 2; return b }, ErrCorrupt, "the footer of the stream-optimized disk"},
		"a footer of another disk": {stream, func(b []byte) []byte { b[len(b)-1024+12]++; return b }, ErrCorrupt, "not that of the header"},
		"line ends changed":        {sparse, set(func(h *vmdkHeader) { h.DoubleEndLineChar1 = '\n' }), ErrCorrupt, "transferred as a text"},
		"a later version":          {sparse, set(func(h *vmdkHeader) { h.Version = 4 }), ErrUnsupported, "version 4"},
		"a grain of 3 sectors":     {sparse, set(func(h *vmdkHeader) { h.GrainSize = 3 }), ErrCorrupt, "grain size of 3 sectors"},
		"no grain":                 {sparse, set(func(h *vmdkHeader) { h.GrainSize = 0 }), ErrCorrupt, "grain size of 0 sectors"},
		"a grain of 1 TiB":         {sparse, set(func(h *vmdkHeader) { h.GrainSize = 1 << 31 }), ErrCorrupt, "grain size"},
		"tables of another length": {sparse, set(func(h *vmdkHeader) { h.NumGTEsPerGT = 4096 }), ErrUnsupported, "grain tables of 4096 entries"},
		"too large":                {sparse, set(func(h *vmdkHeader) { h.Capacity = 1 << 60 }), ErrCorrupt, "capacity"},
		"tiny grains, a huge disk": {sparse, set(func(h *vmdkHeader) { h.Capacity, h.GrainSize = 1<<37, 1 }), ErrUnsupported, "grain directory of"},
		"another compression":      {stream, set(func(h *vmdkHeader) { h.CompressAlgorithm = 2 }), ErrUnsupported, "method 2"},
		"grains of 4 MiB":          {stream, set(func(h *vmdkHeader) { h.GrainSize = 8192 }), ErrUnsupported, "compressed grains of 8192 sectors"},
		"no markers":               {stream, set(func(h *vmdkHeader) { h.Flags &^= vmdkMarkers }), ErrUnsupported, "without markers"},
		"a directory far away":     {sparse, noCopy(set(func(h *vmdkHeader) { h.GDOffset = 1 << 40 })), ErrCorrupt, "grain directory at sector"},
		"no directory":             {sparse, noCopy(set(func(h *vmdkHeader) { h.GDOffset = 0 })), ErrCorrupt, "grain directory at sector 0"},
		"a table far away":         {sparse, noCopy(put32(directory, 0xfffffff0)), ErrCorrupt, "entry 0 puts a grain table at sector"},
		"a table in the directory": {sparse, noCopy(put32(directory, uint32(directory/512))), ErrCorrupt, "share the bytes"},
		"a grain far away":         {sparse, noCopy(put32(table, 0xfffffff0)), ErrCorrupt, "puts a grain at sector"},
		"a huge descriptor":        {sparse, set(func(h *vmdkHeader) { h.DescriptorSize = 1 << 40 }), ErrCorrupt, "descriptor of"},
		"a content id of letters":  {sparse, func(b []byte) []byte { return bytes.Replace(b, []byte("CID=12345678"), []byte("CID=1234xyz8"), 1) }, ErrCorrupt, "VMDK descriptor"},
		"a parent without a name": {sparse, func(b []byte) []byte {
			return bytes.Replace(b, []byte("parentCID=ffffffff"), []byte("parentCID=12345678"), 1)
		}, ErrCorrupt, "does not name its file"},
		"a piece": {sparse, set(func(h *vmdkHeader) { h.DescriptorOffset = 0 }), ErrUnsupported, "one piece of a VMDK"},
	} {
		b := c.damage(bytes.Clone(c.base))
		d, err := OpenReader(bytes.NewReader(b), int64(len(b)))
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if d != nil {
			t.Errorf("%s: a disk", name)
		}
	}
}

// TestADamagedGrainIsNotRead: nothing but an error comes of it, and no more memory is
// taken than for a grain.
func TestADamagedGrainIsNotRead(t *testing.T) {
	disk := bytes.Repeat([]byte("data"), 3<<18)
	base := streamVMDK(disk)
	const grain = 21 * 512 // where the first one stands
	for name, c := range map[string]struct {
		damage func(b []byte)
		says   string
	}{
		"a marker of another grain": {func(b []byte) { b[grain] = 1 }, "is for"},
		"no bytes":                  {func(b []byte) { le.PutUint32(b[grain+8:], 0) }, "0 bytes of sector 0"},
		"too many bytes":            {func(b []byte) { le.PutUint32(b[grain+8:], 1<<31) }, "2147483648 bytes of sector 0"},
		"no zlib":                   {func(b []byte) { b[grain+12] = 0 }, "cannot be unpacked"},
		"wrong data":                {func(b []byte) { b[grain+12+20] ^= 0xff }, "cannot be unpacked"},
		"a cut":                     {func(b []byte) { le.PutUint32(b[grain+8:], 20) }, "cannot be unpacked"},
		"more than a grain":         {func(b []byte) { copy(b[grain+8:], bomb()) }, "has more than 65536 bytes"},
	} {
		b := bytes.Clone(base)
		c.damage(b)
		d, err := OpenReader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		p := make([]byte, 512)
		if _, err := d.ReadAt(p, 0); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if _, err := d.ReadAt(p, testGrain); err != nil || string(p[:4]) != "data" {
			t.Errorf("%s: the next grain: %v", name, err)
		}
	}
}

// bomb is the size of a compressed grain, and the grain, that becomes 100 KiB.
func bomb() []byte {
	packed := streamPack(make([]byte, 100<<10))
	return append(pack(le, uint32(len(packed))), packed...)
}

func TestTheCopyOfDamagedTablesIsUsed(t *testing.T) {
	disk := pattern(70 << 20) // three tables
	base := plainSparse(disk)
	var h vmdkHeader
	if _, err := readStruct(bytes.NewReader(base), 0, le, &h); err != nil {
		t.Fatal(err)
	}
	gd, rgd := int(h.GDOffset)*512, int(h.RGDOffset)*512
	last := 0 // the last grain that is there
	for at := gd + 512; at < gd+512+3*vmdkTableSize; at += 4 {
		if le.Uint32(base[at:]) != 0 {
			last = at - gd
		}
	}
	for name, c := range map[string]struct {
		damage func([]byte) []byte
		says   string // "" for none
		whole  bool
	}{
		"none":                     {func(b []byte) []byte { return b }, "", true},
		"a table far away":         {put32(gd+4, 0xfffffff0), "their copies were used", true},
		"two tables in one place":  {put32(gd+4, uint32(gd/512+1)), "their copies were used", true},
		"a grain far away":         {put32(gd+last, 0xfffffff0), "their copies were used", true},
		"a directory far away":     {set(func(h *vmdkHeader) { h.GDOffset = 1 << 30 }), "their copies were used", true},
		"a copy that is damaged":   {put32(rgd+4, 0xfffffff0), "the first ones were used", true},
		"a copy that is not equal": {put32(rgd+last, 0), "copies differ", true},
		"a first that lost one":    {put32(gd+last, 0), "copies differ", false},
		"not closed":               {set(func(h *vmdkHeader) { h.UncleanShutdown = 1 }), "not closed cleanly", true},
	} {
		d := open(t, writeFile(t, "x.vmdk", c.damage(bytes.Clone(base))))
		w := d.Info().Warnings
		if c.says == "" && len(w) != 0 || c.says != "" && (len(w) != 1 || !strings.Contains(w[0], c.says)) {
			t.Errorf("%s: warnings %q, want %q", name, w, c.says)
		}
		got := make([]byte, len(disk))
		if err := readFull(d, got, 0); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if bytes.Equal(got, disk) != c.whole {
			t.Errorf("%s: the content is right: %t", name, !c.whole)
		}
	}
}

// TestADescriptorIsReadAsPeopleWriteIt: case, blanks, comments and line ends.
func TestADescriptorIsReadAsPeopleWriteIt(t *testing.T) {
	text := "\xef\xbb\xbf\n  # disk DESCRIPTORFILE \r\nversion = 1\r\nencoding=\"windows-1252\"\r\ncid = ABC\r\nPARENTCID=0000000f\r\ncreateType = \"vmfs\"\r\n" +
		"parentFileNameHint = \"a = b.vmdk\"\r\nrw\t\t\r\nRW   7   FLAT   \"a b.vmdk\"   9  \r\nRW 8 VMFS \"c\"\r\n#RW 9 FLAT \"d\" 0\r\nnonsense\r\nddb.logicalSectorSize = \"4096\"\r\n\x00RW 1 ZERO\n"
	text = strings.ReplaceAll(text, "rw\t\t\r\n", "")
	if !isDescriptor([]byte(text)) {
		t.Error("it is not known for one")
	}
	d, err := parseDescriptor([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := "{createType:vmfs cid:2748 parentCID:15 parent:a = b.vmdk sector:4096 extents:[{access:RW kind:FLAT name:a b.vmdk sectors:7 offset:9} {access:RW kind:VMFS name:c sectors:8 offset:0}]}"
	if got := fmt.Sprintf("%+v", d); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for _, text := range []string{"", "# Disk", "#!/bin/sh", "x# Disk DescriptorFile"} {
		if isDescriptor([]byte(text)) {
			t.Errorf("%q is taken for one", text)
		}
	}
}

func TestAParentIsLookedForWhereItIsSaidToBe(t *testing.T) {
	for _, c := range []struct{ goos, hint, want string }{
		{"linux", "base.vmdk", "[base.vmdk]"},
		{"linux", "/vms/base.vmdk", "[/vms/base.vmdk base.vmdk]"},
		{"linux", `C:\vms\base.vmdk`, "[base.vmdk]"},
		{"linux", `..\base.vmdk`, "[base.vmdk]"},
		{"windows", `C:\vms\base.vmdk`, `[C:\vms\base.vmdk base.vmdk]`},
		{"windows", `\\server\vms\base.vmdk`, "[base.vmdk]"},
		{"windows", "/vms/base.vmdk", "[/vms/base.vmdk base.vmdk]"},
		{"linux", "a\x00b", "[]"},
		{"linux", "x/", "[x/]"},
	} {
		if got := fmt.Sprint(vmdkParents(c.goos, c.hint)); got != c.want {
			t.Errorf("%s: %q: %s, want %s", c.goos, c.hint, got, c.want)
		}
	}
}

// QEMU's stream-optimized disk has its tables in front and no footer: it was cut off
// where its last grain is.
func TestAStreamWithoutAFooterThatWasCutOffIsToldWhenOpened(t *testing.T) {
	dir := t.TempDir()
	noise := make([]byte, 3<<20)
	rand.New(rand.NewSource(1)).Read(noise)
	raw, path := writeFile(t, "disk.raw", noise), filepath.Join(dir, "disk.vmdk")
	run(t, "qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openBytes(whole); err != nil {
		t.Fatal(err)
	}
	for _, missing := range []int{130 << 10, 1 << 20} {
		if _, err := openBytes(whole[:len(whole)-missing]); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "was cut off") || strings.Count(err.Error(), "copy or download it again") != 1 {
			t.Errorf("%d bytes are missing: %v", missing, err)
		}
	}
}
