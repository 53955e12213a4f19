package winsim_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	sdkwinrm "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/winrm"
	"github.com/masterzen/winrm"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// onD starts a guest whose Windows is on D:. The letter may be small.
func onD(t *testing.T, speed float64) (*winsim.Running, *winrm.Client) {
	t.Helper()
	r := start(t, winsim.Options{Speed: speed, Scenario: winsim.Scenario{Unkind: winsim.Unkind{SystemDrive: "d"}}}, winsim.ServerOptions{})
	return r, client(t, r, winsim.ServerOptions{}, password)
}

func TestWindowsIsOnTheDriveOfItsScenario(t *testing.T) {
	r, c := onD(t, 100)
	for _, tt := range [][2]string{
		{`echo %windir% %SystemDrive% %TEMP% %CD%`, `D:\Windows D: D:\Users\packer\AppData\Local\Temp D:\Users\packer`},
		{`echo %PATH% %ComSpec%`, `D:\Windows\System32;D:\Windows;D:\Windows\System32\WindowsPowerShell\v1.0 D:\Windows\System32\cmd.exe`},
		{`echo a> D:\x.txt& type d:\X.TXT& type \x.txt`, "a\r\na"},
		{`cd /d D:\Windows & cd`, `D:\Windows`},
		{`D: & cd D:\ & cd`, `D:\`},
		{`where hostname & D:\Windows\System32\hostname.exe & %windir%\System32\hostname`, "D:\\Windows\\System32\\hostname.exe\r\nWIN-PACKER\r\nWIN-PACKER"},
		{`for /d %D in ("D:\Windows\Set*") do echo %D`, `D:\Windows\Setup`},
		{`dir /b D:\Windows\Setup`, `State`},
		{`echo @echo %~d0 %~dp0 %~f0> D:\Users\x.cmd& D:\Users\x.cmd`, `D: D:\Users\ D:\Users\x.cmd`},
		{`del D:\none.txt`, `Could Not Find D:\none.txt`},
		{`reg query "HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion" /v SystemRoot`, "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\r\n    SystemRoot    REG_SZ    D:\\Windows"},
	} {
		if out, _ := run(t, c, tt[0]); strings.TrimSpace(out) != tt[1] {
			t.Errorf("%s\n got %q\nwant %q", tt[0], out, tt[1])
		}
	}
	if b, err := os.ReadFile(r.Guest.Host(`D:\x.txt`)); err != nil || string(b) != "a\r\n" {
		t.Errorf("on the host: %q, %v", b, err)
	}
}

func TestADriveThatIsNotThereIsRefused(t *testing.T) {
	const noDrive, noPath = "The system cannot find the drive specified.", "The system cannot find the path specified."
	r, c := onD(t, 100)
	run(t, c, `echo a> D:\x.txt`)
	for line, want := range map[string]string{
		`C:`: noDrive, `cd /d C:\`: noDrive, `cd C:\Windows`: noDrive, `type C:\Windows\win.ini`: noDrive, `echo a> C:\x.txt`: noDrive, `md C:\x`: noDrive,
		`del C:\x.txt`: noDrive, `copy D:\x.txt C:\y.txt`: noDrive, `move C:\x.txt D:\y.txt`: noDrive, `ren C:\x.txt y.txt`: noDrive, `rd C:\x`: noDrive, `dir /b C:\`: noPath,
		`find "x" C:\x.txt`: `File not found - C:\X.TXT`, `findstr /l x C:\x.txt`: `FINDSTR: Cannot open C:\x.txt`, `more C:\x.txt`: `Cannot access file C:\x.txt`,
		`powershell -NoProfile -File C:\x.ps1`: `The argument 'C:\x.ps1' to the -File parameter does not exist.`,
	} {
		if out, code := run(t, c, line); !strings.Contains(out, want) || code == 0 {
			t.Errorf("%s: code %d, %q, want %q", line, code, out, want)
		}
	}
	for _, line := range []string{`if exist C:\Windows echo wrong`, `if exist C:\* echo wrong`, `for /d %D in ("C:\*") do echo wrong`, `if not exist D:\x.txt echo wrong`} {
		if out, _ := run(t, c, line); out != "" {
			t.Errorf("%s: %q", line, out)
		}
	}
	// A program is found on no other drive, at once or by a task.
	run(t, c, `schtasks /create /tn x /tr C:\Windows\System32\hostname.exe /sc once /st 00:00 & schtasks /run /tn x`)
	if out, _ := run(t, c, `schtasks /query /tn x /fo csv /nh /v`); !strings.Contains(out, `"-2147024894"`) {
		t.Errorf("the task: %q", out)
	}
	if list, err := os.ReadDir(filepath.Dir(r.Guest.Host(`D:\x.txt`))); err != nil || len(list) != 5 { // ProgramData, "Program Files", Users, Windows, x.txt
		t.Errorf("on the drive: %v, %v", list, err)
	}
}

// The transfers of Packer take the path of their caller.
func TestPackersTransfersKnowTheDrive(t *testing.T) {
	r, _ := onD(t, 100)
	comm, err := sdkwinrm.New(&sdkwinrm.Config{Host: r.Host, Port: r.Port, Username: "packer", Password: password, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := comm.Upload(`D:/x.txt`, strings.NewReader("text"), nil); err != nil {
		t.Fatal(err)
	}
	var back bytes.Buffer
	if err := comm.Download(`D:/x.txt`, &back); err != nil || strings.TrimRight(back.String(), "\x00") != "text" {
		t.Errorf("download: %q, %v", back.String(), err)
	}
	if err := comm.Upload(`C:/x.txt`, strings.NewReader("text"), nil); err == nil {
		t.Error("an upload to C: succeeds")
	}
	if b, err := os.ReadFile(r.Guest.Host(`D:\x.txt`)); err != nil || string(b) != "text" {
		t.Errorf("on the host: %q, %v", b, err)
	}
}

func TestSysprepRunsOnAnotherDrive(t *testing.T) {
	const sysprep = `D:\Windows\System32\Sysprep`
	r, c := onD(t, 20)
	run(t, c, `echo ^<unattend xmlns="urn:schemas-microsoft-com:unattend"/^>> `+sysprep+`\a.xml`)
	run(t, c, `schtasks /create /tn s /tr "`+sysprep+`\sysprep.exe /generalize /oobe /quit /quiet /unattend:`+sysprep+`\a.xml" /sc once /st 00:00 & schtasks /run /tn s`)
	if !until(func() bool { _, err := os.Stat(r.Guest.Host(sysprep + `\Sysprep_succeeded.tag`)); return err == nil }) {
		t.Fatal("no tag")
	}
	if !until(func() bool { return !r.Guest.Runs("sysprep.exe") }) {
		t.Fatal("sysprep.exe does not end")
	}
	b, err := os.ReadFile(r.Guest.Host(sysprep + `\Panther\setupact.log`))
	if text := string(b); err != nil || strings.Contains(text, `C:\`) || !strings.Contains(text, `Successfully created tag file `+sysprep+`\Sysprep_succeeded.tag`) {
		t.Errorf("the log: %v\n%s", err, text)
	}
	if out, _ := run(t, c, `if exist D:\Windows\Panther\unattend.xml echo cached`); out != "cached\r\n" {
		t.Errorf("the answer file: %q", out)
	}
}
