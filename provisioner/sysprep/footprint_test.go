package sysprep

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/footprint"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/wsman"
)

// overheard is a communicator that notes the paths and names of a run's files
// and tasks, by whatever it is told of them.
type overheard struct {
	packersdk.Communicator
	note func(text string)
}

func (o overheard) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	o.note(cmd.Command)
	return o.Communicator.Start(ctx, cmd)
}

func (o overheard) Upload(path string, from io.Reader, info *os.FileInfo) error {
	o.note(path)
	return o.Communicator.Upload(path, from, info)
}

// ofOurs is a name with our word in it, and the folder before it, if any, below
// the Windows folder.
var ofOurs = regexp.MustCompile(`(?i)(?:C:\\Windows((?:\\[\w. ]+)*)\\)?([\w.-]*packer-[\w.*-]+)`)

// Whatever a run names or leaves in a guest is in the table by which an image is
// searched for it.
func TestEveryNameOfARunIsRecognisedInAnImage(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	t.Run("runs", func(t *testing.T) {
		for name, c := range map[string]struct {
			options map[string]any
			wrap    func(packersdk.Communicator) packersdk.Communicator
			own     bool
			unkind  winsim.Unkind
		}{
			"all of it":          {options: map[string]any{"answer_file_content": testAnswer, "delete_cached_answer_file": true, "log_directory": t.TempDir(), "elevated_user": simUser}},
			"without PowerShell": {wrap: func(c packersdk.Communicator) packersdk.Communicator { return lockedDown{c} }},
			"own":                {own: true, options: map[string]any{"answer_file_content": testAnswer, "log_directory": t.TempDir()}},
			"own, the slow way":  {own: true, options: map[string]any{"answer_file_content": testAnswer}, unkind: winsim.Unkind{BlockedScripts: []string{"place", "fetch"}}},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				scenario := winsim.Scenario{StaleTag: true, StaleLog: true, Unkind: c.unkind}
				g := newGuestRun(t, scenario, c.options)
				if c.own {
					g = newOwnRun(t, scenario, c.options)
				}
				note := func(text string) {
					for _, m := range ofOurs.FindAllStringSubmatch(text, -1) {
						folders := footprint.Folders()
						if m[1] != "" {
							folders = []string{m[1]}
						}
						found := false
						for _, folder := range folders {
							if trace, ok := footprint.Find(folder, m[2]); ok {
								found = true
								mu.Lock()
								seen[trace.What] = true
								mu.Unlock()
							}
						}
						if !found {
							t.Errorf("%s is not recognised in %q", m[2], m[1])
						}
					}
				}
				g.wrap = func(inner packersdk.Communicator) packersdk.Communicator {
					if c.wrap != nil {
						inner = c.wrap(inner)
					}
					return overheard{inner, note}
				}
				g.server.OnEvent = func(e wsman.Event) {
					note(e.Detail)
					_ = filepath.WalkDir(g.file(), func(path string, _ os.DirEntry, err error) error {
						if err == nil { // what was removed meanwhile was seen before
							note("C:" + strings.ReplaceAll(strings.TrimPrefix(path, g.file()), string(os.PathSeparator), `\`))
						}
						return nil
					})
				}
				if err := g.provision(); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
	for _, trace := range []footprint.Trace{
		footprint.Folder, footprint.Task, footprint.AnswerFolder, footprint.Mark, footprint.MovedLogs, footprint.RenamedLog, footprint.PartialSetupComplete,
	} {
		if !seen[trace.What] {
			t.Errorf("no run brought the %s", trace.What)
		}
	}
}
