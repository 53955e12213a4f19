package sysprep

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding/render"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// decodeHCL reads options as Packer does.
func decodeHCL(t *testing.T, text string) (Config, error) {
	t.Helper()
	file, diags := hclparse.NewParser().ParseHCL([]byte(text), "t.pkr.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	value, diags := hcldec.Decode(file.Body, new(Provisioner).ConfigSpec(), nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	p := &Provisioner{}
	var err error
	for range 2 { // as Packer does
		err = p.Prepare(value, map[string]any{"packer_builder_type": "null"})
	}
	return p.config, err
}

// values lists what an answer file says as "pass component path = value". It
// decodes passwords.
func values(f *answerfile.File) (lines []string) {
	var visit func(at string, e *answerfile.Element)
	visit = func(at string, e *answerfile.Element) {
		if v := e.Child("Value"); v != nil && strings.HasSuffix(e.Name.Local, "Password") {
			plain, ok := answerfile.DecodePassword(v.Text, e.Name.Local)
			lines = append(lines, fmt.Sprintf("%s = %s (encoded %v)", at, plain, ok && e.Value("PlainText") == "false"))
			return
		}
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

const (
	shellOOBE = "oobeSystem Shell-Setup "
	account   = shellOOBE + `UserAccounts\LocalAccounts\LocalAccount\`
	logon     = shellOOBE + `AutoLogon\`
	command   = `RunSynchronous\RunSynchronousCommand\`
	first     = shellOOBE + `FirstLogonCommands\SynchronousCommand\`
	auditing  = "auditSystem Shell-Setup "
	join      = `specialize UnattendedJoin Identification\`
	tcpip     = `specialize TCPIP Interfaces\Interface\`
	dns       = `specialize DNS-Client Interfaces\Interface\`
	oem       = `specialize Shell-Setup OEMInformation\`
	each      = shellOOBE + `LogonCommands\AsynchronousCommand\`
)

// mapping has a line for every option of the block: where it ends up.
var mapping = []struct {
	option string // dots lead into blocks
	hcl    string
	want   []string
}{

	{"persist_all_device_installs", `persist_all_device_installs = true`, []string{"generalize PnpSysprep PersistAllDeviceInstalls = true"}},
	{"do_not_clean_up_non_present_devices", `do_not_clean_up_non_present_devices = false`, []string{"generalize PnpSysprep DoNotCleanUpNonPresentDevices = false"}},
	{"skip_rearm", `skip_rearm = true`, []string{"generalize Security-SPP SkipRearm = 1"}},
	{"computer_name", `computer_name = "*"`, []string{"specialize Shell-Setup ComputerName = *"}},
	{"copy_profile", `copy_profile = true`, []string{"specialize Shell-Setup CopyProfile = true"}},
	{"product_key", `product_key = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"`, []string{"specialize Shell-Setup ProductKey = AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"}},
	{"product_key_edition", `product_key_edition = "windows server 2022 datacenter"`, []string{"specialize Shell-Setup ProductKey = WX4NM-KYWYW-QJJR4-XV3QB-6VM33"}},
	{"time_zone", `time_zone = "UTC"`, []string{"specialize Shell-Setup TimeZone = UTC"}},
	{"registered_owner", `registered_owner = "A & B"`, []string{"specialize Shell-Setup RegisteredOwner = A & B"}},
	{"registered_organization", `registered_organization = "O"`, []string{"specialize Shell-Setup RegisteredOrganization = O"}},
	{"skip_auto_activation", `skip_auto_activation = true`, []string{"specialize Security-SPP-UX SkipAutoActivation = true"}},
	{"extend_os_partition", `extend_os_partition = true`, []string{`specialize Deployment ExtendOSPartition\Extend = true`}},
	{"run_synchronous.path", "run_synchronous {\n path = \"a\"\n}\n run_synchronous {\n path = \"b\"\n}", []string{
		"specialize Deployment " + command + "Order = 1", "specialize Deployment " + command + "Path = a",
		"specialize Deployment " + command + "Order = 2", "specialize Deployment " + command + "Path = b"}},
	{"run_synchronous.description", "run_synchronous {\n path = \"a\"\n description = \"d\"\n}", []string{"specialize Deployment " + command + "Description = d"}},
	{"run_synchronous.will_reboot", "run_synchronous {\n path = \"a\"\n will_reboot = \"Never\"\n}", []string{"specialize Deployment " + command + "WillReboot = Never"}},
	{"locale.input_locale", "locale {\n input_locale = \"0409:00000409\"\n}", []string{"oobeSystem International-Core InputLocale = 0409:00000409"}},
	{"locale.system_locale", "locale {\n system_locale = \"en-US\"\n}", []string{"oobeSystem International-Core SystemLocale = en-US"}},
	{"locale.ui_language", "locale {\n ui_language = \"en-US\"\n}", []string{"oobeSystem International-Core UILanguage = en-US"}},
	{"locale.ui_language_fallback", "locale {\n ui_language_fallback = \"en-GB\"\n}", []string{"oobeSystem International-Core UILanguageFallback = en-GB"}},
	{"locale.user_locale", "locale {\n user_locale = \"de-DE\"\n}", []string{"oobeSystem International-Core UserLocale = de-DE"}},
	{"oobe.hide_eula_page", "oobe {\n hide_eula_page = true\n}", []string{shellOOBE + `OOBE\HideEULAPage = true`}},
	{"oobe.hide_local_account_screen", "oobe {\n hide_local_account_screen = true\n}", []string{shellOOBE + `OOBE\HideLocalAccountScreen = true`}},
	{"oobe.hide_oem_registration_screen", "oobe {\n hide_oem_registration_screen = true\n}", []string{shellOOBE + `OOBE\HideOEMRegistrationScreen = true`}},
	{"oobe.hide_online_account_screens", "oobe {\n hide_online_account_screens = true\n}", []string{shellOOBE + `OOBE\HideOnlineAccountScreens = true`}},
	{"oobe.hide_wireless_setup_in_oobe", "oobe {\n hide_wireless_setup_in_oobe = false\n}", []string{shellOOBE + `OOBE\HideWirelessSetupInOOBE = false`}},
	{"oobe.network_location", "oobe {\n network_location = \"Work\"\n}", []string{shellOOBE + `OOBE\NetworkLocation = Work`}},
	{"oobe.protect_your_pc", "oobe {\n protect_your_pc = 3\n}", []string{shellOOBE + `OOBE\ProtectYourPC = 3`}},
	{"vm_mode_optimizations.skip_administrator_profile_removal", "vm_mode_optimizations {\n skip_administrator_profile_removal = true\n}",
		[]string{shellOOBE + `OOBE\VMModeOptimizations\SkipAdministratorProfileRemoval = true`}},
	{"vm_mode_optimizations.skip_notify_ui_language_change", "vm_mode_optimizations {\n skip_notify_ui_language_change = true\n}",
		[]string{shellOOBE + `OOBE\VMModeOptimizations\SkipNotifyUILanguageChange = true`}},
	{"vm_mode_optimizations.skip_winre_initialization", "vm_mode_optimizations {\n skip_winre_initialization = true\n}",
		[]string{shellOOBE + `OOBE\VMModeOptimizations\SkipWinREInitialization = true`}},
	{"administrator_password", `administrator_password = "{{P@ss}}"`, []string{shellOOBE + `UserAccounts\AdministratorPassword = {{P@ss}} (encoded true)`}},
	{"local_account.name", "local_account {\n name = \"ann\"\n}\n local_account {\n name = \"bob\"\n}", []string{account + "Name = ann", account + "Name = bob"}},
	{"local_account.password", "local_account {\n name = \"ann\"\n password = \"a<b\"\n}", []string{account + "Password = a<b (encoded true)", account + "Name = ann"}},
	{"local_account.group", "local_account {\n name = \"ann\"\n group = \"Users\"\n}", []string{account + "Group = Users"}},
	{"local_account.group", "local_account {\n name = \"ann\"\n group = \"S-1-5-32-555\"\n}", []string{account + "Group = RemoteDesktopUsers"}},
	{"local_account.display_name", "local_account {\n name = \"ann\"\n display_name = \"Ann\"\n}", []string{account + "DisplayName = Ann"}},
	{"local_account.description", "local_account {\n name = \"ann\"\n description = \"D\"\n}", []string{account + "Description = D"}},
	{"auto_logon.username", "auto_logon {\n username = \"ann\"\n}", []string{logon + "Enabled = true", logon + "LogonCount = 1", logon + "Username = ann"}},
	{"auto_logon.domain", "auto_logon {\n username = \"ann\"\n domain = \".\"\n}", []string{logon + "Domain = ."}},
	{"auto_logon.password", "auto_logon {\n username = \"ann\"\n password = \"p\"\n}", []string{logon + "Password = p (encoded true)"}},
	{"auto_logon.logon_count", "auto_logon {\n username = \"ann\"\n logon_count = 3\n}", []string{logon + "LogonCount = 3"}},
	{"first_logon_command.command_line", "first_logon_command {\n command_line = \"a\"\n}\n first_logon_command {\n command_line = \"b\"\n}", []string{
		first + "CommandLine = a", first + "Order = 1", first + "CommandLine = b", first + "Order = 2"}},
	{"first_logon_command.description", "first_logon_command {\n command_line = \"a\"\n description = \"d\"\n}", []string{first + "Description = d"}},
	{"first_logon_command.requires_user_input", "first_logon_command {\n command_line = \"a\"\n requires_user_input = false\n}", []string{first + "RequiresUserInput = false"}},
	{"domain_join.domain", "domain_join {\n domain = \"example.com\"\n \n}", []string{join + "JoinDomain = example.com"}},
	{"domain_join.workgroup", "domain_join {\n workgroup = \"LAB\"\n}", []string{join + "JoinWorkgroup = LAB"}},
	{"domain_join.machine_object_ou", "domain_join {\n domain = \"example.com\"\n machine_object_ou = \"OU=a\"\n}", []string{join + "MachineObjectOU = OU=a"}},
	{"domain_join.username", "domain_join {\n domain = \"example.com\"\n username = \"u\"\n password = \"p<1\"\n}", []string{join + `Credentials\Domain = example.com`, join + `Credentials\Username = u`}},
	{"domain_join.password", "domain_join {\n domain = \"example.com\"\n username = \"u\"\n password = \"p<1\"\n}", []string{join + `Credentials\Password = p<1`}},
	{"domain_join.user_domain", "domain_join {\n domain = \"example.com\"\n username = \"u\"\n password = \"p<1\"\n user_domain = \"other\"\n}", []string{join + `Credentials\Domain = other`}},
	{"domain_join.account_data", "domain_join {\n account_data = \"AAA\"\n}", []string{join + `Provisioning\AccountData = AAA`}},
	{"domain_join.unsecure_join", "domain_join {\n domain = \"example.com\"\n unsecure_join = true\n}", []string{join + "UnsecureJoin = true"}},
	{"network_interface.identifier", "network_interface {\n identifier = \"Ethernet\"\n dhcp = true\n}", []string{tcpip + "Identifier = Ethernet"}},
	{"network_interface.addresses", "network_interface {\n identifier = \"Ethernet\"\n addresses = [\"192.0.2.1/24\", \"2001:db8::1/64\"]\n}", []string{tcpip + `UnicastIpAddresses\IpAddress = 192.0.2.1/24`, tcpip + `UnicastIpAddresses\IpAddress = 2001:db8::1/64`, tcpip + `Ipv4Settings\DhcpEnabled = false`}},
	{"network_interface.dhcp", "network_interface {\n identifier = \"Ethernet\"\n dhcp = true\n addresses = [\"192.0.2.1/24\"]\n}", []string{tcpip + `Ipv4Settings\DhcpEnabled = true`}},
	{"network_interface.gateway", "network_interface {\n identifier = \"Ethernet\"\n gateway = \"2001:db8::2\"\n}", []string{tcpip + `Routes\Route\NextHopAddress = 2001:db8::2`, tcpip + `Routes\Route\Prefix = ::/0`}},
	{"network_interface.dns_servers", "network_interface {\n identifier = \"Ethernet\"\n dns_servers = [\"192.0.2.53\"]\n}", []string{dns + "Identifier = Ethernet", dns + `DNSServerSearchOrder\IpAddress = 192.0.2.53`}},
	{"network_interface.dns_domain", "network_interface {\n identifier = \"Ethernet\"\n dns_domain = \"d\"\n}", []string{dns + "DNSDomain = d"}},
	{"oem_information.manufacturer", "oem_information {\n manufacturer = \"x\"\n}", []string{oem + "Manufacturer = x"}},
	{"oem_information.model", "oem_information {\n model = \"x\"\n}", []string{oem + "Model = x"}},
	{"oem_information.support_provider", "oem_information {\n support_provider = \"x\"\n}", []string{oem + "SupportProvider = x"}},
	{"oem_information.support_url", "oem_information {\n support_url = \"x\"\n}", []string{oem + "SupportURL = x"}},
	{"oem_information.support_app_url", "oem_information {\n support_app_url = \"x\"\n}", []string{oem + "SupportAppURL = x"}},
	{"oem_information.support_phone", "oem_information {\n support_phone = \"x\"\n}", []string{oem + "SupportPhone = x"}},
	{"oem_information.support_hours", "oem_information {\n support_hours = \"x\"\n}", []string{oem + "SupportHours = x"}},
	{"logon_command.command_line", "logon_command {\n command_line = \"a\"\n}", []string{each + "CommandLine = a", each + "Order = 1"}},
	{"logon_command.description", "logon_command {\n command_line = \"a\"\n description = \"d\"\n}", []string{each + "Description = d"}},
	{"logon_command.requires_user_input", "logon_command {\n command_line = \"a\"\n requires_user_input = true\n}", []string{each + "RequiresUserInput = true"}},
	{"setup_complete", "setup_complete = [\"echo done\"]\n computer_name = \"*\"", []string{"specialize Shell-Setup ComputerName = *"}},
	{"audit.administrator_password", "audit {\n administrator_password = \"p\"\n}", []string{auditing + `UserAccounts\AdministratorPassword = p (encoded true)`}},
	{"audit.auto_logon.username", "audit {\n auto_logon {\n username = \"ann\"\n}\n}", []string{auditing + `AutoLogon\Username = ann`}},
	{"audit.auto_logon.domain", "audit {\n auto_logon {\n username = \"ann\"\n domain = \"d\"\n}\n}", []string{auditing + `AutoLogon\Domain = d`}},
	{"audit.auto_logon.password", "audit {\n auto_logon {\n username = \"ann\"\n password = \"p\"\n}\n}", []string{auditing + `AutoLogon\Password = p (encoded true)`}},
	{"audit.auto_logon.logon_count", "audit {\n auto_logon {\n username = \"ann\"\n logon_count = 2\n}\n}", []string{auditing + `AutoLogon\LogonCount = 2`}},
	{"audit.run_synchronous.path", "audit {\n run_synchronous {\n path = \"a\"\n}\n}", []string{"auditUser Deployment " + command + "Path = a"}},
	{"audit.run_synchronous.description", "audit {\n run_synchronous {\n path = \"a\"\n description = \"d\"\n}\n}", []string{"auditUser Deployment " + command + "Description = d"}},
	{"audit.run_synchronous.will_reboot", "audit {\n run_synchronous {\n path = \"a\"\n will_reboot = \"Always\"\n}\n}", []string{"auditUser Deployment " + command + "WillReboot = Always"}},
	{"audit.deployment_generalize.mode", "audit {\n deployment_generalize {\n mode = \"oobe\"\n}\n}", []string{`auditUser Deployment Generalize\Mode = OOBE`}},
	{"audit.deployment_generalize.force_shutdown_now", "audit {\n deployment_generalize {\n mode = \"audit\"\n force_shutdown_now = true\n}\n}", []string{
		`auditUser Deployment Generalize\ForceShutdownNow = true`, `auditUser Deployment Generalize\Mode = Audit`}},
	{"reseal.pass", "reseal {\n pass = \"auditUser\"\n mode = \"oobe\"\n}\n reseal {\n pass = \"oobeSystem\"\n mode = \"audit\"\n}", []string{
		`auditUser Deployment Reseal\Mode = OOBE`, `oobeSystem Deployment Reseal\Mode = Audit`}},
	{"reseal.mode", "reseal {\n pass = \"auditSystem\"\n mode = \"audit\"\n}", []string{`auditSystem Deployment Reseal\Mode = Audit`}},
	{"reseal.force_shutdown_now", "reseal {\n pass = \"auditSystem\"\n mode = \"audit\"\n force_shutdown_now = true\n}", []string{`auditSystem Deployment Reseal\ForceShutdownNow = true`}},
	{"component.pass", "component {\n pass = \"specialize\"\n name = \"X\"\n settings = { A = \"1\" }\n}", []string{"specialize X A = 1"}},
	{"component.name", "component {\n pass = \"oobeSystem\"\n name = \"Microsoft-Windows-Shell-Setup\"\n settings = { B = \"1\" }\n}", []string{shellOOBE + "B = 1"}},
	{"component.settings", "component {\n pass = \"oobeSystem\"\n name = \"X\"\n settings = { \"Display\\\\ColorDepth\" = 32, \"Display\\\\RefreshRate\" = 60 }\n}", []string{
		`oobeSystem X Display\ColorDepth = 32`, `oobeSystem X Display\RefreshRate = 60`}},
	{"component.xml", "component {\n pass = \"specialize\"\n name = \"X\"\n xml = \"<A><B>{{ c }}</B></A>\"\n}", []string{`specialize X A\B = {{ c }}`}},
}

func TestEveryOptionOfTheBlockReachesItsSetting(t *testing.T) {
	covered := map[string]bool{}
	for _, m := range mapping {
		covered[m.option] = true
		t.Run(m.option, func(t *testing.T) {
			c, err := decodeHCL(t, "unattend {\n "+m.hcl+"\n}")
			if err != nil {
				t.Fatal(err)
			}
			file, err := answerfile.Parse(c.answer.content)
			if err != nil {
				t.Fatal(err)
			}
			got := values(file)
			for _, w := range m.want {
				if !slices.Contains(got, w) {
					t.Errorf("%q is not in %q", w, got)
				}
			}
		})
	}
	var visit func(at string, spec hcldec.Spec)
	visit = func(at string, spec hcldec.Spec) {
		switch s := spec.(type) {
		case hcldec.ObjectSpec:
			for name, inner := range s {
				visit(at+"."+name, inner)
			}
		case *hcldec.BlockSpec:
			visit(at, s.Nested)
		case *hcldec.BlockListSpec:
			visit(at, s.Nested)
		default:
			if name := strings.TrimPrefix(at, "."); !covered[name] {
				t.Errorf("no test says where %s ends up", name)
			}
		}
	}
	visit("", new(Provisioner).ConfigSpec()["unattend"])
}

func TestTheBlockComesFromHCLAndFromJSON(t *testing.T) {
	fromHCL, err := decodeHCL(t, `unattend {
		computer_name          = "*"
		administrator_password = "{{p}}"
		extend_os_partition    = true
		oobe {
			protect_your_pc = 3
		}
		local_account {
			name     = "ann"
			password = "p2"
		}
		component {
			pass     = "specialize"
			name     = "X"
			settings = { A = "1" }
		}
	}`)
	if err != nil {
		t.Fatal(err)
	}
	// As it comes from Packer: maps of anything, texts as bytes, user variables.
	type m = map[any]any
	fromJSON, err := decode(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = fromJSON.decode(m{"unattend": m{
		"computer_name": []uint8("*"), "administrator_password": []uint8("{{`{{`}}{{ user `password` }}}}"), "extend_os_partition": "true",
		"oobe": m{"protect_your_pc": 3}, "local_account": []any{m{"name": "ann", "password": "p2"}},
		"component": m{"pass": "specialize", "name": "X", "settings": m{"A": 1}},
	}}, m{"packer_user_variables": m{"password": "p"}})
	if err != nil {
		t.Fatal(err)
	}
	if string(fromHCL.answer.content) != string(fromJSON.answer.content) {
		t.Errorf("from HCL\n%s\nfrom JSON\n%s", fromHCL.answer.content, fromJSON.answer.content)
	}
	if !slices.Contains(values(fromHCL.answer.file), shellOOBE+`UserAccounts\AdministratorPassword = {{p}} (encoded true)`) {
		t.Errorf("got %q", values(fromHCL.answer.file))
	}
}

func TestTheBlockIsLaidOnTopOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "base.xml")
	if err := os.WriteFile(path, []byte(testAnswer), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{fmt.Sprintf("answer_file = %q", path), fmt.Sprintf("answer_file_content = %q", testAnswer)} {
		c, err := decodeHCL(t, base+"\nunattend {\n computer_name = \"*\"\n administrator_password = \"N3w-Secret\"\n}")
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"specialize Shell-Setup ComputerName = *", shellOOBE + `UserAccounts\AdministratorPassword = N3w-Secret (encoded true)`}
		if got := values(c.answer.file); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		if len(c.answer.notes) != 1 || !strings.Contains(render.Statement(c.answer.notes[0]), "line 5: replaced") || strings.Contains(render.Statement(c.answer.notes[0]), "Secret") {
			t.Errorf("got %v", c.answer.notes)
		}
	}
}

func TestWhatTheCommandLineDoesCountsForTheLinter(t *testing.T) {
	const text = "unattend {\n vm_mode_optimizations {\n skip_winre_initialization = true\n}\n}"
	for options, want := range map[string]bool{"": true, "vm_mode = true\n": false} {
		c, err := decodeHCL(t, options+text)
		if err != nil {
			t.Fatal(err)
		}
		warned := slices.ContainsFunc((&run{config: c}).answerWarnings("amd64"), func(w string) bool { return strings.Contains(w, "[vm-mode]") })
		if warned != want {
			t.Errorf("%q: warned %v", options, warned)
		}
	}
}

func TestTheBlockIsBuiltForTheArchitectureOfTheGuest(t *testing.T) {
	c, err := decodeHCL(t, "unattend {\n computer_name = \"*\"\n}")
	if err != nil {
		t.Fatal(err)
	}
	for _, architecture := range []string{"arm64", "x86", "amd64"} {
		r := &run{config: c}
		if err := r.buildAnswer(architecture); err != nil {
			t.Fatal(err)
		}
		if text := string(r.config.answer.content); strings.Count(text, `processorArchitecture="`+architecture+`"`) != 1 {
			t.Errorf("%s: %s", architecture, text)
		}
		if w := r.answerWarnings(architecture); len(w) != 1 || !strings.Contains(w[0], "[oobe-attended]") {
			t.Errorf("%s: %q", architecture, w)
		}
	}
	wantError(t, (&run{config: c}).buildAnswer(""), "[not-started] sysprep was not started, the machine is untouched: the guest does not say whether it is amd64, x86 or arm64", "; next: use answer_file instead of unattend")
}

func TestAFileForAnotherArchitectureIsWarnedOf(t *testing.T) {
	c, err := decode(t, map[string]any{"answer_file_content": testAnswer})
	if err != nil {
		t.Fatal(err)
	}
	want(t, strings.Join((&run{config: c}).answerWarnings("arm64"), "\n"), "answer file answer_file_content, line 4: for amd64 only: the arm64 guest silently ignores all its settings")
}

func TestThePageOnAnswerFilesNamesEveryOption(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(testutil.Root(), "docs", "answer-files.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mapping {
		name := m.option[strings.LastIndexByte(m.option, '.')+1:]
		if text := string(page); !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, "."+name+"`") {
			t.Errorf("%s is not on the page", m.option)
		}
	}
}
