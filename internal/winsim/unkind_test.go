package winsim

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

func TestNoProgramStartsInAShutdown(t *testing.T) {
	kind := newGuest(t, Options{Scenario: Scenario{ShutdownTakes: Duration(time.Hour)}})
	hard := newGuest(t, Options{Scenario: Scenario{ShutdownTakes: Duration(time.Hour), Unkind: Unkind{NoProcessesInShutdown: true}}})
	// The line began before the shutdown: what cmd.exe does itself still works.
	const line = `shutdown /s /t 0 & ping -n 2 127.0.0.1 >nul & hostname & echo on> C:\left.txt & del C:\left.txt & if not exist C:\left.txt echo gone`
	if out, _ := do(kind, line); !strings.Contains(out, "WIN-PACKER\r\n") || !strings.HasSuffix(out, "gone\r\n") {
		t.Errorf("a kind Windows: %q", out)
	}
	if out, _ := do(hard, line); !strings.HasSuffix(out, "gone\r\n") {
		t.Errorf("builtins do not work: %q", out)
	}
	eventually(t, "the shutdown has begun", hard.startsNothing)
	if out, code := do(hard, `hostname`); code != cmdshell.NotStarted || out != "" {
		t.Errorf("a new command: %q, code %d", out, code)
	}
}

func TestADisplayThatIsOffWakesFirst(t *testing.T) {
	events := make(chan PowerEvent, 1)
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Unkind: Unkind{PowerButtonPresses: 2}}, Power: func(e PowerEvent) { events <- e }})
	g.PowerButton()
	if g.shutdown != nil {
		t.Fatal("the first press shuts down")
	}
	time.Sleep(g.scaled(2 * pressGap))
	g.PowerButton()
	if e := <-events; e != PowerOff {
		t.Errorf("got %v", e)
	}
	slow := newGuest(t, Options{Scenario: Scenario{Unkind: Unkind{PowerButtonPresses: 2}}})
	slow.PowerButton()
	slow.PowerButton()
	if slow.shutdown != nil {
		t.Error("two presses at once count as two")
	}
}

func TestWinRMChangesWithTheRun(t *testing.T) {
	for _, stage := range []Stage{AtLaunch, AtGeneralize, AtTag} {
		states := make(chan WinRMState, 4)
		g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Unkind: Unkind{NoNewShellsFrom: stage}}, WinRM: func(s WinRMState) { states <- s }})
		do(g, folderSysprep+`\sysprep.exe /generalize /oobe /quit /quiet`)
		if got := <-states; got != WinRMNoShells {
			t.Errorf("%s: %q", stage, got)
		}
	}
	states, events := make(chan WinRMState, 4), make(chan PowerEvent, 1)
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Unkind: Unkind{WinRMStopsFirst: Duration(time.Second)}}, WinRM: func(s WinRMState) { states <- s },
		Power: func(e PowerEvent) {
			if len(states) == 0 {
				t.Error("the service was not stopped first")
			}
			events <- e
		}})
	do(g, `shutdown /s /t 0`)
	<-events
	if got := <-states; got != WinRMReset {
		t.Errorf("got %q", got)
	}
}

func TestABlockedScriptSaysSo(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{Unkind: Unkind{BlockedScripts: []string{"watch"}}}})
	for name, blocked := range map[string]bool{scripts.Watch: true, scripts.Read: false} {
		if err := g.drive.WriteFile(`C:\x.ps1`, scripts.Text(name)); err != nil {
			t.Fatal(err)
		}
		out, code := do(g, `powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -InputFormat None -File C:\x.ps1 -Json e30=`)
		if got := strings.Contains(out, "blocked by your antivirus software"); got != blocked || code == 0 || strings.Contains(out, `{"script"`) == blocked {
			t.Errorf("%s: code %d, %q", name, code, out)
		}
	}
}

func TestUnkindIsChecked(t *testing.T) {
	for text, field := range map[string]string{
		`{"no_new_shells_from":"never"}`: "no_new_shells_from", `{"power_button_presses":-1}`: "power_button_presses",
		`{"system_drive":"D:"}`: "system_drive", `{"system_drive":"1"}`: "system_drive", `{"system_drive":"Ä"}`: "system_drive",
	} {
		if _, err := ParseScenario(text); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, want := range map[string]string{`{}`: "C", `{"system_drive":"c"}`: "C", `{"system_drive":"E"}`: "E"} {
		if s, err := ParseScenario(text); err != nil || s.systemDrive() != want {
			t.Errorf("%s: %q, %v", text, s.systemDrive(), err)
		}
	}
	if s, err := ParseScenario(`{"no_new_shells_from":"tag","late_first_line":"3s"}`); err != nil || s.NoNewShellsFrom != AtTag || s.LateFirstLine == 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// What a client would start on a drive that is not there is told, too.
func TestNothingStartsOnADriveThatIsNotThere(t *testing.T) {
	g, err := New(Options{Root: t.TempDir(), Scenario: Scenario{Unkind: Unkind{SystemDrive: "D"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for i, tt := range []struct{ dir, line, want string }{
		{"", `C:\Windows\System32\hostname.exe`, "The system cannot find the path specified.\r\n"}, {`C:\`, "hostname", "The directory name is invalid.\r\n"},
	} {
		var out bytes.Buffer
		code := g.run(t.Context(), &wsman.Process{Dir: tt.dir, Line: tt.line, User: "packer", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out})
		if out.String() != tt.want || code != 1 || len(g.Unknown()) != i+1 {
			t.Errorf("%s: %q, %d, told %q", tt.line, out.String(), code, g.Unknown())
		}
	}
	var out bytes.Buffer
	if g.run(t.Context(), &wsman.Process{Dir: `D:\Users`, Line: "cd", User: "packer", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}); out.String() != "D:\\Users\r\n" {
		t.Errorf("a folder that is there: %q", out.String())
	}
}
