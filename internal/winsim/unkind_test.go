package winsim

import (
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/cmdshell"
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
	for _, text := range []string{`{"no_new_shells_from":"never"}`, `{"power_button_presses":-1}`} {
		if _, err := ParseScenario(text); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
	if s, err := ParseScenario(`{"no_new_shells_from":"tag","late_first_line":"3s"}`); err != nil || s.NoNewShellsFrom != AtTag || s.LateFirstLine == 0 {
		t.Errorf("%+v, %v", s, err)
	}
}
