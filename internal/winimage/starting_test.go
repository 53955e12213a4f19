package winimage

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

var wanted = Wanted{
	Services: []string{"storahci", "stornvme", "viostor", "vmbus"},
	Devices:  []string{`PCI\VEN_1AF4&DEV_1001`, `PCI\CC_010601`, `VMBUS\{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}`},
	Programs: []string{`\Program Files\agent.exe`, `\Program Files\none.exe`},
}

// startingOf reads what decides where a Windows starts, over an fs.FS.
func startingOf(t *testing.T, s winimagetest.Spec, w Wanted) (*Starting, *drive) {
	t.Helper()
	d := &drive{ctx: context.Background(), fs: s.FS(t), name: "the drive", log: logBudget(context.Background())}
	return d.look(&w).Starting, d
}

// A bus is none of those from which a disk can be started.
func TestADiskWithABusOnlyHasNoStorageDriver(t *testing.T) {
	r := inspectPath(t, winimagetest.Disk(t, winimagetest.Spec{Generalized: true, System: func(root *hivewrite.Key) {
		services := root.Path(`ControlSet001\Services`)
		for _, name := range []string{"storahci", "stornvme", "atapi", "intelide", "pciide"} {
			services.Path(name).SetDWord("Start", 3)
		}
		for _, name := range []string{"vmbus", "vpci", "pci", "acpi", "xenbus"} {
			services.Path(name).SetDWord("Start", 0)
		}
	}}))
	if f := ofID(Prove(r, Expectation{}), "boot-drivers"); f.Holds || f.Found != "absent" {
		t.Errorf("%+v", f)
	}
	if r.Windows[0].Starting != nil {
		t.Error("it was read unasked")
	}
}

func TestWhatDecidesWhereWindowsStartsIsRead(t *testing.T) {
	const storage = `ControlSet001\Control\Class\{4d36e967-e325-11ce-bfc1-08002be10318}`
	s := winimagetest.Spec{
		Generalized: true,
		Files: map[string]string{
			`\Windows\System32\drivers\storahci.sys`: "MZ", `\Windows\System32\drivers\stornvme.sys`: strings.Repeat("\x00", 5000),
			`\Windows\System32\drivers\partmgr.sys`: "MZ", `\Windows\System32\drivers\viostor.sys`: "MZ", `\Program Files\agent.exe`: "MZ",
			winimagetest.Cached: strings.Replace(winimagetest.AnswerFile, `<settings pass="oobeSystem">`, `<settings pass="generalize"><component name="Microsoft-Windows-PnpSysprep" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS"><PersistAllDeviceInstalls>true</PersistAllDeviceInstalls></component></settings><settings pass="oobeSystem">`, 1),
		},
		System: func(root *hivewrite.Key) {
			services := root.Path(`ControlSet001\Services`)
			services.Path("storahci").SetString("ImagePath", `\SystemRoot\System32\drivers\storahci.sys`)
			services.Path("storahci").Path("StartOverride").SetDWord("0", 0).SetDWord("1", 3)
			services.Path("vmbus").SetString("ImagePath", `System32\drivers\none.sys`) // no Start
			services.Path("partmgr").SetDWord("Start", 0)
			services.Path(`partmgr\Parameters`).SetDWord("SanPolicy", 1)
			root.Path(storage).SetMultiString("UpperFilters", "PartMgr", "gone").SetString("LowerFilters", "viostor")
			ids := root.Path(`DriverDatabase\DeviceIds`)
			ids.Path(`PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00`).SetBinary("oem3.inf", []byte{1})
			ids.Path(`PCI\VEN_1AF4&DEV_10010`).SetBinary("other.inf", []byte{1})
			ids.Path(`PCI\CC_010601`) // a key without a driver
		},
	}
	got, d := startingOf(t, s, wanted)
	if len(d.problems)+len(d.limits) > 0 {
		t.Errorf("%q, %q", d.problems, d.limits)
	}
	drivers := `\Windows\System32\drivers\`
	want := &Starting{
		Services: []Service{
			{"storahci", There, num(0), []Override{{"0", 0}, {"1", 3}}, drivers + "storahci.sys", There},
			{"stornvme", There, num(0), nil, drivers + "stornvme.sys", Zeros},
			{"viostor", Absent, nil, nil, drivers + "viostor.sys", There},
			{"vmbus", There, nil, nil, drivers + "none.sys", Absent},
		},
		Devices: []Device{
			{`PCI\VEN_1AF4&DEV_1001`, There, []string{`PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00: oem3.inf`}},
			{`PCI\CC_010601`, Absent, nil}, {`VMBUS\{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}`, Absent, nil},
		},
		Database: "DriverDatabase",
		Filters: []Filter{
			{"DiskDrive", "UpperFilters", "PartMgr", There, drivers + "PartMgr.sys", Absent, true}, // the test's drive knows capital letters
			{"DiskDrive", "UpperFilters", "gone", Absent, drivers + "gone.sys", Absent, false},
			{"DiskDrive", "LowerFilters", "viostor", Absent, drivers + "viostor.sys", There, false},
		},
		SANPolicy: num(1), KeptBy: []string{winimagetest.Cached}, Programs: []string{`\Program Files\agent.exe`},
	}
	if fmt.Sprintf("%+v", flat(got)) != fmt.Sprintf("%+v", flat(want)) {
		t.Errorf("got\n%+v\nwant\n%+v", flat(got), flat(want))
	}
	if o := got.Services[0].Overridden(); o == nil || o.Name != "1" {
		t.Errorf("overridden by %+v", o)
	}
	if got.Found("none").Presence != Unread || got.Bound("none").Presence != Unread {
		t.Error("what nobody asked for is taken for absent")
	}
}

// flat is a value whose pointers to numbers are numbers.
func flat(s *Starting) string {
	text := fmt.Sprintf("%+v %+v %+v %s %v %q %q %d", s.Devices, s.Filters, s.Database, "", s.FiltersUnread, s.KeptBy, s.Programs, *s.SANPolicy)
	for _, one := range s.Services {
		start := number(one.Start)
		one.Start = nil
		text += fmt.Sprintf("\n%+v %s", one, start)
	}
	return text
}

// Of Windows 10 and later the database is in a hive of its own; of Windows 7 it is
// another key.
func TestDriversAreLookedUpWhereTheWindowsHasThem(t *testing.T) {
	bind := func(root *hivewrite.Key, path string) {
		root.Path(path+`\PCI\CC_010601`).SetBinary("mshdc.inf", []byte{1})
	}
	hive := func(path string) map[string]string {
		root := hivewrite.NewKey("ROOT")
		bind(root, path)
		return map[string]string{hivePath("DRIVERS"): string(hivewrite.Build(root, "DRIVERS"))}
	}
	for name, c := range map[string]struct {
		spec     winimagetest.Spec
		database string
		want     Presence
	}{
		"the hive SYSTEM":            {winimagetest.Spec{System: func(root *hivewrite.Key) { bind(root, `DriverDatabase\DeviceIds`) }}, "DriverDatabase", There},
		"the hive DRIVERS":           {winimagetest.Spec{Files: hive(`DriverDatabase\DeviceIds`)}, "DriverDatabase", There},
		"the hive DRIVERS, bare":     {winimagetest.Spec{Files: hive("DeviceIds")}, "DriverDatabase", There},
		"no binding":                 {winimagetest.Spec{System: func(root *hivewrite.Key) { root.Path(`DriverDatabase\DeviceIds`) }}, "DriverDatabase", Absent},
		"no database":                {winimagetest.Spec{}, "", Unread},
		"a hive that is none":        {winimagetest.Spec{Files: map[string]string{hivePath("DRIVERS"): "x"}}, "", Unread},
		"Windows 7":                  {winimagetest.Spec{System: func(root *hivewrite.Key) { critical(root, "PCI#CC_010601", "msahci") }}, "CriticalDeviceDatabase", There},
		"Windows 7, without":         {winimagetest.Spec{System: func(root *hivewrite.Key) { critical(root, "PCI#CC_0101", "x") }}, "CriticalDeviceDatabase", Absent},
		"Windows 7, a key only":      {winimagetest.Spec{System: func(root *hivewrite.Key) { root.Path(`ControlSet001\Control\CriticalDeviceDatabase\PCI#CC_010601`) }}, "CriticalDeviceDatabase", Absent},
		"a SYSTEM that is no hive":   {winimagetest.Spec{Files: map[string]string{systemHive: "x"}}, "", Unread},
		"a SYSTEM that was not read": {winimagetest.Spec{DirtyHive: "SYSTEM"}, "", Unread},
	} {
		s, _ := startingOf(t, c.spec, Wanted{Devices: []string{`PCI\CC_010601`}, Services: []string{"storahci"}})
		if s.Database != c.database || s.Devices[0].Presence != c.want {
			t.Errorf("%s: %q, %+v", name, s.Database, s.Devices)
		}
		if unread := s.Services[0].Presence == Unread; unread != strings.Contains(name, "SYSTEM that") {
			t.Errorf("%s: the service is %s", name, s.Services[0].Presence)
		}
	}
}

func critical(root *hivewrite.Key, id, service string) {
	root.Path(`ControlSet001\Control\CriticalDeviceDatabase\`+id).SetString("Service", service)
}

func TestTheFileOfADriver(t *testing.T) {
	for image, want := range map[string]string{
		"": `\Windows\System32\drivers\x.sys`, `System32\drivers\y.sys`: `\Windows\System32\drivers\y.sys`, `\SystemRoot\System32\y.sys`: `\Windows\System32\y.sys`,
		`\??\C:\Windows\y.sys`: `\Windows\y.sys`, `%SystemRoot%\y.sys`: `\Windows\y.sys`, `"C:\y.sys"`: `\y.sys`, `D:\y.sys`: "", `\Device\HarddiskVolume2\y.sys`: "", "y.sys": "",
	} {
		path, ok := imagePath("x", image)
		if ok != (want != "") || ok && path != want {
			t.Errorf("%q: %q, %t", image, path, ok)
		}
	}
}

func TestAnIDCoversItselfAndItsKinds(t *testing.T) {
	for bound, want := range map[string]bool{
		`PCI\VEN_1AF4&DEV_1001`: true, `pci\ven_1af4&dev_1001`: true, `PCI\VEN_1AF4&DEV_1001&REV_00`: true, `PCI\VEN_1AF4&DEV_1001&SUBSYS_00021AF4&REV_00`: true,
		`PCI\VEN_1AF4&DEV_10010`: false, `PCI\VEN_1AF4`: false, `PCI\VEN_1AF4&DEV_1042&REV_01`: false, "": false,
	} {
		if covers(`PCI\VEN_1AF4&DEV_1001`, bound) != want {
			t.Errorf("%s: %t", bound, !want)
		}
	}
}

// A value that is not what it should be hides no filter and no override.
func TestWhatCannotBeReadIsSaidToBe(t *testing.T) {
	const class = `ControlSet001\Control\Class\{71a27cdd-812a-11d0-bec7-08002be2092f}`
	for name, change := range map[string]func(root *hivewrite.Key){
		"filters that are a number": func(root *hivewrite.Key) { root.Path(class).SetDWord("LowerFilters", 1) },
		"filters without end":       func(root *hivewrite.Key) { root.Path(class).SetString("LowerFilters", strings.Repeat("x", 3000)) },
		"too many filters": func(root *hivewrite.Key) {
			root.Path(class).SetMultiString("LowerFilters", strings.Fields(strings.Repeat("x ", 100))...)
		},
		"an override that is a text": func(root *hivewrite.Key) {
			root.Path(`ControlSet001\Services\storahci\StartOverride`).SetString("0", "3")
		},
		"overrides without end": func(root *hivewrite.Key) {
			for n := range 40 {
				root.Path(`ControlSet001\Services\storahci\StartOverride`).SetDWord(fmt.Sprint(n), 0)
			}
		},
		"an image path that is a number": func(root *hivewrite.Key) { root.Path(`ControlSet001\Services\storahci`).SetDWord("ImagePath", 1) },
	} {
		s, _ := startingOf(t, winimagetest.Spec{System: change}, Wanted{Services: []string{"storahci"}})
		if one := s.Services[0]; !s.FiltersUnread && one.Presence != Unread && one.FileIs != Unread {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Every StartOverride of a real hive, and the rest of its services, are as hivexget
// and hivexregedit have them.
func TestTheDriversOfRealHivesAreReadAsHivexReadsThem(t *testing.T) {
	hivexregedit := testutil.Tool(t, "hivexregedit")
	for _, name := range []string{"regipy-SYSTEM", "regipy-SYSTEM_B"} {
		content := flushed(corpusHive(t, name))
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(hivexregedit, "--export", "--prefix", `HKLM\SYSTEM`, path, `\ControlSet001\Services`).Output()
		if err != nil {
			t.Fatal(err)
		}
		starts, overrides := exported(string(out))
		var names []string
		for service := range starts {
			names = append(names, service)
		}
		s, d := startingOf(t, winimagetest.Spec{Files: map[string]string{systemHive: content}}, Wanted{Services: names})
		if len(d.problems) > 0 {
			t.Fatal(d.problems)
		}
		overridden := 0
		for _, one := range s.Services {
			var got []string
			for _, o := range one.Overrides {
				got = append(got, fmt.Sprintf("%s=%08x", o.Name, o.Start))
			}
			slices.Sort(got)
			if len(got) > 0 {
				overridden++
			}
			if one.Start == nil || fmt.Sprintf("%08x", *one.Start) != starts[one.Name] || !slices.Equal(got, overrides[one.Name]) {
				t.Errorf("%s: %s is %s %q, want %s %q", name, one.Name, number(one.Start), got, starts[one.Name], overrides[one.Name])
			}
		}
		t.Logf("%s: %d services, %d with StartOverride", name, len(s.Services), overridden)
		if len(names) < 400 || (overridden == 44) != (name == "regipy-SYSTEM_B") {
			t.Errorf("%s: %d services, %d with StartOverride", name, len(names), overridden)
		}
	}
}

var (
	regKey   = regexp.MustCompile(`(?i)^\[HKLM\\SYSTEM\\ControlSet001\\Services\\([^\\\]]+)(\\StartOverride)?\]$`)
	regValue = regexp.MustCompile(`^"([^"]*)"=dword:([0-9a-f]{8})$`)
)

// exported reads the output of hivexregedit.
func exported(text string) (starts map[string]string, overrides map[string][]string) {
	starts, overrides = map[string]string{}, map[string][]string{}
	service, override := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "[") {
			service = ""
			if m := regKey.FindStringSubmatch(line); m != nil {
				service, override = m[1], m[2] != ""
			}
			continue
		}
		m := regValue.FindStringSubmatch(line)
		switch {
		case m == nil || service == "":
		case override:
			overrides[service] = append(overrides[service], m[1]+"="+m[2])
		case m[1] == "Start":
			starts[service] = m[2]
		}
	}
	for service := range maps.Keys(overrides) {
		slices.Sort(overrides[service])
	}
	return starts, overrides
}

func TestTheDefaultEntryOfABootStore(t *testing.T) {
	const id, manager = "{733b62e2-f608-11eb-825c-c112f60133ab}", `Objects\` + bootManagerID + `\Elements\23000003`
	device := func(kind byte) []byte { b := make([]byte, 88); b[16] = kind; return b }
	read := func(store string) *DefaultEntry {
		d := &drive{ctx: t.Context(), fs: winimagetest.Spec{Empty: true, Files: map[string]string{`\Boot\BCD`: store}}.FS(t)}
		b := &Boot{}
		b.readEntries(d, &partition.Table{Scheme: partition.MBR})
		return b.Default
	}
	for name, c := range map[string]struct {
		build func(root *hivewrite.Key)
		want  string
	}{
		"a partition of elsewhere": {func(root *hivewrite.Key) {
			root.Path(manager).SetString("Element", id)
			root.Path(`Objects\`+id+`\Elements\11000001`).SetBinary("Element", device(6))
		}, "partition 0"},
		"the boot partition": {func(root *hivewrite.Key) {
			root.Path(manager).SetString("Element", id)
			root.Path(`Objects\`+id+`\Elements\11000001`).SetBinary("Element", device(5))
		}, "boot 0"},
		"to be located": {func(root *hivewrite.Key) {
			root.Path(manager).SetString("Element", id)
			root.Path(`Objects\`+id+`\Elements\11000001`).SetBinary("Element", device(8))
		}, "locate 0"},
		"something else": {func(root *hivewrite.Key) {
			root.Path(manager).SetString("Element", id)
			root.Path(`Objects\`+id+`\Elements\11000001`).SetBinary("Element", device(3))
		}, "other 0"},
		"no device":              {func(root *hivewrite.Key) { root.Path(manager).SetString("Element", id) }, "none 0"},
		"an entry that is gone":  {func(root *hivewrite.Key) { root.Path(manager).SetString("Element", "{gone}") }, "none 0"},
		"a default without name": {func(root *hivewrite.Key) { root.Path(manager).SetString("Element", "") }, ""},
		"no default":             {func(root *hivewrite.Key) { root.Path("Objects") }, ""},
	} {
		root := hivewrite.NewKey("ROOT")
		c.build(root)
		got := ""
		if e := read(string(hivewrite.Build(root, "BCD"))); e != nil {
			got = fmt.Sprint(e.Device, " ", e.Partition)
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	// Of a real machine.
	if e := read(corpusHive(t, "regipy-BCD")); e == nil || e.ID != "{733b62e5-f608-11eb-825c-c112f60133ab}" || e.Device != "partition" || e.Name == "" {
		t.Errorf("%+v", e)
	}
}
