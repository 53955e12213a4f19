package sysprep

import (
	"context"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// assumesC is a connection that notes what names drive C:, but for the search
// for answer files, which looks at every drive.
type assumesC struct {
	packersdk.Communicator
	mu    sync.Mutex
	found []string
}

var (
	driveC     = regexp.MustCompile(`(?i)\bC:[\\/]`)
	answerOnC  = regexp.MustCompile(`(?i)\bif exist "C:\\(?:Auto)?unattend\.xml"`)
	parameters = regexp.MustCompile(`-Json ([A-Za-z0-9+/=]+)`)
)

func (c *assumesC) note(text string) {
	if driveC.MatchString(answerOnC.ReplaceAllString(text, "")) {
		c.mu.Lock()
		c.found = append(c.found, text)
		c.mu.Unlock()
	}
}

func (c *assumesC) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	c.note(cmd.Command)
	if m := parameters.FindStringSubmatch(cmd.Command); m != nil {
		text, err := base64.StdEncoding.DecodeString(m[1])
		if err != nil {
			return err
		}
		c.note(string(text))
	}
	return c.Communicator.Start(ctx, cmd)
}

func (c *assumesC) Upload(path string, r io.Reader, info *os.FileInfo) error {
	c.note(path)
	return c.Communicator.Upload(path, r, info)
}

// Where Windows is, the guest says.
func TestWindowsOnAnotherDriveThanC(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]struct {
		blocked []string
		user    string
	}{"PowerShell": {}, "PowerShell and a task": {user: simUser}, "cmd": {blocked: scripts.Names()}} {
		for _, action := range []string{"quit", "shutdown"} {
			t.Run(name+", "+action, func(t *testing.T) {
				t.Parallel()
				logs, comm := t.TempDir(), &assumesC{}
				g := newGuestRun(t, winsim.Scenario{ShutdownTakes: seconds(50), StaleTag: true, StaleLog: true, Unkind: winsim.Unkind{SystemDrive: "D", BlockedScripts: way.blocked}},
					map[string]any{"action": action, "answer_file_content": testAnswer, "log_directory": logs, "shutdown_timeout": "15s", "stall_timeout": "30s",
						"elevated_user": way.user, "remove_answer_files": true, "delete_cached_answer_file": true})
				g.start()
				g.write(testAnswer, "Autounattend.xml")
				g.wrap = func(c packersdk.Communicator) packersdk.Communicator {
					comm.Communicator = c
					return comm
				}
				if err := g.provision(); err != nil {
					t.Fatal(err)
				}
				want(t, g.ui.text(), `Removed the answer file D:\Autounattend.xml`, "Windows is generalized")
				if said := strings.Contains(g.ui.text(), "PowerShell does not work in the guest"); said != (way.blocked != nil) {
					t.Errorf("sysprep was started in the other way: %v", said)
				}
				if script := g.read("Windows", "Setup", "Scripts", "SetupComplete.cmd"); script != `@del /f /q D:\Windows\Panther\unattend.xml`+"\r\n" {
					t.Errorf("SetupComplete.cmd is %q", script)
				}
				wantNothingLeft(t, g)
				saved, err := os.ReadFile(filepath.Join(logs, "sysprep", "setupact.log"))
				if err != nil || !strings.Contains(string(saved), `Successfully created tag file D:\Windows\`) || strings.Contains(string(saved), "2019-") {
					t.Errorf("the log: %v, %d bytes", err, len(saved))
				}
				for _, text := range comm.found {
					t.Errorf("names drive C: %s", text)
				}
			})
		}
	}
}
