package winsim

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/setuplog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// do runs a command line as a WinRM client would.
func do(g *Guest, line string) (out string, code int) {
	var b bytes.Buffer
	code = g.run(context.Background(), &wsman.Process{Line: line, User: "packer", Stdin: strings.NewReader(""), Stdout: &b, Stderr: &b})
	return b.String(), code
}

const sysprepExe = `C:\Windows\System32\Sysprep\sysprep.exe`

// fast is a speed at which a run takes some milliseconds.
const fast = 1000

func text(t *testing.T, g *Guest, path string) string {
	t.Helper()
	b, err := g.drive.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func state(g *Guest) uint32 {
	n, _ := g.reg.GetDWord(keySysprep, "GeneralizationState")
	return n
}

func TestSysprepGeneralizes(t *testing.T) {
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{StaleTag: true}})
	answerFile(t, g)
	out, code := do(g, sysprepExe+` /generalize /oobe /quit /quiet /mode:vm /unattend:C:\Windows\System32\Sysprep\packer-unattend.xml`)
	if code != 0 || out != "" {
		t.Fatalf("code %d: %s", code, out)
	}
	if g.imageState() != imageGeneralizedOOBE || state(g) != 4 || !strings.Contains(text(t, g, fileState), `ImageState="`+imageGeneralizedOOBE+`"`) {
		t.Errorf("state %s, %d", g.imageState(), state(g))
	}
	kind, _ := g.reg.GetDWord(keySetup, "SetupType")
	child, _ := g.reg.GetDWord(keyCompletion, "setup.exe")
	if kind != 2 || child != 0 || g.reg.GetString(keySetup, "CmdLine") != `oobe\windeploy.exe` || g.reg.GetString(keySysprepMode, "SysprepMode") != "vm" {
		t.Errorf("SetupType %d, setup.exe %d, CmdLine %q", kind, child, g.reg.GetString(keySetup, "CmdLine"))
	}
	info, err := g.drive.Stat(fileTag)
	if err != nil || time.Since(info.ModTime()) > time.Minute {
		t.Errorf("tag: %v", err)
	}
	if text(t, g, fileAnswers) != text(t, g, folderSysprep+`\packer-unattend.xml`) {
		t.Error("the answer file is not cached")
	}
	if n := len(text(t, g, folderEvents+`\System.evtx`)); n > 100 {
		t.Errorf("the event log has %d bytes", n)
	}
	log := text(t, g, fileActLog)
	for _, want := range []string{
		"Beginning of a new sysprep run", "FCreateTagFile:Successfully deleted tag file", "option 'GENERALIZE'", "option 'UNATTEND'", "option 'MODE'",
		"Sysprep mode in registry is vm", "FCreateTagFile:Successfully created tag file", "Shutting down SysPrep log",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	if strings.Index(log, "Shutting down SysPrep log") < strings.Index(log, "Successfully created tag file") {
		t.Error("the log ends before the tag")
	}
	columns(t, log)
	columns(t, text(t, g, fileErrLog))
}

// columns checks BOM, line ends and the place of the component.
func columns(t *testing.T, log string) {
	t.Helper()
	if !strings.HasPrefix(log, setuplog.BOM) || strings.Count(log, setuplog.BOM) != 1 {
		t.Error("not one BOM at the beginning")
	}
	line := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, .{22}(SYSPRP|CSI   ) \S.*\r\n$`)
	for l := range strings.Lines(strings.TrimPrefix(log, setuplog.BOM)) {
		if !line.MatchString(l) {
			t.Errorf("columns of %q", l)
		}
	}
}

func TestRefusedRunChangesNothingAndItsLogIsTheSampleLineByLine(t *testing.T) {
	sample, err := os.ReadFile(testutil.Corpus(t, "logs", "ws2022-setupact-complete-refused-run-appx.log"))
	if err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Outcome: Refused, Class: "F01", Packages: []string{"Microsoft.Edge.GameAssist_1.0.3423.0_x64__8wekyb3d8bbwe"}}})
	before := setupValues(g)
	if _, code := do(g, sysprepExe+` /oobe /generalize /shutdown /quiet`); code != 1 {
		t.Errorf("code %d", code)
	}
	if after := setupValues(g); after != before {
		t.Errorf("the registry changed\n%s\n%s", before, after)
	}
	if g.drive.IsFile(fileTag) || g.imageState() != imageComplete {
		t.Error("a tag, or another state")
	}
	stamp := regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)
	norm := func(s string) []string {
		s = stamp.ReplaceAllString(strings.TrimPrefix(s, setuplog.BOM), "T")
		return strings.Split(strings.ReplaceAll(s, "\r\n", "\n"), "\n")
	}
	got, want := norm(text(t, g, fileActLog)), norm(string(sample))
	quiet := 0
	for i, l := range got {
		if strings.Contains(l, "option 'QUIET'") { // the sample was run without
			quiet = i
		}
	}
	got = append(got[:quiet], got[quiet+1:]...)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	columns(t, text(t, g, fileErrLog))
}

func setupValues(g *Guest) string {
	var b strings.Builder
	for _, key := range []string{keySetup, keyStatus, keySysprep, keyCompletion, keyState} {
		values, _, _ := g.reg.List(key)
		for _, v := range values {
			b.WriteString(key + " " + regLine(v) + "\n")
		}
	}
	return b.String()
}

func TestUntouchedMachineHasTheValuesOfARealOne(t *testing.T) {
	f, err := os.Open(testutil.Corpus(t, "hives", "expected", "setup-status.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g := newGuest(t, Options{})
	compared := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		c := strings.Split(lines.Text(), "\t")
		if c[0] != "regipy-SYSTEM_B" { // Windows 10 1709, the nearest to Server 2022
			continue
		}
		v, ok := g.reg.Get(`HKLM\SYSTEM`+c[1], c[2])
		if !ok {
			t.Errorf("%s %s is not there", c[1], c[2])
			continue
		}
		got := regLine(v)
		switch {
		case c[2] == "SystemPartition" || c[2] == "CloneTag":
			if v.Kind != registry.String || v.Text() == "" {
				t.Errorf("%s: %s", c[2], got)
			}
		case strings.HasPrefix(c[3], "dword:"):
			n := strings.TrimLeft(c[3][6:], "0")
			if n == "" {
				n = "0"
			}
			if want := "    " + v.Name + "    REG_DWORD    0x" + n; got != want {
				t.Errorf("%s: %q, want %q", c[1], got, want)
			}
		default:
			if want := "    " + v.Name + "    REG_SZ    " + strings.Trim(strings.TrimPrefix(c[3], "str(1):"), `"`); got != want {
				t.Errorf("%s: %q, want %q", c[1], got, want)
			}
		}
		compared++
	}
	if compared < 15 {
		t.Errorf("%d values compared", compared)
	}
}

func TestEveryFailureClassEndsAsItsPhaseSays(t *testing.T) {
	for _, f := range setuplog.All() {
		if f.Class == "F50" {
			continue // by a malformed command line only
		}
		t.Run(f.Class, func(t *testing.T) {
			outcome, image, general := Refused, imageComplete, uint32(7)
			if f.Phase == setuplog.Provider {
				outcome, image, general = Broken, imageUndeployable, 3
			}
			g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Outcome: outcome, Class: f.Class}})
			if _, code := do(g, sysprepExe+` /generalize /oobe /shutdown /quiet`); code != 1 {
				t.Errorf("code %d", code)
			}
			if g.imageState() != image || state(g) != general || g.drive.IsFile(fileTag) {
				t.Errorf("%s, %d", g.imageState(), state(g))
			}
			log := text(t, g, fileActLog)
			lines := f.Lines(nil)
			if len(lines) > 0 && !strings.Contains(log, lines[len(lines)-1].Text) {
				t.Errorf("the log lacks %q", lines[len(lines)-1].Text)
			}
			if !strings.Contains(log, "Shutting down SysPrep log") {
				t.Error("the log has no end")
			}
			if g.processes("sysprep.exe") != nil {
				t.Error("sysprep is still there")
			}
		})
	}
}

// begin starts sysprep as a WMI client does: nobody waits for it.
func begin(g *Guest, arguments string) {
	_, run := g.prepare(g.session(), sysprepCall(g, arguments), "packer")
	g.goDo(func() { run() })
}

func sysprepCall(g *Guest, arguments string) *cmdshell.Call {
	return &cmdshell.Call{Name: sysprepExe, Args: arguments, Dir: g.full(folderSysprep), Env: g.environment("packer"), Stdin: strings.NewReader(""), Stdout: &bytes.Buffer{}, Stderr: &bytes.Buffer{}}
}

// eventually waits for something another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		sleepFor(context.Background(), 5*time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func TestSysprepThatHangsKeepsItsProcessAndItsLogStill(t *testing.T) {
	for name, tt := range map[string]struct {
		scenario  Scenario
		arguments string
		last      string
		image     string
	}{
		"in generalize":                   {Scenario{Outcome: Hang}, "/generalize /oobe /quit /quiet", "LaunchModule", imageUndeployable},
		"in validation":                   {Scenario{Outcome: Hang, HangIn: "validate"}, "/generalize /oobe /quit /quiet", "Shim considered", imageComplete},
		"refused without /quiet":          {Scenario{Outcome: Refused, Class: "F22"}, "/generalize /oobe /quit", "Hit failure while pre-validate", imageComplete},
		"a blank without quotes":          {Scenario{}, `/generalize /oobe /quit /unattend:C:\Program Files\x.xml`, "Unable to parse command-line", imageComplete},
		"a malformed line with /quiet":    {Scenario{}, `/generalize /oobe /quit /quiet x`, "Unable to parse command-line", imageComplete},
		"a missing answer file, no quiet": {Scenario{}, `/generalize /oobe /quit /unattend:C:\none.xml`, "Unable to parse command-line", imageComplete},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(t, Options{Speed: fast, Scenario: tt.scenario})
			begin(g, tt.arguments)
			eventually(t, "the last line", func() bool {
				b, _ := g.drive.ReadFile(fileActLog)
				lines := strings.Split(strings.TrimSpace(string(b)), "\r\n")
				return strings.Contains(lines[len(lines)-1], tt.last) && g.imageState() == tt.image
			})
			if len(g.processes("sysprep.exe")) != 1 {
				t.Error("the process is gone")
			}
			if out, code := do(g, "taskkill /im sysprep.exe /f"); code != 0 {
				t.Errorf("taskkill: %s", out)
			}
			eventually(t, "the process ends", func() bool { return g.processes("sysprep.exe") == nil })
		})
	}
}

func TestQuietMayHideTheUsageBox(t *testing.T) {
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{QuietHidesUsage: true}})
	if _, code := do(g, sysprepExe+` /generalize /oobe /quit /quiet x`); code != 1 || g.Runs("sysprep.exe") || !strings.Contains(text(t, g, fileActLog), "Unable to parse command-line") {
		t.Errorf("code %d, runs %v", code, g.Runs("sysprep.exe"))
	}
}

func TestWhoMayRunSysprep(t *testing.T) {
	for user, want := range map[string]int{`WIN-PACKER\packer`: 0, "PACKER": 0, "SYSTEM": 0, "S-1-5-18": 0, `.\Administrator`: 0, "guest": 1} {
		g := newGuest(t, Options{Speed: fast})
		_, run := g.prepare(g.session(), sysprepCall(g, "/generalize /oobe /quit /quiet"), user)
		if code := run(); code != want || (g.imageState() == imageComplete) != (want == 1) {
			t.Errorf("%s: code %d, %s", user, code, g.imageState())
		}
	}
}

func TestOneInstanceOnly(t *testing.T) {
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Start: SysprepOpen}})
	if _, code := do(g, sysprepExe+" /generalize /oobe /quit /quiet"); code != 1 {
		t.Errorf("code %d", code)
	}
	if g.drive.IsFile(fileActLog) {
		t.Error("a second instance wrote to the log")
	}
}

func TestSecondGeneralizeFindsAnInvalidState(t *testing.T) {
	for _, start := range []StartState{Generalized, Unfinished} {
		g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Start: start}})
		if _, code := do(g, sysprepExe+" /generalize /oobe /quit /quiet"); code != 1 {
			t.Errorf("%s: code %d", start, code)
		}
		if !strings.Contains(text(t, g, fileActLog), "Not running DLLs; either the machine is in an invalid state") {
			t.Errorf("%s: the log does not say why", start)
		}
	}
}

func TestStartStates(t *testing.T) {
	for _, tt := range []struct {
		start StartState
		image string
		other int // other sysprep processes
	}{
		{Clean, imageComplete, 0}, {Generalized, imageGeneralizedOOBE, 0}, {Audit, imageSpecializedAudit, 1}, {SysprepOpen, imageComplete, 1},
		{Unfinished, imageComplete, 0}, {Undeployable, imageUndeployable, 0}, {NoSysprep, imageComplete, 0}, {RebootPending, imageComplete, 0},
	} {
		g := newGuest(t, Options{Scenario: Scenario{Start: tt.start}})
		if g.imageState() != tt.image || len(g.processes("sysprep.exe")) != tt.other {
			t.Errorf("%q: %s, %d processes", tt.start, g.imageState(), len(g.processes("sysprep.exe")))
		}
	}
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Start: SetupRunning, SetupFor: Duration(30 * time.Second)}})
	eventually(t, "first boot ends", func() bool { return g.imageState() == imageComplete })
}

func TestAuditAndReseal(t *testing.T) {
	for arguments, want := range map[string]string{
		"/generalize /audit /quit /quiet": imageGeneralizedAudit, "/oobe /quit /quiet": imageSpecializedOOBE, "-generalize -oobe -quit -quiet": imageGeneralizedOOBE,
	} {
		g := newGuest(t, Options{Speed: fast})
		if _, code := do(g, sysprepExe+" "+arguments); code != 0 || g.imageState() != want {
			t.Errorf("%s: code %d, %s, want %s", arguments, code, g.imageState(), want)
		}
	}
}

func TestScenarioIsStrict(t *testing.T) {
	s, err := ParseScenario(`{"outcome":"broken","class":"F38","generalize":"1m30s","winrm_dies":"401"}`)
	if err != nil || time.Duration(s.Generalize) != 90*time.Second || s.WinRMDies != WinRMNoShells {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := ParseScenario(" "); err != nil || s.Outcome != "" {
		t.Errorf("empty: %+v, %v", s, err)
	}
	for _, bad := range []string{
		`{"outcom":"success"}`, `{"outcome":"nonsense"}`, `{"outcome":"refused"}`, `{"outcome":"refused","class":"F38"}`, `{"outcome":"broken","class":"F01"}`,
		`{"generalize":5}`, `{"generalize":"five"}`, `{"start":"x"}`, `{"winrm_dies":"x"}`, `{"hang_in":"x"}`, `{"afterwards":"x"}`, `{"first_boot":"x"}`, `{"zone":"16h"}`, `{`, `[]`,
		`{"no_new_shells_from":"x"}`, `{"freeze":{"at":"launch","for":"1s"}}`, `{"freeze":{"at":"tag"}}`, `{"freeze":{"for":"1s"}}`, `{"freeze":{"until":"1s"}}`,
		`{"port_closed":{"from":"x","for":"1s"}}`, `{"winrm_stops_first":"-1s"}`, `{"late_first_line":"-1s"}`, `{"powershell_starts":"-1s"}`, `{"blocked_scripts":["x"]}`,
	} {
		if _, err := ParseScenario(bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
