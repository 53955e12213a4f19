package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	lintHead  = `<unattend xmlns="urn:schemas-microsoft-com:unattend" xmlns:wcm="http://schemas.microsoft.com/WMIConfig/2002/State"><settings pass="oobeSystem"><component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">` + "\n"
	lintTail  = "\n</component></settings></unattend>\n"
	secretOne = "Qx7-hunter2"
	// zone and bad are two settings, one of which can be corrected.
	zone, zoneFixed = "<TimeZone>Europe/Berlin</TimeZone>", "<TimeZone>W. Europe Standard Time</TimeZone>"
	bad             = "<OOBE><ProtectYourPC>9</ProtectYourPC></OOBE>"
	user            = `<UserAccounts><AdministratorPassword><Value>` + secretOne + `</Value><PlainText>true</PlainText></AdministratorPassword></UserAccounts>`
)

func unattendFile(t *testing.T, settings string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "unattend.xml")
	if err := os.WriteFile(path, []byte(lintHead+settings+lintTail), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// give makes text the standard input of a test.
func give(t *testing.T, text string) {
	t.Helper()
	before := stdin
	stdin = strings.NewReader(text)
	t.Cleanup(func() { stdin = before })
}

func TestLintReadsStandardInput(t *testing.T) {
	give(t, lintHead+bad+lintTail)
	if code, stdout, stderr := run(t, "lint", "-"); code != NotOK || !strings.Contains(stdout, "-: line 2: error: not one of the values") || stderr != "" {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	give(t, strings.Repeat(" ", 5<<20))
	if code, stdout, _ := run(t, "lint", "-"); code != NotOK || !strings.Contains(stdout, "larger than 4 MiB") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
}

func TestLintTakesSeverities(t *testing.T) {
	path := unattendFile(t, bad+zone)
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		not    string
		stderr string
	}{
		{[]string{"--severity", "value=note"}, OK, "info: not one of the values", "error:", ""},
		{[]string{"--severity=value=off"}, OK, "[time-zone]", "[value]", ""},
		{[]string{"--severity", "time-zone=error", "--severity", "value=warning"}, NotOK, "error: a time zone as IANA", "", ""},
		{[]string{"--severity", "values=off"}, CannotDo, "", "", "no rule is called values"},
		{[]string{"--severity", "value=loud"}, CannotDo, "", "", `value = "loud" is not one of error, warning, note, off`},
		{[]string{"--severity", "value"}, CannotDo, "", "", "write ID=WORD"},
	} {
		code, stdout, stderr := run(t, append([]string{"lint", path}, c.args...)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || c.not != "" && strings.Contains(stdout, c.not) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%q: exit code %d\n%s\n%s", c.args, code, stdout, stderr)
		}
	}
}

func TestLintFixesFilesAndSaysSo(t *testing.T) {
	path := unattendFile(t, bad+"\n"+zone+user)
	code, stdout, stderr := run(t, "lint", "--fix", path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := lintHead + bad + "\n" + zoneFixed + user + lintTail; string(text) != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	// What is left is judged.
	if code != NotOK || !strings.Contains(stdout, "[value]") || strings.Contains(stdout, "[time-zone]") {
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	if want := "changed: " + path + ": line 3: written as Windows names the time zone: W. Europe Standard Time"; !strings.HasPrefix(stderr, want) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("stderr %q, want %q", stderr, want)
	}
	if _, _, stderr := run(t, "lint", "--fix", path); stderr != "" {
		t.Errorf("a second time: %s", stderr)
	}
	if _, stdout, stderr := run(t, "lint", "--fix", "--encode-passwords", path); !strings.Contains(stderr, "changed: ") || strings.Contains(stdout+stderr, secretOne) {
		t.Errorf("%s\n%s", stdout, stderr)
	}
	if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), secretOne) || !strings.Contains(string(text), "<PlainText>false</PlainText>") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestLintFixesStandardInputToStandardOutput(t *testing.T) {
	give(t, lintHead+zone+lintTail)
	code, stdout, stderr := run(t, "lint", "--fix", "-")
	if code != OK || stdout != lintHead+zoneFixed+lintTail || !strings.Contains(stderr, "changed: -: line 2") || !strings.Contains(stderr, "-: errors: 0") {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
	// What cannot be read goes through as it is.
	give(t, "<a")
	if code, stdout, stderr := run(t, "lint", "--fix", "-"); code != NotOK || stdout != "<a" || !strings.Contains(stderr, "error: ") {
		t.Errorf("exit code %d\n%s\n%s", code, stdout, stderr)
	}
}

func TestLintRefusesOptionsThatContradict(t *testing.T) {
	path := unattendFile(t, bad)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--json", "--sarif", path}, "keep one of them"},
		{[]string{"--encode-passwords", path}, "only with --fix"},
		{[]string{"-", path}, "in a call of its own"},
		{[]string{"--fix", "--sarif", "-"}, "leave out --json and --sarif"},
	} {
		give(t, "")
		if code, _, stderr := run(t, append([]string{"lint"}, c.args...)...); code != CannotDo || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit code %d\n%s", c.args, code, stderr)
		}
	}
}

func TestLintWritesSARIF(t *testing.T) {
	path := unattendFile(t, bad+zone)
	code, stdout, stderr := run(t, "lint", "--sarif", path, filepath.Join(t.TempDir(), "none.xml"))
	var log struct {
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct{ Rules []struct{ ID string } }
			}
			Results []struct{ RuleID, Level string }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &log); err != nil {
		t.Fatal(err)
	}
	if code != CannotDo || stderr != "" || log.Version != "2.1.0" || len(log.Runs) != 1 || len(log.Runs[0].Tool.Driver.Rules) < 40 {
		t.Errorf("exit code %d, %s\n%s", code, stderr, stdout)
	}
	found := map[string]string{}
	for _, r := range log.Runs[0].Results {
		found[r.RuleID] = r.Level
	}
	if found["value"] != "error" || found["time-zone"] != "warning" {
		t.Errorf("got %v", found)
	}
}

// TestNoReportHoldsASecret looks for a secret in every form of output.
func TestNoReportHoldsASecret(t *testing.T) {
	settings := user + `<AutoLogon><Enabled>true</Enabled><Username>` + secretOne + `@</Username><Password><Value>` + secretOne + `</Value></Password></AutoLogon>
<FirstLogonCommands><SynchronousCommand><CommandLine>net user a ` + secretOne + `</CommandLine></SynchronousCommand></FirstLogonCommands>
<!-- Password=` + secretOne + ` --><TimeZone>` + secretOne + `</TimeZone><ProductKey>` + secretOne + `</ProductKey>` + secretOne
	for _, args := range [][]string{nil, {"--json"}, {"--sarif"}, {"--audit"}, {"--fix"}, {"--fix", "--encode-passwords", "--json"}} {
		path := unattendFile(t, settings)
		code, stdout, stderr := run(t, append([]string{"lint", path}, args...)...)
		if code != NotOK || strings.Contains(stdout+stderr, secretOne) {
			t.Errorf("%q: exit code %d\n%s\n%s", args, code, stdout, stderr)
		}
		give(t, lintHead+settings+lintTail)
		if len(args) == 0 || args[0] != "--fix" {
			if _, stdout, stderr := run(t, append([]string{"lint", "-"}, args...)...); strings.Contains(stdout+stderr, secretOne) {
				t.Errorf("%q: %s\n%s", args, stdout, stderr)
			}
		}
	}
}

func TestLintSaysWhichFileIsMissing(t *testing.T) {
	code, _, stderr := run(t, "lint", "no-such.xml")
	if want := "no-such.xml: there is no such file; check the path"; code != CannotDo || !strings.Contains(stderr, want) {
		t.Errorf("exit code %d, %q, want %q", code, stderr, want)
	}
}
