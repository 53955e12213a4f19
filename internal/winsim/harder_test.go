package winsim_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/masterzen/winrm"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

func seconds(n float64) winsim.Duration { return winsim.Duration(n * float64(time.Second)) }

const tagFile = `C:\Windows\System32\Sysprep\Sysprep_succeeded.tag`

// startSysprep starts sysprep by a task, which no shell takes with it.
func startSysprep(t *testing.T, c *winrm.Client, end string) {
	t.Helper()
	run(t, c, `schtasks /create /tn packer-s /tr "C:\Windows\System32\Sysprep\sysprep.exe /generalize /oobe /`+end+` /quiet" /sc once /st 00:00 & schtasks /run /tn packer-s`)
}

// command is a command line in a shell that stays open.
type command struct {
	*winrm.Command
	shell *winrm.Shell
	out   bytes.Buffer
	ended chan struct{}
}

func openCommand(t *testing.T, c *winrm.Client, line string) *command {
	t.Helper()
	shell, err := c.CreateShell()
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := shell.ExecuteWithContext(t.Context(), line)
	if err != nil {
		t.Fatal(err)
	}
	r := &command{Command: cmd, shell: shell, ended: make(chan struct{})}
	go io.Copy(io.Discard, cmd.Stderr)
	go func() {
		defer close(r.ended)
		io.Copy(&r.out, cmd.Stdout)
	}()
	return r
}

func (c *command) finish(t *testing.T) string {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the command does not end")
	}
	c.Wait()
	return c.out.String()
}

// refused: a new shell is answered with 401, as a client sees it.
func refused(c *winrm.Client) bool {
	shell, err := c.CreateShell()
	if err == nil {
		shell.Close()
	}
	return err != nil && strings.Contains(err.Error(), "401")
}

func tagThere(r *winsim.Running) bool {
	_, err := os.Stat(r.Guest.Host(tagFile))
	return err == nil
}

func TestNoNewShellsWhileTheOpenOneGoesOn(t *testing.T) {
	for _, from := range []winsim.Stage{winsim.AtLaunch, winsim.AtGeneralize, winsim.AtTag} {
		t.Run(string(from), func(t *testing.T) {
			t.Parallel()
			r := start(t, winsim.Options{Speed: 20, Scenario: winsim.Scenario{Validate: seconds(10), Generalize: seconds(20), Unkind: winsim.Unkind{NoNewShellsFrom: from}}}, winsim.ServerOptions{})
			c := client(t, r, winsim.ServerOptions{}, password)
			open := openCommand(t, c, `ping -n 61 127.0.0.1 > nul & if exist `+tagFile+` echo the tag is there`)
			startSysprep(t, c, "quit")
			if !until(func() bool { return refused(c) }) {
				t.Fatal("new shells are given for ever")
			}
			state, _ := os.ReadFile(r.Guest.Host(`C:\Windows\Setup\State\State.ini`))
			if from == winsim.AtLaunch && !strings.Contains(string(state), "COMPLETE") || from != winsim.AtTag && tagThere(r) || from == winsim.AtTag && !tagThere(r) {
				t.Errorf("not from then on: %s, tag %v", state, tagThere(r))
			}
			if out := open.finish(t); !strings.Contains(out, "the tag is there") {
				t.Errorf("the open shell: %q", out)
			}
			if !refused(c) {
				t.Error("new shells are given again")
			}
		})
	}
}

func TestNothingStartsOnceWindowsShutsDown(t *testing.T) {
	r := start(t, winsim.Options{Speed: 10, Scenario: winsim.Scenario{ShutdownTakes: seconds(20), Unkind: winsim.Unkind{NoProcessesInShutdown: true}}}, winsim.ServerOptions{})
	c := client(t, r, winsim.ServerOptions{}, password)
	line := `echo x> C:\Windows\Temp\ours.txt & md C:\Windows\Temp\ours & shutdown /s /t 0 & echo [1] & ` +
		`(reg query HKLM\SYSTEM\Setup /v SetupType && echo [wrong]) & (tasklist || echo [2]) & (echo a| find "a" && echo [wrong]) & start "" /b hostname & ` +
		`type C:\Windows\Temp\ours.txt & del C:\Windows\Temp\ours.txt & rmdir C:\Windows\Temp\ours & if not exist C:\Windows\Temp\ours echo [3]`
	out, _ := run(t, c, line)
	if strings.Contains(out, "wrong") || strings.Contains(out, "SetupType") {
		t.Errorf("%q", out)
	}
	for _, mark := range []string{"[1]", "[2]", "x", "[3]"} {
		if !strings.Contains(out, mark) {
			t.Errorf("%s is missing: %q", mark, out)
		}
	}
	if out, code := run(t, c, `echo hello`); code != -1073741502 || out != "" {
		t.Errorf("a new command: %q, %d", out, code)
	}
	left, err := os.ReadDir(r.Guest.Host(`C:\Windows\Temp`))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	select {
	case <-r.Off():
	case <-time.After(20 * time.Second):
		t.Error("does not power off")
	}
}

func TestWinRMStopsWhileWindowsStillWorks(t *testing.T) {
	r := start(t, winsim.Options{Speed: 10, Scenario: winsim.Scenario{ShutdownTakes: seconds(30), Unkind: winsim.Unkind{WinRMStopsFirst: seconds(20)}}}, winsim.ServerOptions{})
	c := client(t, r, winsim.ServerOptions{}, password)
	run(t, c, `shutdown /s /t 0`)
	if !dial(r) {
		t.Error("the port closes at once")
	}
	if !until(func() bool { return !dial(r) }) {
		t.Fatal("the port stays open")
	}
	select {
	case <-r.Off():
		t.Fatal("the power went with the port")
	default:
	}
	select {
	case <-r.Off():
	case <-time.After(20 * time.Second):
		t.Error("does not power off")
	}
}

func TestThePortIsClosedForAWhile(t *testing.T) {
	for _, from := range []winsim.Stage{winsim.AtGeneralize, winsim.AtTag} {
		t.Run(string(from), func(t *testing.T) {
			t.Parallel()
			r := start(t, winsim.Options{Speed: 10, Scenario: winsim.Scenario{Unkind: winsim.Unkind{PortClosed: winsim.PortClosed{From: from, For: seconds(10)}, NoNewShellsFrom: from}}}, winsim.ServerOptions{})
			c := client(t, r, winsim.ServerOptions{}, password)
			startSysprep(t, c, "quit")
			if !until(func() bool { return !dial(r) }) || from == winsim.AtTag != tagThere(r) {
				t.Fatalf("the port is open, or closed at another time: tag %v", tagThere(r))
			}
			if !until(func() bool { return dial(r) }) {
				t.Fatal("the port stays closed")
			}
			if !refused(c) {
				t.Error("the network brought shells back that the service does not give")
			}
		})
	}
}

func TestAFrozenMachineAnswersNothingAndGoesOn(t *testing.T) {
	for _, at := range []winsim.Stage{winsim.AtGeneralize, winsim.AtTag} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			still := make(chan struct{})
			r := start(t, winsim.Options{Speed: 10, Scenario: winsim.Scenario{Validate: seconds(3), Generalize: seconds(5), Unkind: winsim.Unkind{Freeze: winsim.Freeze{At: at, For: seconds(40)}}},
				Log: func(format string, _ ...any) {
					if strings.HasPrefix(format, "everything stands still") {
						close(still)
					}
				}}, winsim.ServerOptions{})
			c := client(t, r, winsim.ServerOptions{}, password)
			open := openCommand(t, c, `ping -n 20 127.0.0.1 > nul & echo done`)
			startSysprep(t, c, "quit")
			answers := func(limit time.Duration) bool {
				quick, err := winrm.NewClient(winrm.NewEndpoint(r.Host, r.Port, false, false, nil, nil, nil, limit), "packer", password)
				if err != nil {
					t.Fatal(err)
				}
				shell, err := quick.CreateShell()
				if err == nil {
					shell.Close()
				}
				return err == nil
			}
			<-still
			if answers(700*time.Millisecond) || !dial(r) {
				t.Fatal("answers, or its port is closed")
			}
			size := func() int64 {
				info, err := os.Stat(r.Guest.Host(`C:\Windows\System32\Sysprep\Panther\setupact.log`))
				if err != nil {
					t.Fatal(err)
				}
				return info.Size()
			}
			before := size()
			<-time.After(500 * time.Millisecond)
			if size() != before {
				t.Error("sysprep works on")
			}
			if out := open.finish(t); !strings.Contains(out, "done") {
				t.Errorf("what was under way is lost: %q", out)
			}
			if !answers(10*time.Second) || !until(func() bool { return tagThere(r) && size() > before }) {
				t.Error("does not go on")
			}
		})
	}
}

func TestSysprepMayBeLateWithItsFirstLine(t *testing.T) {
	r := start(t, winsim.Options{Speed: 10, Scenario: winsim.Scenario{Unkind: winsim.Unkind{LateFirstLine: seconds(10)}}}, winsim.ServerOptions{})
	c := client(t, r, winsim.ServerOptions{}, password)
	startSysprep(t, c, "quit")
	if out, _ := run(t, c, `tasklist /fi "imagename eq sysprep.exe" /nh & if exist C:\Windows\System32\Sysprep\Panther\setupact.log echo logged`); !strings.Contains(out, "sysprep.exe") || strings.Contains(out, "logged") {
		t.Errorf("%q", out)
	}
	if !until(func() bool { return tagThere(r) }) {
		t.Error("does not go on")
	}
}

// A client that asks a guest in its first boot sees how far it is.
func TestWinRMAnswersInTheFirstBoot(t *testing.T) {
	for _, first := range []string{winsim.FirstBootDialogs, winsim.FirstBootDone} {
		t.Run("first boot "+first, func(t *testing.T) {
			t.Parallel()
			r := start(t, winsim.Options{Speed: 10, Scenario: winsim.Scenario{RestartsInstead: true, FirstBoot: first, SetupFor: seconds(20), Unkind: winsim.Unkind{WinRMInSetup: true}}}, winsim.ServerOptions{})
			c := client(t, r, winsim.ServerOptions{}, password)
			startSysprep(t, c, "shutdown")
			state := func() string {
				var out bytes.Buffer
				_, err := c.RunWithContext(t.Context(), `reg query HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State /v ImageState & reg query HKLM\SYSTEM\Setup\Status\SysprepStatus /v GeneralizationState & reg query HKLM\SYSTEM\Setup`, &out, io.Discard)
				if err != nil {
					return err.Error()
				}
				return out.String()
			}
			sees := func(values ...string) {
				t.Helper()
				var last string
				if !until(func() bool {
					last = state()
					for _, v := range values {
						if !strings.Contains(last, v+"\r\n") {
							return false
						}
					}
					return true
				}) {
					t.Fatalf("never %q; last: %s", values, last)
				}
			}
			if !until(func() bool { return !dial(r) }) {
				t.Fatal("does not restart")
			}
			sees("IMAGE_STATE_UNDEPLOYABLE", "GeneralizationState    REG_DWORD    0x4", "SystemSetupInProgress    REG_DWORD    0x1", "OOBEInProgress    REG_DWORD    0x1")
			sees("IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE", "GeneralizationState    REG_DWORD    0x7", "SystemSetupInProgress    REG_DWORD    0x1")
			if first == winsim.FirstBootDone {
				sees("IMAGE_STATE_COMPLETE", "SystemSetupInProgress    REG_DWORD    0x0", "OOBEInProgress    REG_DWORD    0x0", "SetupType    REG_DWORD    0x0")
			}
		})
	}
}

func TestOldWindowsGivesFewerShells(t *testing.T) {
	for name, most := range map[string]int{"2008r2": 5, "2016": 25, "2025": 30} {
		r := start(t, winsim.Options{Scenario: winsim.Scenario{Unkind: winsim.Unkind{Windows: name}}}, winsim.ServerOptions{})
		c := client(t, r, winsim.ServerOptions{}, password)
		n := 0
		for ; n < 40; n++ {
			if _, err := c.CreateShell(); err != nil {
				break
			}
		}
		// On the oldest each shell counts as one of few users' operations, too.
		if n != most {
			t.Errorf("%s: %d shells", name, n)
		}
	}
}

func TestTheServiceTellsItsVersion(t *testing.T) {
	r := start(t, winsim.Options{Scenario: winsim.Scenario{Unkind: winsim.Unkind{Windows: "2016"}}}, winsim.ServerOptions{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.Addr+"/wsman", strings.NewReader(
		`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("packer", password)
	request.Header.Set("Content-Type", "application/soap+xml;charset=UTF-8")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); !strings.Contains(string(body), "OS: 10.0.14393 ") {
		t.Errorf("%s: %s", answer.Status, body)
	}
}
