package winsim

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

func newGuest(t *testing.T, opt Options) *Guest {
	t.Helper()
	opt.Root = t.TempDir()
	if opt.User == "" {
		opt.User, opt.Password = "packer", "S3cret!"
	}
	opt.Log = t.Logf
	g, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		for _, u := range g.Unknown() {
			t.Errorf("the guest did not know: %s", u)
		}
	})
	return g
}

func TestLaunchGivesTheGoldens(t *testing.T) {
	hang := Scenario{Outcome: Hang, HangIn: "validate"}
	g := inState(t, "clean-server-2022", hang)
	answerFile(t, g)
	if err := g.drive.WriteFile(fileTag, nil); err != nil {
		t.Fatal(err)
	}
	out, _ := runScript(t, g, "launch", m{"arguments": goldenArguments, "dryRun": true}, "")
	compareGolden(t, "launch-dry-run", out)
	if !g.drive.IsFile(fileTag) {
		t.Error("a dry run deleted the tag")
	}
	out, code := runScript(t, g, "launch", m{"arguments": goldenArguments}, "")
	compareGolden(t, "launch-process", samePID(out))
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	out, _ = runScript(t, g, "launch", m{"arguments": goldenArguments}, "")
	compareGolden(t, "launch-already-running", samePID(out))

	g = inState(t, "clean-server-2022", Scenario{CreateReturn: 77})
	out, _ = runScript(t, g, "launch", m{"arguments": goldenArguments}, "")
	compareGolden(t, "launch-create-fails", out)

	g = inState(t, "clean-server-2022", Scenario{})
	if err := g.drive.Remove(folderSysprep + `\sysprep.exe`); err != nil {
		t.Fatal(err)
	}
	out, _ = runScript(t, g, "launch", m{"arguments": goldenArguments}, "")
	compareGolden(t, "launch-sysprep-missing", out)

	g = inState(t, "clean-server-2022", hang)
	out, _ = runScript(t, g, "launch", m{"arguments": "/oobe /generalize /quit", "mode": "task", "user": `WIN-PACKER\packer`}, "")
	compareGolden(t, "launch-task", samePID(out))

	g = inState(t, "clean-server-2022", Scenario{TasksFail: true})
	out, _ = runScript(t, g, "launch", m{"arguments": "/oobe", "mode": "task", "user": "packer"}, "")
	compareGolden(t, "launch-task-fails", out)
}

// samePID writes the process id of the goldens for the one of this run.
func samePID(out string) string { return pid.ReplaceAllString(out, `"$1":4000`) }

func TestLaunchWithAPasswordReadsItFromStdin(t *testing.T) {
	p := m{"arguments": "/oobe /generalize /quit", "mode": "task", "logon": "password", "user": "packer", "taskName": "packer-x"}
	g := inState(t, "clean-server-2022", Scenario{Outcome: Hang, HangIn: "validate"})
	out, code := runScript(t, g, "launch", p, base64.StdEncoding.EncodeToString([]byte("S3cret!"))+"\n")
	if code != 0 || !strings.Contains(out, `"started":true`) || strings.Contains(out, "S3cret") {
		t.Errorf("code %d: %s", code, out)
	}
	g = inState(t, "clean-server-2022", Scenario{})
	if out, code := runScript(t, g, "launch", p, base64.StdEncoding.EncodeToString([]byte("wrong"))+"\n"); code != 1 || !strings.Contains(out, "user name or password") {
		t.Errorf("a wrong password: code %d: %s", code, out)
	}
	if out, code := runScript(t, g, "launch", p, ""); code != 1 || !strings.Contains(out, "no password on stdin") {
		t.Errorf("no password: code %d: %s", code, out)
	}
}

func TestWatchGivesTheGoldens(t *testing.T) {
	stop := []m{
		{"imageState": []string{imageGeneralizedOOBE}, "tag": true, "process": false},
		{"imageState": []string{imageComplete, imageUndeployable}, "process": false},
	}
	for name, p := range map[string]m{
		"watch-success": {"deadlineSec": 20, "chunkBytes": 1000, "stopWhen": stop}, "watch-refused": {"deadlineSec": 20, "stopWhen": stop},
		"watch-broken": {"deadlineSec": 20, "stopWhen": stop},
	} {
		t.Run(name, func(t *testing.T) {
			g := inState(t, name, Scenario{})
			out, code := runScript(t, g, "watch", p, "")
			if code != 0 {
				t.Errorf("exit code %d", code)
			}
			compareGolden(t, name, out)
		})
	}
	t.Run("watch-everything-throws", func(t *testing.T) {
		g := inState(t, "everything-throws", Scenario{})
		out, _ := runScript(t, g, "watch", m{"deadlineSec": 0}, "")
		compareGolden(t, "watch-everything-throws", out)
	})
}

func TestWatchResumesAndNoticesAReplacedLog(t *testing.T) {
	g := inState(t, "clean-server-2022", Scenario{})
	read := func(offset int64, head string) (doc struct {
		Log struct {
			Data    []byte
			Rotated bool
			Next    int64
		}
		Next int64
		Head string
	}) {
		t.Helper()
		out, _ := runScript(t, g, "watch", m{"deadlineSec": 0, "chunkBytes": 20, "offset": offset, "head": head}, "")
		for line := range strings.Lines(out) {
			if err := json.Unmarshal([]byte(line), &doc); err != nil {
				t.Fatal(err)
			}
		}
		return doc
	}
	var text []byte
	next, head := int64(0), ""
	for range 5 {
		d := read(next, head)
		text = append(text, d.Log.Data...)
		next, head = d.Next, d.Head
	}
	if want, _ := g.drive.ReadFile(fileActLog); string(text) != string(want) {
		t.Errorf("read %q, want %q", text, want)
	}
	if err := g.drive.WriteFile(fileActLog, []byte(strings.Repeat("another file\r\n", 50))); err != nil {
		t.Fatal(err)
	}
	if d := read(next, head); !d.Log.Rotated || string(d.Log.Data) != "another file\r\nanothe" {
		t.Errorf("a replaced file: %+v", d.Log)
	}
}

func TestReadGivesTheGoldens(t *testing.T) {
	g := inState(t, "clean-server-2022", Scenario{})
	out, _ := runScript(t, g, "read", m{"path": `%windir%\System32\Sysprep\Panther\setupact.log`, "bytes": 10}, "")
	compareGolden(t, "read", out)
	out, _ = runScript(t, g, "read", m{"path": `%windir%\none.log`}, "")
	compareGolden(t, "read-not-found", out)
}

func TestBundleGivesTheGoldens(t *testing.T) {
	g := inState(t, "clean-server-2022", Scenario{})
	if err := g.drive.RemoveAll(`C:\Windows\Panther`); err != nil {
		t.Fatal(err)
	}
	out, _ := runScript(t, g, "bundle", m{"out": `%windir%\Temp\packer-logs.zip`, "files": []string{`%windir%\System32\Sysprep\Panther\*.log`, `%windir%\Panther\*.log`}}, "")
	compareGolden(t, "bundle", regexp.MustCompile(`"size":\d+,"sha256":"[0-9a-f]{64}"`).ReplaceAllString(out, `"size":0,"sha256":"`+strings.Repeat("0", 64)+`"`))
	for want, p := range map[string]m{
		`"name":"access-denied"`: {"path": `C:\Windows`}, `"data":"DQo="`: {"path": fileActLog, "offset": -2}, `"count":0`: {"path": fileActLog, "offset": 9999},
	} {
		if out, code := runScript(t, g, "read", p, ""); code != 0 || !strings.Contains(out, want) {
			t.Errorf("%v: code %d, %s", p, code, out)
		}
	}
}

// What a script answers names the drive that Windows is on.
func TestTwinsOnAnotherDrive(t *testing.T) {
	g := newGuest(t, Options{Speed: fast, Scenario: Scenario{StaleTag: true, StaleLog: true, Unkind: Unkind{SystemDrive: "D"}}})
	for _, tt := range []struct {
		script     string
		parameters m
		want       string
	}{
		{"read", m{"path": `%windir%\System32\Sysprep\Panther\setupact.log`}, `"path":"D:\\Windows\\System32\\Sysprep\\Panther\\setupact.log"`},
		{"read", m{"path": `C:\Windows\win.ini`}, `"message":"Could not find a part of the path 'C:\\Windows\\win.ini'."`},
		{"bundle", m{"out": `D:\b.zip`, "files": []string{`%windir%\System32\Sysprep\Panther\*.log`}}, `"entry":"D/Windows/System32/Sysprep/Panther/setupact.log"`},
		{"bundle", m{"out": `D:\b.zip`, "files": []string{`C:\Windows\*.log`}}, `"message":"Cannot find drive. A drive with the name 'C' does not exist."`},
		{"bundle", m{"out": `C:\b.zip`, "files": []string{`D:\x`}}, `"message":"Could not find a part of the path 'C:\\b.zip'."`},
		{"launch", m{"arguments": "/oobe", "dryRun": true}, `"commandLine":"\"D:\\Windows\\System32\\Sysprep\\sysprep.exe\" /oobe"`},
		{"launch", m{"arguments": "/generalize /oobe /quit /quiet"}, `"path":"D:\\Windows\\System32\\Sysprep\\Panther\\setupact.log","to":"D:\\Windows\\System32\\Sysprep\\Panther.packer-`},
	} {
		if out, _ := runScript(t, g, tt.script, tt.parameters, ""); !strings.Contains(out, tt.want) {
			t.Errorf("%s %v\n got %s\nwant %s", tt.script, tt.parameters, out, tt.want)
		}
	}
	eventually(t, "the machine is generalized", func() bool { return g.imageState() == imageGeneralizedOOBE })
}

func TestBadParametersExitWith2(t *testing.T) {
	g := inState(t, "clean-server-2022", Scenario{})
	for _, c := range []struct {
		script string
		p      any
	}{
		{"read", m{}}, {"read", m{"path": "x", "bytes": 99999999}}, {"read", m{"path": "x", "offset": "y"}},
		{"watch", m{"intervalMs": 5}}, {"watch", m{"chunkBytes": 0}}, {"watch", m{"head": "%"}}, {"watch", m{"offset": -1}},
		{"launch", m{}}, {"launch", m{"arguments": "/oobe", "mode": "no"}}, {"launch", m{"arguments": "/oobe\n/quit"}},
		{"launch", m{"arguments": "/oobe", "mode": "task"}}, {"launch", m{"arguments": "/oobe", "taskName": "a b"}},
		{"launch", m{"arguments": "/oobe", "mode": "task", "logon": "x", "user": "u"}},
	} {
		out, code := runScript(t, g, c.script, c.p, "")
		if code != 2 || !strings.Contains(out, `"name":"bad-parameters"`) || strings.Count(out, "\r\n") != 1 {
			t.Errorf("%s %v: code %d, %s", c.script, c.p, code, out)
		}
	}
}

// A rule against Win32_Process.Create raises an error; launch.ps1 tells of it
// as of anything that broke.
func TestLaunchTellsOfACreateThatIsForbidden(t *testing.T) {
	g := inState(t, "clean-server-2022", Scenario{Unkind: Unkind{CreateError: "Access denied "}})
	out, code := runScript(t, g, "launch", m{"arguments": goldenArguments}, "")
	var got struct {
		OK, Started *bool
		Task        any
		Error       map[string]any
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if code != 1 || *got.OK || *got.Started || got.Error["name"] != "script" || got.Error["message"] != "Access denied " || len(got.Error) != 5 || g.Runs("sysprep.exe") {
		t.Errorf("code %d: %s", code, out)
	}
}

func TestPowerShellTakesItsTimeToStart(t *testing.T) {
	g := newGuest(t, Options{Scenario: Scenario{Unkind: Unkind{PowerShellStarts: Duration(time.Hour)}}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	var out bytes.Buffer
	go func() {
		ended <- g.run(ctx, &wsman.Process{Line: `powershell -Command "exit 0"`, User: "packer", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out})
	}()
	eventually(t, "powershell.exe is there", func() bool { return g.Runs("powershell.exe") })
	cancel()
	if code := <-ended; code != 1 {
		t.Errorf("code %d", code)
	}
}

func TestReceiveGivesTheGoldens(t *testing.T) {
	g := inState(t, "clean-server-2022", Scenario{})
	abc := m{"path": `%windir%\Temp\packer-x.xml`, "size": 3, "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "acl": "admins"}
	out, _ := runScript(t, g, "receive", abc, "YWJj\n")
	compareGolden(t, "receive", out)
	partial := m{"path": `%windir%\Temp\packer-x.xml`, "size": 10, "sha256": strings.Repeat("0", 64)}
	out, _ = runScript(t, g, "receive", partial, "YWJj\r\n\r\nrest")
	compareGolden(t, "receive-partial", out)
}
