package winsim

import (
	"strings"
	"testing"
)

// Windows opens the window at each logon in audit mode, also when a run brought it
// there, and the logon may come later than WinRM.
func TestAuditModeOpensTheWindowAtEachLogon(t *testing.T) {
	power := make(chan PowerEvent, 1)
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{Unkind: Unkind{LogonTakes: Duration(20e9)}}, Power: func(e PowerEvent) { power <- e }})
	if out, code := do(g, sysprepExe+` /audit /reboot /quiet`); code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	for range 2 {
		if e := <-power; e != Reboot {
			t.Fatal(e)
		}
		if err := g.Boot(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the window opens", func() bool { return g.Runs("sysprep.exe") })
		p := g.processes("sysprep.exe")[0]
		if p.user != "Administrator" || p.session != 1 || p.commandLine != `"`+sysprepExe+`"` {
			t.Errorf("%+v", p)
		}
		if out, _ := do(g, `reg query HKLM\SYSTEM\Setup\Status /v AuditBoot`); !strings.Contains(out, "0x1") || g.imageState() != imageSpecializedAudit {
			t.Errorf("%q, %s", out, g.imageState())
		}
		if out, code := do(g, `shutdown /r /t 0`); code != 0 {
			t.Fatal(out)
		}
	}
}

func TestARestartForgetsTheHiveThatHasNoFile(t *testing.T) {
	power := make(chan PowerEvent, 1)
	g := newGuest(t, Options{Speed: fast, Power: func(e PowerEvent) { power <- e }})
	const key = `"HKLM\HARDWARE\DESCRIPTION\System"`
	if out, code := do(g, `reg add `+key+` /v a /t REG_SZ /d 1 /f`); code != 0 {
		t.Fatal(out)
	}
	if out, code := do(g, `reg add HKLM\HARDWARE\mine /v a /t REG_SZ /d 1 /f`); code == 0 {
		t.Errorf("a key that is no volatile one was made there: %s", out)
	}
	if out, _ := do(g, `reg query `+key); !strings.Contains(out, "    a    REG_SZ    1") {
		t.Errorf("%q", out)
	}
	do(g, `shutdown /r /t 0`)
	<-power
	if err := g.Boot(); err != nil {
		t.Fatal(err)
	}
	if out, _ := do(g, `reg query `+key); strings.Contains(out, "    a    REG_SZ") || !strings.Contains(out, "Identifier") {
		t.Errorf("%q", out)
	}
}

// With /s the first and the last quote go, whatever is between them.
func TestCmdWithSStripsTheOuterQuotesOnly(t *testing.T) {
	g := newGuest(t, Options{})
	for line, want := range map[string]string{
		`cmd.exe /d /s /c ^"echo ^"a ^& b^"^"`:          `"a & b"`,
		`cmd.exe /d /s /c ^"echo x ^& echo ^(y^)^"`:     "(y)",
		`cmd.exe /d /s /c ^"exit 3^"&& echo never`:      "",
		`cmd.exe /d /s /c ^"type C:\none^" 2>nul`:       "",
		`cmd.exe /d /s /c "echo a"& echo b`:             "b",
		`cmd.exe /d /s /c ^"if exist C:\none echo no^"`: "",
	} {
		out, _ := do(g, line)
		if !strings.Contains(out, want) || strings.Contains(out, "never") {
			t.Errorf("%s: %q", line, out)
		}
	}
	if _, code := do(g, `cmd.exe /d /s /c ^"exit 3^"`); code != 3 {
		t.Errorf("code %d", code)
	}
}

// processes.ps1 tells command lines and marks.
func TestTheSysprepThatRunsIsListed(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{Start: Audit}})
	if err := g.drive.WriteFile(folderSysprep+`\Panther.packer-20260102T030405Z\packer-0123456789ab.mark`, nil); err != nil {
		t.Fatal(err)
	}
	out, code := runScript(t, g, "processes", m{}, "")
	for _, part := range []string{`"commandLine":"\"C:\\Windows\\System32\\Sysprep\\sysprep.exe\""`, `"session":1`, `{"folder":"Panther.packer-20260102T030405Z","name":"packer-0123456789ab.mark"}`} {
		if text := out; code != 0 || !strings.Contains(text, part) {
			t.Errorf("code %d, no %s: %s", code, part, text)
		}
	}
}
