package partition

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
)

// Types of partitions that only the tests tell apart.
const (
	typeMSR       = "E3C9E316-0B5C-4DB8-817D-F92DF00215AE"
	typeBasicData = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
)

// gptDisk builds a disk with a sound GPT of two partitions, ESP and basic
// data, for either sector size.
func gptDisk(sector int) []byte {
	sectors := 512
	disk := make([]byte, sectors*sector)
	disk[510], disk[511] = 0x55, 0xaa
	copy(disk[446:], []byte{0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	entries := make([]byte, 128*128)
	entry := func(i int, typ string, first, last, attributes uint64) {
		e := entries[128*i:]
		var a uint32
		var b, c uint16
		var d []byte
		fmt.Sscanf(typ, "%08X-%04X-%04X", &a, &b, &c)
		fmt.Sscanf(strings.ReplaceAll(typ[19:], "-", ""), "%X", &d)
		le.PutUint32(e, a)
		le.PutUint16(e[4:], b)
		le.PutUint16(e[6:], c)
		copy(e[8:16], d)
		e[16] = byte(i + 1)
		le.PutUint64(e[32:], first)
		le.PutUint64(e[40:], last)
		le.PutUint64(e[48:], attributes)
	}
	entry(0, typeESP, 64, 127, 0)
	entry(2, typeBasicData, 128, 400, bootableBit)
	tableSectors := uint64(len(entries) / sector)
	header := func(at, other, table uint64) {
		h := disk[at*uint64(sector):]
		copy(h, "EFI PART")
		le.PutUint32(h[8:], 0x10000)
		le.PutUint32(h[12:], 92)
		le.PutUint64(h[24:], at)
		le.PutUint64(h[32:], other)
		le.PutUint64(h[40:], 2+tableSectors)
		le.PutUint64(h[48:], uint64(sectors)-2-tableSectors)
		h[56] = 0xd1
		le.PutUint64(h[72:], table)
		le.PutUint32(h[80:], 128)
		le.PutUint32(h[84:], 128)
		le.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
		clear(h[16:20])
		le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		copy(disk[table*uint64(sector):], entries)
	}
	last := uint64(sectors) - 1
	header(1, last, 2)
	header(last, 1, last-tableSectors)
	return disk
}

func read(b []byte, sector int) (*Table, error) {
	return Read(bytes.NewReader(b), int64(len(b)), sector)
}

func TestGPTIsReadInBothSectorSizes(t *testing.T) {
	for _, sector := range []int{512, 4096} {
		for _, told := range []int{0, sector} {
			table, err := read(gptDisk(sector), told)
			if err != nil {
				t.Fatalf("%d/%d: %v", sector, told, err)
			}
			if table.Scheme != GPT || len(table.Partitions) != 2 || table.PrimaryDamage != nil || table.BackupDamage != nil {
				t.Fatalf("%d/%d: %+v", sector, told, table)
			}
			esp, data := table.Partitions[0], table.Partitions[1]
			s := int64(sector)
			if !esp.IsESP() || esp.Index != 1 || esp.Start != 64*s || esp.Length != 64*s || esp.Bootable {
				t.Errorf("%d/%d: %+v", sector, told, esp)
			}
			if data.Type != typeBasicData || data.Index != 3 || data.Start != 128*s || data.Length != 273*s || !data.Bootable || data.IsESP() {
				t.Errorf("%d/%d: %+v", sector, told, data)
			}
		}
	}
	if _, err := read(gptDisk(4096), 512); !errors.Is(err, ErrCorrupt) {
		t.Errorf("4096 read as 512: %v", err)
	}
	if _, err := read(gptDisk(512), 1024); err == nil {
		t.Error("a sector size of 1024 was taken")
	}
}

// change returns a disk with one change to it.
func change(b []byte, f func([]byte)) []byte {
	b = bytes.Clone(b)
	f(b)
	return b
}

func TestDamagedGPTIsToldOrRefused(t *testing.T) {
	disk := gptDisk(512)
	backup := 511 * 512
	damage := func(at int) []byte { return change(disk, func(b []byte) { b[at] ^= 1 }) }
	for _, c := range []struct {
		name            string
		disk            []byte
		primary, backup string // what is said of that copy
		err             string // or that none is usable
	}{
		{"primary header flipped", damage(512 + 60), "header checksum", "", ""},
		{"primary entries flipped", damage(1024 + 5), "checksum of the entries", "", ""},
		{"primary header gone", change(disk, func(b []byte) { clear(b[512:1024]) }), "no header signature", "", ""},
		{"backup header flipped", damage(backup + 60), "", "header checksum", ""},
		{"backup missing", disk[:len(disk)-512], "", "sector 511 of 511", ""},
		{"backup of another disk", change(disk, func(b []byte) {
			h := b[backup:]
			h[57] = 9
			clear(h[16:20])
			le.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
		}), "", "other partitions", ""},
		{"both gone", change(disk, func(b []byte) { clear(b[512:1024]); clear(b[backup:]) }), "", "", "primary GPT: corrupt partition table: no header signature"},
		{"primary damaged and the disk grown", append(damage(512+60), make([]byte, 1<<20)...), "", "", "header checksum is wrong"},
		{"hybrid", change(disk, func(b []byte) { b[446+16+4] = 7 }), "", "", "hybrid MBR"},
	} {
		t.Run(c.name, func(t *testing.T) {
			table, err := read(c.disk, 0)
			if c.err != "" {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.err) {
					t.Fatal(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(table.Partitions) != 2 {
				t.Errorf("%d partitions", len(table.Partitions))
			}
			for _, d := range []struct {
				got  error
				want string
			}{{table.PrimaryDamage, c.primary}, {table.BackupDamage, c.backup}} {
				if d.want == "" && d.got != nil || d.want != "" && (d.got == nil || !strings.Contains(d.got.Error(), d.want)) {
					t.Errorf("damage %v, want %q", d.got, d.want)
				}
			}
		})
	}
	t.Run("disk grown behind a sound table", func(t *testing.T) {
		table, err := read(append(bytes.Clone(disk), make([]byte, 1<<20)...), 0)
		if err != nil || table.BackupDamage != nil {
			t.Errorf("%v, %+v", err, table)
		}
	})
}

// mbrDisk has the entries given, each type, first sector and count.
func mbrDisk(size int, entries ...[3]uint32) []byte {
	b := make([]byte, size)
	b[510], b[511] = 0x55, 0xaa
	for i, e := range entries {
		p := b[446+16*i:]
		p[4] = byte(e[0])
		le.PutUint32(p[8:], e[1])
		le.PutUint32(p[12:], e[2])
	}
	return b
}

func TestImpossibleMBRsAreRefused(t *testing.T) {
	const size = 1 << 20
	ebr := func(b []byte, at int, kind byte, first, count, next uint32) {
		p := b[at*512:]
		p[510], p[511] = 0x55, 0xaa
		p[446+4] = kind
		le.PutUint32(p[446+8:], first)
		le.PutUint32(p[446+12:], count)
		if next > 0 {
			p[462+4] = 5
			le.PutUint32(p[462+8:], next)
		}
	}
	extended := mbrDisk(size, [3]uint32{5, 64, 1000})
	for _, c := range []struct {
		name string
		disk []byte
		says string
	}{
		{"outside the disk", mbrDisk(size, [3]uint32{7, 64, 5000}), "was cut off"},
		{"at sector 0", mbrDisk(size, [3]uint32{7, 0, 50}), "outside"},
		{"empty", mbrDisk(size, [3]uint32{7, 64, 0}), "outside"},
		{"overlapping", mbrDisk(size, [3]uint32{7, 64, 100}, [3]uint32{7, 163, 100}), "overlap"},
		{"two extended", mbrDisk(size, [3]uint32{5, 64, 100}, [3]uint32{15, 200, 100}), "two extended"},
		{"text instead of entries", change(mbrDisk(size, [3]uint32{7, 64, 100}), func(b []byte) { b[446] = 'x' }), "boot indicator"},
		{"extended without a record", extended, "no signature"},
		{"extended chain in a circle", change(extended, func(b []byte) { ebr(b, 64, 7, 1, 10, 20); ebr(b, 84, 7, 1, 10, 20) }), "links to"},
		{"logical drive outside", change(extended, func(b []byte) { ebr(b, 64, 7, 1, 1900, 0) }), "outside"},
		{"logical drives overlapping", change(extended, func(b []byte) { ebr(b, 64, 7, 1, 30, 20); ebr(b, 84, 7, 1, 10, 0) }), "overlap"},
	} {
		if table, err := read(c.disk, 0); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, %+v", c.name, err, table)
		}
	}
}

func TestDisksWithoutATableAreNone(t *testing.T) {
	volume := make([]byte, 1024)
	copy(volume[3:], "NTFS    ")
	volume[510], volume[511] = 0x55, 0xaa
	for name, b := range map[string][]byte{"zeros": make([]byte, 1024), "an NTFS volume": volume} {
		if table, err := read(b, 0); err != nil || table.Scheme != None || len(table.Partitions) != 0 {
			t.Errorf("%s: %v, %+v", name, err, table)
		}
	}
	if _, err := read(make([]byte, 100), 0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("100 bytes: %v", err)
	}
	lost := errors.New("disk lost")
	if _, err := Read(failing{lost}, 1<<20, 0); !errors.Is(err, lost) {
		t.Errorf("failing disk: %v", err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestADiskThatWasCutOffSaysHowMuchIsMissing(t *testing.T) {
	disk := gptDisk(512)
	for _, have := range []int{512 * 400, 512 * 200, 512 * 64} {
		_, err := read(disk[:have], 0)
		var c *CutOff
		if !errors.As(err, &c) || !errors.Is(err, ErrCorrupt) || c.Size != int64(have) || c.Need != int64(len(disk)) {
			t.Errorf("GPT of %d bytes: %v", have, err)
		} else if want := fmt.Sprintf("%d bytes are missing", len(disk)-have); !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not said: %v", want, err)
		}
	}
	mbr := make([]byte, 1<<20)
	mbr[510], mbr[511] = 0x55, 0xaa
	e := mbr[446:]
	e[4] = 7
	le.PutUint32(e[8:], 63)
	le.PutUint32(e[12:], 2000-63)
	if _, err := read(mbr, 0); err != nil {
		t.Fatal(err)
	}
	var c *CutOff
	if _, err := read(mbr[:1000*512], 0); !errors.As(err, &c) || c.Need != 2000*512 || c.Size != 1000*512 {
		t.Errorf("MBR: %v", err)
	}
	// What is no partition at all is not called cut off.
	le.PutUint32(e[12:], 0)
	if _, err := read(mbr[:1000*512], 0); err == nil || errors.As(err, &c) {
		t.Errorf("a partition of no length: %v", err)
	}
}

// Logical drives that were deleted and made again lie in another order than their
// records: the first record leads to one further on, and that one back.
func TestRecordsOfLogicalDrivesMayLeadBack(t *testing.T) {
	b := mbrDisk(1<<20, [3]uint32{5, 64, 1000})
	for _, r := range []struct{ at, next uint32 }{{64, 400}, {464, 200}, {264, 0}} {
		p := b[r.at*512:]
		p[510], p[511], p[446+4] = 0x55, 0xaa, 7
		le.PutUint32(p[446+8:], 1)
		le.PutUint32(p[446+12:], 20)
		if r.next > 0 {
			p[462+4] = 5
			le.PutUint32(p[462+8:], r.next)
		}
	}
	table, err := read(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []int64
	for _, p := range table.Partitions {
		got = append(got, p.Start/512)
	}
	if want := []int64{64, 65, 465, 265}; !slices.Equal(got, want) {
		t.Errorf("sectors %d, want %d", got, want)
	}
}
