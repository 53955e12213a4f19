package winimage

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// signed is a program in the form of PE32+ whose certificate table holds a text.
func signed(text string) string {
	b := make([]byte, 512)
	copy(b, "MZ")
	le := binary.LittleEndian
	le.PutUint32(b[60:], 128)
	copy(b[128:], "PE")
	le.PutUint16(b[152:], 0x20b)
	le.PutUint32(b[152+108:], 16)
	le.PutUint32(b[152+112+32:], 512)
	le.PutUint32(b[152+112+36:], uint32(len(text)))
	return string(b) + text
}

func TestTheFilesThatStartWindowsAreLookedFor(t *testing.T) {
	elsewhere := func(root *hivewrite.Key) {
		b := make([]byte, 88)
		b[16] = 6
		root.Path(`Objects\{733b62e2-f608-11eb-825c-c112f60133ab}\Elements\21000001`).SetBinary("Element", b)
	}
	for name, c := range map[string]struct {
		spec     winimagetest.Spec
		failed   string
		found    string
		signedBy string
	}{
		"UEFI":                           {winimagetest.Spec{GPT: true}, "", "", ""},
		"BIOS":                           {winimagetest.Spec{}, "", "", ""},
		"UEFI, an empty partition":       {winimagetest.Spec{GPT: true, NoBootFiles: true}, "boots", "without a file system in partition 1", ""},
		"BIOS, no boot files":            {winimagetest.Spec{NoBootFiles: true}, "boots", `without \bootmgr, \Boot\BCD in partition 1`, ""},
		"UEFI, an entry without a place": {winimagetest.Spec{GPT: true, BootStore: elsewhere}, "boot-entries", "Windows {733b62e2-f608-11eb-825c-c112f60133ab} names a partition that is not there", ""},
		"BIOS, an entry without a place": {winimagetest.Spec{BootStore: elsewhere}, "boot-entries", "names a partition that is not there", ""},
		"BIOS, an empty boot manager":    {winimagetest.Spec{Files: map[string]string{`\bootmgr`: ""}}, "boots", `without \bootmgr in`, ""},
		"BIOS, a store that is none":     {winimagetest.Spec{Files: map[string]string{`\Boot\BCD`: "x"}}, "boot-entries", "could not be read", ""},
		"UEFI, signed in 2011":           {winimagetest.Spec{GPT: true, Loader: signed("\x13\x24" + windows.ProductionCA)}, "", "", windows.ProductionCA},
		"UEFI, signed in 2023":           {winimagetest.Spec{GPT: true, Loader: signed("\x13\x24" + windows.UEFICA + "x")}, "", "", windows.UEFICA},
		"UEFI, a cut-off boot manager":   {winimagetest.Spec{GPT: true, Loader: signed(windows.ProductionCA)[:520]}, "boot-entries", "cut off", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.Generalized = true
			r := inspectPath(t, winimagetest.Disk(t, c.spec))
			list := Prove(r, Expectation{})
			var failed []string
			for _, f := range finding.Failed(list, finding.Warn) {
				failed = append(failed, f.ID)
				if !strings.Contains(f.Found, c.found) {
					t.Errorf("found %s, want %s", f.Found, c.found)
				}
			}
			if strings.Join(failed, " ") != c.failed || !proven(list) {
				t.Errorf("failed %q, want %q; %+v", failed, c.failed, r.Boot)
			}
			if got := strings.Join(r.Boot.SignedBy, " "); got != c.signedBy {
				t.Errorf("signed by %q", got)
			}
			if c.failed == "" && (len(r.Boot.Entries) != 1 || r.Boot.Entries[0].Partition != r.Windows[0].Partition) {
				t.Errorf("%+v", r.Boot)
			}
		})
	}
}

// The boot manager replays the log of its store, and so is it read here. That the
// store was not flushed is said; without its log nothing is known of its entries.
func TestABootStoreThatWasNotFlushedIsReadWithItsLogAndSaidToBe(t *testing.T) {
	store, log := winimagetest.DirtyStore()
	for name, c := range map[string]struct {
		files    map[string]string
		ok       bool
		found    string
		replayed int
	}{
		"its log":            {map[string]string{`\Boot\BCD`: store, `\Boot\BCD.LOG1`: log}, true, "partitions of the disk", 1},
		"its second log":     {map[string]string{`\Boot\BCD`: store, `\Boot\BCD.LOG1`: "", `\Boot\BCD.LOG2`: log}, true, "partitions of the disk", 1},
		"a log of Windows 7": {map[string]string{`\Boot\BCD`: store, `\Boot\BCD.LOG`: log}, true, "partitions of the disk", 1},
		"no log":             {map[string]string{`\Boot\BCD`: store}, false, "was not flushed and cannot be recovered", 0},
		"half a log":         {map[string]string{`\Boot\BCD`: store, `\Boot\BCD.LOG1`: log[:len(log)/2]}, false, "could not be read", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := inspectPath(t, winimagetest.Disk(t, winimagetest.Spec{Generalized: true, Files: c.files}))
			f := ofID(Prove(r, Expectation{}), "boot-entries")
			if f.Holds != c.ok || !strings.Contains(f.Found, c.found) || r.Boot.Store == nil || r.Boot.Store.Replayed != c.replayed {
				t.Errorf("%+v, store %+v", f, r.Boot.Store)
			}
			said := strings.Join(r.Describe(), "\n")
			if c.ok && (!strings.Contains(f.Note, "was not flushed") || !strings.Contains(said, "the boot configuration was not flushed by a full shutdown; 1 entries of its log")) {
				t.Errorf("note %q, described\n%s", f.Note, said)
			}
		})
	}
	clean := inspectPath(t, winimagetest.Disk(t, winimagetest.Spec{Generalized: true}))
	if said := strings.Join(clean.Describe(), "\n"); !clean.Boot.Store.Clean || strings.Contains(said, "flushed") {
		t.Errorf("%+v\n%s", clean.Boot.Store, said)
	}
}

// Every partition that the store of a real machine names is missed where the disk
// lacks it, and only then.
func TestEachPartitionThatARealBootStoreNamesIsLookedFor(t *testing.T) {
	// The second is of a medium, where nothing names a partition.
	for name, want := range map[string]int{"regipy-BCD": 3, "registrytest-BCD": 0} {
		store := corpusHive(t, name)
		read := func(table *partition.Table) []BootEntry {
			d := &drive{ctx: t.Context(), fs: winimagetest.Spec{Empty: true, Files: map[string]string{`\Boot\BCD`: store, efiStore: store}}.FS(t)}
			b := &Boot{}
			b.readEntries(d, table)
			if b.Problem != "" || len(d.problems) > 0 {
				t.Fatalf("%s: %s %q", name, b.Problem, d.problems)
			}
			return b.Entries
		}
		devices := partitionsOf(t, store)
		entries := read(devices)
		if len(devices.Partitions) != want || (len(entries) == 0) != (want == 0) {
			t.Fatalf("%s names %d partitions, want %d; %+v", name, len(devices.Partitions), want, entries)
		}
		for _, e := range entries {
			if e.Partition == 0 {
				t.Errorf("%s: %+v is not found among %+v", name, e, devices.Partitions)
			}
		}
		for i, gone := range devices.Partitions {
			less := *devices
			less.Partitions = slices.Delete(slices.Clone(devices.Partitions), i, i+1)
			lost := 0
			for _, e := range read(&less) {
				if e.Partition == 0 {
					lost++
				}
			}
			if lost == 0 {
				t.Errorf("%s: partition %+v is gone, and no entry says so", name, gone)
			}
		}
	}
}

// partitionsOf is the table of a disk with all partitions that a boot store names,
// read from the bytes of its elements.
func partitionsOf(t *testing.T, store string) *partition.Table {
	t.Helper()
	h, err := regf.Open(strings.NewReader(store), int64(len(store)))
	if err != nil {
		t.Fatal(err)
	}
	objects, err := h.Key("Objects")
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	table := &partition.Table{Scheme: partition.GPT}
	err = objects.EachSubkey(func(k *regf.Key) bool {
		d, err := k.Key("Description")
		if err != nil {
			t.Fatal(err)
		}
		v, err := d.Value("Type")
		if err != nil {
			t.Fatal(err)
		}
		if kind, err := v.AsDWord(); err != nil || !slices.Contains([]uint32{bootManager, bootLoader, bootResume}, kind) {
			return true
		}
		for _, element := range []string{elementDevice, elementOSDevice} {
			e, err := k.Key(`Elements\` + element)
			if err != nil {
				continue
			}
			v, err := e.Value("Element")
			if err != nil {
				t.Fatal(err)
			}
			b, err := v.Data()
			if err != nil {
				t.Fatal(err)
			}
			// The recovery environment is a file in a partition.
			if len(b) > 144 && le.Uint32(b[16:]) == 0 && le.Uint32(b[68:]) == devicePartition {
				b = b[52:]
			}
			if len(b) < 72 || le.Uint32(b[16:]) != devicePartition {
				continue
			}
			p := partition.Partition{Index: len(table.Partitions) + 1, ID: guidOf(b[32:48])}
			if le.Uint32(b[52:]) == 1 {
				table.Scheme, table.Signature, p.Start = partition.MBR, le.Uint32(b[56:]), int64(le.Uint64(b[32:]))
			}
			if !slices.ContainsFunc(table.Partitions, func(have partition.Partition) bool { return have.ID == p.ID }) {
				table.Partitions = append(table.Partitions, p)
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// The advice is for the firmware of the disk, and says how a partition without a
// letter gets one.
func TestMissingBootFilesAreWrittenForTheFirmwareOfTheDisk(t *testing.T) {
	for missing, want := range map[string][]string{
		noFiles: {"format partition 2", "letter=S", "/f UEFI"}, efiStore: {"mountvol S: /S", "/f UEFI"}, fallbackLoader: {"mountvol S: /S", "/f UEFI"},
		noVolume:    {"partition 2, which is the active one", "/f BIOS"},
		biosManager: {"give partition 2 the letter S:", "/f BIOS"}, biosStore: {"give partition 2 the letter S:", "/f BIOS"},
	} {
		got := (&Boot{Partition: 2, Missing: []string{missing}}).rewrite()
		for _, text := range want {
			if len(got) != 1 || !strings.Contains(got[0], text) {
				t.Errorf("%s: %q lacks %q", missing, got, text)
			}
		}
	}
}

// FuzzBoot reads the structure of the boot files that no other room parses.
func FuzzBoot(f *testing.F) {
	device := make([]byte, 88)
	device[16], device[33], device[52], device[56] = 6, 2, 1, 7
	f.Add(device)
	tables := []*partition.Table{
		{Scheme: partition.MBR, Signature: 7, Partitions: []partition.Partition{{Index: 3, Start: 512}}},
		{Scheme: partition.GPT, Partitions: []partition.Partition{{Index: 1, ID: guidOf(device[32:48])}}},
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, table := range tables {
			if n, ok := deviceOf(b, table); n != 0 && (!ok || n != table.Partitions[0].Index) {
				t.Errorf("partition %d, %t", n, ok)
			}
		}
	})
}

// The store of a real machine names a partition by its GUID.
func TestTheBootStoreOfARealMachineIsRead(t *testing.T) {
	hive := []byte(corpusHive(t, "regipy-BCD"))
	h, err := regf.Open(bytes.NewReader(hive), int64(len(hive)))
	if err != nil {
		t.Fatal(err)
	}
	k, err := h.Key(`Objects\{9dea862c-5cdd-4e70-acc1-f32b344d4795}\Elements\11000001`)
	if err != nil {
		t.Fatal(err)
	}
	v, err := k.Value("Element")
	if err != nil {
		t.Fatal(err)
	}
	data, err := v.Data()
	if err != nil {
		t.Fatal(err)
	}
	id := guidOf(data[32:48])
	table := &partition.Table{Scheme: partition.GPT, Partitions: []partition.Partition{{Index: 1, ID: "00000000-0000-0000-0000-000000000000"}, {Index: 4, ID: id}}}
	if n, ok := deviceOf(data, table); n != 4 || !ok {
		t.Errorf("partition %d, %t", n, ok)
	}
	table.Partitions = table.Partitions[:1]
	if n, ok := deviceOf(data, table); n != 0 || !ok {
		t.Errorf("partition %d, %t", n, ok)
	}
	mbr := make([]byte, 88)
	mbr[16], mbr[33], mbr[52], mbr[56] = 6, 2, 1, 7
	for signature, want := range map[uint32]int{7: 3, 8: 0} {
		if n, ok := deviceOf(mbr, &partition.Table{Scheme: partition.MBR, Signature: signature, Partitions: []partition.Partition{{Index: 3, Start: 512}}}); n != want || !ok {
			t.Errorf("signature %d: partition %d, %t", signature, n, ok)
		}
	}
	if _, ok := deviceOf(make([]byte, 20), table); ok {
		t.Error("a short device is taken for a partition")
	}
}

func TestWhatUpdatesLeaveIsSaid(t *testing.T) {
	key := func(path string) func(*hivewrite.Key) {
		return func(root *hivewrite.Key) { root.Path(path) }
	}
	for name, c := range map[string]struct {
		spec winimagetest.Spec
		want Servicing
		ok   bool
	}{
		"nothing":        {winimagetest.Spec{}, Servicing{}, true},
		"CBS":            {winimagetest.Spec{Software: key(`Microsoft\Windows\CurrentVersion\Component Based Servicing\RebootPending`)}, Servicing{RestartPending: true}, false},
		"Windows Update": {winimagetest.Spec{Software: key(`Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\RebootRequired`)}, Servicing{RestartPending: true}, false},
		"pending.xml":    {winimagetest.Spec{Files: map[string]string{pendingXML: "x"}}, Servicing{PendingXML: true}, false},
		"renames": {winimagetest.Spec{System: func(root *hivewrite.Key) {
			root.Path(`ControlSet001\Control\Session Manager`).SetMultiString("PendingFileRenameOperations", "a", "")
		}}, Servicing{FileRenames: true}, true},
		"an upgrade": {winimagetest.Spec{Files: map[string]string{`\Windows.old\a`: "x", `\$WINDOWS.~BT\a`: "x"}}, Servicing{Leftovers: []string{`\Windows.old`, `\$WINDOWS.~BT`}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.Generalized = true
			w := Look(context.Background(), c.spec.FS(t))
			got := w.Servicing
			if got.RestartPending != c.want.RestartPending || got.PendingXML != c.want.PendingXML || got.FileRenames != c.want.FileRenames || !slices.Equal(got.Leftovers, c.want.Leftovers) {
				t.Errorf("%+v", got)
			}
			if f := ofID(Prove(Facts{Windows: []Windows{w}}, Expectation{}), "servicing"); f.Holds != c.ok {
				t.Errorf("%+v", f)
			}
		})
	}
}

// An active partition that holds nothing, as where the boot files lie in another one
// that is not active: the BIOS stops there.
func TestAnActivePartitionWithoutFilesIsSaid(t *testing.T) {
	b := fixtureBytes(t, winimagetest.Spec{Generalized: true})
	b = append(b, make([]byte, 2<<20)...)
	mbr := b[446:510]
	mbr[0] = 0
	next := binary.LittleEndian.Uint32(mbr[8:]) + binary.LittleEndian.Uint32(mbr[12:])
	mbr[16], mbr[20] = 0x80, 7
	binary.LittleEndian.PutUint32(mbr[24:], next)
	binary.LittleEndian.PutUint32(mbr[28:], 2048)
	r, err := Inspect(context.Background(), open(t, bytes.NewReader(b), int64(len(b))), Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := ofID(Prove(r, Expectation{}), "boots")
	if f.Holds || !strings.Contains(f.Found, "without NTFS or FAT in partition 2") || !strings.Contains(strings.Join(f.Remedy, " "), "active") {
		t.Errorf("%+v", f)
	}
}
