//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// payload is more than one request carries, and no text.
var payload = bytes.Repeat([]byte("0123456789abcdef\r\n\x00\xff"), 60_000)

// TestStockProvisionersGoOverOurOwnWinRM runs them with a machine of our own builder,
// and proves the disk afterwards: nothing of the transfers is left on it.
func TestStockProvisionersGoOverOurOwnWinRM(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up, tree, down := filepath.Join(dir, "up.bin"), filepath.Join(dir, "tree"), filepath.Join(dir, "down")
	if err := os.MkdirAll(filepath.Join(tree, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string][]byte{up: payload, filepath.Join(tree, "a.txt"): []byte("a"), filepath.Join(tree, "b.bin"): payload} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := machine{builders: fmt.Sprintf(`
  provisioner "windows-shell" {
    inline = ["@echo off", "echo batch of %%PACKER_BUILD_NAME%%"]
  }
  provisioner "file" {
    source      = %[1]q
    destination = "C:/Data/up.bin"
  }
  provisioner "file" {
    source      = %[2]q
    destination = "C:/Data"
  }
  provisioner "powershell" {
    inline = ["Write-Output \"inline powershell\""]
  }
  provisioner "windows-restart" {
    restart_timeout = "4m"
  }
  provisioner "powershell" {
    elevated_user     = "SYSTEM"
    elevated_password = ""
    inline            = ["Write-Output \"elevated powershell\"", "exit 3"]
    valid_exit_codes  = [3]
  }
  provisioner "file" {
    direction   = "download"
    source      = "C:/Data/up.bin"
    destination = "%[3]s/up.bin"
  }
  provisioner "file" {
    direction   = "download"
    source      = "C:/Data/tree/"
    destination = "%[3]s/tree"
  }
%[4]s`, up, tree, down, sysprepBlock())}.start(t)
	p.expect(0, "Waiting for WinRM to become available...", "Connected to WinRM!", "batch of windows", "inline powershell", "Machine successfully restarted", "elevated powershell", "tag created")
	for name, want := range map[string][]byte{"up.bin": payload, "tree/a.txt": []byte("a"), "tree/b.bin": payload} {
		if got, err := os.ReadFile(filepath.Join(down, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s came back with %d bytes, %v; %d were sent", name, len(got), err, len(want))
		}
	}
	if info, err := os.Stat(filepath.Join(down, "tree", "empty")); err != nil || !info.IsDir() {
		t.Errorf("the empty folder: %v", err)
	}
	report, _ := proof(t, filepath.Join(p.dir, "output", "image.vhd"))
	for _, left := range report.Windows[0].Leftovers {
		if strings.Contains(left, "packer-files-") {
			t.Errorf("left on the disk: %s", left)
		}
	}
	expectNoPassword(t, p)
}

// expectNoPassword looks into Packer's log, which has all levels.
func expectNoPassword(t *testing.T, p *packerRun) {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(p.dir, "packer.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, guestPassword) {
			t.Errorf("the password is in the log: %s", line)
		}
	}
}

func TestABuildFailsByWhatItsCommunicatorSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, provisioner string
		during            func(t *testing.T, p *packerRun)
		texts             []string
	}{
		{name: "a file that is not there", provisioner: `
  provisioner "file" {
    direction   = "download"
    source      = "C:/none.bin"
    destination = "none.bin"
  }
`, texts: []string{"there is no such file in the guest: check the path"}},
		{name: "the machine is killed under a command", provisioner: `
  provisioner "windows-shell" {
    inline = ["@echo off", "echo it runs", "ping -n 3600 127.0.0.1 > nul"]
  }
`, during: func(t *testing.T, p *packerRun) {
			p.waitLine("it runs")
			killQEMU(t, p.dir)
		}, texts: []string{"The command was lost: ", "2300218", "signal: killed"}},
		{name: "cancelled under a command", provisioner: `
  provisioner "windows-shell" {
    inline = ["@echo off", "echo it runs", "ping -n 3600 127.0.0.1 > nul"]
  }
`, during: func(t *testing.T, p *packerRun) {
			p.waitLine("it runs")
			p.interrupt()
		}, texts: []string{"the build was cancelled"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := machine{builders: c.provisioner}.start(t)
			if c.during != nil {
				c.during(t, p)
			}
			p.expect(1, c.texts...)
			p.expectNoTrace()
			expectNoPassword(t, p)
		})
	}
}
