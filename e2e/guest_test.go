//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// guestPassword is the password of the bootable guest too.
const guestPassword = "Demo-Passw0rd"

// inProcess starts a guest in this process; it must know everything it was
// sent by the end of the test.
func inProcess(t *testing.T, scenario winsim.Scenario, server winsim.ServerOptions, log func(string, ...any)) *winsim.Running {
	t.Helper()
	server.Addr, server.SSHAddr = testutil.FreeAddr(t), testutil.FreeAddr(t)
	guest, err := winsim.Start(t.Context(), winsim.Options{
		Root: t.TempDir(), User: "packer", Password: guestPassword, Scenario: unkind(scenario), Log: log,
	}, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := guest.Close(); err != nil {
			t.Error(err)
		}
		if unknown := guest.Guest.Unknown(); len(unknown) > 0 {
			t.Errorf("the guest was sent what it does not know: %q", unknown)
		}
	})
	return guest
}

// nullSource connects Packer to a guest in this process.
func nullSource(port int, more string) string {
	return fmt.Sprintf(`
source "null" "windows" {
  communicator   = "winrm"
  winrm_host     = "127.0.0.1"
  winrm_port     = %d
  winrm_username = "packer"
  winrm_password = %q
  %s
}
`, port, guestPassword, more)
}

func nullBuild(port int, more, provisioners string) string {
	return nullSource(port, more) + "\nbuild {\n  sources = [\"source.null.windows\"]\n" + provisioners + "\n}\n"
}

// transports are the ways Packer can talk to the guest.
var transports = []struct {
	name   string
	server winsim.ServerOptions
	source string
}{
	{"Basic", winsim.ServerOptions{}, ``},
	{"NTLM", winsim.ServerOptions{NTLM: true, NoBasic: true}, `winrm_use_ntlm = true`},
	{"TLS", winsim.ServerOptions{TLS: true}, "winrm_use_ssl = true\n  winrm_insecure = true"},
	{"TLS+NTLM", winsim.ServerOptions{TLS: true, NTLM: true, NoBasic: true}, "winrm_use_ssl = true\n  winrm_insecure = true\n  winrm_use_ntlm = true"},
}

// Packer's own provisioners are clients that nobody here wrote: they show that
// the guest is not made for our plugin alone.
func TestStockProvisionersWorkAgainstTheGuest(t *testing.T) {
	t.Parallel()
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			t.Parallel()
			guest := inProcess(t, winsim.Scenario{}, transport.server, nil)
			dir := t.TempDir()
			payload := bytes.Repeat([]byte("0123456789abcdef\r\n\x00\xff"), 1000)
			up, down := filepath.Join(dir, "up.bin"), filepath.Join(dir, "down.bin")
			if err := os.WriteFile(up, payload, 0o600); err != nil {
				t.Fatal(err)
			}
			script := filepath.Join(dir, "script.ps1")
			if err := os.WriteFile(script, []byte("Write-Output \"from a script\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			p := startPacker(t, nullBuild(guest.Port, transport.source, fmt.Sprintf(`
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
  provisioner "powershell" {
    inline = ["Write-Output \"inline powershell\""]
  }
  provisioner "powershell" {
    script = %q
  }
  provisioner "powershell" {
    elevated_user     = "SYSTEM"
    elevated_password = ""
    inline            = ["Write-Output \"elevated powershell\"", "exit 3"]
    valid_exit_codes  = [3]
  }
`, up, down, script)), nil)
			p.expect(0, "batch of windows", "Microsoft Windows [Version", "inline powershell", "from a script", "elevated powershell")
			back, err := os.ReadFile(down)
			if err != nil || !bytes.Equal(back, payload) {
				t.Errorf("the file came back with %d bytes, %v; %d were sent", len(back), err, len(payload))
			}
		})
	}
}

func TestWindowsRestartSeesTheGuestComeBack(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, winsim.Scenario{}, winsim.ServerOptions{}, nil)
	p := startPacker(t, nullBuild(guest.Port, "", `
  provisioner "windows-restart" {
    restart_timeout = "3m"
  }
  provisioner "windows-shell" {
    inline = ["@echo off", "echo alive again"]
  }
`), nil)
	p.expect(0, "Machine successfully restarted", "alive again")
}

func TestAWrongPasswordIsSaid(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, winsim.Scenario{}, winsim.ServerOptions{}, nil)
	p := startPacker(t, strings.Replace(nullBuild(guest.Port, `winrm_timeout = "12s"`, ""), guestPassword, "wrong", 1), nil)
	p.expect(1, "Timeout waiting for WinRM")
}
