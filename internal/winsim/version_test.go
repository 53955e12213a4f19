package winsim

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// under runs a command line under a code page.
func under(g *Guest, codePage, line string) (out string, code int) {
	var b bytes.Buffer
	code = g.run(context.Background(), &wsman.Process{Line: line, CodePage: codePage, User: "packer", Stdin: strings.NewReader(""), Stdout: &b, Stderr: &b})
	return b.String(), code
}

func TestEveryWindowsSaysWhatItIs(t *testing.T) {
	for name, want := range map[string][3]string{ // ver, build, client or server
		"": {"10.0.20348.2700", "20348", "Server"}, "2008r2": {"6.1.7601", "7601", "Server"}, "2012r2": {"6.3.9600", "9600", "Server"},
		"2016": {"10.0.14393.7426", "14393", "Server"}, "2019": {"10.0.17763.6414", "17763", "Server"}, "2022": {"10.0.20348.2700", "20348", "Server"},
		"2025": {"10.0.26100.2314", "26100", "Server"}, "10": {"10.0.19045.5011", "19045", "Client"},
		"11-24h2": {"10.0.26100.2314", "26100", "Client"}, "11-25h2": {"10.0.26200.6584", "26200", "Client"},
	} {
		g := newGuest(t, Options{Scenario: Scenario{Unkind: Unkind{Windows: name}}})
		if out, _ := do(g, "ver"); out != "\r\nMicrosoft Windows [Version "+want[0]+"]\r\n" {
			t.Errorf("%s: %q", name, out)
		}
		for value, text := range map[string]string{"CurrentBuildNumber": want[1], "InstallationType": want[2]} {
			if out, _ := do(g, `reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v `+value); !strings.Contains(out, "REG_SZ    "+text+"\r\n") {
				t.Errorf("%s: %s: %q", name, value, out)
			}
		}
	}
}

func TestMoreFailsUnderUTF8OnOldWindows(t *testing.T) {
	for _, tt := range []struct {
		scenario Unkind
		codePage string
		fails    bool
	}{
		{Unkind{}, "65001", false}, {Unkind{Windows: "2008r2"}, "65001", true}, {Unkind{Windows: "2008r2"}, "437", false}, {Unkind{Windows: "2012r2"}, "65001", false},
		{Unkind{MoreFails: true}, "65001", true}, {Unkind{MoreFails: true}, "", false},
	} {
		g := newGuest(t, Options{Scenario: Scenario{Unkind: tt.scenario}})
		out, code := under(g, tt.codePage, `echo a> C:\x.txt & cmd /c more +0 C:\x.txt`)
		if fails := out == "Not enough memory.\r\n" && code == 1; fails != tt.fails || !fails && out != "a \r\n" {
			t.Errorf("%s %v, code page %q: %q, %d", tt.scenario.Windows, tt.scenario.MoreFails, tt.codePage, out, code)
		}
	}
}

func TestProgramsSpeakTheLanguageOfTheirWindows(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{Unkind: Unkind{Language: "de"}}})
	for line, want := range map[string]string{
		`reg query HKLM\SOFTWARE\None`: "FEHLER: Der angegebene Registrierungsschlüssel bzw. Wert wurde nicht gefunden.\r\n",
		`reg add HKLM\SOFTWARE\X /v a /d b /f & schtasks /create /tn a /tr hostname /sc once /st 00:00 & schtasks /run /tn a`: "Der Vorgang wurde erfolgreich beendet.\r\n" +
			"ERFOLGREICH: Die geplante Aufgabe \"a\" wurde erfolgreich erstellt.\r\nERFOLGREICH: Es wurde versucht, die geplante Aufgabe \"a\" auszuführen.\r\n",
		`tasklist /fi "imagename eq sysprep.exe" /fo csv /nh`: "INFORMATION: Es werden keine Aufgaben mit den angegebenen Kriterien ausgeführt.\r\n",
		`find "x" C:\none.txt /c`:                             "Datei nicht gefunden - C:\\NONE.TXT\r\n",
		`more C:\none.txt`:                                    "Auf die Datei C:\\none.txt kann nicht zugegriffen werden\r\n",
		`type C:\none.txt & cmd /d /c cd C:\none`:             "Das System kann die angegebene Datei nicht finden.\r\nDas System kann den angegebenen Pfad nicht finden.\r\n",
	} {
		for codePage, text := range map[string]string{"65001": want, "850": strings.NewReplacer("ü", "\x81", "ä", "\x84", "ö", "\x94").Replace(want)} {
			if out, _ := under(g, codePage, line); out != text {
				t.Errorf("%s: %s: %q", codePage, line, out)
			}
			do(g, "schtasks /delete /tn a /f & reg delete HKLM\\SOFTWARE\\X /f")
		}
	}
	g = newGuest(t, Options{Scenario: Scenario{Unkind: Unkind{Language: "fr"}}})
	if out, _ := under(g, "", `type C:\none.txt`); out != "Le fichier sp\x82cifi\x82 est introuvable.\r\n" {
		t.Errorf("%q", out)
	}
}

func TestPowerShellThatRefusesTheScripts(t *testing.T) {
	for name, tt := range map[string]struct {
		scenario Unkind
		message  string
	}{
		"2":           {Unkind{PowerShellVersion: "2"}, "Unable to find type [ordered]"},
		"2008 R2":     {Unkind{Windows: "2008r2"}, "Unable to find type [ordered]"},
		"2008 R2, 4":  {Unkind{Windows: "2008r2", PowerShellVersion: "4"}, ""},
		"2012 R2":     {Unkind{Windows: "2012r2"}, ""},
		"constrained": {Unkind{ConstrainedLanguage: true}, "Cannot invoke method."},
		"blocked":     {Unkind{BlockedScripts: []string{scripts.Read}}, "blocked by your antivirus software"},
	} {
		g := newGuest(t, Options{Scenario: Scenario{Unkind: tt.scenario}})
		if err := g.drive.WriteFile(`C:\x.ps1`, scripts.Text(scripts.Read)); err != nil {
			t.Fatal(err)
		}
		out, code := do(g, `powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -InputFormat None -File C:\x.ps1 -Json eyJwYXRoIjoiQzpceC50eHQifQ==`)
		if document := strings.Contains(out, `{"script":"read"`); document != (tt.message == "") || !strings.Contains(out, tt.message) || tt.message != "" && code != 1 {
			t.Errorf("%s: code %d, %q", name, code, out)
		}
	}
}

func TestALockedLogCanBeNeitherMovedNorDeleted(t *testing.T) {
	const panther, used = `C:\Windows\System32\Sysprep\Panther`, "The process cannot access the file because it is being used by another process."
	for line, code := range map[string]int{
		`ren ` + panther + `\setupact.log x.log`: 1, `move ` + panther + `\setupact.log C:\x.log`: 1, `move /y C:\y.log ` + panther + `\setupact.log`: 1,
		`del ` + panther + `\setupact.log`: 0, `rd /s /q ` + panther: 32, `ren ` + panther + ` x`: 1,
	} {
		g := newGuest(t, Options{Scenario: Scenario{StaleLog: true, LogLocked: true}})
		do(g, `echo a> C:\y.log`)
		before := text(t, g, fileActLog)
		if out, got := do(g, line); !strings.Contains(out, used) || got != code {
			t.Errorf("%s: code %d, %q", line, got, out)
		}
		if text(t, g, fileActLog) != before {
			t.Errorf("%s: the log is another one", line)
		}
	}
	g := newGuest(t, Options{Scenario: Scenario{StaleLog: true}})
	if out, code := do(g, `ren `+panther+`\setupact.log x.log`); out != "" || code != 0 {
		t.Errorf("not locked: %q, %d", out, code)
	}
}

func TestAutoRunHoldsForNestedShells(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{AutoRun: "[run]\r\n"}})
	for line, want := range map[string]string{
		`echo a`: "[run]\r\na\r\n", `cmd /c echo a`: "[run]\r\n[run]\r\na\r\n", `cmd /d /c echo a`: "[run]\r\na\r\n",
		`cmd /d /c cmd /c echo a`: "[run]\r\n[run]\r\na\r\n", `echo a| find "a"`: "[run]\r\na\r\n",
	} {
		if out, _ := do(g, line); out != want {
			t.Errorf("%s: %q", line, out)
		}
	}
}

func TestAFilteredTokenMayLookAndNotTouch(t *testing.T) {
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Unkind: Unkind{FilteredToken: true}}})
	for _, line := range []string{
		`reg add HKLM\SOFTWARE\X /v a /d b /f`, `reg delete "HKLM\SYSTEM\Setup" /v SetupType /f`, `cmd /c reg add HKLM\SOFTWARE\X /f`,
		`schtasks /create /tn a /tr hostname /sc once /st 00:00 /rl highest`, `schtasks /create /tn a /tr hostname /sc once /st 00:00 /ru SYSTEM`,
	} {
		if out, code := do(g, line); code != 1 || out != "ERROR: Access is denied.\r\n" {
			t.Errorf("%s: code %d, %q", line, code, out)
		}
	}
	if out, code := do(g, `reg query "HKLM\SYSTEM\Setup" /v SetupType`); code != 0 {
		t.Errorf("reading: %q", out)
	}
	for _, line := range []string{
		sysprepExe + ` /generalize /oobe /quit /quiet`,
		`schtasks /create /tn a /tr "` + sysprepExe + ` /generalize /oobe /quit /quiet" /sc once /st 00:00 & schtasks /run /tn a & ping -n 30 127.0.0.1 >nul`,
	} {
		do(g, line)
		if log := text(t, g, fileActLog); strings.Contains(log, "User has required privileges") || g.imageState() != imageComplete {
			t.Errorf("%s: %s", line, g.imageState())
		}
	}
	_, run := g.prepare(g.session(), sysprepCall(g, "/generalize /oobe /quit /quiet"), "SYSTEM")
	if code := run(); code != 0 || g.imageState() != imageGeneralizedOOBE {
		t.Errorf("another session: code %d, %s", code, g.imageState())
	}
}

func TestOOBEMayBeInProgressAfterGeneralize(t *testing.T) {
	for _, want := range []bool{false, true} {
		g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Unkind: Unkind{OOBEInProgress: want}}})
		do(g, sysprepExe+` /generalize /oobe /quit /quiet`)
		if out, _ := do(g, `reg query HKLM\SYSTEM\Setup /v OOBEInProgress`); strings.Contains(out, "0x1") != want || g.imageState() != imageGeneralizedOOBE {
			t.Errorf("%v: %q", want, out)
		}
	}
}

func TestEveryFieldOfAScenarioIsInATestAndInTheDocs(t *testing.T) {
	docs, err := os.ReadFile(filepath.Join(testutil.Root(), "docs", "simulated-guest.md"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	err = filepath.WalkDir(testutil.Root(), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != testutil.Root() {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		text.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []reflect.Type{reflect.TypeFor[Scenario](), reflect.TypeFor[Unkind](), reflect.TypeFor[Condition](), reflect.TypeFor[Freeze](), reflect.TypeFor[PortClosed](), reflect.TypeFor[PowerShellOutput]()} {
		for i := range kind.NumField() {
			f := kind.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous {
				continue
			}
			if name == "" || !mentions(text.String(), f.Name, name) {
				t.Errorf("no test has a guest with %s.%s (%s)", kind.Name(), f.Name, name)
			}
			if top := kind == reflect.TypeFor[Scenario]() || kind == reflect.TypeFor[Unkind]() || kind == reflect.TypeFor[Condition](); top && !strings.Contains(string(docs), "`"+name+"`") {
				t.Errorf("docs/simulated-guest.md does not say after which source %s is simulated", name)
			}
		}
	}
}

// mentions says whether a text sets a field, by its name in Go or in JSON.
func mentions(text, field, name string) bool {
	if strings.Contains(text, `"`+name+`":`) || strings.Contains(text, `"`+name+`\":`) {
		return true
	}
	for rest := text; ; {
		i := strings.Index(rest, field+":")
		if i < 0 {
			return false
		}
		if i == 0 || !unicode.IsLetter(rune(rest[i-1])) && !unicode.IsDigit(rune(rest[i-1])) {
			return true
		}
		rest = rest[i+1:]
	}
}

// The disk of the bootable guest is made before it is known which Windows it is
// to be.
func TestADiskBecomesTheWindowsOfItsScenario(t *testing.T) {
	root := t.TempDir()
	for _, s := range []Scenario{{}, {Unkind: Unkind{Windows: "11-25h2"}}, {Unkind: Unkind{Windows: "11-25h2", SystemDrive: "E"}}} {
		g, err := New(Options{Root: root, Scenario: s})
		if err != nil {
			t.Fatal(err)
		}
		want := strings.TrimPrefix(g.Version(), "10.0.")
		if out, _ := do(g, `reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v CurrentBuildNumber`); !strings.Contains(out, want+"\r\n") {
			t.Errorf("want %s: %q", want, out)
		}
		for key, want := range map[string]string{`"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v SystemRoot`: `:\Windows`, `HKLM\SYSTEM\Setup /v WorkingDirectory`: `:\Windows\Panther`} {
			if out, _ := do(g, `reg query `+key); !strings.Contains(out, s.systemDrive()+want+"\r\n") {
				t.Errorf("%s: %q", key, out)
			}
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
