package winsim_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/guestexec"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	sdkwinrm "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/winrm"
	"github.com/masterzen/winrm"
	"github.com/packer-community/winrmcp/winrmcp"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

const password = "S3cret!"

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // the SDK's communicator is talkative
	os.Exit(m.Run())
}

func start(t *testing.T, opt winsim.Options, srv winsim.ServerOptions) *winsim.Running {
	t.Helper()
	opt.Root, opt.User, opt.Password = t.TempDir(), "packer", password
	if opt.Speed == 0 {
		opt.Speed = 100
	}
	r, err := winsim.Start(t.Context(), opt, srv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for _, u := range r.Guest.Unknown() {
			t.Errorf("the guest did not know: %s", u)
		}
	})
	return r
}

func client(t *testing.T, r *winsim.Running, srv winsim.ServerOptions, secret string) *winrm.Client {
	t.Helper()
	p := *winrm.DefaultParameters
	if srv.NTLM {
		p.TransportDecorator = func() winrm.Transporter { return &winrm.ClientNTLM{} }
	}
	c, err := winrm.NewClientWithParameters(winrm.NewEndpoint(r.Host, r.Port, srv.TLS, true, nil, nil, nil, 10*time.Second), "packer", secret, &p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func run(t *testing.T, c *winrm.Client, line string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out, errs bytes.Buffer // written by two goroutines
	code, err := c.RunWithContext(ctx, line, &out, &errs)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return out.String() + errs.String(), code
}

func TestMasterzenClientOverEveryTransport(t *testing.T) {
	for name, srv := range map[string]winsim.ServerOptions{
		"Basic": {}, "NTLM": {NTLM: true, NoBasic: true}, "TLS": {TLS: true}, "TLS and NTLM": {TLS: true, NTLM: true, NoBasic: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, winsim.Options{}, srv)
			if out, code := run(t, client(t, r, srv, password), `echo %COMPUTERNAME%& exit /b 6`); out != "WIN-PACKER\r\n" || code != 6 {
				t.Errorf("%q, %d", out, code)
			}
			if _, err := client(t, r, srv, "wrong").CreateShell(); err == nil {
				t.Error("a wrong password works")
			}
		})
	}
}

func TestWinrmcpUploadIsByteIdentical(t *testing.T) {
	r := start(t, winsim.Options{}, winsim.ServerOptions{})
	content := make([]byte, 50000)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	cp, err := winrmcp.New(r.Addr, &winrmcp.Config{Auth: winrmcp.Auth{User: "packer", Password: password}, OperationTimeout: time.Minute, MaxOperationsPerShell: 15})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{`C:/Windows/Temp/new folder/payload.bin`, `C:\Windows\Temp\again.bin`} {
		if err := cp.Write(target, bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if err := cp.Write(target, bytes.NewReader(content[:100])); err != nil { // over the old one
			t.Fatal(err)
		}
		got, err := os.ReadFile(r.Guest.Host(target))
		if err != nil || !bytes.Equal(got, content[:100]) {
			t.Errorf("%s: %d bytes, %v", target, len(got), err)
		}
	}
	left, err := os.ReadDir(r.Guest.Host(`C:\Users\packer\AppData\Local\Temp`))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// elevated is a provisioner that runs elevated commands.
type elevated struct {
	packersdk.Communicator
	user, secret string
}

func (e elevated) ElevatedUser() string                 { return e.user }
func (e elevated) ElevatedPassword() string             { return e.secret }
func (e elevated) communicator() packersdk.Communicator { return e.Communicator }

type elevatedProvisioner struct{ elevated }

func (e elevatedProvisioner) Communicator() packersdk.Communicator { return e.communicator() }

func TestSDKCommunicator(t *testing.T) {
	r := start(t, winsim.Options{}, winsim.ServerOptions{})
	comm, err := sdkwinrm.New(&sdkwinrm.Config{Host: r.Host, Port: r.Port, Username: "packer", Password: password, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	content := strings.Repeat("some text ", 3000)
	if err := comm.Upload(`C:/x.txt`, strings.NewReader(content), nil); err != nil {
		t.Fatal(err)
	}
	var back bytes.Buffer
	if err := comm.Download(`C:/x.txt`, &back); err != nil || strings.TrimRight(back.String(), "\x00") != content {
		t.Errorf("download: %d bytes, %v", back.Len(), err)
	}
	for user, secret := range map[string]string{"SYSTEM": "", "packer": password} {
		line, err := guestexec.GenerateElevatedRunner(`whoami & exit 5`, elevatedProvisioner{elevated{comm, user, secret}})
		if err != nil {
			t.Fatal(err)
		}
		cmd := &packersdk.RemoteCmd{Command: line}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, io.Discard
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := comm.Start(ctx, cmd); err != nil {
			t.Fatal(err)
		}
		cancel()
		// The redirection belongs to the last command of the line only, as in
		// cmd.exe: the exit code is that of exit.
		if cmd.ExitStatus() != 5 {
			t.Errorf("%s: code %d, %q", user, cmd.ExitStatus(), out.String())
		}
	}
	for _, folder := range []string{`C:\Windows\System32\Tasks`, `C:\Windows\Temp`} {
		if left, err := os.ReadDir(r.Guest.Host(folder)); err != nil || len(left) > 0 {
			t.Errorf("left in %s: %v, %v", folder, left, err)
		}
	}
}

func TestProgramsOfAShellDieWithItUnlessTheSwitchSaysOtherwise(t *testing.T) {
	for _, survive := range []bool{false, true} {
		t.Run(fmt.Sprintf("survive %v", survive), func(t *testing.T) {
			r := start(t, winsim.Options{Scenario: winsim.Scenario{Outcome: winsim.Hang, HangIn: "validate", ShellProcessesSurvive: survive}}, winsim.ServerOptions{})
			c := client(t, r, winsim.ServerOptions{}, password)
			shell, err := c.CreateShell()
			if err != nil {
				t.Fatal(err)
			}
			cmd, err := shell.ExecuteWithContext(t.Context(), `C:\Windows\System32\Sysprep\sysprep.exe /generalize /oobe /quit /quiet`)
			if err != nil {
				t.Fatal(err)
			}
			there := func() bool {
				out, _ := run(t, c, `tasklist /fi "imagename eq sysprep.exe" /fo csv /nh`)
				return strings.Contains(out, "sysprep.exe")
			}
			if !until(there) {
				t.Fatal("sysprep does not run")
			}
			go io.Copy(io.Discard, cmd.Stdout)
			go io.Copy(io.Discard, cmd.Stderr)
			if err := shell.Close(); err != nil {
				t.Fatal(err)
			}
			if survive {
				if !there() {
					t.Error("sysprep died with its shell")
				}
				return
			}
			if !until(func() bool { return !there() }) {
				t.Error("sysprep outlived its shell")
			}
		})
	}
}

// until polls for at most ten seconds.
func until(ok func() bool) bool {
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		if ok() {
			return true
		}
		<-time.After(10 * time.Millisecond)
	}
	return false
}

func dial(r *winsim.Running) bool {
	c, err := net.DialTimeout("tcp", r.Addr, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func TestRebootClosesThePortAndOpensItAgain(t *testing.T) {
	r := start(t, winsim.Options{Speed: 5}, winsim.ServerOptions{})
	c := client(t, r, winsim.ServerOptions{}, password)
	run(t, c, `reg add HKLM\SOFTWARE\Demo /v x /d y /f & shutdown /r /f /t 0`)
	if !until(func() bool { return !dial(r) }) {
		t.Fatal("the port stays open")
	}
	if !until(func() bool { return dial(r) }) {
		t.Fatal("the port stays closed")
	}
	if out, code := run(t, c, `reg query HKLM\SOFTWARE\Demo /v x`); code != 0 {
		t.Errorf("after the reboot: %s", out)
	}
}

func TestSysprepShutdownPowersOffAndClosesThePort(t *testing.T) {
	r := start(t, winsim.Options{}, winsim.ServerOptions{})
	c := client(t, r, winsim.ServerOptions{}, password)
	run(t, c, `schtasks /create /tn packer-s /tr "C:\Windows\System32\Sysprep\sysprep.exe /generalize /oobe /shutdown /quiet" /sc once /st 00:00 & schtasks /run /tn packer-s`)
	select {
	case <-r.Off():
	case <-time.After(20 * time.Second):
		t.Fatal("does not power off")
	}
	if dial(r) {
		t.Error("the port is open")
	}
	if _, err := os.Stat(r.Guest.Host(`C:\Windows\System32\Sysprep\Sysprep_succeeded.tag`)); err != nil {
		t.Error(err)
	}
}

func TestWinRMDiesWhileSysprepGoesOn(t *testing.T) {
	for _, how := range []winsim.WinRMState{winsim.WinRMNoShells, winsim.WinRMBlackHole, winsim.WinRMClosed, winsim.WinRMReset} {
		t.Run(string(how), func(t *testing.T) {
			r := start(t, winsim.Options{Speed: 20, Scenario: winsim.Scenario{WinRMDies: how}}, winsim.ServerOptions{})
			c := client(t, r, winsim.ServerOptions{}, password)
			run(t, c, `schtasks /create /tn packer-s /tr "C:\Windows\System32\Sysprep\sysprep.exe /generalize /oobe /shutdown /quiet" /sc once /st 00:00 & schtasks /run /tn packer-s`)
			fast, err := winrm.NewClient(winrm.NewEndpoint(r.Host, r.Port, false, false, nil, nil, nil, 200*time.Millisecond), "packer", password)
			if err != nil {
				t.Fatal(err)
			}
			if !until(func() bool { _, err := fast.CreateShell(); return err != nil }) {
				t.Error("WinRM lives on")
			}
			select {
			case <-r.Off():
			case <-time.After(20 * time.Second):
				t.Error("sysprep did not end")
			}
		})
	}
}
