//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hcldec"
	"github.com/hashicorp/hcl/v2/hclparse"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"
	sdkwinrm "github.com/hashicorp/packer-plugin-sdk/sdk-internals/communicator/winrm"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/provisioner/sysprep"
)

// What the provisioner says of public templates that were converted to it, besides
// what it says of every run.
const (
	sameHardware = "/mode:vm: deploy the image on the same hypervisor with the same hardware profile only."
	vmModeQuiet  = "/mode:vm: Microsoft documents it with /quit, /shutdown and /reboot only; with /quiet and /unattend it is known to work all the same."
	noCommand    = "The guest powers itself off: the builder must have no shutdown_command, which it fails to send to a guest that is off."
	noShutdown   = "The guest powers itself off: the builder needs disable_shutdown = true, or no shutdown_command, or it fails to send that command."
	noAnswer     = "there is no answer file: the first boot of the image will ask for the region, the licence and an account, and wait for a person; set answer_file, answer_file_in_guest or unattend, unless the machine gets one when it is deployed"
	noFirstBoot  = "unattend: no setting for the first boot: it asks for the region, the licence and an account, and waits for a person (oobeSystem); add International-Core, OOBE and UserAccounts to pass oobeSystem, unless another answer file or the cloud's agent does it [oobe-attended]"
)

func needsCommand(builder string) string {
	return `Windows stays up for the builder "` + builder + `" to shut it down. Unless that is done, set its shutdown_command, e.g. "shutdown /s /t 5 /f": without one it cuts the power and damages the image.`
}

// converted are the templates in testdata/templates, with the plugin that has the
// builder, the agent that their guest has, and what is said.
var converted = map[string]struct {
	plugin, builder string
	agents          []string
	warnings        []string
}{
	"runner-images":             {"azure", "azure-arm", nil, []string{sameHardware, vmModeQuiet}},
	"azure-example":             {"azure", "azure-arm", nil, []string{sameHardware, vmModeQuiet}},
	"agentbaker":                {"azure", "azure-arm", nil, nil},
	"image-builder-ova-vmware":  {"vmware", "vmware-iso", nil, []string{needsCommand("vmware-iso"), noFirstBoot}},
	"image-builder-ova-vsphere": {"vsphere", "vsphere-iso", nil, []string{noFirstBoot}},
	"image-builder-ami":         {"amazon", "amazon-ebs", []string{"ec2launch"}, nil},
	"rgl-vsphere":               {"vsphere", "vsphere-iso", []string{"cloudbase-init"}, nil},
	"rgl-qemu":                  {"qemu", "qemu", nil, []string{needsCommand("qemu"), noAnswer}},
	"stefanscherer-vmware":      {"vmware", "vmware-iso", nil, []string{needsCommand("vmware-iso"), noAnswer}},
	"goad-vmware":               {"vmware", "vmware-iso", nil, []string{noCommand, noAnswer}},
	"goad-virtualbox":           {"virtualbox", "virtualbox-iso", nil, []string{needsCommand("virtualbox-iso"), noAnswer}},
	"goad-proxmox":              {"proxmox", "proxmox-iso", []string{"cloudbase-init"}, nil},
	"hv-packer":                 {"hyperv", "hyperv-iso", nil, []string{noShutdown, noFirstBoot}},
}

func templateFile(name string) string {
	return filepath.Join(testutil.Root(), "e2e", "testdata", "templates", name+".pkr.hcl")
}

func TestEveryConvertedTemplateIsListed(t *testing.T) {
	found, err := filepath.Glob(templateFile("*"))
	if err != nil || len(found) != len(converted) {
		t.Errorf("%d templates, %d in the table: %v", len(found), len(converted), err)
	}
}

// Packer takes each with the real plugin of its builder.
func TestConvertedTemplatesAreValid(t *testing.T) {
	t.Parallel()
	for name, c := range converted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plugins := withPlugins(t, c.plugin)
			dir := folder(t, "autounattend.xml", "enable-winrm.ps1", "windows.iso", "winrm_bootstrap.txt")
			cmd := exec.CommandContext(t.Context(), built("packer"), "validate", templateFile(name))
			cmd.Dir, cmd.Env, cmd.WaitDelay = dir, packerEnv(plugins, t.TempDir()), 10*time.Second
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "The configuration is valid.") {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("%s: %s", c.builder, strings.Join(strings.Fields(string(out)), " "))
		})
	}
}

// sayUI keeps what is said.
type sayUI struct {
	packersdk.Ui
	mu    sync.Mutex
	lines []string
}

func (u *sayUI) Say(text string) {
	u.mu.Lock()
	u.lines = append(u.lines, text)
	u.mu.Unlock()
}
func (u *sayUI) Error(text string) { u.Say(text) }

// warned are the lines with warnings, without those about the simulated guest: they are
// the same for every builder.
func (u *sayUI) warned() (warnings []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, line := range u.lines {
		if w, ok := strings.CutPrefix(line, "Warning: "); ok {
			warnings = append(warnings, w)
		}
	}
	return warnings
}

// ofTemplate reads the builder's type and the options of the provisioner.
func ofTemplate(t *testing.T, name string) (builder string, options hcl.Body) {
	t.Helper()
	text, err := os.ReadFile(templateFile(name))
	if err != nil {
		t.Fatal(err)
	}
	builder = regexp.MustCompile(`(?m)^source "([^"]+)"`).FindStringSubmatch(string(text))[1]
	file, diags := hclparse.NewParser().ParseHCL(text, name)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	outer, _, diags := file.Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "build"}}})
	if diags.HasErrors() || len(outer.Blocks) != 1 {
		t.Fatalf("no build: %v", diags)
	}
	inner, _, diags := outer.Blocks[0].Body.PartialContent(&hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{{Type: "provisioner", LabelNames: []string{"type"}}}})
	if diags.HasErrors() || len(inner.Blocks) != 1 {
		t.Fatalf("no provisioner: %v", diags)
	}
	return builder, inner.Blocks[0].Body
}

// Each is told what it has to know, in a run against the simulated guest, and
// nothing else. The builders do not run: what they say of themselves to the
// provisioner is their type.
func TestWhatIsSaidOfConvertedTemplates(t *testing.T) {
	t.Parallel()
	for name, c := range converted {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			builder, body := ofTemplate(t, name)
			if builder != c.builder {
				t.Fatalf("the builder is %s, want %s", builder, c.builder)
			}
			p := &sysprep.Provisioner{}
			value, diags := hcldec.Decode(body, p.ConfigSpec(), nil)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			if err := p.Prepare(value, map[string]any{"packer_builder_type": builder, "packer_build_name": name}, map[string]any{"shutdown_timeout": "20s"}); err != nil {
				t.Fatal(err)
			}
			guest := inProcess(t, winsim.Scenario{Agents: c.agents}, winsim.ServerOptions{}, nil)
			comm, err := sdkwinrm.New(&sdkwinrm.Config{Host: guest.Host, Port: guest.Port, Username: "packer", Password: guestPassword, Timeout: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			ui := &sayUI{}
			data := map[string]any{"Host": guest.Host, "Port": guest.Port, "User": "packer", "Password": guestPassword, "ConnType": "winrm"}
			if err := p.Provision(t.Context(), ui, comm, data); err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(ui.lines, "\n"))
			}
			if got := ui.warned(); !slices.Equal(got, c.warnings) {
				t.Errorf("said:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(c.warnings, "\n"))
			}
			t.Logf("| %s | %s | %s |", name, builder, strings.Join(ui.warned(), " "))
		})
	}
}
