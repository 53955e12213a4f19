//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// qemuBuild is a build with the qemu builder, whose disk sysprep-image proves.
func qemuBuild(t *testing.T, scenario winsim.Scenario, source, provisioner string) string {
	t.Helper()
	text, err := json.Marshal(unkind(scenario))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
source "qemu" "windows" {
  iso_url          = %q
  iso_checksum     = "none"
  disk_image       = true
  skip_resize_disk = true
  format           = "qcow2"
  output_directory = "output"
  vm_name          = "image.qcow2"
  accelerator      = "tcg"
  memory           = 512
  cpus             = 1
  disk_interface   = "ide"
  net_device       = "e1000"
  headless         = true
  boot_wait        = "1s"
  communicator     = "winrm"
  winrm_username   = "packer"
  winrm_password   = %q
  qemuargs = [
    ["-fw_cfg", %q],
    ["-netdev", "user,id=user.0,hostfwd=tcp:127.0.0.1:{{ .SSHHostPort }}-:5985"],
  ]
  %s
}

build {
  sources = ["source.qemu.windows"]
%s
  post-processor "sysprep-image" {
    verify { report = "report.json" }
  }
}
`, built("guest-bios.raw"), guestPassword, "name=opt/org.sysprep/scenario,string="+strings.ReplaceAll(string(text), ",", ",,"), source, provisioner)
}

// Whatever a template combines, no disk leaves the build that is not proven.
func TestTheQemuBuilderWithEveryPairOfActionAndShutdownCommand(t *testing.T) {
	t.Parallel()
	testutil.Tool(t, "qemu-system-x86_64")
	plugins := withPlugins(t, "qemu")
	const command = `shutdown_command = "shutdown /s /t 5 /f"`
	for _, c := range []struct {
		name, source, action string
		code                 int
		texts                []string
	}{
		{"quit, with shutdown_command", command, "quit", 0, []string{"Windows is generalized", "Proven"}},
		{"quit, without", "", "quit", 1, []string{"set its shutdown_command", "is not proven to be generalized"}},
		{"shutdown, with shutdown_command", command, "shutdown", 1, []string{"Failed to send shutdown command"}},
		{"shutdown, without", "", "shutdown", 0, []string{"Proven"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			p := startWithin(t, 2*buildLimit, []string{built("packer")}, plugins,
				qemuBuild(t, winsim.Scenario{}, c.source, sysprepBlock(fmt.Sprintf("action = %q", c.action), `shutdown_timeout = "30s"`)), nil)
			p.expect(c.code, c.texts...)
			t.Logf("exit code %d after %s: %s", c.code, time.Since(began).Round(time.Second), strings.Join(c.texts, "; "))
			disk := filepath.Join(p.dir, "output", "image.qcow2")
			if c.code != 0 {
				if _, err := os.Stat(disk); err == nil {
					t.Errorf("a build that failed left %s", disk)
				}
			} else if _, proof := proof(t, disk); !proven(proof) {
				t.Errorf("not proven: %+v", finding.Failed(proof, finding.Fail))
			}
			if pids := processesNaming(t, p.dir); len(pids) > 0 {
				t.Errorf("still running: %v", pids)
			}
		})
	}
}
