package communicator

import (
	"strings"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

func TestWhatRestartsTheGuest(t *testing.T) {
	for line, want := range map[string]bool{
		`shutdown /r /f /t 0 /c "packer restart"`:           true, // windows-restart's own
		`shutdown.exe -f -r -t 60 -c "packer restart test"`: true,
		`"C:\Windows\System32\shutdown.exe" /g /t 0`:        true,
		`powershell "& {Restart-Computer -Force }"`:         true, // its documentation's
		`powershell -command "& { Restart-Computer }"`:      true,
		`shutdown /s /t 0`:                                  false,
		`shutdown /a`:                                       false,
		`shutdown`:                                          false,
		`echo shutdown /r`:                                  false,
		`shutdown /r /t 0 & build.cmd`:                      false,
		`powershell "& {Install-All; Restart-Computer}"`:    false,
		`powershell -File install.ps1`:                      false,
		"shutdown /s /t 0 /c \"/restart\"":                  false,
	} {
		if got := restarts(line); got != want {
			t.Errorf("%s: %v", line, got)
		}
	}
}

// TestARestartMayEndTheConnection: Packer's windows-restart takes no other status
// of a command whose end Windows did not tell.
func TestARestartMayEndTheConnection(t *testing.T) {
	for name, c := range map[string]struct {
		line string
		want int
	}{
		"a restart": {`shutdown /r /f /t 600 /c "packer restart"`, restarting},
		"a build":   {"echo x", packersdk.CmdDisconnect},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, winsim.ServerOptions{}, nil)
			g.alive()
			g.Faults.Inject(wsman.Rule{Action: "Receive", Do: wsman.Close, Times: 1})
			code, _, said, err := g.run(t.Context(), c.line)
			if err != nil || code != c.want || strings.Contains(said, "restarts the guest") != (c.want == restarting) {
				t.Errorf("ended with %d: %q, %v", code, said, err)
			}
		})
	}
}
