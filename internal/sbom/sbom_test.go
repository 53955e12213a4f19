package sbom

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/inventory"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/sbom/cyclonedxtest"
)

// sample has one of everything.
func sample() *inventory.Inventory {
	installed := inventory.ParsePackage("Package_for_KB5005039~31bf3856ad364e35~amd64~~10.0.1.2")
	installed.State, installed.Present, installed.Installed = "installed", true, time.Date(2024, 2, 29, 12, 0, 0, 500, time.UTC)
	superseded := inventory.ParsePackage("Package_for_KB5005039~31bf3856ad364e35~amd64~~10.0.1.1")
	superseded.State = "superseded"
	theirs := inventory.ParsePackage("Vendor~0123456789abcdef~amd64~de-DE~2.0")
	theirs.State, theirs.Present = "permanent", true
	app := inventory.ParseApp("Microsoft.Calculator_2021.1_neutral_~_8wekyb3d8bbwe")
	app.Kept = []string{"Applications", "Staged"}
	return &inventory.Inventory{
		OS: inventory.OS{
			ProductName: "Windows Server 2022 Standard", EditionID: "ServerStandard", InstallationType: "Server Core", DisplayVersion: "21H2",
			Version: "10.0.20348.2340", Build: "20348", Architecture: "amd64",
		},
		Written:  time.Date(2024, 3, 1, 8, 30, 0, 123, time.UTC),
		Packages: []inventory.Package{theirs, installed, superseded},
		Updates:  []inventory.Update{{ID: "KB4589208", State: "superseded", Packages: 1}, {ID: "KB5005039", State: "installed", Present: true, Packages: 2}},
		Programs: []inventory.Program{
			{Key: "{A}", Name: "Old <&> 50% / 2", Version: "1.0+b", Publisher: "A, Inc.", Scope: "machine-32bit", Hidden: true, Parent: "B"},
			{Key: "{A}", Name: "Old", Scope: "user", Profile: "Default"},
			{Key: "{A}", Name: "Twice", Scope: "user", Profile: "Default"},
			{Key: "Skype", Name: "Skype™ 5.5\u202e", Scope: "machine"},
		},
		Frameworks: []inventory.Framework{{Name: ".NET Framework", Version: "4.8.04161", Key: `v4\Full`, Release: 528449}},
		Apps:       []inventory.App{app},
		Roles:      []inventory.Role{{Name: "Web-Server", State: 1}},
		Drivers: []inventory.Driver{
			{Package: "netkvm.inf_amd64_3", Inf: "oem3.inf", OriginalInf: "netkvm.inf", Provider: "Red Hat, Inc.", Class: "{4d36e972-e325-11ce-bfc1-08002be10318}", Version: "100.104.94.24064", Date: time.Date(2023, 5, 1, 0, 0, 0, 0, time.UTC), Kept: []string{"DRIVERS", "FileRepository"}},
			{Package: "folder", Kept: []string{"FileRepository"}},
		},
		Services: []inventory.Service{{Name: "disk", Driver: true, Image: `System32\drivers\disk.sys`}, {Name: "agent", Image: `C:\agent.exe`}},
		Modules:  []inventory.Module{{Name: "Pester", Version: "5.6.1", Folder: `\Program Files\WindowsPowerShell\Modules`}},
		Sources: []inventory.Source{
			{ID: "packages", Where: "P", State: inventory.Read, Count: 3},
			{ID: "roles", Where: "R", State: inventory.Absent},
			{ID: "drivers", Where: "D", State: inventory.Unreadable, Count: 1, Reasons: []string{"corrupt", "worse"}},
			{ID: "files", Where: "F", State: inventory.NotRead, Reasons: []string{"too many"}},
		},
	}
}

func written(t testing.TB, inv *inventory.Inventory) []byte {
	t.Helper()
	doc, err := New(inv, "packer-plugin-sysprep", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	b, err := doc.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheDocument(t *testing.T) {
	got := written(t, sample())
	path := filepath.Join("testdata", "sample.cdx.json")
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Errorf("it differs from %s; UPDATE_GOLDEN=1 rewrites it:\n%s", path, got)
	}
}

func TestTheSameInventoryGivesTheSameBytes(t *testing.T) {
	first := written(t, sample())
	other := sample()
	slices.Reverse(other.Drivers)
	slices.Reverse(other.Services)
	if !bytes.Equal(first, written(t, sample())) || !bytes.Equal(first, written(t, other)) {
		t.Error("two documents of the same differ")
	}
	serial := regexp.MustCompile(`"serialNumber": "(urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})"`)
	changed := sample()
	changed.OS.Version = "10.0.20348.2341"
	a, b := serial.FindSubmatch(first), serial.FindSubmatch(written(t, changed))
	if a == nil || b == nil || bytes.Equal(a[1], b[1]) {
		t.Errorf("numbers %s and %s", a, b)
	}
}

// The check bites: a document with one wrong word is refused.
func TestCycloneDXTakesTheDocument(t *testing.T) {
	b := written(t, sample())
	if err := cyclonedxtest.Check(t, b); err != nil {
		t.Errorf("%v\n%s", err, b)
	}
	for from, to := range map[string]string{
		`"type": "device-driver"`:      `"type": "driver"`,
		`"aggregate": "incomplete"`:    `"aggregate": "lacking"`,
		`"specVersion": "1.6"`:         `"specVersion": 1.6`,
		`"timestamp": "2024-03-01T08`:  `"timestamp": "2024-03-01 08`,
		`"serialNumber": "urn:uuid:`:   `"serialNumber": "urn:`,
		`"publisher": "Red Hat, Inc."`: `"publishers": "Red Hat, Inc."`,
	} {
		wrong := bytes.Replace(b, []byte(from), []byte(to), 1)
		if bytes.Equal(wrong, b) {
			t.Errorf("%s is not in the document", from)
		}
		if err := cyclonedxtest.Check(t, wrong); err == nil {
			t.Errorf("the schema takes %s", to)
		}
	}
}

func TestReferencesAreThereOnce(t *testing.T) {
	var doc Document
	if err := json.Unmarshal(written(t, sample()), &doc); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{doc.Metadata.Component.Ref: true}
	for _, c := range doc.Components {
		if c.Ref == "" || seen[c.Ref] {
			t.Errorf("reference %q is there twice", c.Ref)
		}
		seen[c.Ref] = true
	}
	if !seen["program:user:Default:{A}#2"] {
		t.Errorf("%v", seen)
	}
	for _, c := range doc.Compositions {
		for _, ref := range c.Assemblies {
			if !seen[ref] {
				t.Errorf("a composition names %q, which is not there", ref)
			}
		}
	}
}

func TestWhatWasNotReadIsSaid(t *testing.T) {
	properties := func(doc Document) map[string]string {
		all := map[string]string{}
		for _, p := range doc.Metadata.Properties {
			all[p.Name] = p.Value
		}
		return all
	}
	doc, err := New(sample(), "p", "1")
	if err != nil {
		t.Fatal(err)
	}
	got := properties(doc)
	for name, want := range map[string]string{
		"sysprep:source:packages": "read, 3 found: P", "sysprep:source:roles": "absent: R", "sysprep:source:drivers": "unreadable, 1 found: D; corrupt; worse",
		"sysprep:source:files": "not read: F; too many", "sysprep:unreadable": "drivers",
		"sysprep:packages:installed": "1", "sysprep:packages:superseded": "1", "sysprep:packages:permanent": "1",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	aggregate := func(states ...inventory.State) string {
		inv := sample()
		inv.Sources = nil
		for _, s := range states {
			inv.Sources = append(inv.Sources, inventory.Source{ID: "x", State: s, Reasons: []string{"why"}})
		}
		doc, err := New(inv, "p", "1")
		if err != nil {
			t.Fatal(err)
		}
		if lost := properties(doc)["sysprep:unreadable"]; (lost == "x") != slices.Contains(states, inventory.Unreadable) {
			t.Errorf("%v: unreadable %q", states, lost)
		}
		return doc.Compositions[0].Aggregate
	}
	for want, states := range map[string][]inventory.State{"unknown": {inventory.Read, inventory.Absent}, "incomplete": {inventory.Read, inventory.Unreadable}, "incomplete ": {inventory.NotRead}} {
		if got := aggregate(states...); got != strings.TrimSpace(want) {
			t.Errorf("%v: %s", states, got)
		}
	}
}

func TestAWindowsWithNothingInItIsAnError(t *testing.T) {
	_, err := New(&inventory.Inventory{OS: sample().OS, Sources: sample().Sources}, "p", "1")
	if err == nil || !strings.Contains(err.Error(), "not one of its packages") || !strings.Contains(err.Error(), "D: corrupt") {
		t.Errorf("%v", err)
	}
}

func TestNamesOfSystemsForVulnerabilities(t *testing.T) {
	os := func(kind, build, version, arch, pack string) inventory.OS {
		return inventory.OS{InstallationType: kind, Build: build, Version: version, Architecture: arch, ServicePack: pack}
	}
	for _, c := range []struct {
		os   inventory.OS
		want string
	}{
		{os("Server", "20348", "10.0.20348.2700", "amd64", ""), "cpe:2.3:o:microsoft:windows_server_2022:10.0.20348.2700:*:*:*:*:*:x64:*"},
		{os("Server Core", "17763", "10.0.17763.1", "amd64", ""), "cpe:2.3:o:microsoft:windows_server_2019:10.0.17763.1:*:*:*:*:*:x64:*"},
		{os("Client", "17763", "10.0.17763.1", "x86", ""), "cpe:2.3:o:microsoft:windows_10_1809:10.0.17763.1:*:*:*:*:*:x86:*"},
		{os("Client", "26100", "10.0.26100.1", "arm64", ""), "cpe:2.3:o:microsoft:windows_11_24h2:10.0.26100.1:*:*:*:*:*:arm64:*"},
		{os("Server", "26100", "10.0.26100.1", "", ""), "cpe:2.3:o:microsoft:windows_server_2025:10.0.26100.1:*:*:*:*:*:*:*"},
		{os("Client", "7601", "6.1.7601.17727", "x86", "Service Pack 1"), "cpe:2.3:o:microsoft:windows_7:-:sp1:*:*:*:*:x86:*"},
		{os("Server", "9600", "6.3.9600.1", "amd64", ""), "cpe:2.3:o:microsoft:windows_server_2012:r2:-:*:*:*:*:x64:*"},
		{os("Client", "9600", "6.3.9600.1", "amd64", "Service Pack *"), "cpe:2.3:o:microsoft:windows_8.1:-:-:*:*:*:*:x64:*"},
		{os("Client", "99999", "10.0.99999.1", "amd64", ""), ""},
		{os("Client", "26100", "10.0.26100:*", "amd64", ""), ""},
	} {
		if got := cpe(c.os); got != c.want {
			t.Errorf("%+v: %s, want %s", c.os, got, c.want)
		}
	}
}

func TestPackageURLsGiveBackTheirParts(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{purl("microsoft", "Windows 7", "6.1.7601", "buildnumber", "6.1.7601", "arch", "x86"), "pkg:generic/microsoft/Windows%207@6.1.7601?arch=x86&buildnumber=6.1.7601"},
		{purl("", "a/b@c?d#e", "", "arch", ""), "pkg:generic/a%2Fb%40c%3Fd%23e"},
		{purl("", "Skype™", "1+2 &"), "pkg:generic/Skype%E2%84%A2@1%2B2%20%26"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
	doc, err := New(sample(), "p", "1")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range doc.Components {
		if c.PURL == "" {
			continue
		}
		n++
		path, version, _ := strings.Cut(strings.TrimPrefix(strings.Split(c.PURL, "?")[0], "pkg:generic/"), "@")
		name, err := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:])
		if err != nil || name != c.Name {
			t.Errorf("%s: name %q, want %q (%v)", c.PURL, name, c.Name, err)
		}
		if v, err := url.PathUnescape(version); err != nil || v != c.Version {
			t.Errorf("%s: version %q, want %q (%v)", c.PURL, v, c.Version, err)
		}
	}
	if n < 12 {
		t.Errorf("only %d package URLs", n)
	}
}
