package sysprep

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclparse"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

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

func problems(err error) (lines []string) {
	var all *packersdk.MultiError
	if !errors.As(err, &all) {
		return []string{fmt.Sprint(err)}
	}
	for _, one := range all.Errors {
		lines = append(lines, one.Error())
	}
	return lines
}

const secretText = "Ver7-Secret<&>Value"

func TestAWrongBlockIsRefusedWithTheFixAndWithoutSecrets(t *testing.T) {
	long := strings.Repeat("x", 260)
	for _, test := range []struct {
		name, hcl string
		want      []string // each begins one error, in order
	}{
		{"an empty block", ``, []string{"unattend: the block holds no setting; write one, or remove the block"}},
		{"a long computer name", `computer_name = "SIXTEEN-LETTERS-"`, []string{"unattend: the computer name has 16 bytes, Windows allows 15 (specialize, Microsoft-Windows-Shell-Setup, ComputerName); write *"}},
		{"a computer name of digits", `computer_name = "123"`, []string{"unattend: the computer name has only digits"}},
		{"a key that is none", `product_key = "` + secretText + `"`, []string{"unattend: not in the form of a product key"}},
		{"an edition without a key", `product_key_edition = "Windows 95"`, []string{`unattend: product_key_edition "Windows 95" has no published volume licence key`}},
		{"two keys", "product_key = \"" + secretText + "\"\n product_key_edition = \"Windows 10 Pro\"", []string{"unattend: product_key and product_key_edition exclude each other"}},
		{"a command without a path", "run_synchronous {\n description = \"d\"\n}", []string{"unattend: run_synchronous 1 has no path: set the command line to run"}},
		{"a long command", "run_synchronous {\n path = \"" + long + "\"\n}", []string{"unattend: 260 characters, Windows allows 259"}},
		{"a restart that is no value", "run_synchronous {\n path = \"a\"\n will_reboot = \"maybe\"\n}", []string{"unattend: not one of the values of this setting (specialize, Microsoft-Windows-Deployment, RunSynchronous\\RunSynchronousCommand\\WillReboot); write Always or OnRequest or Never"}},
		{"an account without a name", "local_account {\n password = \"" + secretText + "\"\n}", []string{"unattend: local_account 1 has no name: set one"}},
		{"a logon without a name", "auto_logon {\n password = \"" + secretText + "\"\n}", []string{"unattend: auto_logon has no username: set one"}},
		{"a privacy choice that is none", "oobe {\n protect_your_pc = 7\n}", []string{"unattend: not one of the values of this setting (oobeSystem, Microsoft-Windows-Shell-Setup, OOBE\\ProtectYourPC); write 1 or 2 or 3"}},
		{"a reseal in a wrong pass", "reseal {\n pass = \"specialize\"\n mode = \"oobe\"\n}", []string{`unattend: reseal is not valid in pass "specialize": use auditSystem, auditUser, oobeSystem`}},
		{"two reseals in a pass", "reseal {\n pass = \"auditUser\"\n mode = \"oobe\"\n}\n reseal {\n pass = \"auditUser\"\n mode = \"oobe\"\n}", []string{"unattend: reseal stands twice for pass auditUser: keep one"}},
		{"a mode that is none", "audit {\n deployment_generalize {\n mode = \"later\"\n}\n}", []string{`unattend: deployment_generalize has mode "later": use oobe or audit`}},
		{"a component without a pass", "component {\n name = \"X\"\n}", []string{`unattend: component "X" needs a name and a pass`}},
		{"XML that is none", "component {\n name = \"X\"\n pass = \"specialize\"\n xml = \"<a>" + secretText + "</a>\"\n}", []string{`unattend: component "X" has bad xml in line 1`}},
		{"a setting in a wrong pass", "component {\n name = \"Microsoft-Windows-Shell-Setup\"\n pass = \"oobeSystem\"\n settings = { ComputerName = \"a\" }\n}",
			[]string{"unattend: the setting is not valid in pass oobeSystem (oobeSystem, Microsoft-Windows-Shell-Setup, ComputerName); move it to pass specialize"}},
		{"a control character", `registered_owner = "a\u0007` + secretText + `"`, []string{"unattend: building answer file"}},
		{"several at once", "computer_name = \"123\"\n oobe {\n protect_your_pc = 7\n}", []string{"unattend: not one of the values", "unattend: the computer name has only digits"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := decodeHCL(t, "unattend {\n "+test.hcl+"\n}")
			if got := problems(err); !slices.EqualFunc(got, test.want, strings.HasPrefix) || strings.Contains(fmt.Sprint(err), "Ver7-Secret") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestAWrongBlockInJSONShowsNoValue(t *testing.T) {
	type m = map[string]any
	for _, test := range []struct {
		name    string
		options m
		want    string
	}{
		{"a password that is a map", m{"unattend": m{"administrator_password": m{"x": secretText}}}, "reading the options: unattend.administrator_password: the value is not of the kind"},
		{"a password that is a list", m{"unattend": m{"local_account": []any{m{"name": "a", "password": []any{secretText, 1}}}}}, "reading the options: unattend.local_account[0].password: the value is not of the kind"},
		{"a switch that is a password", m{"unattend": m{"copy_profile": secretText}}, "reading the options: unattend"},
		{"a number that is a password", m{"unattend": m{"auto_logon": m{"username": "a", "logon_count": secretText}}}, "reading the options: unattend.auto_logon.logon_count: the value is not of the kind"},
		{"an option that does not exist", m{"unattend": m{"admin_password": secretText}}, "reading the options: unattend.admin_password: there is no such option"},
		{"an option of a block that does not exist", m{"unattend": m{"local_account": []any{m{"name": "a", "pass": secretText}}}}, "reading the options: unattend.local_account[0].pass: there is no such option"},
		{"a text instead of the block", m{"unattend": secretText}, "reading the options: unattend: it is no block"},
		{"a template that is none", m{"unattend": m{"administrator_password": "{{" + secretText}}, "reading the options: unattend: a text holds a template"},
		{"a value of the build", m{"unattend": m{"administrator_password": "{{ build `Password` }}" + secretText}}, "reading the options: unattend: a text holds a template"},
		{"the elevated password as a list", m{"elevated_password": []any{secretText, m{}}}, "reading the options: elevated_password: it is no text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := decode(t, test.options)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "Ver7-Secret") {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
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

func TestProblemsOfTheFileAndOfTheBlockAreToldApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "base.xml")
	base := strings.Replace(testAnswer, "<UserAccounts>", "<OOBE><ProtectYourPC>9</ProtectYourPC></OOBE><UserAccounts>", 1)
	if err := os.WriteFile(path, []byte(base), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := decodeHCL(t, fmt.Sprintf("answer_file = %q\nunattend {\n computer_name = \"123\"\n}", path))
	want := []string{"unattend: the computer name has only digits", "answer file " + path + ", line 5: not one of the values of this setting"}
	if got := problems(err); !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got %q", got)
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
		if w := r.answerWarnings(architecture); len(w) != 0 {
			t.Errorf("%s: %q", architecture, w)
		}
	}
	wantError(t, (&run{config: c}).buildAnswer(""), "the guest does not say whether it is amd64, x86 or arm64", "the machine is untouched")
}

func TestAFileForAnotherArchitectureIsWarnedOf(t *testing.T) {
	c, err := decode(t, map[string]any{"answer_file_content": testAnswer})
	if err != nil {
		t.Fatal(err)
	}
	want(t, strings.Join((&run{config: c}).answerWarnings("arm64"), "\n"), "answer file answer_file_content, line 4: for amd64 only: the arm64 guest silently ignores all its settings")
}

func TestABlockThatIsNotKnownYetIsNotRefused(t *testing.T) {
	for _, block := range []string{
		`administrator_password = "<unknown>"`, `computer_name = "<unknown>-with-a-long-name"`, `product_key = "<unknown>"`,
		`product_key_edition = "<unknown>"`, "reseal {\n pass = \"<unknown>\"\n mode = \"<unknown>\"\n}", "local_account {\n name = \"<unknown>\"\n}",
		"component {\n pass = \"specialize\"\n name = \"Microsoft-Windows-Shell-Setup\"\n settings = { ComputerName = \"<unknown>\" }\n}",
		"audit {\n deployment_generalize {\n mode = \"<unknown>\"\n}\n}", "oobe {\n network_location = \"<unknown>\"\n}",
	} {
		if _, err := decodeHCL(t, "unattend {\n "+block+"\n}"); err != nil {
			t.Errorf("%s: %v", block, err)
		}
	}
	if _, err := decodeHCL(t, "answer_file = \"<unknown>\"\nunattend {\n computer_name = \"*\"\n}"); err != nil {
		t.Error(err)
	}
	// What is known is judged all the same.
	if _, err := decodeHCL(t, "unattend {\n computer_name = \"123\"\n administrator_password = \"<unknown>\"\n}"); err == nil {
		t.Error("a bad name beside an unknown password passes")
	}
}

func TestSecretsOfTheBlockAreHiddenInEveryForm(t *testing.T) {
	c, err := decodeHCL(t, fmt.Sprintf(`unattend {
		administrator_password = %q
		product_key            = "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE"
		auto_logon {
			username = "ann"
			password = "An0ther-Secret"
		}
	}`, secretText))
	if err != nil {
		t.Fatal(err)
	}
	scrub := newScrubber(c.secrets())
	for _, secret := range []string{
		secretText, "Ver7-Secret&lt;&amp;&gt;Value", "An0ther-Secret", "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE",
		answerfile.EncodePassword(secretText, "AdministratorPassword"), answerfile.EncodePassword("An0ther-Secret", "Password"),
	} {
		if got := scrub.text("x " + secret + " y"); got != "x <sensitive> y" {
			t.Errorf("got %q", got)
		}
	}
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
