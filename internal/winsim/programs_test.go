package winsim

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

func TestPrograms(t *testing.T) {
	const state = `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State`
	for _, tt := range []struct {
		line, out string
		code      int
	}{
		{`reg query HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State /v ImageState`, "\r\n" + state + "\r\n    ImageState    REG_SZ    IMAGE_STATE_COMPLETE\r\n\r\n", 0},
		{`REG.EXE QUERY "HKEY_LOCAL_MACHINE\software\microsoft\windows\currentversion\setup\state" /reg:64 /v imagestate`,
			"\r\n" + `HKEY_LOCAL_MACHINE\software\microsoft\windows\currentversion\setup\state` + "\r\n    ImageState    REG_SZ    IMAGE_STATE_COMPLETE\r\n\r\n", 0},
		{`reg query HKLM\SYSTEM\Setup\Status\SysprepStatus`, "\r\nHKEY_LOCAL_MACHINE\\SYSTEM\\Setup\\Status\\SysprepStatus\r\n    GeneralizationState    REG_DWORD    0x7\r\n    CleanupState    REG_DWORD    0x2\r\n\r\n", 0},
		{`reg query HKLM\SYSTEM\Nowhere`, regNotFound + "\r\n", 1},
		{`reg query HKLM\SYSTEM\Setup /v Nothing`, regNotFound + "\r\n", 1},
		{`reg add HKLM\SOFTWARE\Demo /v N /t REG_DWORD /d 10 /f & reg query HKLM\SOFTWARE\Demo /v N`, "The operation completed successfully.\r\n\r\nHKEY_LOCAL_MACHINE\\SOFTWARE\\Demo\r\n    N    REG_DWORD    0xa\r\n\r\n", 0},
		{`reg add HKLM\SOFTWARE\Demo /v M /t REG_MULTI_SZ /d a\0b /f >nul & reg query HKLM\SOFTWARE\Demo /v M | find "REG_"`, "    M    REG_MULTI_SZ    a\\0b\r\n", 0},
		{`reg add HKLM\SOFTWARE\Demo /f >nul & reg delete HKLM\SOFTWARE\Demo /f & reg query HKLM\SOFTWARE\Demo`, "The operation completed successfully.\r\n" + regNotFound + "\r\n", 1},
		{`tasklist /fi "imagename eq sysprep.exe" /fo csv /nh`, "INFO: No tasks are running which match the specified criteria.\r\n", 0},
		{`tasklist /fi "imagename eq tasklist.exe" /fo csv /nh`, "\"tasklist.exe\",\"4000\",\"Services\",\"0\",\"12,340 K\"\r\n", 0},
		{`taskkill /f /im sysprep.exe`, "ERROR: The process \"sysprep.exe\" not found.\r\n", 128},
		{`hostname`, "WIN-PACKER\r\n", 0},
		{`md C:\p && icacls C:\p /inheritance:r /grant:r "*S-1-5-18:(OI)(CI)F" "*S-1-5-32-544:(OI)(CI)F"`, "processed file: C:\\p\r\nSuccessfully processed 1 files; Failed processing 0 files\r\n", 0},
		{`icacls C:\none /inheritance:r /grant:r *S-1-5-18:F`, "C:\\none: The system cannot find the file specified.\r\nSuccessfully processed 0 files; Failed processing 1 files\r\n", 2},
		{`whoami`, "win-packer\\packer\r\n", 0},
		{`where reg`, `C:\Windows\System32\reg.exe` + "\r\n", 0},
		{`where nothing-like-it`, "INFO: Could not find files for the given pattern(s).\r\n", 1},
		{`cmd /c "echo a&& echo b"`, "a\r\nb\r\n", 0},
		{`%ComSpec% /c exit 5`, "", 5},
		{`C:\Windows\System32\cmd.exe /d /c "C:\Windows\System32\hostname.exe"`, "WIN-PACKER\r\n", 0},
		{`echo one> f& echo two>> f& more +1 f`, "two\r\n", 0},
		{`echo abc| findstr /i B`, "abc\r\n", 0},
		{`echo abc| find /c "x"`, "0\r\n", 1},
		{`echo abc| find /c /v ""`, "1\r\n", 0},
		{`echo a> f& copy f g>nul& fc /b f g>nul && echo same`, "same\r\n", 0},
		{`echo a> f& echo b> g& fc /b f g>nul || echo other`, "other\r\n", 0},
		{`reg query "HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State" /v ImageState /reg:64|find "COMPLETE">nul&& echo yes`, "yes\r\n", 0},
		{`shutdown /a`, "Unable to abort the system shutdown because no shutdown was in progress.(1116)\r\n", 1116},
		{`shutdown /r /t 600 & shutdown /s /t 5`, "A system shutdown has already been scheduled.(1190)\r\n", 1190},
		{`shutdown /r /t 600 /f /d p:4:1 /c "a comment" & shutdown /a`, "", 0},
		{`schtasks /create /tn packer-t /tr "cmd /c exit 3" /sc once /st 00:00 /ru SYSTEM /rl highest /f`, "SUCCESS: The scheduled task \"packer-t\" has successfully been created.\r\n", 0},
		{`schtasks /run /tn none`, "ERROR: The system cannot find the file specified.\r\n", 1},
		{`schtasks /create /tn packer-u /tr hostname /sc once /st 00:00 >nul && schtasks /query /tn \packer-u /fo csv /nh & schtasks /delete /tn packer-u /f`,
			"\"\\packer-u\",\"N/A\",\"Ready\"\r\nSUCCESS: The scheduled task \"packer-u\" was successfully deleted.\r\n", 0},
		{`wevtutil el`, "Application\r\nSecurity\r\nSystem\r\n", 0},
		{`wevtutil qe "Microsoft-Windows-AppXDeploymentServer/Operational" /q:"*[System[(Level=1 or Level=2)]]" /c:20 /rd:true /f:text`, "", 0},
		{`sc query WinRM | find "STATE"`, "        STATE              : 4  RUNNING \r\n", 0},
		{`sc query nothing >nul`, "", 1060},
		{`timeout /t 3 /nobreak`, "", 0},
		{`ping -n 2 127.0.0.1 >nul`, "", 0},
		{`powershell.exe -NoProfile -Command "Write-Output 'hi'"`, "hi\r\n", 0},
		{`powershell -executionpolicy bypass -file C:\none.ps1`, "The argument 'C:\\none.ps1' to the -File parameter does not exist. Provide the path to an existing '.ps1' file as an argument to the -File parameter.\r\n", noFile},
	} {
		t.Run(tt.line, func(t *testing.T) {
			g := newGuest(t, Options{Speed: fast})
			if out, code := do(g, tt.line); out != tt.out || code != tt.code {
				t.Errorf("got %q, code %d\nwant %q, code %d", out, code, tt.out, tt.code)
			}
		})
	}
}

func TestWhatAProgramDoesNotKnowIsRefusedAndRecorded(t *testing.T) {
	g := newGuest(t, Options{})
	for i, line := range []string{
		`reg query HKCU\Software`, `reg query HKLM\SYSTEM /f x`, `reg add HKLM\SOFTWARE\X /v a /t REG_QWORD /d 1`, `reg delete HKLM\SOFTWARE\X`, `reg import x.reg`,
		`schtasks /create /tn x`, `schtasks /change /tn x`, `tasklist /svc`, `tasklist /fi "status eq running"`, `taskkill /im`, `shutdown /h`, `shutdown /s /t x`,
		`sc stop WinRM`, `whoami /groups`, `icacls C:\Windows`, `icacls C:\Windows /inheritance:r /grant:r Everyone:F`, `icacls C:\Windows\System32\cmd.exe /inheritance:r /grant:r *S-1-5-18:(OI)F`, `ping example.org`, `wevtutil qe System`, `powershell Get-Process`, `powershell -Version 2 -Command x`,
		`powershell -EncodedCommand JABQAHIAbwBnAHIAZQBzAHMA`, `net user`, `findstr "a.*b" f`, `powershell -ExecutionPolicy RemoteSigned -File x`,
	} {
		out, code := do(g, line)
		if code == 0 || out == "" {
			t.Errorf("%s: code %d, %q", line, code, out)
		}
		if len(g.Unknown()) != i+1 {
			t.Fatalf("%s is not recorded: %d", line, len(g.Unknown()))
		}
	}
	g.unknown = nil // asked for
}

func TestWithoutCmdAProgramIsStartedDirectly(t *testing.T) {
	g := newGuest(t, Options{})
	h := g.Handler()
	var out bytes.Buffer
	p := &wsman.Process{Line: `C:\Windows\System32\hostname.exe`, SkipCmd: true, User: "packer", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
	finder, ok := h.(wsman.Finder)
	if !ok || finder.Find(p) != nil || h.Run(t.Context(), p) != 0 || out.String() != "WIN-PACKER\r\n" {
		t.Errorf("%v, %q", ok, out.String())
	}
	if err := finder.Find(&wsman.Process{Line: "echo x", SkipCmd: true}); !errors.Is(err, wsman.ErrNotFound) || len(g.Unknown()) != 1 {
		t.Errorf("a command of cmd.exe: %v", err)
	}
	g.unknown = nil // asked for
}

func TestTaskRunsDetachedAndKeepsItsResult(t *testing.T) {
	g := newGuest(t, Options{Speed: fast})
	do(g, `schtasks /create /tn packer-x /tr "cmd /c ping -n 3 127.0.0.1 > C:\out.txt & exit 3" /sc once /st 00:00 /ru SYSTEM`)
	if !g.drive.IsFile(folderTasks + `\packer-x`) {
		t.Error("a task leaves a file")
	}
	if out, code := do(g, `schtasks /run /tn packer-x`); code != 0 {
		t.Error(out)
	}
	eventually(t, "the task ends", func() bool {
		out, _ := do(g, `schtasks /query /tn packer-x /fo list /v`)
		return strings.Contains(out, "Status:        Ready") && strings.Contains(out, "Last Result:   3\r\n")
	})
	if !strings.Contains(text(t, g, `C:\out.txt`), "Reply from") {
		t.Error("no output")
	}
	do(g, `schtasks /create /tn packer-y /tr "C:\none.exe" /sc once /st 00:00 & schtasks /run /tn packer-y`)
	if _, result := g.taskState(g.task("packer-y")); result != taskNoProgram {
		t.Errorf("a missing program: %d", result)
	}
}

func TestElevatedTaskHoldsNoPassword(t *testing.T) {
	g := newGuest(t, Options{Speed: fast})
	do(g, `schtasks /create /tn packer-x /tr "cmd /c rem" /sc once /st 00:00 /ru packer /rp S3cret!`)
	if s := text(t, g, folderTasks+`\packer-x`); strings.Contains(s, "S3cret") {
		t.Errorf("the task file holds the password: %s", s)
	}
	if out, code := do(g, `schtasks /create /tn packer-z /tr "cmd /c rem" /sc once /st 00:00 /ru packer /rp wrong`); code == 0 {
		t.Errorf("a wrong password: %s", out)
	}
}

func TestRefusedTextHidesThePassword(t *testing.T) {
	g := newGuest(t, Options{})
	do(g, `powershell -Command "New-Thing -Password 'S3cret!'"`)
	if u := strings.Join(g.Unknown(), ""); strings.Contains(u, "S3cret") || !strings.Contains(u, "New-Thing") {
		t.Errorf("recorded: %s", u)
	}
	g.unknown = nil // asked for
}

func TestRegistryAndTasksOutliveTheSession(t *testing.T) {
	root := t.TempDir()
	g, err := New(Options{Root: root, User: "packer", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	do(g, `reg add HKLM\SOFTWARE\Demo /v Text /d "a b" /f & schtasks /create /tn packer-x /tr hostname /sc once /st 00:00`)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	g, err = New(Options{Root: root, User: "packer", Password: "p"})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if out, _ := do(g, `reg query HKLM\SOFTWARE\Demo /v Text`); !strings.Contains(out, "    Text    REG_SZ    a b\r\n") {
		t.Errorf("registry: %q", out)
	}
	if g.task("packer-x") == nil || g.imageState() != imageComplete {
		t.Error("task or state is lost")
	}
}

func TestPowerButtonShutsDownCleanly(t *testing.T) {
	events := make(chan PowerEvent, 1)
	g := newGuest(t, Options{Speed: fast, Power: func(e PowerEvent) { events <- e }})
	g.reg.SetString(`HKLM\SOFTWARE\Demo`, "late", "x")
	g.PowerButton()
	g.PowerButton()
	if e := <-events; e != PowerOff {
		t.Errorf("%v", e)
	}
	if hive := text(t, g, hivePath("SOFTWARE")); !regexp.MustCompile("l\x00?a\x00?t\x00?e").MatchString(hive) {
		t.Error("the registry is not on disk")
	}
	deaf := newGuest(t, Options{Speed: fast, Scenario: Scenario{IgnoresPowerButton: true}})
	deaf.PowerButton()
	if deaf.shutdown != nil {
		t.Error("shuts down though it ignores the button")
	}
}

func TestBootOfAGeneralizedImageStopsInTheFirstBootDialogs(t *testing.T) {
	rebooted := make(chan PowerEvent, 1)
	g := newGuest(t, Options{Speed: fast, Power: func(e PowerEvent) { rebooted <- e }})
	begin(g, "/generalize /oobe /reboot /quiet")
	if e := <-rebooted; e != Reboot {
		t.Fatalf("%v", e)
	}
	if err := g.Boot(); err != nil {
		t.Fatal(err)
	}
	if _, up := g.WinRMDelay(); up || g.imageState() != imageSpecializedOOBE || state(g) != 7 {
		t.Errorf("WinRM %v, %s, %d", up, g.imageState(), state(g))
	}
}

func TestDocumentsAreASCII(t *testing.T) {
	got := asciiJSON(document{{"a", "ü\"\\\x01𝄞"}, {"b", nil}, {"c", []document{}}, {"d", utc(time.Date(2026, 1, 2, 3, 4, 5, 678900000, time.UTC))}})
	if want := `{"a":"\u00fc\"\\\u0001\ud834\udd1e","b":null,"c":[],"d":"2026-01-02T03:04:05.6789000Z"}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
