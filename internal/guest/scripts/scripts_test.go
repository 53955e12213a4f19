package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// pscheck runs the check that needs no PowerShell engine. Optimising the parser
// would take ten seconds, parsing takes a tenth of one.
func pscheck(t *testing.T, args ...string) (string, error) {
	t.Helper()
	node := testutil.Tool(t, "node")
	dir := filepath.Join(testutil.Root(), "tools", "pscheck")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		testutil.Missing(t, "the PowerShell parser is not installed: npm ci --ignore-scripts --prefix tools/pscheck")
	}
	out, err := exec.Command(node, append([]string{"--liftoff-only", filepath.Join(dir, "check.mjs")}, args...)...).CombinedOutput()
	return string(out), err
}

func scriptFiles(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("*.ps1")
	if err != nil || len(list) < len(Names()) {
		t.Fatalf("found %v (%v), want at least %v", list, err, Names())
	}
	return list
}

func TestEveryScriptParses(t *testing.T) {
	if out, err := pscheck(t, scriptFiles(t)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestEveryCommandAndParameterExistsInWindowsPowerShell(t *testing.T) {
	table := testutil.Reference(t, "powershell-commands.json")
	if out, err := pscheck(t, append([]string{"--commands", table}, scriptFiles(t)...)...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestTheCheckFindsWhatItIsFor(t *testing.T) {
	table := testutil.Reference(t, "powershell-commands.json")
	for _, c := range []struct{ name, script, want string }{
		{"a missing brace", "if ($a) { Get-Item -LiteralPath $a\n", "syntax"},
		{"a misspelt command", "Get-Itme -LiteralPath $a\n", "no command Get-Itme in 4.0"},
		{"an unknown parameter", "Get-Item -LiteralPth $a\n", "no parameter -LiteralPth"},
		{"a command newer than 4.0", "Compress-Archive -Path $a\n", "no command Compress-Archive in 4.0"},
		{"an exception without a reason", "# check51: allow Compress-Archive: short\nCompress-Archive -Path $a\n", "no command Compress-Archive"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bad.ps1")
			if err := os.WriteFile(file, []byte(c.script), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := pscheck(t, "--commands", table, file)
			if err == nil || !strings.Contains(out, c.want) {
				t.Errorf("got %v\n%s\nwant %q", err, out, c.want)
			}
		})
	}
}

// A build machine that locks PowerShell down refuses dynamic code, and stdout
// must be the same bytes in every code page.
func TestScriptsAreASCIIAndShareTheirCommonPart(t *testing.T) {
	common := ""
	for _, file := range scriptFiles(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range text {
			if b > 126 || b < 9 {
				t.Errorf("%s: byte %#x at %d is not ASCII", file, b, i)
				break
			}
		}
		if slices.Contains(Inlines(), strings.TrimSuffix(file, ".ps1")) {
			continue // as short as possible
		}
		_, rest, ok := strings.Cut(string(text), "#region common")
		region, _, ok2 := strings.Cut(rest, "#endregion")
		if !ok || !ok2 {
			t.Errorf("%s has no common region", file)
			continue
		}
		if common == "" {
			common = region
		}
		if region != common {
			t.Errorf("%s: its common region differs from that of the others", file)
		}
	}
}

// Inline takes away whole lines of comment and indentation, which must not be
// within a text; what is left has to parse, and to fit on a line of cmd.exe.
func TestInlineScriptsParse(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			text := Inline(name)
			for _, not := range []string{"@'", `@"`, "\n ", "\n#", "<#"} { // texts of several lines would not stay as they are
				if strings.Contains(text, not) {
					t.Errorf("it has %q:\n%s", not, text)
				}
			}
			if n := len(Encoded(name)); n > 7800 && slices.Contains(Inlines(), name) {
				t.Errorf("%d characters of argument", n)
			}
			file := filepath.Join(t.TempDir(), "inline.ps1")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := pscheck(t, file); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// TestReadOnlyFilesAreReplaced: File.Delete refuses a file that is read-only, which
// only Windows does. No engine runs here, so the texts are looked at.
func TestReadOnlyFilesAreReplaced(t *testing.T) {
	const writable, away = "if ([IO.File]::Exists($path)) { [IO.File]::SetAttributes($path, 'Normal') }\n", "[IO.File]::Delete($path)\n"
	for _, name := range []string{Place, Store} {
		if text := Inline(name); !strings.Contains(text, writable+away) || strings.Count(text, away) != 1 {
			t.Errorf("%s does not make what it replaces writable", name)
		}
	}
}

// TestNoScriptWaitsWithoutEnd: Stop-Service waits for as long as a service is in
// StopPending, and the command in the guest would end with its limit and no answer.
func TestNoScriptWaitsWithoutEnd(t *testing.T) {
	for _, name := range Names() {
		if text := Inline(name); strings.Contains(text, "Stop-Service ") || strings.Count(text, ".Stop()") != strings.Count(text, ".WaitForStatus('Stopped', (New-TimeSpan -Seconds ") {
			t.Errorf("%s stops a service without a limit", name)
		}
	}
}
