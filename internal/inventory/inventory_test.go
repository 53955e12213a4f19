package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// software is a small hive SOFTWARE, with what change does to it.
func software(change ...func(root *hivewrite.Key)) []byte {
	root := hivewrite.NewKey("ROOT")
	root.Path(`Microsoft\Windows NT\CurrentVersion`).SetString("ProductName", "Windows Server 2022 Standard").SetString("EditionID", "ServerStandard").
		SetString("InstallationType", "Server").SetString("DisplayVersion", "21H2").SetString("CurrentBuildNumber", "20348").
		SetString("CurrentVersion", "6.3").SetDWord("CurrentMajorVersionNumber", 10).SetDWord("CurrentMinorVersionNumber", 0).SetDWord("UBR", 2340)
	for _, f := range change {
		f(root)
	}
	return hivewrite.Build(root, "SOFTWARE")
}

func system(change ...func(root *hivewrite.Key)) []byte {
	root := hivewrite.NewKey("ROOT")
	root.Path("Select").SetDWord("Current", 2)
	root.Path(`ControlSet002\Control\Session Manager\Environment`).SetString("PROCESSOR_ARCHITECTURE", "AMD64")
	for _, f := range change {
		f(root)
	}
	return hivewrite.Build(root, "SYSTEM")
}

func user(change func(root *hivewrite.Key)) []byte {
	root := hivewrite.NewKey("ROOT")
	change(root)
	return hivewrite.Build(root, "NTUSER.DAT")
}

// versionOf is the value Version of a driver package.
func versionOf(parts ...byte) []byte {
	b := make([]byte, 48)
	copy(b[8:], []byte{0x7b, 0xe9, 0x36, 0x4d, 0x25, 0xe3, 0xce, 0x11, 0xbf, 0xc1, 8, 0, 0x2b, 0xe1, 3, 0x18})
	copy(b[24:], []byte{0, 0x80, 0x8c, 0xa3, 0xc5, 0x94, 0xc6, 1}) // 2006-06-21
	copy(b[32:], parts)
	return b
}

// whole is a drive with something in each place.
func whole() fstest.MapFS {
	return fstest.MapFS{
		config + "SOFTWARE": {Data: software(func(root *hivewrite.Key) {
			cbs := root.Path(`Microsoft\Windows\CurrentVersion\Component Based Servicing\Packages`)
			cbs.Path("Package_for_KB5005039~31bf3856ad364e35~amd64~~10.0.1.2").SetDWord("CurrentState", 0x70).SetDWord("InstallTimeHigh", 0x01cc753f).SetDWord("InstallTimeLow", 0xe90fac7c)
			cbs.Path("Package_1_for_KB5005039~31bf3856ad364e35~amd64~~10.0.1.1").SetDWord("CurrentState", 0x50)
			cbs.Path("Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.2340.1.9").SetDWord("CurrentState", 0x70)
			cbs.Path("Odd-Package").SetDWord("CurrentState", 0x33)
			cbs.Path("Stateless~31bf3856ad364e35~amd64~de-DE~1.0")
			root.Path(uninstall+`\7-Zip`).SetString("DisplayName", "7-Zip 24.08 (x64)").SetString("DisplayVersion", "24.08").SetString("Publisher", "Igor Pavlov")
			root.Path(uninstall+`\Part`).SetString("DisplayVersion", "1")
			root.Path(`WOW6432Node\`+uninstall+`\{A}`).SetString("DisplayName", "Old").SetDWord("SystemComponent", 1).SetString("ParentKeyName", "7-Zip").SetDWord("DisplayVersion", 3)
			net := root.Path(`Microsoft\NET Framework Setup\NDP`)
			net.Path("CDF").SetString("Version", "9").SetDWord("Install", 1)
			net.Path("v2.0.50727").SetString("Version", "2.0.50727.4927").SetDWord("Install", 0)
			net.Path(`v4\Client`).SetString("Version", "4.8.04161").SetDWord("Install", 1)
			net.Path(`v4\Full`).SetString("Version", "4.8.04161").SetDWord("Install", 1).SetDWord("Release", 528449)
			apps := root.Path(`Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore`)
			apps.Path(`Applications\Microsoft.Calculator_2021.1_neutral_~_8wekyb3d8bbwe`)
			apps.Path(`InboxApplications\Microsoft.Calculator_2021.1_neutral_~_8wekyb3d8bbwe`)
			apps.Path(`Staged\Microsoft.VCLibs_8wekyb3d8bbwe\Microsoft.VCLibs_14.0.1.0_x64__8wekyb3d8bbwe`)
			roles := root.Path(`Microsoft\ServerManager\ServicingStorage\ServerComponentCache`)
			roles.Path("Web-Server").SetDWord("InstallState", 1)
			roles.Path("DNS").SetDWord("InstallState", 0)
			profiles := root.Path(`Microsoft\Windows NT\CurrentVersion\ProfileList`)
			profiles.SetString("Default", `%SystemDrive%\Users\Default`)
			profiles.Path("S-1-5-18").SetString("ProfileImagePath", `%systemroot%\system32\config\systemprofile`)
			profiles.Path("S-1-5-21-1-2-3-500").SetString("ProfileImagePath", `C:\Users\Administrator`)
		})},
		config + "SYSTEM": {Data: system(func(root *hivewrite.Key) {
			root.Path(`DriverDatabase\DriverPackages\stornvme.inf_amd64_1`).SetString("", "stornvme.inf").SetString("InfName", "stornvme.inf").SetString("Provider", "Microsoft").SetBinary("Version", versionOf(1, 0, 0x7c, 0x4f, 0, 0, 10, 0))
			root.Path(`DriverDatabase\DriverPackages\short.inf_amd64_2`).SetBinary("Version", []byte{1, 2, 3})
			services := root.Path(`ControlSet002\Services`)
			services.Path("disk").SetDWord("Type", 1).SetDWord("Start", 0).SetString("ImagePath", `System32\drivers\disk.sys`)
			services.Path("later").SetDWord("Type", 1).SetDWord("Start", 3)
			services.Path("agent").SetDWord("Type", 0x10).SetDWord("Start", 2).SetString("ImagePath", `"C:\Program Files\Agent\agent.exe" --password=hunter2`)
			services.Path("manual").SetDWord("Type", 0x20).SetDWord("Start", 3)
			root.Path(`ControlSet001\Services\first`).SetDWord("Type", 1).SetDWord("Start", 0)
		})},
		config + "DRIVERS": {Data: user(func(root *hivewrite.Key) {
			root.Path(`DriverDatabase\DriverPackages\netkvm.inf_amd64_3`).SetString("", "oem3.inf").SetString("InfName", "netkvm.inf").SetString("Provider", "Red Hat, Inc.").SetBinary("Version", versionOf(0, 0x5e, 94, 0, 104, 0, 100, 0))
		})},
		config + "DEFAULT":         {Data: user(func(root *hivewrite.Key) { root.Path(`Software\` + uninstall) })},
		"Users/Default/NTUSER.DAT": {Data: user(func(root *hivewrite.Key) {})},
		"Users/Administrator/NTUSER.DAT": {Data: user(func(root *hivewrite.Key) {
			root.Path(`Software\`+uninstall+`\Code`).SetString("DisplayName", "Editor").SetString("DisplayVersion", "1.96.0")
		})},
		"Users/Public/desktop.ini": {},
		"Windows/System32/DriverStore/FileRepository/stornvme.inf_amd64_1/stornvme.inf": {},
		"Windows/System32/DriverStore/FileRepository/printer.inf_amd64_4/printer.inf":   {},
		"Program Files/dotnet/shared/Microsoft.NETCore.App/8.0.11/x.dll":                {},
		"Program Files/WindowsPowerShell/Modules/PackageManagement/1.0.0.1/x.psd1":      {},
		"Windows/System32/WindowsPowerShell/v1.0/Modules/Defender/en-US/Defender.psd1":  {},
		"Windows/System32/WindowsPowerShell/v1.0/Modules/Defender/Defender.psd1":        {},
		"Program Files/WindowsPowerShell/Modules/Pester/3.4.0/Pester.psd1":              {},
		"Program Files/WindowsPowerShell/Modules/Pester/5.6.1/Pester.psd1":              {},
	}
}

func sources(inv *Inventory) map[string]Source {
	all := map[string]Source{}
	for _, s := range inv.Sources {
		all[s.ID] = s
	}
	return all
}

func TestADriveIsReadWhole(t *testing.T) {
	t.Parallel()
	inv := take(t, whole())
	date := time.Date(2006, 6, 21, 0, 0, 0, 0, time.UTC)
	const class = "{4d36e97b-e325-11ce-bfc1-08002be10318}"
	for i := range inv.Packages {
		if p := &inv.Packages[i]; p.KB() == "KB5005039" && p.Present {
			if want := time.Date(2011, 9, 17, 13, 44, 24, 0, time.UTC); p.Installed.Truncate(time.Second) != want {
				t.Errorf("installed %s, want %s", p.Installed, want)
			}
			p.Installed = time.Time{}
		}
	}
	for _, c := range []struct{ got, want any }{
		{inv.OS, OS{ProductName: "Windows Server 2022 Standard", EditionID: "ServerStandard", InstallationType: "Server", DisplayVersion: "21H2", Version: "10.0.20348.2340", Build: "20348", Architecture: "amd64"}},
		{inv.Packages, []Package{
			{Identity: "Odd-Package", Name: "Odd-Package", State: "0x33", Present: true},
			{Identity: "Package_1_for_KB5005039~31bf3856ad364e35~amd64~~10.0.1.1", Name: "Package_1_for_KB5005039", Token: "31bf3856ad364e35", Architecture: "amd64", Version: "10.0.1.1", State: "superseded"},
			{Identity: "Package_for_KB5005039~31bf3856ad364e35~amd64~~10.0.1.2", Name: "Package_for_KB5005039", Token: "31bf3856ad364e35", Architecture: "amd64", Version: "10.0.1.2", State: "installed", Present: true},
			{Identity: "Package_for_RollupFix~31bf3856ad364e35~amd64~~20348.2340.1.9", Name: "Package_for_RollupFix", Token: "31bf3856ad364e35", Architecture: "amd64", Version: "20348.2340.1.9", State: "installed", Present: true},
			{Identity: "Stateless~31bf3856ad364e35~amd64~de-DE~1.0", Name: "Stateless", Token: "31bf3856ad364e35", Architecture: "amd64", Language: "de-DE", Version: "1.0", State: "unknown", Present: true},
		}},
		{inv.Updates, []Update{{ID: "KB5005039", State: "installed", Present: true, Packages: 2}}},
		{inv.Programs, []Program{
			{Key: "7-Zip", Name: "7-Zip 24.08 (x64)", Version: "24.08", Publisher: "Igor Pavlov", Scope: "machine"},
			{Key: "{A}", Name: "Old", Scope: "machine-32bit", Hidden: true, Parent: "7-Zip"},
			{Key: "Code", Name: "Editor", Version: "1.96.0", Scope: "user", Profile: "Administrator"},
		}},
		{inv.Frameworks, []Framework{
			{Name: ".NET Framework", Version: "4.8.04161", Key: `v4\Full`, Release: 528449},
			{Name: "Microsoft.NETCore.App", Version: "8.0.11", Key: `\Program Files\dotnet\shared\Microsoft.NETCore.App`},
		}},
		{inv.Apps, []App{
			{"Microsoft.Calculator_2021.1_neutral_~_8wekyb3d8bbwe", "Microsoft.Calculator", "2021.1", "neutral", "~", "8wekyb3d8bbwe", []string{"Applications", "InboxApplications"}},
			{"Microsoft.VCLibs_14.0.1.0_x64__8wekyb3d8bbwe", "Microsoft.VCLibs", "14.0.1.0", "x64", "", "8wekyb3d8bbwe", []string{"Staged"}},
		}},
		{inv.Roles, []Role{{"Web-Server", 1}}},
		{inv.Drivers, []Driver{
			{Package: "short.inf_amd64_2", Kept: []string{"SYSTEM"}},
			{Package: "stornvme.inf_amd64_1", Inf: "stornvme.inf", Provider: "Microsoft", Class: class, Version: "10.0.20348.1", Date: date, Kept: []string{"SYSTEM", "FileRepository"}},
			{Package: "netkvm.inf_amd64_3", Inf: "oem3.inf", OriginalInf: "netkvm.inf", Provider: "Red Hat, Inc.", Class: class, Version: "100.104.94.24064", Date: date, Kept: []string{"DRIVERS"}},
			{Package: "printer.inf_amd64_4", Kept: []string{"FileRepository"}},
		}},
		{inv.Services, []Service{{"agent", false, `C:\Program Files\Agent\agent.exe`}, {"disk", true, `System32\drivers\disk.sys`}}},
		{inv.Modules, []Module{
			{"PackageManagement", "1.0.0.1", windows.ModuleFolders[0]}, {"Pester", "3.4.0", windows.ModuleFolders[0]}, {"Pester", "5.6.1", windows.ModuleFolders[0]}, {"Defender", "", windows.ModuleFolders[2]},
		}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("got  %+v\nwant %+v", c.got, c.want)
		}
	}
	// hivewrite gives all hives this time.
	if want := time.Date(2020, 12, 3, 8, 0, 0, 0, time.UTC); !inv.Written.Equal(want) {
		t.Errorf("written %s", inv.Written)
	}
	for _, s := range inv.Sources {
		switch {
		case s.ID == "programs-of-user:systemprofile" && s.State == Absent:
		case slices.ContainsFunc(notRead(), func(n Source) bool { return n.ID == s.ID }) && s.State == NotRead && len(s.Reasons) == 1:
		case s.State != Read:
			t.Errorf("%+v", s)
		}
	}
}

// damaged makes the first list of subkeys of a key unreadable: its signature is of no kind.
func damaged(hive []byte) []byte {
	out := slices.Clone(hive)
	for i := 4096; i+2 < len(out); i++ {
		if s := string(out[i : i+2]); (s == "lh" || s == "lf") && i%8 == 4 {
			copy(out[i:], "xx")
		}
	}
	return out
}

func TestWhatCannotBeReadIsNeverSilence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(drive fstest.MapFS)
		source string
		state  State
		reason string
	}{
		"a hive of a user with garbage in it": {func(d fstest.MapFS) { d["Users/Administrator/NTUSER.DAT"] = &fstest.MapFile{Data: []byte("garbage")} }, "programs-of-user:Administrator", Unreadable, "too short for a hive"},
		"a hive that was not flushed": {func(d fstest.MapFS) {
			b := slices.Clone(d["Users/Administrator/NTUSER.DAT"].Data)
			b[4]++
			d["Users/Administrator/NTUSER.DAT"] = &fstest.MapFile{Data: b}
		}, "programs-of-user:Administrator", Unreadable, "cannot be recovered from its logs"},
		"no hive SYSTEM":       {func(d fstest.MapFS) { delete(d, config+"SYSTEM") }, "services", Unreadable, "file does not exist"},
		"SYSTEM damaged":       {func(d fstest.MapFS) { d[config+"SYSTEM"] = &fstest.MapFile{Data: damaged(d[config+"SYSTEM"].Data)} }, "drivers", Unreadable, "corrupt registry hive"},
		"a folder for a hive":  {func(d fstest.MapFS) { d[config+"DRIVERS"] = &fstest.MapFile{Mode: fs.ModeDir} }, "drivers-hive", Unreadable, "it is no file"},
		"no hive DRIVERS":      {func(d fstest.MapFS) { delete(d, config+"DRIVERS") }, "drivers-hive", Absent, ""},
		"a file for the store": {func(d fstest.MapFS) { d["Windows/System32/DriverStore/FileRepository"] = &fstest.MapFile{} }, "driver-store", Unreadable, "it is no folder"},
		"a profile elsewhere": {func(d fstest.MapFS) {
			d[config+"SOFTWARE"] = &fstest.MapFile{Data: software(func(root *hivewrite.Key) {
				root.Path(`Microsoft\Windows NT\CurrentVersion\ProfileList\S-1`).SetString("ProfileImagePath", `D:\Profiles\x`)
			})}
		}, "users", Unreadable, "on another drive"},
		"a damaged name of a profile": {func(d fstest.MapFS) { d["Users/lost"] = &fstest.MapFile{Mode: fs.ModeIrregular} }, "users", Unreadable, `\Users\lost: it is neither a file nor a folder`},
		"no packages":                 {func(d fstest.MapFS) { d[config+"SOFTWARE"] = &fstest.MapFile{Data: software()} }, "packages", Absent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drive := whole()
			if c.source == "driver-store" {
				for path := range drive {
					if strings.Contains(path, "FileRepository/") {
						delete(drive, path)
					}
				}
			}
			c.change(drive)
			inv := take(t, drive)
			s := sources(inv)[c.source]
			if s.State != c.state || !strings.Contains(strings.Join(s.Reasons, "; "), c.reason) {
				t.Errorf("%+v, want %s: %s", s, c.state, c.reason)
			}
			if (c.state == Unreadable) != (len(inv.Unreadable()) > 0) {
				t.Errorf("unreadable: %+v", inv.Unreadable())
			}
		})
	}
}

// locked is a drive on which one file cannot be looked at.
type locked struct {
	fs.FS
	name string
}

func (l locked) Open(name string) (fs.File, error) {
	if name == l.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("record is damaged")}
	}
	return l.FS.Open(name)
}

func TestAHiveOfAUserThatNobodyNamesIsNotPassedOver(t *testing.T) {
	t.Parallel()
	drive := whole()
	drive["Users/extra/NTUSER.DAT"] = drive["Users/Default/NTUSER.DAT"]
	inv, err := ReadDrive(context.Background(), locked{drive, "Users/extra/NTUSER.DAT"})
	if err != nil {
		t.Fatal(err)
	}
	if s := sources(inv)["programs-of-user:extra"]; s.State != Unreadable || !strings.Contains(s.Reasons[0], "record is damaged") {
		t.Errorf("%+v", s)
	}
}

func TestAWindowsThatCannotBeNamedIsAnError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		software []byte
		want     string
	}{
		"no hive":    {nil, "reading the registry hive SOFTWARE: file does not exist"},
		"garbage":    {make([]byte, 9000), "reading the registry hive SOFTWARE: corrupt registry hive"},
		"empty hive": {user(func(*hivewrite.Key) {}), "names no product and no build"},
		"damaged":    {damaged(software()), "names no product and no build"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drive := whole()
			delete(drive, config+"SOFTWARE")
			if c.software != nil {
				drive[config+"SOFTWARE"] = &fstest.MapFile{Data: c.software}
			}
			if inv, err := ReadDrive(context.Background(), drive); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v, %v", inv, err)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ReadDrive(ctx, whole()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestThereIsAnEndToWhatIsKept(t *testing.T) {
	defer func(n int) { maxEntries = n }(maxEntries)
	maxEntries = 200
	drive := whole()
	drive[config+"SOFTWARE"] = &fstest.MapFile{Data: software(func(root *hivewrite.Key) {
		roles := root.Path(`Microsoft\ServerManager\ServicingStorage\ServerComponentCache`)
		for i := range maxEntries + 10 {
			roles.Path(fmt.Sprintf("r%05d", i)).SetDWord("InstallState", 1)
		}
		root.Path(uninstall+`\x`).SetString("DisplayName", strings.Repeat("long ", 1000))
	})}
	inv := take(t, drive)
	s := sources(inv)["roles"]
	if len(inv.Roles) != maxEntries || s.State != Unreadable || !strings.Contains(s.Reasons[0], "more than 200 keys: the rest was not read") {
		t.Errorf("%d roles, %+v", len(inv.Roles), s)
	}
	if n := len(inv.Programs[0].Name); n > maxText+40 || !strings.Contains(inv.Programs[0].Name, "[cut: ") {
		t.Errorf("a name of %d bytes", n)
	}
}

func TestSystemsOfAllAges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  func(k *hivewrite.Key)
		want OS
	}{
		"Windows 8.1": {func(k *hivewrite.Key) {
			k.SetString("ProductName", "Windows 8.1 Pro").SetString("CurrentVersion", "6.3").SetString("CurrentBuildNumber", "9600").SetString("BuildLabEx", "9600.19846.amd64fre.winblue_ltsb_escrow.200923-1735")
		}, OS{ProductName: "Windows 8.1 Pro", Version: "6.3.9600.19846", Build: "9600", BuildLab: "9600.19846.amd64fre.winblue_ltsb_escrow.200923-1735", Architecture: "amd64"}},
		"Windows 10 1809": {func(k *hivewrite.Key) {
			k.SetString("ProductName", "Windows 10 Pro").SetString("ReleaseId", "1809").SetString("CurrentVersion", "6.3").SetString("CurrentBuildNumber", "17763").SetDWord("CurrentMajorVersionNumber", 10).SetDWord("UBR", 1)
		}, OS{ProductName: "Windows 10 Pro", DisplayVersion: "1809", Version: "10.0.17763.1", Build: "17763"}},
		"a lab of another build": {func(k *hivewrite.Key) {
			k.SetString("CurrentVersion", "6.1").SetString("CurrentBuildNumber", "7601").SetString("BuildLabEx", "7600.16385.x86chk.win7_rtm.090713-1255")
		}, OS{Version: "6.1.7601", Build: "7601", BuildLab: "7600.16385.x86chk.win7_rtm.090713-1255", Architecture: "x86"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := user(func(root *hivewrite.Key) { c.set(root.Path(`Microsoft\Windows NT\CurrentVersion`)) })
			inv := take(t, fstest.MapFS{config + "SOFTWARE": {Data: b}, config + "SYSTEM": {Data: user(func(*hivewrite.Key) {})}})
			if inv.OS != c.want {
				t.Errorf("got  %+v\nwant %+v", inv.OS, c.want)
			}
		})
	}
}

func TestOfACommandLineOnlyTheFileIsKept(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		``:                                   ``,
		`"C:\a b\c.exe" --token x`:           `C:\a b\c.exe`,
		`"C:\open`:                           `C:\open`,
		`C:\Program Files\a b\c.EXE -p x`:    `C:\Program Files\a b\c.EXE`,
		`\SystemRoot\System32\drivers\x.sys`: `\SystemRoot\System32\drivers\x.sys`,
		`%SystemRoot%\x.dll secret`:          `%SystemRoot%\x.dll`,
		`C:\ÜİA\c.exe -p x`:                  `C:\ÜİA\c.exe`,
	} {
		if got := program(line); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestNamesThatAreNotTakenApartStayWhole(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "a", "~~~~", "a~b~c", "a~b~c~d~e~f"} {
		if p := ParsePackage(name); p != (Package{Identity: name, Name: name}) {
			t.Errorf("%+v", p)
		}
	}
	for _, name := range []string{"", "a", "____", "a_b_c", "a_b_c_d_e_f"} {
		if a := ParseApp(name); !reflect.DeepEqual(a, App{FullName: name, Name: name}) {
			t.Errorf("%+v", a)
		}
	}
}
