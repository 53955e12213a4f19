package sysprep

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// A guest whose first boot failed, or hangs, is waited for, and then the logs of
// Windows Setup say why.
func TestAGuestThatNeverFinishedItsFirstBootSaysWhy(t *testing.T) {
	t.Parallel()
	const begun = "\ufeff2026-07-27 09:00:00, Info                         [windeploy.exe] WinDeploy.exe launched with command-line []...\r\n"
	for name, test := range map[string]struct {
		log  string
		says []string
	}{
		"it failed": {"2026-07-27 09:00:01, Error                        [setup.exe] SMI data results dump: Source = Name: Microsoft-Windows-Shell-Setup, Language: neutral, ProcessorArchitecture: amd64, PublicKeyToken: 31bf3856ad364e35, VersionScope: nonSxS, /settings/RunSynchronous\r\n" +
			"2026-07-27 09:00:01, Error                        [setup.exe] SMI data results dump: Description = x\r\n" +
			"2026-07-27 09:00:01, Error      [0x060432] IBS    The provided unattend file is not valid; hrResult = 0x80220001\r\n",
			[]string{"first boot, cause: F92 ", "RunSynchronous is not a setting of Microsoft-Windows-Shell-Setup", "first boot, next: Move RunSynchronous to Microsoft-Windows-Deployment"}},
		"it hangs": {"2026-07-27 09:00:01, Info                  SYSPRP ActionPlatform::LaunchModule: Executing method 'Sysprep_Specialize_Pnp' from C:\\Windows\\System32\\sppnp.dll\r\n",
			[]string{"first boot, cause: F104 ", "Sysprep_Specialize_Pnp of C:\\Windows\\System32\\sppnp.dll (devices and drivers), begun at 2026-07-27 09:00:01"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := t.TempDir()
			g := newGuestRun(t, winsim.Scenario{Start: winsim.SetupRunning, SetupFor: winsim.Duration(time.Hour)}, map[string]any{"log_directory": logs, "stall_timeout": "2s"})
			g.start()
			g.write(begun+test.log, "Windows", "Panther", "setupact.log")
			wantError(t, g.provision(), append([]string{"sysprep was not started: "}, test.says...)...)
			if _, err := os.Stat(filepath.Join(logs, "setup", "setupact.log")); err != nil {
				t.Error(err)
			}
			wantNothingLeft(t, g)
		})
	}
}
