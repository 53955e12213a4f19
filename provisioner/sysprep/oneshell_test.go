package sysprep

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

// oneShell is the connection to a Windows that opens no new shell once sysprep
// was started, while the open one keeps working.
type oneShell struct {
	packersdk.Communicator
	shut    atomic.Bool
	refused atomic.Int64
}

var errNoShell = errors.New("received error response")

func (c *oneShell) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if c.shut.Load() {
		c.refused.Add(1)
		return errNoShell
	}
	if strings.Contains(cmd.Command, "launch.ps1") {
		c.shut.Store(true)
	}
	return c.Communicator.Start(ctx, cmd)
}

func (c *oneShell) Upload(path string, r io.Reader, info *os.FileInfo) error {
	if c.shut.Load() {
		c.refused.Add(1)
		return errNoShell
	}
	return c.Communicator.Upload(path, r, info)
}

// The shell that starts sysprep is all that a run needs: it sees the end, and
// nothing of ours stays in the image.
func TestOneShellIsEnough(t *testing.T) {
	t.Parallel()
	for _, builder := range []string{"null", ownBuilder} {
		for _, action := range []string{"quit", "shutdown", "reboot"} {
			if builder == ownBuilder && action == "reboot" {
				continue // Prepare refuses it
			}
			t.Run(builder+", "+action, func(t *testing.T) {
				t.Parallel()
				logs := t.TempDir()
				g := newGuestRun(t, winsim.Scenario{Generalize: seconds(30), ShutdownTakes: seconds(10), StaleTag: true, StaleLog: true,
					Unkind: winsim.Unkind{NoProcessesInShutdown: true}},
					map[string]any{"action": action, "answer_file_content": testAnswer, "log_directory": logs, "shutdown_timeout": "6s"})
				g.builder = builder
				g.wrap = func(c packersdk.Communicator) packersdk.Communicator { return &oneShell{Communicator: c} }
				if err := g.provision(); err != nil {
					t.Fatal(err)
				}
				want(t, g.ui.text(), "Windows is generalized")
				if left := g.ours(); len(left) > 0 {
					t.Errorf("left in the guest: %q", left)
				}
				for _, word := range []string{"could not be removed", "Could not clean up", "could not be read"} {
					if strings.Contains(g.ui.text(), word) {
						t.Errorf("%q is said", word)
					}
				}
				// The tag may be seen before the line that tells of it is written, and
				// nothing can be asked after that.
				saved, err := os.ReadFile(filepath.Join(logs, "sysprep", "setupact.log"))
				if err != nil || !strings.Contains(string(saved), "Executing method 'SceSysPrep'") || strings.Contains(string(saved), "2019-") {
					t.Errorf("the log that was seen was not saved: %v, %d bytes", err, len(saved))
				}
			})
		}
	}
}

// The answer file goes as soon as Windows has its copy, long before the tag.
func TestTheAnswerFileGoesBeforeTheTag(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]map[string]any{"build user": {}, "a task": {"elevated_user": simUser}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuestRun(t, winsim.Scenario{Validate: seconds(20), Generalize: seconds(30)}, map[string]any{"answer_file_content": testAnswer})
			for k, v := range options {
				g.options[k] = v
			}
			ours := func() (n int64) {
				for _, pattern := range []string{"Sysprep/packer-unattend-*", "Tasks/packer-*"} {
					found, err := filepath.Glob(g.file("Windows", "System32", filepath.FromSlash(pattern)))
					if err != nil {
						t.Error(err)
					}
					n += int64(len(found))
				}
				return n
			}
			var before, after atomic.Int64
			after.Store(-1)
			g.ui.onSay = func(line string) {
				switch {
				case strings.Contains(line, "validating: cleanup"):
					before.Store(ours())
				case strings.Contains(line, "working on devices and drivers"):
					after.Store(ours())
				}
			}
			if err := g.provision(); err != nil {
				t.Fatal(err)
			}
			if before.Load() == 0 || after.Load() != 0 {
				t.Errorf("%d of ours while sysprep validated, %d at the end of generalize", before.Load(), after.Load())
			}
		})
	}
}

// breaksWatching breaks every command that watches: the one that starts sysprep
// once its start is known, the others at once.
type breaksWatching struct{ packersdk.Communicator }

func (b breaksWatching) Start(ctx context.Context, cmd *packersdk.RemoteCmd) error {
	if !strings.Contains(cmd.Command, "watch.ps1") {
		return b.Communicator.Start(ctx, cmd)
	}
	if strings.Contains(cmd.Command, "launch.ps1") {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		broken := &packersdk.RemoteCmd{Command: cmd.Command, Stdout: &untilStarted{w: cmd.Stdout, broken: cancel}, Stderr: io.Discard}
		if err := b.Communicator.Start(ctx, broken); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-exited(broken):
		}
	}
	return errors.New("unknown error Post: EOF")
}

func exited(cmd *packersdk.RemoteCmd) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd.Wait()
	}()
	return done
}

// untilStarted lets through what comes until the start of sysprep is known.
type untilStarted struct {
	w      io.Writer
	seen   bytes.Buffer
	broken func()
}

func (u *untilStarted) Write(p []byte) (int, error) {
	for i := range p {
		if bytes.Contains(u.seen.Bytes(), []byte(`"script":"launch"`)) && bytes.HasSuffix(u.seen.Bytes(), []byte("\n")) {
			u.broken()
			return len(p), nil
		}
		u.seen.WriteByte(p[i])
		if _, err := u.w.Write(p[i : i+1]); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func TestAWatchThatAlwaysBreaksGoesOnWithoutPowerShell(t *testing.T) {
	t.Parallel()
	g := newGuestRun(t, winsim.Scenario{}, nil)
	g.wrap = func(c packersdk.Communicator) packersdk.Communicator { return breaksWatching{c} }
	if err := g.provision(); err != nil {
		t.Fatal(err)
	}
	want(t, g.ui.text(), "tag created")
	wantOneStart(t, g)
	wantNothingLeft(t, g)
}
