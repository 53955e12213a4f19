package sysprep

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclparse"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	"github.com/hashicorp/packer-plugin-sdk/rpc"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/answerfile"
)

func decode(t *testing.T, raw map[string]any) (Config, error) {
	t.Helper()
	var c Config
	err := c.decode(raw)
	return c, err
}

func TestNoOptionsMeanGeneralizeForFirstBoot(t *testing.T) {
	c, err := decode(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !c.generalize() || c.Mode != "oobe" || c.Action != "auto" || !c.quiet() || c.RunAs != "build_user" || c.VMMode {
		t.Errorf("unexpected defaults: %+v", c)
	}
	for name, got := range map[string][2]time.Duration{
		"generalize_timeout": {c.GeneralizeTimeout, 30 * time.Minute}, "stall_timeout": {c.StallTimeout, 10 * time.Minute},
		"poll_interval": {c.PollInterval, 2 * time.Second}, "shutdown_timeout": {c.ShutdownTimeout, 5 * time.Minute},
	} {
		if got[0] != got[1] {
			t.Errorf("%s is %s, documented is %s", name, got[0], got[1])
		}
	}
}

func TestElevatedUserChoosesItself(t *testing.T) {
	c, err := decode(t, map[string]any{"elevated_user": "admin"})
	if err != nil || c.RunAs != "elevated_user" {
		t.Fatalf("run_as is %q, %v", c.RunAs, err)
	}
}

func TestWrongConfigurationsAreRefusedWithTheFix(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	empty := write("empty.xml", "")
	broken := write("broken.xml", "<unattend")
	badPass := write("pass.xml", strings.Replace(testAnswer, "oobeSystem", "oobesystem2", 1))
	large := write("large.xml", strings.Repeat(" ", 4<<20+1))
	missing := filepath.Join(dir, "missing.xml")
	_, absent := os.Stat(missing) // each system has its own words for it
	one := func(name string, value any) map[string]any { return map[string]any{name: value} }
	for _, test := range []struct {
		name    string
		options map[string]any
		want    []string // each begins one error, in order
	}{
		{"a mode that sysprep does not have", one("mode", "factory"), []string{`mode: "factory" is not one of oobe, audit`}},
		{"a mode in capitals", one("mode", "OOBE"), []string{`mode: "OOBE" is not one of oobe, audit`}},
		{"an unknown action", one("action", "halt"), []string{`action: "halt" is not one of auto, quit, shutdown, reboot`}},
		{"an unknown account", one("run_as", "root"), []string{`run_as: "root" is not one of build_user, elevated_user, system`}},
		{"a timeout without a unit", one("generalize_timeout", "30"), []string{`generalize_timeout: "30" has no unit; write "30s", "30m" or "30h"`}},
		{"a timeout that is no time", one("stall_timeout", "soon"), []string{`stall_timeout: "soon" is not a duration; write a number with its unit`}},
		{"a tiny generalize_timeout", one("generalize_timeout", "30ms"), []string{
			`generalize_timeout: 30ms is less than a second; write it with its unit, e.g. "10m"`}},
		{"a negative stall_timeout", one("stall_timeout", "-1m"), []string{`stall_timeout: -1m0s is less than a second; write it with its unit, e.g. "10m"`}},
		{"a negative shutdown_timeout", one("shutdown_timeout", "-5m"), []string{`shutdown_timeout: -5m0s is less than a second; write it with its unit, e.g. "10m"`}},
		{"a poll_interval below the script's limit", one("poll_interval", "10ms"), []string{`poll_interval: 10ms is not between 100ms and 30s; the default is 2s`}},
		{"a poll_interval above the limit", one("poll_interval", "31s"), []string{`poll_interval: 31s is not between 100ms and 30s; the default is 2s`}},
		{"a stall longer than the whole", map[string]any{"generalize_timeout": "5m", "stall_timeout": "6m"}, []string{
			`stall_timeout: 6m0s is longer than generalize_timeout (5m0s) and would never be reached; shorten it or raise generalize_timeout`}},
		{"a look as long as a stall", map[string]any{"stall_timeout": "10s", "poll_interval": "9s"}, []string{
			`poll_interval: 9s is more than half of stall_timeout (10s), so a stall could not be told from a pause; shorten it`}},
		{"two answer files", map[string]any{"answer_file": empty, "answer_file_content": testAnswer}, []string{
			`answer_file and answer_file_content are both set; keep one of them`}},
		{"an answer file that is not there", one("answer_file", missing), []string{
			`answer_file: reading ` + missing + `: ` + absent.Error() + `; name an answer file on the machine that runs packer`}},
		{"an answer file that is a folder", one("answer_file", dir), []string{
			`answer_file: reading ` + dir + `: ` + dir + ` is not a regular file but a folder: name a regular file; name an answer file on the machine that runs packer`}},
		{"an empty answer file", one("answer_file", empty), []string{`answer_file: ` + empty + ` is empty; write an answer file or remove the option`}},
		{"a huge answer file", one("answer_file", large), []string{
			`answer_file: reading ` + large + `: ` + large + ` is larger than 4 MiB, the limit for this file: name the right file; name an answer file on the machine that runs packer`}},
		{"an answer file that is cut off", one("answer_file", broken), []string{`answer file ` + broken + `, line 1: `}},
		{"an answer file with a pass that does not exist", one("answer_file", badPass), []string{`answer file ` + badPass + `, line 3: `}},
		{"answer file text that is no XML", one("answer_file_content", "hello"), []string{`answer file answer_file_content`}},
		{"vm_mode without generalize", map[string]any{"vm_mode": true, "generalize": false}, []string{
			`vm_mode: sysprep accepts /mode:vm only together with /generalize; set generalize = true or remove vm_mode`}},
		{"vm_mode in audit mode", map[string]any{"vm_mode": true, "mode": "audit"}, []string{
			`vm_mode: sysprep accepts /mode:vm only together with /oobe; set mode = "oobe" or remove vm_mode`}},
		{"vm_mode with neither", map[string]any{"vm_mode": true, "mode": "audit", "generalize": false}, []string{
			`vm_mode: sysprep accepts /mode:vm only together with /generalize`, `vm_mode: sysprep accepts /mode:vm only together with /oobe`}},
		{"a restart in our own builder", map[string]any{"action": "reboot", "packer_builder_type": "sysprep-vhd"}, []string{
			`action: "reboot" with generalize = true boots the image and so undoes what was asked for, and sysprep-vhd would have to refuse the disk; use "shutdown"`}},
		{"elevated_user without a name", one("run_as", "elevated_user"), []string{
			`run_as: "elevated_user" needs the option elevated_user: the name of a local administrator`}},
		{"a name that is not used", map[string]any{"run_as": "build_user", "elevated_user": "a"}, []string{
			`elevated_user: not used with run_as = "build_user"; remove one of them`}},
		{"SYSTEM with a name", map[string]any{"run_as": "system", "elevated_user": "a"}, []string{
			`elevated_user: not used with run_as = "system"; remove one of them`}},
		{"a password without a name", one("elevated_password", "x"), []string{
			`elevated_password: it needs elevated_user; add that, or remove the password`}},
		{"SYSTEM by the back door", one("elevated_user", `NT AUTHORITY\SYSTEM`), []string{
			`elevated_user: sysprep as SYSTEM is not supported by Microsoft; name an administrator, or opt in with run_as = "system"`}},
		{"an empty argument", one("extra_arguments", []string{""}), []string{`extra_arguments[0] is empty; remove it`}},
		{"an argument without a slash", one("extra_arguments", []string{"verbose"}), []string{
			`extra_arguments[0]: "verbose" does not begin with /; sysprep would stop in a usage dialog that nobody sees`}},
		{"two arguments in one", one("extra_arguments", []string{"/a /b"}), []string{
			`extra_arguments[0]: "/a /b" contains a space, a quote or another character that cmd.exe and sysprep do not accept; give one switch per element and use a path without spaces`}},
		{"an argument that would start another command", one("extra_arguments", []string{"/a&calc"}), []string{`extra_arguments[0]: "/a&calc" contains a space`}},
		{"a switch of ours", one("extra_arguments", []string{"/x", "/Generalize"}), []string{
			`extra_arguments[1]: "/Generalize" is what the option generalize is for; remove it and set generalize`}},
		{"an answer file by the back door", one("extra_arguments", []string{`-unattend:C:\x.xml`}), []string{
			`extra_arguments[0]: "-unattend:C:\\x.xml" is what the option answer_file is for; remove it and set answer_file`}},
		{"vm mode by the back door", one("extra_arguments", []string{"/mode:vm"}), []string{
			`extra_arguments[0]: "/mode:vm" is what the option vm_mode is for; remove it and set vm_mode`}},
		{"a variable that the SDK takes for a template", one("packer_user_variables", map[string]string{"p": "{{s3cret"}), []string{
			`reading the options: a user variable holds braces that are not a template; write {{`}},
		{"a command of two lines", one("before_shutdown", []string{"ver", "a\nb"}), []string{`before_shutdown[1]: it is empty, or holds a line break; write each command as an element of its own`}},
		{"an option that does not exist", one("answer_files", "x"), []string{`answer_files: there is no such option; did you mean answer_file?`}},
		{"everything at once", map[string]any{"mode": "x", "action": "y", "poll_interval": "1ms", "vm_mode": true, "generalize": false, "answer_file": missing}, []string{
			"mode: ", "action: ", "poll_interval: ", "vm_mode: ", "answer_file: "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := decode(t, test.options)
			var got []string
			switch e := err.(type) {
			case nil:
			case *packersdk.MultiError:
				for _, one := range e.Errors {
					got = append(got, one.Error())
				}
			default:
				got = []string{err.Error()}
			}
			if !slices.EqualFunc(got, test.want, strings.HasPrefix) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestValuesThatAreNotKnownYetAreNotLookedAt(t *testing.T) {
	for name, options := range map[string]map[string]any{
		"path":      {"answer_file": "answers/<unknown>.xml"},
		"text":      {"answer_file_content": "<unknown>"},
		"part":      {"answer_file_content": "<unattend><unknown></unattend>"},
		"mode":      {"mode": "<unknown>"},
		"action":    {"action": "<unknown>"},
		"account":   {"run_as": "<unknown>", "elevated_user": "<unknown>"},
		"arguments": {"extra_arguments": []string{"<unknown>"}},
	} {
		if _, err := decode(t, options); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPrepareTwiceForgetsTheFirstTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.xml")
	if err := os.WriteFile(path, []byte(testAnswer), 0o600); err != nil {
		t.Fatal(err)
	}
	p := &Provisioner{}
	if err := p.Prepare(map[string]any{"answer_file": "<unknown>", "extra_arguments": []string{"/x"}}); err != nil {
		t.Fatal(err)
	}
	if err := p.Prepare(map[string]any{"answer_file": path}); err != nil {
		t.Fatal(err)
	}
	if string(p.config.answer.content) != testAnswer || len(p.config.ExtraArguments) != 0 {
		t.Errorf("answer file of %d bytes, arguments %q", len(p.config.answer.content), p.config.ExtraArguments)
	}
}

func TestBracesInTheAnswerFileAndThePasswordAreNoTemplate(t *testing.T) {
	text := strings.Replace(testAnswer, "Tops3cret-Value", "{{ .Nonsense }", 1)
	c, err := decode(t, map[string]any{"answer_file_content": text, "elevated_user": "a", "elevated_password": "{{p"})
	if err != nil {
		t.Fatal(err)
	}
	if string(c.answer.content) != text || c.ElevatedPassword != "{{p" {
		t.Errorf("got %q and %q", c.answer.content, c.ElevatedPassword)
	}
}

func TestEveryOptionCrossesThePluginBoundary(t *testing.T) {
	spec := new(Provisioner).ConfigSpec()
	if len(spec) < 15 {
		t.Fatalf("only %d options", len(spec))
	}
	attributes := 0
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
		case *hcldec.AttrSpec:
			attributes++
			kind := s.Type
			if kind.IsListType() || kind.IsMapType() {
				kind = kind.ElementType()
			}
			if !kind.IsPrimitiveType() {
				t.Errorf("%s is a %s", at, s.Type.GoString())
			}
		default:
			t.Errorf("%s is a %T", at, spec)
		}
	}
	for name, s := range spec {
		visit(name, s)
		if _, err := rpc.ToProto(s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if attributes < 80 {
		t.Errorf("only %d attributes were looked at", attributes)
	}
}

func TestNoOptionHasANameThatPackerKeepsForItself(t *testing.T) {
	for _, reserved := range []string{"name", "timeout", "pause_before", "max_retries", "only", "except", "override"} {
		if _, taken := new(Provisioner).ConfigSpec()[reserved]; taken {
			t.Errorf("%s is Packer's", reserved)
		}
	}
}

func TestOptionsComeFromHCLAndFromJSON(t *testing.T) {
	spec := new(Provisioner).ConfigSpec()
	file, diags := hclparse.NewParser().ParseHCL([]byte(`
		mode = "audit"
		quiet = false
		stall_timeout = "90s"
		extra_arguments = ["/x"]
		elevated_user = "a"
		elevated_password = "{{p"
	`), "t.pkr.hcl")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	value, diags := hcldec.Decode(file.Body, spec, nil)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for name, raws := range map[string][]any{
		"HCL": {map[string]any{"packer_builder_type": "null"}, value},
		"JSON": {map[string]any{"packer_builder_type": "null"}, map[any]any{
			"mode": "audit", "quiet": "false", "stall_timeout": "90s", "extra_arguments": []any{"/x"}, "elevated_user": "a", "elevated_password": "{{p"}},
	} {
		p := &Provisioner{}
		if err := p.Prepare(raws...); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c := p.config
		if c.Mode != "audit" || c.quiet() || c.StallTimeout != 90*time.Second || !slices.Equal(c.ExtraArguments, []string{"/x"}) ||
			c.ElevatedPassword != "{{p" || c.PackerBuilderType != "null" {
			t.Errorf("%s: got %+v", name, c)
		}
	}
}

// Where an answer file is looked for is said by what its name looks like.
func TestWhereAnAnswerFileIsLookedFor(t *testing.T) {
	for _, c := range []struct{ goos, name, want string }{
		{"linux", "unattend.xml", "relative to the folder packer runs in, or to the template with ${path.root}/"},
		{"linux", `C:\unattend.xml`, "for one in Windows use answer_file_in_guest"},
		{"darwin", "%WINDIR%/unattend.xml", "for one in Windows use answer_file_in_guest"},
		{"linux", `..\answers\unattend.xml`, "write / between folders"},
		{"windows", `..\answers\unattend.xml`, "relative to the folder packer runs in"},
	} {
		if got := where(c.goos, c.name); !strings.Contains(got, c.want) {
			t.Errorf("%s on %s: %q, want %q", c.name, c.goos, got, c.want)
		}
	}
}

// The option is named where the block wrote the setting, and only there.
func TestTheOptionOfTheBlockIsNamed(t *testing.T) {
	zone, extra := &answerfile.Unattend{TimeZone: "x"}, &answerfile.Unattend{Components: []answerfile.ExtraComponent{{}}, TimeZone: "x"}
	for _, c := range []struct {
		block *answerfile.Unattend
		path  []string
		want  string
	}{
		{zone, []string{"specialize", "Microsoft-Windows-Shell-Setup", "TimeZone"}, ".time_zone"},
		{zone, []string{"specialize", "Microsoft-Windows-Shell-Setup", "ComputerName"}, ""},
		{zone, nil, ""}, {extra, []string{"TimeZone"}, ""}, {&answerfile.Unattend{}, []string{"UILanguage"}, ""},
		{&answerfile.Unattend{Locale: &answerfile.Locale{UILanguage: "x"}}, []string{"UILanguage"}, ".locale.ui_language"},
	} {
		if got := optionOf(c.block, c.path); got != c.want {
			t.Errorf("%v: %q, want %q", c.path, got, c.want)
		}
	}
}
