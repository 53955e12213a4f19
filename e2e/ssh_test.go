//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// sshWays are what a guest's SSH server and Packer may be told.
var sshWays = []struct{ shell, transfer string }{
	{"cmd", "scp"}, {"cmd", "sftp"}, {"powershell", "scp"}, {"powershell", "sftp"},
}

// sshOptions are those of a source.
func sshOptions(transfer string) string {
	return fmt.Sprintf(`communicator = "ssh"
  ssh_username = "packer"
  ssh_password = %q
  ssh_timeout  = "10m"
  ssh_file_transfer_method = %q
`, guestPassword, transfer)
}

// sshBuild connects Packer's own SSH communicator to a guest in this process.
func sshBuild(guest *winsim.Running, transfer, provisioners string) string {
	return fmt.Sprintf(`
source "null" "windows" {
  %s
  ssh_host = "127.0.0.1"
  ssh_port = %d
}
build {
  sources = ["source.null.windows"]
%s
}
`, sshOptions(transfer), guest.SSH.Port(), provisioners)
}

func TestTheProvisionerGeneralizesOverSSH(t *testing.T) {
	t.Parallel()
	for _, way := range sshWays {
		t.Run(way.shell+", "+way.transfer, func(t *testing.T) {
			t.Parallel()
			guest := inProcess(t, winsim.Scenario{SSH: winsim.SSH{Shell: way.shell}}, winsim.ServerOptions{}, nil)
			p := startPacker(t, sshBuild(guest, way.transfer, sysprepBlock(
				fmt.Sprintf("answer_file = %q", writeAnswerFile(t)), `log_directory = "logs"`, `elevated_user = "packer"`, fmt.Sprintf(`elevated_password = %q`, guestPassword),
				"winrm {\n      use_ssl = true\n    }")), nil)
			p.expect(0, "The block winrm is ignored: the communicator is ssh", "tag created", "Windows is generalized")
			if strings.Contains(p.output(), "PowerShell does not work") {
				t.Error("the way without PowerShell was taken")
			}
			expectGeneralized(t, p, guest)
			p.expectSecrets(answerFileSecret)
		})
	}
}

// expectGeneralized checks the guest after a run that has left it up.
func expectGeneralized(t *testing.T, p *packerRun, guest *winsim.Running) {
	t.Helper()
	if !strings.Contains(string(guestFile(t, guest, `C:\Windows\Setup\State\State.ini`)), "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE") {
		t.Error("the guest is not generalized")
	}
	if cached := string(guestFile(t, guest, `C:\Windows\Panther\unattend.xml`)); cached != answerFile {
		t.Errorf("the guest has cached an answer file of %d bytes, want the %d that were given", len(cached), len(answerFile))
	}
	for _, folder := range []string{`C:\Windows\System32\Sysprep`, `C:\Windows\Temp`} {
		if left, _ := filepath.Glob(guest.Guest.Host(folder) + "/packer-*"); len(left) > 0 {
			t.Errorf("left in the guest: %v", left)
		}
	}
	if log, err := filepath.Glob(filepath.Join(p.dir, "logs", "sysprep", "setupact.log")); err != nil || len(log) == 0 {
		t.Errorf("setupact.log was not saved: %v", err)
	}
}

// Each way that files can go is missing in some guests; what helps is said.
func TestAnSSHServerWithoutScpOrSftpIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ssh            winsim.SSH
		transfer, hint string
	}{
		{winsim.SSH{Shell: "cmd", NoSCP: true}, "scp", `ssh_file_transfer_method = "sftp"`},
		{winsim.SSH{Shell: "powershell", NoSCP: true}, "scp", `ssh_file_transfer_method = "sftp"`},
		{winsim.SSH{Shell: "cmd", NoSFTP: true}, "sftp", `ssh_file_transfer_method = "scp"`},
	} {
		t.Run(c.ssh.Shell+" without "+c.transfer, func(t *testing.T) {
			t.Parallel()
			guest := inProcess(t, winsim.Scenario{SSH: c.ssh}, winsim.ServerOptions{}, nil)
			p := startPacker(t, sshBuild(guest, c.transfer, sysprepBlock(fmt.Sprintf("answer_file = %q", writeAnswerFile(t)))), nil)
			p.expect(1, c.hint)
			if starts := guest.Guest.Starts(); len(starts) > 0 {
				t.Errorf("sysprep was started: %q", starts)
			}
		})
	}
}

// The stock provisioners show that the server is not made for our plugin alone.
func TestStockProvisionersWorkOverSSH(t *testing.T) {
	t.Parallel()
	for _, transfer := range []string{"scp", "sftp"} {
		t.Run(transfer, func(t *testing.T) {
			t.Parallel()
			guest := inProcess(t, winsim.Scenario{SSH: winsim.SSH{Shell: "cmd"}}, winsim.ServerOptions{}, nil)
			dir := t.TempDir()
			payload := bytes.Repeat([]byte("0123456789abcdef\r\n\x00\xff"), 1000)
			up, down := filepath.Join(dir, "up.bin"), filepath.Join(dir, "down.bin")
			if err := os.WriteFile(up, payload, 0o600); err != nil {
				t.Fatal(err)
			}
			p := startPacker(t, sshBuild(guest, transfer, fmt.Sprintf(`
  provisioner "windows-shell" {
    inline = ["@echo off", "echo batch of %%PACKER_BUILD_NAME%%", "ver"]
  }
  provisioner "file" {
    source      = %q
    destination = "C:/Windows/Temp/payload.bin"
  }
  provisioner "file" {
    direction   = "download"
    source      = "C:/Windows/Temp/payload.bin"
    destination = %q
  }
`, up, down)), nil)
			p.expect(0, "batch of windows", "Microsoft Windows [Version")
			back, err := os.ReadFile(down)
			if err != nil || !bytes.Equal(back, payload) {
				t.Errorf("the file came back with %d bytes, %v; %d were sent", len(back), err, len(payload))
			}
		})
	}
}

func TestOurOwnBuilderOverSSH(t *testing.T) {
	t.Parallel()
	for _, way := range sshWays[1:3] {
		t.Run(way.shell+", "+way.transfer, func(t *testing.T) {
			t.Parallel()
			p := machine{scenario: winsim.Scenario{SSH: winsim.SSH{Shell: way.shell}}, source: sshOptions(way.transfer),
				builders: sysprepBlock(fmt.Sprintf("answer_file = %q", writeAnswerFile(t)))}.start(t)
			p.expect(0, "tag created", "Windows is generalized", "The machine is off")
			if _, findings := proof(t, filepath.Join(p.dir, "output", "image.vhd")); !proven(findings) {
				t.Errorf("not proven: %v", findings)
			}
		})
	}
}
