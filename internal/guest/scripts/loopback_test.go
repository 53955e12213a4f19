package scripts

import (
	"path/filepath"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

// The script that prepares a hosted runner is no guest script, but nobody could run it here
// either.
func TestTheScriptOfTheRealWindowsWorkflowParses(t *testing.T) {
	file := filepath.Join(testutil.Root(), "tools", "winrm-loopback.ps1")
	if out, err := pscheck(t, file); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
