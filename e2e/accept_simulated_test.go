//go:build e2e

package e2e

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// What .github/workflows/real-windows.yml does with a real Windows, with the simulated one.
func TestTheAcceptanceTestWithTheSimulatedGuest(t *testing.T) {
	t.Parallel()
	guest := inProcess(t, winsim.Scenario{}, winsim.ServerOptions{}, nil)
	settings := map[string]string{
		"HOST": "127.0.0.1", "PORT": strconv.Itoa(guest.Port), "USER": "packer", "PASSWORD": guestPassword,
		"ACTION": "quit", "LOGS": filepath.Join(t.TempDir(), "bundle"),
	}
	accept(t, built("packer"), func(name string) string { return settings[name] })
	if !strings.Contains(string(guestFile(t, guest, `C:\Windows\Setup\State\State.ini`)), "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE") {
		t.Error("the guest is not generalized")
	}
}
