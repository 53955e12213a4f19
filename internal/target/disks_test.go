package target

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

const mib = 1 << 20

// gpt is a disk of so many bytes whose partition table counts in sectors of a size,
// with an EFI system partition (UEFI 2.10, 5.3).
func gpt(size, sector int) []byte {
	le := binary.LittleEndian
	disk := make([]byte, size)
	copy(disk[446:], []byte{0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	disk[510], disk[511] = 0x55, 0xaa
	entries := make([]byte, 128*128)
	copy(entries, []byte{0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b, 1})
	le.PutUint64(entries[32:], uint64(mib/sector))
	le.PutUint64(entries[40:], uint64(2*mib/sector-1))
	last, table := size/sector-1, len(entries)/sector
	for _, c := range []struct{ at, other, entries int }{{1, last, 2}, {last, 1, last - table}} {
		h := disk[c.at*sector:]
		copy(h, "EFI PART\x00\x00\x01\x00\x5c")
		le.PutUint64(h[24:], uint64(c.at))
		le.PutUint64(h[32:], uint64(c.other))
		le.PutUint64(h[40:], uint64(2+table))
		le.PutUint64(h[48:], uint64(last-table-1))
		h[56] = 7
		le.PutUint64(h[72:], uint64(c.entries))
		le.PutUint32(h[80:], 128)
		le.PutUint32(h[84:], 128)
		le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		copy(disk[c.entries*sector:], entries)
	}
	return disk
}

// mbr is a disk with one partition, which is active or not.
func mbr(size int, active byte) []byte {
	disk := make([]byte, size)
	copy(disk[446:], []byte{active, 0, 0, 0, 7, 0, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0})
	disk[510], disk[511] = 0x55, 0xaa
	return disk
}

// as writes a disk in a format.
func as(t *testing.T, raw []byte, o diskimage.Options) string {
	t.Helper()
	dir := t.TempDir()
	from := filepath.Join(dir, "from.raw")
	if err := os.WriteFile(from, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := diskimage.Open(from, diskimage.As(diskimage.Raw))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	path := filepath.Join(dir, "disk."+string(o.Format))
	if _, err := diskimage.Convert(t.Context(), d, path, o); err != nil {
		t.Fatal(err)
	}
	return path
}

func fixedVHD(t *testing.T, raw []byte) string {
	t.Helper()
	return as(t, raw, diskimage.Options{Format: diskimage.VHD, Type: diskimage.Fixed, AlignMiB: true})
}

// judged are the ids of the rules of Azure that a file breaks.
func judged(t *testing.T, path string) []string {
	t.Helper()
	d, err := diskimage.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	facts, err := winimage.Inspect(t.Context(), d, winimage.Options{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	return broken(Judge(Azure, Image{Info: d.Info(), TableSector: facts.Disk.TableSector, Scheme: facts.Disk.Scheme, Generation: facts.Disk.Generation}, finding.Fail))
}

// TestEachRuleOfAzureIsBrokenByAFileThatBreaksOnlyIt has files, read as any other.
func TestEachRuleOfAzureIsBrokenByAFileThatBreaksOnlyIt(t *testing.T) {
	rewritten := func(path string, change func(footer []byte, before []byte) []byte) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, footer := b[:len(b)-512], b[len(b)-512:]
		if err := os.WriteFile(path, change(footer, before), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	disk, small := gpt(4*mib, 512), gpt(4*mib+512*300, 512)
	covered := map[string]bool{}
	for name, c := range map[string]struct {
		path string
		id   string // "": nothing is broken
	}{
		"a fixed VHD":             {fixedVHD(t, disk), ""},
		"of generation 1":         {fixedVHD(t, mbr(4*mib, 0x80)), ""},
		"of an odd size, rounded": {fixedVHD(t, small), ""},
		"raw":                     {as(t, disk, diskimage.Options{Format: diskimage.Raw}), "azure-format"},
		"qcow2":                   {as(t, disk, diskimage.Options{Format: diskimage.QCOW2}), "azure-format"},
		"VHDX":                    {as(t, disk, diskimage.Options{Format: diskimage.VHDX}), "azure-format"},
		"a dynamic VHD":           {as(t, disk, diskimage.Options{Format: diskimage.VHD, Type: diskimage.Dynamic}), "azure-fixed"},
		"zeros behind the footer": {rewritten(fixedVHD(t, disk), func(footer, before []byte) []byte {
			return append(slices.Concat(before, footer), make([]byte, 4096)...)
		}), "azure-footer"},
		"a raw disk called .vhd":  {rewritten(fixedVHD(t, disk), func(_, before []byte) []byte { return before }), "azure-footer"},
		"zeros before the footer": {rewritten(fixedVHD(t, disk), func(footer, before []byte) []byte { return slices.Concat(before, make([]byte, 512), footer) }), "azure-exact"},
		"half a MiB":              {as(t, small, diskimage.Options{Format: diskimage.VHD, Type: diskimage.Fixed}), "azure-whole-mib"},
		"nothing active":          {fixedVHD(t, mbr(4*mib, 0)), "azure-generation"},
		"no table":                {fixedVHD(t, make([]byte, 4*mib)), "azure-generation"},
		"a table for 4096 bytes":  {rewritten(fixedVHD(t, disk), func(footer, _ []byte) []byte { return append(gpt(4*mib, 4096), footer...) }), "azure-sectors"},
		"larger than 2040 GiB":    {large(t, fixedVHD(t, disk), 2040<<30+mib), "azure-size"},
	} {
		if c.path == "" {
			continue // large says why
		}
		var want []string
		if c.id != "" {
			want, covered[c.id] = []string{c.id}, true
		}
		if got := judged(t, c.path); !slices.Equal(got, want) {
			t.Errorf("%s breaks %v, want %v", name, got, want)
		}
	}
	for _, r := range rules[Azure] {
		if id := "azure-" + r.id; !covered[id] && id != "azure-size" {
			t.Errorf("no file breaks %s", id)
		}
	}
}

// large makes a fixed VHD larger, with holes; "" where the file system cannot.
func large(t *testing.T, path string, size int64) string {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	footer := make([]byte, 512)
	if _, err := f.ReadAt(footer, info.Size()-512); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 512), info.Size()-512); err != nil {
		t.Fatal(err)
	}
	// Original and current size, and the checksum over all bytes but its own.
	be := binary.BigEndian
	be.PutUint64(footer[40:], uint64(size))
	be.PutUint64(footer[48:], uint64(size))
	clear(footer[64:68])
	var sum uint32
	for _, b := range footer {
		sum += uint32(b)
	}
	be.PutUint32(footer[64:], ^sum)
	if _, err := f.WriteAt(footer, size); err != nil {
		testutil.Missing(t, "the file system has no files of 2040 GiB: "+err.Error())
		return ""
	}
	return path
}
