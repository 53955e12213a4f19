package qemu

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
)

// process is a running QEMU whose life is tied to ours.
type process struct {
	cmd    *exec.Cmd
	output *tail
	done   chan struct{}
	err    error // valid once done is closed
}

// startProcess starts a program whose first inherited file, if any, is its
// descriptor 3. The program dies when we die, however that happens.
func startProcess(binary string, args []string, files []*os.File) (*process, error) {
	p := &process{cmd: exec.Command(binary, args...), output: &tail{}, done: make(chan struct{})} //nolint:noctx // outlives the call; its driver ends it
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.ExtraFiles = p.output, p.output, files
	prepareProcess(p.cmd)
	started := make(chan error)
	go func() {
		// Linux sends the parent-death signal when the thread that forked
		// ends, so that thread is kept for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		if err == nil {
			if err = adoptProcess(p.cmd); err != nil {
				_ = p.cmd.Process.Kill()
				_ = p.cmd.Wait()
			}
		}
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	return p, nil
}

func (p *process) kill() { _ = p.cmd.Process.Kill() }

// describe is the command with its output, for errors.
func (p *process) describe() string {
	text := "command: " + strings.Join(p.cmd.Args, " ")
	if words := p.output.String(); words != "" {
		text += "\noutput: " + words
	}
	return text
}

// tail keeps the last bytes written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailLimit = 8 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if len(t.buf) > tailLimit {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailLimit:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.buf))
}
