package sysprep

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	sdkssh "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/verdict"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winrm"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// sshCommunicator is Packer's own, as its builders make it.
func (g *guestRun) sshCommunicator() packersdk.Communicator {
	g.t.Helper()
	comm, err := sdkssh.New(g.sim.SSH.Addr, &sdkssh.Config{
		Connection: sdkssh.ConnectFunc("tcp", g.sim.SSH.Addr), UseSftp: g.sftp, DisableAgentForwarding: true,
		SSHConfig: &ssh.ClientConfig{User: simUser, Auth: []ssh.AuthMethod{ssh.Password(simPassword)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()},
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return comm
}

func sshScenario(shell string) winsim.Scenario {
	return winsim.Scenario{StaleTag: true, SSH: winsim.SSH{Shell: shell}}
}

func TestSuccessOverSSH(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"cmd", "powershell"} {
		for way, sftp := range map[string]bool{"scp": false, "sftp": true} {
			t.Run(shell+", "+way, func(t *testing.T) {
				t.Parallel()
				logs := t.TempDir()
				g := newGuestRun(t, sshScenario(shell), map[string]any{"answer_file_content": testAnswer, "log_directory": logs, "winrm": map[string]any{"mode": winrmOwn}})
				g.sftp = sftp
				if err := g.provision(); err != nil {
					t.Fatal(err)
				}
				want(t, g.ui.text(), "The block winrm is ignored: the communicator is ssh", "Deleted the tag of an earlier run", "tag created", "Windows is generalized")
				if strings.Contains(g.ui.text(), "PowerShell does not work") {
					t.Error("the way without PowerShell was taken")
				}
				wantNothingLeft(t, g)
				if cached, err := os.ReadFile(g.file("Windows", "Panther", "unattend.xml")); err != nil || string(cached) != testAnswer {
					t.Errorf("sysprep did not take the answer file: %v, %q", err, cached)
				}
				if saved, err := os.ReadFile(filepath.Join(logs, "sysprep", "setupact.log")); err != nil || !strings.Contains(string(saved), "Successfully created tag file") {
					t.Errorf("the log was not saved: %v, %d bytes", err, len(saved))
				}
			})
		}
	}
}

func TestShutdownOverSSH(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{ShutdownTakes: seconds(50), SSH: winsim.SSH{Shell: "powershell"}}, map[string]any{"action": "shutdown", "shutdown_timeout": "60s", "answer_file_content": testAnswer})
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "shutdown requested", "the guest no longer answers: its port has been closed for")
	wantNothingLeft(t, g)
}

// A guest behind a bastion cannot be asked from here: that its port is closed to
// this host says nothing.
func TestAPortThatWasNeverOpenFromHereSaysNothing(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{SSH: winsim.SSH{Shell: "cmd"}}, nil)
	g.adjust = func(r *run) {
		r.port = 1 // nobody listens there
		if port := r.knock(t.Context()); port != verdict.PortUnknown {
			t.Errorf("a port that was never open is %v", port)
		}
		r.port = g.sim.SSH.Port()
		if port := r.knock(t.Context()); port != verdict.PortOpen {
			t.Errorf("the server's port is %v", port)
		}
		r.port = 1
		if port := r.knock(t.Context()); port != verdict.PortClosed {
			t.Errorf("a port that was open before is %v", port)
		}
	}
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
}

func TestARefusalOverSSH(t *testing.T) {
	t.Parallel()
	const app = "Contoso.App_1.2.3.4_x64__8wekyb3d8bbwe"
	g := newGuestRun(t, winsim.Scenario{Outcome: winsim.Refused, Class: "F01", Packages: []string{app}, SSH: winsim.SSH{Shell: "powershell"}}, nil)
	err := wantExplained(t, g, "sysprep refused, the machine is untouched: ", "cause: F01", "IMAGE_STATE_COMPLETE")
	want(t, err.Error(), app)
	wantNothingLeft(t, g)
}

// The account with a password goes by a scheduled task, and the password by a file
// that only administrators can read.
func TestElevatedOverSSH(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"cmd", "powershell"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{SSH: winsim.SSH{Shell: shell}}, map[string]any{"run_as": "elevated_user", "elevated_user": "other", "elevated_password": "0ther-Passw0rd"})
			g.accounts = map[string]string{"other": "0ther-Passw0rd"}
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			if starts := g.sim.Guest.Starts(); len(starts) != 1 || !strings.HasPrefix(starts[0], "other: ") {
				t.Errorf("sysprep was started %q", starts)
			}
			for _, line := range g.sim.SSH.Lines() {
				if strings.Contains(line, "0ther-Passw0rd") {
					t.Errorf("the password is on a command line: %s", line)
				}
			}
			wantNothingLeft(t, g)
		})
	}
}

func TestAServerWithoutScpOrSftpIsNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ssh  winsim.SSH
		sftp bool
		hint string
	}{
		"no scp in cmd.exe":    {winsim.SSH{Shell: "cmd", NoSCP: true}, false, `set ssh_file_transfer_method = "sftp"`},
		"no scp in PowerShell": {winsim.SSH{Shell: "powershell", NoSCP: true}, false, `set ssh_file_transfer_method = "sftp"`},
		"no sftp":              {winsim.SSH{Shell: "cmd", NoSFTP: true}, true, `set ssh_file_transfer_method = "scp"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{SSH: c.ssh}, map[string]any{"answer_file_content": testAnswer})
			g.sftp = c.sftp
			err := g.provision()
			wantError(t, err, c.hint)
			if starts := g.sim.Guest.Starts(); len(starts) != 0 {
				t.Errorf("sysprep was started %q", starts)
			}
			wantNothingLeft(t, g)
			// Nothing has to be copied without an answer file: cmd.exe does it.
			g.options["answer_file_content"] = ""
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			want(t, g.ui.text(), "PowerShell does not work in the guest; continuing without it", c.hint, "Windows is generalized")
		})
	}
}

// A shell that says nothing is asked again.
func TestAServerThatSaysNothingAtFirst(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{SSH: winsim.SSH{Shell: "powershell", Silent: 2}}, nil)
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	lines := g.sim.SSH.Lines()
	if len(lines) < 4 || lines[0] != lines[1] || lines[1] != lines[2] || slices.Contains(lines[3:], lines[0]) {
		t.Errorf("the shell was asked for by the lines %q", lines[:min(5, len(lines))])
	}
}

// What stands between this host and the guest can hold a port open, and says nothing.
func TestASilentPortIsNotTheServer(t *testing.T) {
	t.Parallel()
	r := &run{address: address{host: "127.0.0.1"}, login: login{connType: "ssh"}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if reach, err := r.probeSSH(ctx, "127.0.0.1", 1); reach != winrm.Unreachable || err == nil || r.direct.Load() {
		t.Errorf("a probe that was cancelled says %v, %v", reach, err)
	}
}
