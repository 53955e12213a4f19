//go:build e2e

// Package e2e runs the real Packer with the real plugin: against the simulated
// guest in QEMU for the builder, and in this process for the provisioner alone.
// `make e2e` builds what it needs and runs it.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

const (
	pluginSource = "github.com/packer-plugin-sysprep/sysprep"
	// buildLimit ends a Packer that hangs: that is the failure these tests are
	// there to find.
	buildLimit = 5 * time.Minute
	// cancelLimit is how long a cancelled build may take to clean up.
	cancelLimit = 30 * time.Second
)

var pluginPath = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sysprep-e2e-plugins-*")
	if err != nil {
		return "", err
	}
	cmd := exec.Command(built("packer"), "plugins", "install", "--path", built("packer-plugin-sysprep"), pluginSource)
	cmd.Env = packerEnv(dir, dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("installing the plugin: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := pluginPath(); err == nil {
		os.RemoveAll(dir)
	}
	removePlugins()
	os.Exit(code)
}

// built names a file that `make e2e` builds first.
func built(name string) string { return filepath.Join(testutil.Root(), "build", name) }

// packerEnv keeps Packer away from the user's own configuration and plugins.
func packerEnv(plugins, home string) []string {
	return append(os.Environ(),
		"PACKER_PLUGIN_PATH="+plugins, "HOME="+home, "PACKER_CONFIG_DIR="+home, "PACKER_CACHE_DIR="+filepath.Join(home, "cache"),
		"CHECKPOINT_DISABLE=1", "PACKER_NO_COLOR=1", "PACKER_LOG=1", "PACKER_LOG_PATH="+filepath.Join(home, "packer.log"))
}

// packerRun is one running `packer build`.
type packerRun struct {
	t    *testing.T
	dir  string // folder of the build: output, log, screenshots
	cmd  *exec.Cmd
	done chan struct{}

	mu    sync.Mutex
	lines []outputLine
	more  *sync.Cond
}

type outputLine struct {
	at   time.Time
	text string
}

// startPacker runs `packer build` on the template text. Variables reach it as
// -var, flags as they are; the caller ends it by wait, interrupt or the end of the test.
func startPacker(t *testing.T, template string, vars map[string]string, flags ...string) *packerRun {
	t.Helper()
	plugins, err := pluginPath()
	if err != nil {
		t.Fatal(err)
	}
	return startCommand(t, []string{built("packer")}, plugins, template, vars, flags...)
}

// startCommand is startPacker for a Packer that is reached by this command
// line, with its plugins in a folder.
func startCommand(t *testing.T, packer []string, plugins, template string, vars map[string]string, flags ...string) *packerRun {
	t.Helper()
	return startWithin(t, longest(), packer, plugins, template, vars, flags...)
}

// emulated bounds how many builds in QEMU run at once: emulation takes a processor, and the
// tests whose guest is in this process mostly wait.
var emulated = make(chan struct{}, 4)

// emulates waits until one more of them may run, and returns what lets the next one in.
func emulates(t *testing.T) (leave func()) {
	emulated <- struct{}{}
	leave = sync.OnceFunc(func() { <-emulated })
	t.Cleanup(leave) // a test may end before its build begins
	return leave
}

// startWithin is startCommand with a limit of its own.
func startWithin(t *testing.T, limit time.Duration, packer []string, plugins, template string, vars map[string]string, flags ...string) *packerRun {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "build.pkr.hcl")
	if err := os.WriteFile(file, []byte(template), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append(append(packer[1:], "build", "-color=false"), flags...)
	for name, value := range vars {
		args = append(args, "-var", name+"="+value)
	}
	leave := func() {}
	if strings.Contains(template, `= "tcg"`) {
		leave = emulates(t)
	}
	p := &packerRun{t: t, dir: dir, done: make(chan struct{})}
	p.more = sync.NewCond(&p.mu)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	p.cmd = exec.CommandContext(ctx, packer[0], append(args, file)...)
	p.cmd.Dir = dir
	p.cmd.Env = packerEnv(plugins, dir)
	// A group of its own: Ctrl-C reaches the whole group, as from a terminal.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Cancel = func() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }
	// A plugin that outlives Packer would hold the pipe open for ever.
	p.cmd.WaitDelay = 10 * time.Second
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			p.mu.Lock()
			p.lines = append(p.lines, outputLine{time.Now(), lines.Text()})
			p.more.Broadcast()
			p.mu.Unlock()
		}
	}()
	go func() {
		_ = p.cmd.Wait() // the exit code is read from ProcessState
		leave()
		w.Close()
		<-read
		close(p.done)
		p.mu.Lock()
		p.more.Broadcast()
		p.mu.Unlock()
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
		if t.Failed() {
			t.Logf("packer said:\n%s", p.output())
		}
	})
	return p
}

func (p *packerRun) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(l.text + "\n")
	}
	return b.String()
}

func (p *packerRun) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// waitLine waits for a line that holds text and says when it came.
func (p *packerRun) waitLine(text string) time.Time {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for next := 0; ; {
		for ; next < len(p.lines); next++ {
			if strings.Contains(p.lines[next].text, text) {
				return p.lines[next].at
			}
		}
		if p.ended() {
			p.t.Fatalf("packer ended without saying %q", text)
		}
		p.more.Wait()
	}
}

// wait returns Packer's exit code.
func (p *packerRun) wait() int {
	p.t.Helper()
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// interrupt presses Ctrl-C and returns the exit code.
func (p *packerRun) interrupt() int {
	p.t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGINT); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(cancelLimit):
		p.t.Fatalf("packer still runs %v after Ctrl-C", cancelLimit)
	}
	return p.cmd.ProcessState.ExitCode()
}

// expect checks the exit code and that every text was said.
func (p *packerRun) expect(code int, texts ...string) {
	p.t.Helper()
	if got := p.wait(); got != code {
		p.t.Errorf("packer's exit code is %d, want %d", got, code)
	}
	out := p.output()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			p.t.Errorf("packer did not say %q", text)
		}
	}
}

// expectNoTrace checks that a build that failed left nothing: no output, no
// QEMU, no scratch files.
func (p *packerRun) expectNoTrace() {
	p.t.Helper()
	if left, _ := filepath.Glob(filepath.Join(p.dir, "output", "*")); len(left) > 0 {
		p.t.Errorf("a failed build left %v", left)
	}
	if pids := processesNaming(p.t, p.dir); len(pids) > 0 {
		p.t.Errorf("still running after the build: %v", pids)
	}
}

// processesNaming lists processes whose command line names dir.
func processesNaming(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		line, err := os.ReadFile(f)
		if err == nil && bytes.Contains(line, []byte(dir)) {
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}
