//go:build acceptance || e2e

package e2e

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/replay"
)

// accept generalizes the machine of the settings, whose names are those of the environment
// variables without SYSPREP_ACC_, and holds what was recorded of the run.
func accept(t *testing.T, packer string, setting func(string) string) {
	t.Helper()
	dir := t.TempDir()
	env := append(os.Environ(), "PACKER_PLUGIN_PATH="+dir, "PACKER_CONFIG_DIR="+dir, "CHECKPOINT_DISABLE=1", "PKR_VAR_password="+setting("PASSWORD"))
	packerRun := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), packer, args...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	plugin := filepath.Join(testutil.Root(), "build", "packer-plugin-sysprep")
	if runtime.GOOS == "windows" {
		plugin += ".exe"
	}
	if out, err := packerRun("plugins", "install", "--path", plugin, "github.com/packer-plugin-sysprep/sysprep"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	logs := cmp.Or(setting("LOGS"), filepath.Join(dir, "logs"))
	template := fmt.Sprintf(`
variable "password" {
  type      = string
  sensitive = true
}
source "null" "windows" {
  communicator   = "winrm"
  winrm_host     = %q
  winrm_port     = %s
  winrm_username = %q
  winrm_password = var.password
  winrm_use_ssl  = %t
  winrm_insecure = true
  winrm_use_ntlm = %t
}
build {
  sources = ["source.null.windows"]
  provisioner "sysprep" {
    action        = %q
    log_directory = %q
  }
}
`, setting("HOST"), cmp.Or(setting("PORT"), map[bool]string{true: "5986", false: "5985"}[setting("USE_SSL") == "1"]),
		setting("USER"), setting("USE_SSL") == "1", setting("USE_NTLM") == "1", cmp.Or(setting("ACTION"), "shutdown"), logs)
	if err := os.WriteFile(filepath.Join(dir, "build.pkr.hcl"), []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := packerRun("build", "-color=false", "build.pkr.hcl")
	t.Log(out)
	if err != nil || !strings.Contains(out, "Windows is generalized") {
		t.Errorf("packer build: %v", err)
	}
	// What was recorded becomes a simulated guest, however the run ended.
	run, err := runlog.Read(filepath.Join(logs, runlog.RunFile))
	if err != nil {
		t.Fatal(err)
	}
	if run.Verdict == nil {
		t.Error("the recorded run has no verdict")
	}
	if _, err := replay.Scenario(run); err != nil {
		t.Errorf("the recorded run cannot be replayed: %v", err)
	}
}
