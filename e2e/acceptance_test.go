//go:build acceptance

// The acceptance test generalizes a real Windows machine that is given by
// environment variables, see docs/development.md. It is skipped without them.
// What it cannot answer by itself, docs/simulated-guest.md asks a person.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func TestARealWindowsIsGeneralized(t *testing.T) {
	setting := func(name string) string { return os.Getenv("SYSPREP_ACC_" + name) }
	if setting("HOST") == "" {
		t.Skip("SKIPPED: SYSPREP_ACC_HOST is not set; give a Windows machine that may be generalized, see docs/development.md")
	}
	packer := testutil.Tool(t, "packer")
	dir := t.TempDir()
	env := append(os.Environ(), "PACKER_PLUGIN_PATH="+dir, "PACKER_CONFIG_DIR="+dir, "CHECKPOINT_DISABLE=1", "PKR_VAR_password="+setting("PASSWORD"))
	packerRun := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), packer, args...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	plugin := filepath.Join(testutil.Root(), "build", "packer-plugin-sysprep")
	if out, err := packerRun("plugins", "install", "--path", plugin, "github.com/packer-plugin-sysprep/sysprep"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port := setting("PORT")
	if port == "" {
		port = map[bool]string{true: "5986", false: "5985"}[setting("USE_SSL") == "1"]
	}
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
    action        = "shutdown"
    log_directory = "logs"
  }
}
`, setting("HOST"), port, setting("USER"), setting("USE_SSL") == "1", setting("USE_NTLM") == "1")
	if err := os.WriteFile(filepath.Join(dir, "build.pkr.hcl"), []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := packerRun("build", "-color=false", "build.pkr.hcl")
	t.Log(out)
	if err != nil || !strings.Contains(out, "Windows is generalized") {
		t.Errorf("packer build: %v", err)
	}
}
