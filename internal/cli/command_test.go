package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func TestPackersOwnCommandsAreLeftAlone(t *testing.T) {
	for _, c := range []struct {
		args   string
		cookie bool
		want   bool
	}{
		{"describe", false, true}, {"start builder vhd", false, true}, {"--protobuf start builder vhd", true, true},
		{"start builder vhd --protobuf", true, true}, {"", true, true}, {"renew", true, true}, {"--protobuf", true, true},
		{"", false, false}, {"inspect x", false, false}, {"inspekt x", false, false}, {"--help", false, false}, {"version", false, false},
		// A shell-local provisioner hands the cookie on.
		{"inspect describe", true, false}, {"help", true, false}, {"--help", true, false}, {"__complete inspect", true, false},
	} {
		if got := ForPacker(strings.Fields(c.args), c.cookie); got != c.want {
			t.Errorf("%q with cookie %v: for Packer is %v", c.args, c.cookie, got)
		}
	}
}

// allCommands are the command lines whose help is shown, by the names of their screens.
func allCommands() map[string][]string {
	all := map[string][]string{"root": nil}
	for _, c := range newRoot(&call{}).Commands() {
		all[c.Name()] = []string{c.Name()}
	}
	return all
}

func TestHelpFitsOnAScreen(t *testing.T) {
	for name, args := range allCommands() {
		code, stdout, stderr := run(t, append(args, "--help")...)
		if code != OK || stderr != "" {
			t.Errorf("%s: exit code %d, %s", name, code, stderr)
		}
		golden(t, filepath.Join("help", name+".txt"), stdout)
		for line := range strings.Lines(stdout) {
			if len(strings.TrimSuffix(line, "\n")) > columns {
				t.Errorf("%s is wider than %d columns: %s", name, columns, line)
			}
		}
		for _, part := range []string{"usage: ", "\nexamples:\n", "\nexit codes:\n", "\noptions:\n"} {
			if !strings.Contains(stdout, part) {
				t.Errorf("%s has no %q", name, part)
			}
		}
		if _, same, _ := run(t, append([]string{"help"}, args...)...); same != stdout {
			t.Errorf("help %s is another text", name)
		}
	}
	_, long, _ := run(t, "--help")
	if code, short, _ := run(t); code != OK || short != long {
		t.Errorf("without arguments: %d\n%s", code, short)
	}
}

func TestAWrongCommandLineSaysWhatWasMeant(t *testing.T) {
	for args, says := range map[string]string{
		"inspekt x":                "unknown command inspekt; did you mean inspect?",
		"diag x":                   "unknown command diag; did you mean diagnose?",
		"help lnit":                "unknown command lnit; did you mean lint?",
		"disk.VHDX":                "unknown command disk.VHDX; for a file of this kind: packer-plugin-sysprep inspect disk.VHDX",
		"unattend.xml":             "packer-plugin-sysprep lint unattend.xml",
		"frobnicate":               "unknown command frobnicate; there are ",
		"lint --severity secret x": "write ID=WORD, such as time-zone=off",
		"inspekt --help":           "unknown command inspekt; did you mean inspect?",
		"inspect --jsn x":          "unknown option --jsn; did you mean --json?",
		"lint --sverity a=off x":   "unknown option --sverity; did you mean --severity?",
		"inspect --frobnicate x":   "unknown option --frobnicate\n",
		"inspect -x y":             "unknown option -x in -x",
		"inspect -o":               "option --output needs a value",
		"inspect --for --json x":   "option --for needs a value",
		"inspect --json=1x x":      `option --json takes no value, and "1x" was given`,
		"completion":               "name one shell: bash, zsh, fish, powershell",
		"completion csh":           "unknown shell csh",
		"version now":              "version takes no arguments",
		"inspect - x":              "in a call of its own",
	} {
		code, stdout, stderr := run(t, strings.Fields(args)...)
		if code != CannotDo || stdout != "" || !strings.Contains(stderr, says) || !strings.Contains(stderr, "\nusage: "+program) || !strings.HasSuffix(stderr, " --help\n") {
			t.Errorf("%s: exit code %d\n%s\n%s, want %q", args, code, stdout, stderr, says)
		}
	}
}

func TestTheVersionIsSaid(t *testing.T) {
	for _, args := range []string{"version", "--version"} {
		if code, stdout, _ := run(t, args); code != OK || !strings.HasPrefix(stdout, program+" 0.") || !strings.Contains(stdout, runtime.GOOS+"/"+runtime.GOARCH) {
			t.Errorf("%d %s", code, stdout)
		}
	}
	var v Version
	if _, stdout, _ := run(t, "version", "--json"); json.Unmarshal([]byte(stdout), &v) != nil || v.Version == "" || v.Go != runtime.Version() {
		t.Errorf("%s", stdout)
	}
}

func TestTheResultGoesWhereItIsAskedFor(t *testing.T) {
	path, dir := unattendFile(t, bad+zone), t.TempDir()
	_, text, _ := run(t, "lint", path)
	_, document, _ := run(t, "lint", "--json", path)
	for name, c := range map[string]struct {
		args         []string
		screen, file string
	}{
		"text":           {nil, text, ""},
		"quiet":          {[]string{"-q"}, "", ""},
		"quiet document": {[]string{"-q", "--json"}, document, ""},
		"file":           {[]string{"-o", "FILE"}, "", text},
		"quiet file":     {[]string{"-qo", "FILE"}, "", text},
		"document":       {[]string{"--json", "--output=FILE"}, "", document},
		"a dash":         {[]string{"-o", "-"}, text, ""},
	} {
		out := filepath.Join(dir, name)
		if err := os.WriteFile(out, []byte("earlier"), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{"lint", path}
		for _, a := range c.args {
			args = append(args, strings.Replace(a, "FILE", out, 1))
		}
		code, stdout, stderr := run(t, args...)
		want := c.file
		if want == "" {
			want = "earlier"
		}
		if got, err := os.ReadFile(out); code != NotOK || stdout != c.screen || stderr != "" || string(got) != want {
			t.Errorf("%s: exit code %d, %v\nscreen %q, want %q\nfile %q, want %q\n%s", name, code, err, stdout, c.screen, got, want, stderr)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
	// An input is not replaced, nor an earlier result by nothing.
	before, _ := os.ReadFile(path)
	if code, _, stderr := run(t, "lint", path, "-o", path); code != CannotDo || !strings.Contains(stderr, "--output "+path) {
		t.Errorf("%d %s", code, stderr)
	}
	kept := filepath.Join(dir, "file")
	if code, _, stderr := run(t, "lint", "none.xml", "-o", kept); code != CannotDo || !strings.Contains(stderr, "none.xml: there is no such file") {
		t.Errorf("%d %s", code, stderr)
	}
	after, _ := os.ReadFile(path)
	if got, _ := os.ReadFile(kept); string(got) != text || string(before) != string(after) {
		t.Errorf("replaced: %q", got)
	}
	if code, _, stderr := run(t, "lint", path, "-o", filepath.Join(kept, "x")); code != CannotDo || !strings.Contains(stderr, "--output ") {
		t.Errorf("%d %s", code, stderr)
	}
}

func TestQuietFixesSayNothing(t *testing.T) {
	path := unattendFile(t, zone)
	if code, stdout, stderr := run(t, "lint", "--fix", "-q", path); code != OK || stdout+stderr != "" {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
	if text, _ := os.ReadFile(path); !strings.Contains(string(text), zoneFixed) {
		t.Errorf("not fixed: %s", text)
	}
	give(t, lintHead+zone+lintTail)
	if code, stdout, stderr := run(t, "lint", "--fix", "-q", "-"); code != OK || !strings.Contains(stdout, zoneFixed) || stderr != "" {
		t.Errorf("%d %q %q", code, stdout, stderr)
	}
}

func TestInspectReadsStandardInputThatIsAFile(t *testing.T) {
	f, err := os.Open(winimagetest.Disk(t, winimagetest.Spec{Generalized: true}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := filepath.Join(t.TempDir(), "out")
	if code, stdout, stderr := run(t, "inspect", f.Name(), "-o", out); code != OK || stdout+stderr != "" {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	if text, err := os.ReadFile(out); err != nil || !strings.HasPrefix(string(text), "PROVEN") {
		t.Errorf("%v %s", err, text)
	}
	give(t, "a pipe")
	if code, _, stderr := run(t, "inspect", "-"); code != CannotDo || !strings.Contains(stderr, "write it to a file") {
		t.Errorf("%d %s", code, stderr)
	}
	stdin = f // give puts back what was there
	if code, stdout, stderr := run(t, "inspect", "-"); code != OK || !strings.HasPrefix(stdout, "PROVEN") {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
}
