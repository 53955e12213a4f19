// Package cli is what the plugin's binary can do besides being a plugin: inspect
// proves images, lint checks answer files, diagnose reads logs. Help, man pages, the
// reference and the completion of shells are made of the same definitions. What Packer
// asks (describe, start) is not touched.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/edge"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/weburl"
)

// Exit codes of all commands.
const (
	OK       = 0 // proven; nothing found
	NotOK    = 1 // not proven; errors found
	CannotDo = 2 // could not be told, or the command line is wrong
	// Interrupted is the code of a command that a second Ctrl-C ended at once;
	// the first one asks it to stop.
	Interrupted = 130
)

// ForPacker tells whether a command line is Packer's and not a person's: the SDK answers
// it. Cookie says that Packer's magic cookie is in the environment, which alone
// decides nothing: what a shell-local provisioner starts inherits it.
func ForPacker(args []string, cookie bool) bool {
	for _, arg := range args {
		switch arg {
		case "--protobuf": // the SDK takes it anywhere
		case "describe", "start":
			return true
		default:
			return cookie && !isOurs(arg)
		}
	}
	return cookie
}

// isOurs tells whether a first argument is a command or an option of ours.
func isOurs(arg string) bool {
	if strings.HasPrefix(arg, "-") || strings.HasPrefix(arg, "__complete") {
		return true
	}
	for _, c := range newRoot(&call{}).Commands() {
		if c.Name() == arg {
			return true
		}
	}
	return false
}

// Run executes a command line and returns the exit code.
func Run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := interruptible(stderr)
	defer stop()
	out := &watched{Writer: stdout}
	stdout = out
	c := &call{stdout: edge.Screen(stdout), stderr: edge.Screen(stderr)}
	root := newRoot(c)
	root.SetArgs(twoDashes(root, args))
	root.SetOut(stdout)
	root.SetErr(stderr)
	if cmd, err := root.ExecuteContextC(ctx); err != nil {
		return c.misused(cmd, err)
	}
	// Half a result is none, whatever it says.
	if out.err != nil && c.code != CannotDo {
		fmt.Fprintf(stderr, "the result could not be written: %v; see where standard output goes\n", out.err)
		return CannotDo
	}
	return c.code
}

// watched remembers the first error of writing.
type watched struct {
	io.Writer
	err error
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil && w.err == nil {
		w.err = err
	}
	return n, err
}

var errInterrupted = errors.New("interrupted")

// interruptible returns a context that the first signal ends. The second one
// ends the process, whatever it is at.
func interruptible(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			select {
			case <-done:
				return
			case <-signals:
			}
			if n == 2 {
				fmt.Fprintln(stderr, "interrupted twice: ended at once")
				os.Exit(Interrupted)
			}
			cancel(errInterrupted)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// expanded replaces patterns such as *.vhdx by the files they name, on Windows:
// its shells hand them on as they are, all others have expanded them already. A
// file that has such a name is itself.
func expanded(goos string, names []string) (files []string, err error) {
	for _, name := range names {
		if goos != "windows" || !strings.ContainsAny(name, "*?[") || weburl.Scheme(name) != "" {
			files = append(files, name)
			continue
		}
		if _, err := os.Lstat(name); err == nil {
			files = append(files, name)
			continue
		}
		found, err := filepath.Glob(name)
		if err != nil {
			return nil, fmt.Errorf("pattern %s: %w; * stands for any text, ? for one character", name, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("no file matches the pattern %s; check the folder and the extension", name)
		}
		files = append(files, found...)
	}
	return files, nil
}
