package sysprep

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
)

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
		{"a long computer name", `computer_name = "SIXTEEN-LETTERS-"`, []string{"unattend.computer_name: the computer name has 16 bytes, Windows allows 15 (specialize, Microsoft-Windows-Shell-Setup, ComputerName); write *"}},
		{"a computer name of digits", `computer_name = "123"`, []string{"unattend.computer_name: the computer name has only digits"}},
		{"a key that is none", `product_key = "` + secretText + `"`, []string{"unattend.product_key: not in the form of a product key"}},
		{"an edition without a key", `product_key_edition = "Windows 95"`, []string{`unattend: product_key_edition "Windows 95" has no published volume licence key`}},
		{"two keys", "product_key = \"" + secretText + "\"\n product_key_edition = \"Windows 10 Pro\"", []string{"unattend: product_key and product_key_edition exclude each other"}},
		{"a command without a path", "run_synchronous {\n description = \"d\"\n}", []string{"unattend: run_synchronous 1 has no path: set the command line to run"}},
		{"a long command", "run_synchronous {\n path = \"" + long + "\"\n}", []string{"unattend: 260 characters, Windows allows 259"}},
		{"a restart that is no value", "run_synchronous {\n path = \"a\"\n will_reboot = \"maybe\"\n}", []string{"unattend: not one of the values of this setting (specialize, Microsoft-Windows-Deployment, RunSynchronous\\RunSynchronousCommand\\WillReboot); write Always or OnRequest or Never"}},
		{"an account without a name", "local_account {\n password = \"" + secretText + "\"\n}", []string{"unattend: local_account 1 has no name: set one"}},
		{"a logon without a name", "auto_logon {\n password = \"" + secretText + "\"\n}", []string{"unattend: auto_logon has no username: set one"}},
		{"a privacy choice that is none", "oobe {\n protect_your_pc = 7\n}", []string{"unattend: not one of the values of this setting (oobeSystem, Microsoft-Windows-Shell-Setup, OOBE\\ProtectYourPC); write 1 or 2 or 3"}},
		{"a reseal in a wrong pass", "reseal {\n pass = \"specialize\"\n mode = \"oobe\"\n}", []string{`unattend: reseal is not valid in pass "specialize": use auditSystem, auditUser, oobeSystem`}},
		{"two reseals in a pass", "reseal {\n pass = \"auditUser\"\n mode = \"oobe\"\n}\n reseal {\n pass = \"auditUser\"\n mode = \"oobe\"\n}", []string{"unattend: reseal appears twice for pass auditUser: keep one"}},
		{"a mode that is none", "audit {\n deployment_generalize {\n mode = \"later\"\n}\n}", []string{`unattend: deployment_generalize has mode "later": use oobe or audit`}},
		{"a component without a pass", "component {\n name = \"X\"\n}", []string{`unattend: component "X" needs a name and a pass`}},
		{"XML that is none", "component {\n name = \"X\"\n pass = \"specialize\"\n xml = \"<a>" + secretText + "</a>\"\n}", []string{`unattend: component "X" has bad xml on line 1`}},
		{"a setting in a wrong pass", "component {\n name = \"Microsoft-Windows-Shell-Setup\"\n pass = \"oobeSystem\"\n settings = { ComputerName = \"a\" }\n}",
			[]string{"unattend: the setting is not valid in pass oobeSystem; Windows Setup refuses the whole file for it (0x80220001) (oobeSystem, Microsoft-Windows-Shell-Setup, ComputerName); move it to pass specialize"}},
		{"a control character", `registered_owner = "a\u0007` + secretText + `"`, []string{"unattend: building answer file"}},
		{"a time zone of IANA", `time_zone = "Europe/Berlin"`, []string{`unattend: time_zone is a name of IANA, which Windows does not know: write "W. Europe Standard Time"`}},
		{"a time zone that does not exist", `time_zone = "W. Europe Standard Tim"`, []string{"unattend.time_zone: not a time zone that Windows knows (specialize, Microsoft-Windows-Shell-Setup, TimeZone); write W. Europe Standard Time"}},
		{"a language that is written differently", "locale {\n ui_language = \"en-UK\"\n}", []string{"unattend.locale.ui_language: there is no such region (oobeSystem, Microsoft-Windows-International-Core, UILanguage); write en-GB"}},
		{"a name that Windows refuses", "local_account {\n name = \"a@b\"\n}", []string{"unattend: the account name has a character that is not allowed"}},
		{"a name that belongs elsewhere", "component {\n name = \"Microsoft-Windows-Deployment\"\n pass = \"oobeSystem\"\n settings = { \"OOBE\\\\HideEULAPage\" = \"true\" }\n}",
			[]string{"unattend: OOBE is not a setting of Microsoft-Windows-Deployment in oobeSystem"}},
		{"two ways to join", "domain_join {\n domain = \"a\"\n workgroup = \"b\"\n}", []string{"unattend: domain_join needs one of"}},
		{"a line that is two", `setup_complete = ["a\nb"]`, []string{"unattend: setup_complete 1 is empty or holds a line break"}},
		{"several at once", "computer_name = \"123\"\n oobe {\n protect_your_pc = 7\n}", []string{"unattend: not one of the values", "unattend.computer_name: the computer name has only digits"}},
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
		{"a password that is a map", m{"unattend": m{"administrator_password": m{"x": secretText}}}, "reading the options: unattend.administrator_password: the value has the wrong type"},
		{"a password that is a list", m{"unattend": m{"local_account": []any{m{"name": "a", "password": []any{secretText, 1}}}}}, "reading the options: unattend.local_account[0].password: the value has the wrong type"},
		{"an option that was misspelt", m{"unattend": m{"timezone": "UTC"}}, "reading the options: unattend.timezone: there is no such option; did you mean time_zone?"},
		{"a switch that is a password", m{"unattend": m{"copy_profile": secretText}}, "reading the options: unattend"},
		{"a number that is a password", m{"unattend": m{"auto_logon": m{"username": "a", "logon_count": secretText}}}, "reading the options: unattend.auto_logon.logon_count: the value has the wrong type"},
		{"an option that does not exist", m{"unattend": m{"admin_password": secretText}}, "reading the options: unattend.admin_password: there is no such option"},
		{"an option of a block that does not exist", m{"unattend": m{"local_account": []any{m{"name": "a", "pass": secretText}}}}, "reading the options: unattend.local_account[0].pass: there is no such option"},
		{"a text instead of the block", m{"unattend": secretText}, "reading the options: unattend: it is not a block"},
		{"a template that is none", m{"unattend": m{"administrator_password": "{{" + secretText}}, "reading the options: unattend: a text holds a template"},
		{"a value of the build", m{"unattend": m{"administrator_password": "{{ build `Password` }}" + secretText}}, "reading the options: unattend: a text holds a template"},
		{"the elevated password as a list", m{"elevated_password": []any{secretText, m{}}}, "reading the options: elevated_password: it is not text"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := decode(t, test.options)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "Ver7-Secret") {
				t.Errorf("got %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestProblemsOfTheFileAndOfTheBlockAreToldApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "base.xml")
	base := strings.Replace(testAnswer, "<UserAccounts>", "<OOBE><ProtectYourPC>9</ProtectYourPC></OOBE><UserAccounts>", 1)
	if err := os.WriteFile(path, []byte(base), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := decodeHCL(t, fmt.Sprintf("answer_file = %q\nunattend {\n computer_name = \"123\"\n}", path))
	want := []string{"unattend.computer_name: the computer name has only digits", "answer file " + path + ", line 5: not one of the values of this setting"}
	if got := problems(err); !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got %q", got)
	}
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

// The builder reads the head of an error, whatever the passwords are.
func TestTheHeadOfAnErrorStays(t *testing.T) {
	scrub := newScrubber([]string{"refused", "APPX"})
	const text = "[refused/APPX_NOT_PROVISIONED] sysprep refused, APPX"
	got := scrub.text(text)
	if got != "[refused/APPX_NOT_PROVISIONED] sysprep <sensitive>, <sensitive>" {
		t.Error(got)
	}
	if got := scrub.text("[REFUSED/APPX] x, [refused] y"); got != "[REFUSED/<sensitive>] x, [<sensitive>] y" {
		t.Error(got)
	}
}

func TestAFailureSaysEachStepOnce(t *testing.T) {
	err := failed(verdict.Head{Class: verdict.Lost}, errors.New("why"), []string{"seen"}, "first", "second")
	if got := err.Error(); got != "[lost] why; next: first\nseen\nnext: second" {
		t.Error(got)
	}
}

func TestAStartThatFailsNamesTheFirstStep(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("why"), "[not-started] sysprep was not started, the machine is untouched: why; next: remove what keeps it from being started, and run the build again"},
		{guest.ErrNoAnswer, "[not-started] sysprep was not started, the machine is untouched: no answer in time; next: find out why the guest stopped answering, and run the build again; the machine is untouched"},
		{&guest.ScriptError{Script: "launch", Name: "sysprep-missing"}, "[not-started/SYSPREP_MISSING] sysprep was not started: guest script launch: sysprep-missing: ; next: "},
	} {
		if got := launchError(c.err).Error(); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
