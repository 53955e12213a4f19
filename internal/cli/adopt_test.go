package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
)

const homeMade = `source "qemu" "a" {
  shutdown_command = "C:/Windows/System32/Sysprep/sysprep.exe /generalize /oobe /shutdown"
}
build {
  sources = ["source.qemu.a"]
}
`

func templateFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t.pkr.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAdoptPrintsAChangeAndWritesOnlyWhenTold(t *testing.T) {
	path := templateFile(t, homeMade)
	code, stdout, stderr := run(t, "adopt", path)
	if code != OK || !strings.HasPrefix(stdout, "--- "+path+"\n+++ "+path+"\n@@ -1,6 +1,17 @@\n+packer {\n") || !strings.Contains(stdout, "\n+  provisioner \"sysprep\" {}\n") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	if !strings.HasPrefix(stderr, path+": home-made steps: 1, replaced: 1; next: ") || !strings.Contains(stderr, path+":2: shutdown_command called sysprep") {
		t.Errorf("%s", stderr)
	}
	patch := filepath.Join(t.TempDir(), "patch")
	if code, quiet, stderr := run(t, "adopt", "-q", path); code != OK || quiet != stdout || stderr != "" {
		t.Errorf("quiet: %d\n%s\n%s", code, quiet, stderr)
	}
	if code, _, _ := run(t, "adopt", "-q", "-o", patch, path); code != OK {
		t.Errorf("%d", code)
	}
	if text, err := os.ReadFile(patch); err != nil || string(text) != stdout {
		t.Errorf("%v\n%s", err, text)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != homeMade {
		t.Fatalf("written without being told: %v\n%s", err, text)
	}
	if code, _, stderr := run(t, "adopt", "--write", path); code != OK || !strings.Contains(stderr, "replaced: 1, written\n") {
		t.Errorf("%d\n%s", code, stderr)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), `provisioner "sysprep" {}`) || !strings.Contains(string(text), `"shutdown /s /t 5 /f"`) {
		t.Errorf("%v\n%s", err, text)
	}
	if code, stdout, stderr := run(t, "adopt", path); code != OK || stdout != "" || !strings.Contains(stderr, "no home-made sysprep step was found") {
		t.Errorf("once more: %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestAdoptTellsByItsExitCode(t *testing.T) {
	open := strings.Replace(homeMade, "C:/Windows/System32/Sysprep/sysprep.exe /generalize /oobe /shutdown", "a:/sysprep.bat", 1)
	for name, c := range map[string]struct {
		args   []string
		code   int
		stderr string
	}{
		"to decide":     {[]string{templateFile(t, open)}, NotOK, ":2: decide: shutdown_command runs a:/sysprep.bat"},
		"no template":   {[]string{templateFile(t, "build {")}, CannotDo, "reading the template "},
		"missing":       {[]string{"none.pkr.hcl"}, CannotDo, "none.pkr.hcl: there is no such file; check the path"},
		"nothing named": {nil, CannotDo, "no template is named"},
		"input twice":   {[]string{"-", "x"}, CannotDo, "in a call of its own"},
		"input written": {[]string{"-", "--write"}, CannotDo, "--write needs a file"},
		"input":         {[]string{"-"}, OK, "-: home-made steps: 1, replaced: 1"},
		"the worst":     {[]string{"none.pkr.hcl", templateFile(t, homeMade)}, CannotDo, "replaced: 1"},
	} {
		give(t, homeMade)
		if code, stdout, stderr := run(t, append([]string{"adopt"}, c.args...)...); code != c.code || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%s: exit code %d, want %d\n%s\n%s", name, code, c.code, stdout, stderr)
		}
	}
}

func TestAdoptAsJSON(t *testing.T) {
	path := templateFile(t, homeMade)
	code, stdout, stderr := run(t, "adopt", "--json", path, "none.pkr.hcl")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != CannotDo || stderr != "" || len(lines) != 2 {
		t.Fatalf("%d %s\n%s", code, stderr, stdout)
	}
	var first, second Adopted
	if json.Unmarshal([]byte(lines[0]), &first) != nil || first.Template != path || first.Steps != 1 || first.Replaced != 1 || first.Diff == "" || len(first.Notes) == 0 || first.Written {
		t.Errorf("%s", lines[0])
	}
	if json.Unmarshal([]byte(lines[1]), &second) != nil || second.Error == "" || !strings.Contains(lines[1], `"notes":[]`) {
		t.Errorf("%s", lines[1])
	}
}

func TestATemplateCannotSpeakToTheTerminal(t *testing.T) {
	hostile := strings.NewReplacer("\n", "", "\r", "", "\"", "", "\\", "", "\x00", "").Replace(foreigntest.Hostile)
	path := templateFile(t, "# "+hostile+"\n"+strings.Replace(homeMade, "/shutdown\"", "/unattend:C:/"+hostile+" /x"+hostile+"\"", 1))
	for _, args := range [][]string{{path}, {"--json", path}} {
		if _, stdout, stderr := run(t, append([]string{"adopt"}, args...)...); foreigntest.Harm(stdout+stderr) != "" {
			t.Errorf("%q shows %s\n%q", args, foreigntest.Harm(stdout+stderr), stdout+stderr)
		}
	}
}

func TestAPluginIsNamedOnceInAFolder(t *testing.T) {
	first := templateFile(t, homeMade)
	second := filepath.Join(filepath.Dir(first), "u.pkr.hcl")
	if err := os.WriteFile(second, []byte(strings.NewReplacer(`"a"`, `"b"`, "qemu.a", "qemu.b").Replace(homeMade)), 0o600); err != nil {
		t.Fatal(err)
	}
	const named = "+      source  = "
	if _, stdout, stderr := run(t, "adopt", first, second); strings.Count(stdout, named) != 1 || !strings.Contains(stderr, second+": the plugin is named in "+first) {
		t.Errorf("in one call:\n%s\n%s", stdout, stderr)
	}
	run(t, "adopt", "--write", second)
	if _, stdout, stderr := run(t, "adopt", first); strings.Contains(stdout, named) || !strings.Contains(stderr, first+": the plugin is named in "+second) {
		t.Errorf("in another call:\n%s\n%s", stdout, stderr)
	}
}

// A value in a variable file beside the template is looked at too.
func TestAdoptReadsTheFolder(t *testing.T) {
	path := templateFile(t, strings.Replace(homeMade, `"C:/Windows/System32/Sysprep/sysprep.exe /generalize /oobe /shutdown"`, "var.down", 1))
	if code, _, stderr := run(t, "adopt", path); code != OK || !strings.Contains(stderr, "no home-made sysprep step") {
		t.Errorf("alone: %d\n%s", code, stderr)
	}
	beside := filepath.Join(filepath.Dir(path), "a.auto.pkrvars.hcl")
	if err := os.WriteFile(beside, []byte("down = \"sysprep.exe /generalize /oobe\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, "adopt", path); code != NotOK || !strings.Contains(stderr, ":2: decide: shutdown_command is var.down, and its value in line 1 of "+beside+" calls sysprep") {
		t.Errorf("%d\n%s", code, stderr)
	}
}

func TestAdoptTakesAFolder(t *testing.T) {
	folder := filepath.Dir(templateFile(t, homeMade))
	if err := os.WriteFile(filepath.Join(folder, "plugins.pkr.hcl"), []byte("packer {\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := run(t, "adopt", folder)
	if code != OK || !strings.Contains(stdout, "provisioner \"sysprep\" {}") || !strings.Contains(stderr, "plugins.pkr.hcl: no home-made sysprep step was found") {
		t.Errorf("%d\n%s\n%s", code, stdout, stderr)
	}
	if code, _, stderr := run(t, "adopt", t.TempDir()); code != CannotDo || !strings.Contains(stderr, "holds no .pkr.hcl; name the template itself") {
		t.Errorf("an empty folder: %d\n%s", code, stderr)
	}
}
