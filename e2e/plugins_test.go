//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// theirSources are the addresses of plugins that templates use.
var theirSources = map[string]string{
	"azure": "github.com/hashicorp/azure", "vmware": "github.com/hashicorp/vmware", "vsphere": "github.com/hashicorp/vsphere", "amazon": "github.com/hashicorp/amazon",
	"qemu": "github.com/hashicorp/qemu", "hyperv": "github.com/hashicorp/hyperv", "virtualbox": "github.com/hashicorp/virtualbox", "proxmox": "github.com/hashicorp/proxmox",
	"googlecompute": "github.com/hashicorp/googlecompute", "nutanix": "github.com/nutanix-cloud-native/nutanix",
}

// builtByDefault are those that `make plugins` builds, so that a test may count on them.
var builtByDefault = []string{"azure", "vmware", "vsphere"}

// theirPlugin is the program of a plugin of others: in the folder that
// SYSPREP_PLUGINS names, or where `make plugins` has put it. One that cannot be
// built everywhere is skipped with its reason, also in continuous integration: it
// is not ours to distribute, and not every registry hands it out.
func theirPlugin(t *testing.T, name string) string {
	t.Helper()
	var patterns []string
	if dir := os.Getenv("SYSPREP_PLUGINS"); dir != "" {
		patterns = []string{filepath.Join(dir, "packer-plugin-"+name), filepath.Join(dir, "packer-plugin-"+name+"_v*")}
	}
	for _, pattern := range append(patterns, built(filepath.Join("plugins", "packer-plugin-"+name))) {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found = slices.DeleteFunc(found, func(path string) bool { return strings.HasSuffix(path, "_SHA256SUM") })
		if len(found) > 0 {
			return found[len(found)-1]
		}
	}
	if slices.Contains(builtByDefault, name) {
		testutil.Missing(t, "packer-plugin-"+name+" is not built; `make plugins` does it")
	}
	reason := fmt.Sprintf("packer-plugin-%s is not there: set SYSPREP_PLUGINS to a folder that has it (a release of %s)", name, theirSources[name])
	if _, err := os.Stat(filepath.Join(testutil.Root(), "tools", "plugins", name)); err == nil {
		reason += ", or build it: make plugins PLUGINS=" + name
	}
	t.Skip("SKIPPED: " + reason)
	return ""
}

// withPlugins is a folder with this plugin and others. It is made once for each
// plugin: some are large.
func withPlugins(t *testing.T, name string) string {
	t.Helper()
	program := theirPlugin(t, name)
	installing.Lock()
	defer installing.Unlock()
	if dir, ok := installed[name]; ok {
		return dir
	}
	dir, err := os.MkdirTemp("", "sysprep-e2e-"+name+"-*")
	if err != nil {
		t.Fatal(err)
	}
	for source, program := range map[string]string{pluginSource: built("packer-plugin-sysprep"), theirSources[name]: program} {
		cmd := exec.Command(built("packer"), "plugins", "install", "--path", program, source)
		cmd.Env = packerEnv(dir, dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("installing %s: %v\n%s", program, err, out)
		}
	}
	installed[name] = dir
	return dir
}

var (
	installing sync.Mutex
	installed  = map[string]string{}
)

func removePlugins() {
	for _, dir := range installed {
		os.RemoveAll(dir)
	}
}
