//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// exampleBuilders are the plugins of the builders that have an example.
var exampleBuilders = map[string]string{
	"amazon-ebs": "amazon", "azure-arm": "azure", "googlecompute": "googlecompute", "hyperv-iso": "hyperv", "nutanix": "nutanix",
	"proxmox-iso": "proxmox", "qemu": "qemu", "virtualbox-iso": "virtualbox", "vmware-iso": "vmware", "vsphere-iso": "vsphere",
}

// exampleOf is the folder of a copy of an example, in which the plugins are not
// asked for: Packer would look for a release of ours.
func exampleOf(t *testing.T, builder string) (dir, text string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testutil.Root(), "example", "builders", builder, "windows.pkr.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	required := regexp.MustCompile(`(?ms)^packer \{.*?^\}\n`)
	if found := required.FindAll(raw, -1); len(found) != 1 || !strings.Contains(string(found[0]), pluginSource) || !strings.Contains(string(found[0]), theirSources[exampleBuilders[builder]]) {
		t.Errorf("%s: required_plugins: %q", builder, found)
	}
	return folder(t, "windows.iso", "autounattend.xml", "winrm.txt"), string(required.ReplaceAll(raw, nil))
}

// given are arguments for the variables without default.
func given(t *testing.T, text string) (args []string) {
	t.Helper()
	file, diags := hclsyntax.ParseConfig([]byte(text), "example", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for _, block := range file.Body.(*hclsyntax.Body).Blocks {
		if block.Type != "variable" || block.Body.Attributes["default"] != nil {
			continue
		}
		value := map[string]string{
			"iso_url": "windows.iso", "iso_checksum": "none", "subscription_id": "00000000-0000-0000-0000-000000000002",
			"proxmox_url": "https://pve.example:8006/api2/json", "proxmox_token_id": "packer@pve!token", "gallery": "gallery",
		}[block.Labels[0]]
		if value == "" {
			value = "Build-0nly"
		}
		if strings.Contains(block.Labels[0], "password") && block.Body.Attributes["sensitive"] == nil {
			t.Errorf("variable %s is not sensitive", block.Labels[0])
		}
		args = append(args, "-var", block.Labels[0]+"="+value)
	}
	return args
}

func TestThereIsAnExampleForEachBuilder(t *testing.T) {
	found, err := os.ReadDir(filepath.Join(testutil.Root(), "example", "builders"))
	if err != nil || len(found) != len(exampleBuilders) {
		t.Errorf("%d folders for %d builders: %v", len(found), len(exampleBuilders), err)
	}
}

// Packer takes each with the real plugin of its builder, where that can be had.
func TestExamplesOfBuildersAreValid(t *testing.T) {
	t.Parallel()
	for builder, plugin := range exampleBuilders {
		t.Run(builder, func(t *testing.T) {
			t.Parallel()
			dir, text := exampleOf(t, builder)
			validate(t, dir, withPlugins(t, plugin), text)
		})
	}
}

// What is ours in each is right, whether or not the builder's plugin is there: with the
// null builder in its place.
func TestOurPartOfTheExamplesIsValid(t *testing.T) {
	t.Parallel()
	source := regexp.MustCompile(`(?ms)^source "[^"]+" "windows" \{.*?^\}\n`)
	for builder := range exampleBuilders {
		t.Run(builder, func(t *testing.T) {
			t.Parallel()
			dir, text := exampleOf(t, builder)
			if out, _, code := runPacker(t, dir, nil, "fmt", "-check", "-diff", filepath.Join(testutil.Root(), "example", "builders", builder)); code != 0 {
				t.Errorf("fmt: exit code %d:\n%s", code, out)
			}
			if len(source.FindAllString(text, -1)) != 1 {
				t.Fatal("its source was not found")
			}
			text = source.ReplaceAllString(text, "source \"null\" \"windows\" {\n  communicator = \"winrm\"\n  winrm_host = \"192.0.2.1\"\n  winrm_username = \"a\"\n  winrm_password = \"b\"\n}\n")
			text = strings.ReplaceAll(text, "source."+builder+".windows", "source.null.windows")
			plugins, err := pluginPath()
			if err != nil {
				t.Fatal(err)
			}
			validate(t, dir, plugins, text)
		})
	}
}

// validate has Packer judge a template with the plugins of a folder.
func validate(t *testing.T, dir, plugins, text string) {
	t.Helper()
	path := filepath.Join(dir, "windows.pkr.hcl")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), built("packer"), append(append([]string{"validate"}, given(t, text)...), path)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, packerEnv(plugins, t.TempDir()), 10*time.Second
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "The configuration is valid.") {
		t.Errorf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "Warning") {
		t.Logf("%s", out)
	}
}
