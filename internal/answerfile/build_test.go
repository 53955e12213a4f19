package answerfile

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
)

const yes, no = config.TriTrue, config.TriFalse

// everything sets every field of the block.
func everything() Unattend {
	return Unattend{
		PersistAllDeviceInstalls: yes, DoNotCleanUpNonPresentDevices: yes, SkipRearm: yes,
		ComputerName: "*", CopyProfile: no, ProductKeyEdition: "Windows Server 2022 Datacenter",
		DomainJoin: &DomainJoin{Domain: "example.com", MachineObjectOU: "OU=Servers,DC=example,DC=com", Username: "joiner", Password: "J0in-Me!", UnsecureJoin: no},
		NetworkInterfaces: []NetworkInterface{
			{Identifier: "Ethernet", Addresses: []string{"192.0.2.10/24", "2001:db8::a/64"}, Gateway: "192.0.2.1", DNSServers: []string{"192.0.2.53", "2001:db8::53"}, DNSDomain: "example.com"},
			{Identifier: "00-15-5D-01-02-03", DHCP: yes},
		},
		OEMInformation: &OEMInformation{Manufacturer: "Example & Co", Model: "m", SupportProvider: "p", SupportURL: "https://example.com/", SupportAppURL: "example:", SupportPhone: "1", SupportHours: "9-5"},
		LogonCommands:  []FirstLogonCommand{{CommandLine: "b"}},
		SetupComplete:  []string{"echo done"},
		TimeZone:       "UTC", RegisteredOwner: "Jürgen & Co", RegisteredOrganization: "Org",
		SkipAutoActivation: yes, ExtendOSPartition: yes,
		RunSynchronous: []RunSynchronous{
			{Path: `cmd /c "net user packer /delete & exit 0"`, Description: "Remove the build user", WillReboot: "Never"},
			{Path: "cmd /c ver"},
		},
		Locale: &Locale{"0409:00000409", "en-US", "en-US", "en-GB", "en-US"},
		OOBE: &OOBE{HideEULAPage: yes, HideLocalAccountScreen: yes, HideOEMRegistrationScreen: yes,
			HideOnlineAccountScreens: yes, HideWirelessSetupInOOBE: yes, NetworkLocation: "Work", ProtectYourPC: 3},
		VMModeOptimizations:   &VMModeOptimizations{yes, yes, yes},
		AdministratorPassword: "P@ssw0rd!",
		LocalAccounts:         []LocalAccount{{Name: "ann", Group: "S-1-5-32-544;Builders", DisplayName: "Ann", Description: "d", Password: "a<b>c"}, {Name: "bob"}},
		AutoLogon:             &AutoLogon{Username: "ann", Domain: ".", Password: "a<b>c", LogonCount: 2},
		FirstLogonCommands: []FirstLogonCommand{{CommandLine: "a", Description: "d", RequiresUserInput: no},
			{CommandLine: `reg add "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Winlogon" /v AutoLogonCount /t REG_DWORD /d 0 /f`}},
		Audit: &Audit{
			AdministratorPassword: "P@ssw0rd!", AutoLogon: &AutoLogon{Username: "Administrator", Password: "P@ssw0rd!"},
			RunSynchronous:       []RunSynchronous{{Path: "cmd /c ver"}},
			DeploymentGeneralize: &DeploymentGeneralize{Mode: "oobe", ForceShutdownNow: yes},
		},
		Reseal: []Reseal{{Pass: AuditSystem, Mode: "AUDIT", ForceShutdownNow: no}, {Pass: OOBESystem, Mode: "oobe"}},
		Components: []ExtraComponent{
			{Pass: Specialize, Name: "Microsoft-Windows-TerminalServices-LocalSessionManager", Settings: map[string]string{"fDenyTSConnections": "false"}},
			{Pass: OOBESystem, Name: compShell, Settings: map[string]string{`Display\ColorDepth`: "32", `Display\RefreshRate`: "60"}},
			{Pass: Specialize, Name: "Networking-MPSSVC-Svc", XML: `<FirewallGroups><FirewallGroup wcm:action="add" wcm:keyValue="RemoteDesktop"><Active>true</Active></FirewallGroup></FirewallGroups>`},
		},
	}
}

// flat lists all values of a file as "pass component path = value".
func flat(f *File) []string {
	var lines []string
	var visit func(at string, e *Element)
	visit = func(at string, e *Element) {
		if len(e.Children) == 0 {
			lines = append(lines, at+" = "+e.Text)
		}
		for _, c := range e.Children {
			visit(at+`\`+c.Name.Local, c)
		}
	}
	for _, p := range f.Passes() {
		for _, c := range p.Components() {
			for _, e := range c.Children {
				visit(p.Name()+" "+strings.TrimPrefix(c.Name(), "Microsoft-Windows-")+" "+e.Name.Local, e)
			}
		}
	}
	return lines
}

func TestBuildWritesEverySettingWhereItBelongs(t *testing.T) {
	file, err := Build(everything(), "AMD64")
	if err != nil {
		t.Fatal(err)
	}
	const goldenPath = "testdata/everything.golden"
	got := file.Marshal()
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		if err := os.WriteFile(goldenPath, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(goldenPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("the file differs from %s (UPDATE_GOLDEN=1 rewrites it):\n%s", goldenPath, got)
	}
	for _, line := range []string{
		"generalize PnpSysprep PersistAllDeviceInstalls = true",
		"generalize Security-SPP SkipRearm = 1",
		"specialize Shell-Setup ProductKey = WX4NM-KYWYW-QJJR4-XV3QB-6VM33",
		"specialize Shell-Setup CopyProfile = false",
		"specialize Deployment RunSynchronous\\RunSynchronousCommand\\Path = cmd /c \"net user packer /delete & exit 0\"",
		"auditUser Deployment Generalize\\Mode = OOBE",
		"auditSystem Deployment Reseal\\Mode = Audit",
		"oobeSystem Shell-Setup UserAccounts\\AdministratorPassword\\Value = " + vector,
		"oobeSystem Shell-Setup Display\\RefreshRate = 60",
		"oobeSystem Shell-Setup OOBE\\VMModeOptimizations\\SkipWinREInitialization = true",
		"specialize UnattendedJoin Identification\\Credentials\\Password = J0in-Me!",
		"specialize UnattendedJoin Identification\\JoinDomain = example.com",
		"specialize TCPIP Interfaces\\Interface\\Ipv4Settings\\DhcpEnabled = false",
		"specialize TCPIP Interfaces\\Interface\\UnicastIpAddresses\\IpAddress = 192.0.2.10/24",
		"specialize TCPIP Interfaces\\Interface\\Routes\\Route\\NextHopAddress = 192.0.2.1",
		"specialize DNS-Client Interfaces\\Interface\\DNSServerSearchOrder\\IpAddress = 2001:db8::53",
		"specialize Shell-Setup OEMInformation\\SupportProvider = p",
		"oobeSystem Shell-Setup LogonCommands\\AsynchronousCommand\\CommandLine = b",
		"oobeSystem Shell-Setup UserAccounts\\LocalAccounts\\LocalAccount\\Group = Administrators;Builders",
		"specialize Networking-MPSSVC-Svc FirewallGroups\\FirewallGroup\\Active = true",
	} {
		if !slices.Contains(flat(file), line) {
			t.Errorf("missing: %s", line)
		}
	}
	// The independent parser reads the same, and the linter agrees.
	compareCanonically(t, map[string][]byte{"everything": want}, map[string][]byte{"everything": got})
	vm := Context{CommandLine: &CommandLine{Generalize: true, OOBE: true, VMMode: true}, Architecture: "amd64"}
	if v := verdict(Lint(got, vm)); v != "skip-rearm:9 secret:34 deprecated:194" {
		t.Errorf("lint of what was built: %s", v)
	}
}

func TestBuildOfNothingIsAnEmptyAnswerFile(t *testing.T) {
	file, err := Build(Unattend{}, "arm64")
	if err != nil || len(file.Root.Children) != 0 || check("", file.Marshal()) != nil {
		t.Errorf("got %s, %v", file.Marshal(), err)
	}
}

func TestBuildRefusesContradictions(t *testing.T) {
	tests := []struct {
		name  string
		arch  string
		block Unattend
		says  string
	}{
		{"an unknown architecture", "x64", Unattend{}, "architecture"},
		{"two product keys", "amd64", Unattend{ProductKey: "secret-key", ProductKeyEdition: "Windows 11 Pro"}, "exclude each other"},
		{"an edition without a key", "amd64", Unattend{ProductKeyEdition: "Windows 11 Home"}, "no published volume licence key"},
		{"a command without path", "amd64", Unattend{RunSynchronous: []RunSynchronous{{}}}, "run_synchronous 1 has no path"},
		{"a logon command without command line", "amd64", Unattend{FirstLogonCommands: []FirstLogonCommand{{}}}, "first_logon_command 1"},
		{"an account without name", "amd64", Unattend{LocalAccounts: []LocalAccount{{}}}, "local_account 1"},
		{"a logon without user", "amd64", Unattend{AutoLogon: &AutoLogon{}}, "auto_logon"},
		{"a mode that does not exist", "amd64", Unattend{Audit: &Audit{DeploymentGeneralize: &DeploymentGeneralize{Mode: "x"}}}, "deployment_generalize has mode"},
		{"Reseal in specialize", "amd64", Unattend{Reseal: []Reseal{{Pass: Specialize, Mode: "oobe"}}}, "reseal is not valid in pass"},
		{"Reseal twice", "amd64", Unattend{Reseal: []Reseal{{Pass: AuditUser, Mode: "oobe"}, {Pass: AuditUser, Mode: "oobe"}}}, "twice"},
		{"a component without pass", "amd64", Unattend{Components: []ExtraComponent{{Name: "a"}}}, "pass"},
		{"a component with bad XML", "amd64", Unattend{Components: []ExtraComponent{{Name: "a", Pass: Specialize, XML: "<b>secret-key<c></b>"}}}, "bad xml on line 1"},
		{"a component that breaks out", "amd64", Unattend{Components: []ExtraComponent{{Name: "a", Pass: Specialize, XML: "</unattend><unattend>"}}}, "second root element"},
		{"a component with loose text", "amd64", Unattend{Components: []ExtraComponent{{Name: "a", Pass: Specialize, XML: "<b/>secret-key"}}}, "text outside of settings"},
		{"a line of SetupComplete that is two", "amd64", Unattend{SetupComplete: []string{"a", "b\nsecret-key"}}, "setup_complete 2"},
		{"a time zone of IANA", "amd64", Unattend{TimeZone: "Europe/Berlin"}, `write "W. Europe Standard Time"`},
		{"a join without a domain", "amd64", Unattend{DomainJoin: &DomainJoin{}}, "exactly one"},
		{"a join of two kinds", "amd64", Unattend{DomainJoin: &DomainJoin{Domain: "a", Workgroup: "b"}}, "exactly one"},
		{"a workgroup with a password", "amd64", Unattend{DomainJoin: &DomainJoin{Workgroup: "b", Password: "secret-key"}}, "for joining a domain"},
		{"a join without a password", "amd64", Unattend{DomainJoin: &DomainJoin{Domain: "a", Username: "b"}}, "both username and password"},
		{"an interface without name", "amd64", Unattend{NetworkInterfaces: []NetworkInterface{{}}}, "network_interface 1 has no identifier"},
		{"an address without prefix", "amd64", Unattend{NetworkInterfaces: []NetworkInterface{{Identifier: "a", Addresses: []string{"192.0.2.1"}}}}, "length of its prefix"},
		{"a gateway that is no address", "amd64", Unattend{NetworkInterfaces: []NetworkInterface{{Identifier: "a", Gateway: "router"}}}, `gateway "router"`},
		{"a name server that is no address", "amd64", Unattend{NetworkInterfaces: []NetworkInterface{{Identifier: "a", DNSServers: []string{"x"}}}}, `dns_servers "x"`},
		{"a logon command without command line, of each logon", "amd64", Unattend{LogonCommands: []FirstLogonCommand{{}}}, "logon_command 1"},
		{"a path that is no name", "amd64", Unattend{Components: []ExtraComponent{{Name: "a", Pass: Specialize, Settings: map[string]string{"a b": "x"}}}}, "path"},
		{"a character XML cannot hold", "amd64", Unattend{RegisteredOwner: "secret-key\x00"}, "control character"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, err := Build(tt.block, tt.arch)
			if err == nil || file != nil || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got %v, %v, want an error with %q", file, err, tt.says)
			}
			if strings.Contains(err.Error(), "secret-key") {
				t.Errorf("the error holds a value: %v", err)
			}
		})
	}
	_, err := Build(Unattend{ProductKeyEdition: "x", RunSynchronous: []RunSynchronous{{}}}, "x")
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v, want three errors at once", err)
	}
}

func TestSecretsOfABlockAreNotPrinted(t *testing.T) {
	block := Unattend{AdministratorPassword: "hunter2", LocalAccounts: []LocalAccount{{Password: "hunter2"}}}
	for _, format := range []string{"%v", "%+v", "%s", "%#v"} {
		if s := fmt.Sprintf(format, block); strings.Contains(s, "hunter2") {
			t.Errorf("%s prints the password: %s", format, s)
		}
	}
}

func TestMergeLaysTheOverlayOnTop(t *testing.T) {
	base, err := Parse([]byte(`<unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State">
<settings pass="specialize">
<component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64"><ComputerName>old</ComputerName><TimeZone>UTC</TimeZone></component>
<component name="Microsoft-Windows-Shell-Setup" processorArchitecture="x86"><ComputerName>old</ComputerName></component>
<component name="Microsoft-Windows-Deployment" processorArchitecture="amd64"><RunSynchronous>
<RunSynchronousCommand wcm:action="add"><Order>5</Order><Path>base</Path></RunSynchronousCommand></RunSynchronous></component>
</settings>
<settings pass="oobeSystem"><component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64">
<AutoLogon><Domain>lab</Domain><Username>old</Username></AutoLogon>
<OOBE><HideEULAPage>false</HideEULAPage><ProtectYourPC>1</ProtectYourPC></OOBE>
<UserAccounts><LocalAccounts><LocalAccount wcm:action="add"><Name>Ann</Name><Group>Users</Group></LocalAccount>
<LocalAccount wcm:action="add"><Name>eve</Name></LocalAccount></LocalAccounts></UserAccounts>
</component></settings>
<servicing/></unattend>`))
	if err != nil {
		t.Fatal(err)
	}
	before := string(base.Marshal())
	overlay, err := Build(Unattend{
		SkipRearm: yes, ComputerName: "new", TimeZone: "UTC", RunSynchronous: []RunSynchronous{{Path: "one"}, {Path: "two"}},
		OOBE: &OOBE{HideEULAPage: yes}, AutoLogon: &AutoLogon{Username: "ann"},
		LocalAccounts: []LocalAccount{{Name: "ann", Group: "Administrators"}, {Name: "bob"}},
	}, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	merged, notes := Merge(base, overlay)
	want := []string{
		"generalize Security-SPP SkipRearm = 1",
		"specialize Shell-Setup ComputerName = new",
		"specialize Shell-Setup TimeZone = UTC",
		"specialize Shell-Setup ComputerName = old",
		`specialize Deployment RunSynchronous\RunSynchronousCommand\Order = 5`,
		`specialize Deployment RunSynchronous\RunSynchronousCommand\Path = base`,
		`specialize Deployment RunSynchronous\RunSynchronousCommand\Order = 6`,
		`specialize Deployment RunSynchronous\RunSynchronousCommand\Path = one`,
		`specialize Deployment RunSynchronous\RunSynchronousCommand\Order = 7`,
		`specialize Deployment RunSynchronous\RunSynchronousCommand\Path = two`,
		`oobeSystem Shell-Setup AutoLogon\Enabled = true`,
		`oobeSystem Shell-Setup AutoLogon\LogonCount = 1`,
		`oobeSystem Shell-Setup AutoLogon\Username = ann`,
		`oobeSystem Shell-Setup OOBE\HideEULAPage = true`,
		`oobeSystem Shell-Setup OOBE\ProtectYourPC = 1`,
		`oobeSystem Shell-Setup UserAccounts\LocalAccounts\LocalAccount\Group = Administrators`,
		`oobeSystem Shell-Setup UserAccounts\LocalAccounts\LocalAccount\Name = ann`,
		`oobeSystem Shell-Setup UserAccounts\LocalAccounts\LocalAccount\Name = eve`,
		`oobeSystem Shell-Setup UserAccounts\LocalAccounts\LocalAccount\Name = bob`,
	}
	if got := flat(merged); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	wantNotes := []string{
		"line 3: replaced (specialize, Microsoft-Windows-Shell-Setup, ComputerName) [merge]",
		`the command runs after those of the base, as Order 6 (specialize, Microsoft-Windows-Deployment, RunSynchronous\RunSynchronousCommand) [merge]`,
		`the command runs after those of the base, as Order 7 (specialize, Microsoft-Windows-Deployment, RunSynchronous\RunSynchronousCommand) [merge]`,
		"line 9: replaced (oobeSystem, Microsoft-Windows-Shell-Setup, AutoLogon) [merge]",
		`line 10: replaced (oobeSystem, Microsoft-Windows-Shell-Setup, OOBE\HideEULAPage) [merge]`,
		`line 11: the item of the same name is replaced (oobeSystem, Microsoft-Windows-Shell-Setup, UserAccounts\LocalAccounts\LocalAccount) [merge]`,
	}
	var gotNotes []string
	for _, n := range notes {
		gotNotes = append(gotNotes, render.Statement(n))
	}
	if !slices.Equal(gotNotes, wantNotes) {
		t.Errorf("notes:\n%s", strings.Join(gotNotes, "\n"))
	}
	if string(base.Marshal()) != before || merged.Root.Child("servicing") == nil {
		t.Error("the base has changed, or lost its other elements")
	}
	if again, notes := Merge(merged, emptyFile()); !same(again.Root, merged.Root) || len(notes) != 0 {
		t.Error("an empty overlay changes something")
	}
}

func TestMergeReplacesItemsOfTheSameKey(t *testing.T) {
	base, err := Parse([]byte(wrap(Specialize, compDNS, `<Interfaces><Interface wcm:action="add"><Identifier>Ethernet</Identifier><DNSDomain>old</DNSDomain></Interface>
<Interface wcm:action="add"><Identifier>Other</Identifier></Interface></Interfaces><DNSSuffixSearchOrder><DomainName wcm:action="add" wcm:keyValue="1">old</DomainName>
<DomainName wcm:action="add" wcm:keyValue="2">stays</DomainName></DNSSuffixSearchOrder>`)))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := Build(Unattend{NetworkInterfaces: []NetworkInterface{{Identifier: "ETHERNET", DNSDomain: "new"}},
		Components: []ExtraComponent{{Pass: Specialize, Name: compDNS, XML: `<DNSSuffixSearchOrder><DomainName wcm:action="add" wcm:keyValue="1">new</DomainName></DNSSuffixSearchOrder>`}}}, "amd64")
	if err != nil {
		t.Fatal(err)
	}
	merged, notes := Merge(base, overlay)
	want := []string{
		`specialize DNS-Client Interfaces\Interface\Identifier = ETHERNET`, `specialize DNS-Client Interfaces\Interface\DNSDomain = new`,
		`specialize DNS-Client Interfaces\Interface\Identifier = Other`,
		`specialize DNS-Client DNSSuffixSearchOrder\DomainName = new`, `specialize DNS-Client DNSSuffixSearchOrder\DomainName = stays`,
	}
	if got := flat(merged); !slices.Equal(got, want) || len(notes) != 2 {
		t.Errorf("got %q, %v", got, notes)
	}
}

func TestMergeOntoEveryPublishedAnswerFileStaysReadable(t *testing.T) {
	files := corpusFiles(t)
	overlay, err := Build(everything(), "amd64")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		base, err := Parse(files[name])
		if err != nil {
			continue
		}
		merged, _ := Merge(base, overlay)
		if err := check(name, merged.Marshal()); err != nil {
			t.Error(err)
		}
		for _, f := range finding.Failed(Lint(merged.Marshal(), Context{}), finding.Fail) {
			if strings.Contains(f.ID, "duplicate") || f.ID == "order-credentials" || f.ID == "order-commands" {
				t.Errorf("%v: %v", name, f)
			}
		}
	}
}
