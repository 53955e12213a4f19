// Package cli is what the plugin's binary can do besides being a plugin:
// inspect proves images, lint checks answer files, diagnose reads logs. Packer's own sub-commands
// (describe, start) are not touched.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
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

type command func(ctx context.Context, args []string, stdout, stderr *edge.Writer) int

var commands = map[string]command{"inspect": inspect, "lint": lint, "diagnose": diagnose}

// Run executes the command named by args[0]. Handled is false when it is not
// one of ours, and nothing was done.
func Run(args []string, stdout, stderr io.Writer) (code int, handled bool) {
	if len(args) == 0 || commands[args[0]] == nil {
		return 0, false
	}
	ctx, stop := interruptible(stderr)
	defer stop()
	return commands[args[0]](ctx, args[1:], edge.Screen(stdout), edge.Screen(stderr)), true
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

var errHelp = errors.New("help was asked for")

// flagSet holds the values of each flag that was given, in their order; one
// that takes no value has an empty one.
type flagSet map[string][]string

func (f flagSet) has(name string) bool { return len(f[name]) > 0 }

// last is the value that counts of a flag that was given more than once.
func (f flagSet) last(name string) string {
	if !f.has(name) {
		return ""
	}
	return f[name][len(f[name])-1]
}

// options splits arguments into the flags named and everything else; flags may
// stand anywhere. A flag whose name is known with "=" at its end takes a value,
// as --name=value or --name value.
func options(args []string, known ...string) (flags flagSet, rest []string, err error) {
	flags = flagSet{}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		name, value, assigned := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		valued := slices.Contains(known, name+"=")
		switch {
		case arg == "--":
			return flags, append(rest, args[i+1:]...), nil
		case arg == "-h" || arg == "--help":
			return nil, nil, errHelp
		case !strings.HasPrefix(arg, "-") || arg == "-":
			rest = append(rest, arg)
			continue
		case slices.Contains(known, name) && !assigned:
		case valued && !assigned && i+1 < len(args) && !strings.HasPrefix(args[i+1], "--"):
			i++
			value = args[i]
		case valued && !assigned:
			return nil, nil, fmt.Errorf("option %s needs a value", arg)
		case !valued:
			return nil, nil, fmt.Errorf("unknown option %s", arg)
		}
		if valued && value == "" {
			return nil, nil, fmt.Errorf("option --%s needs a value", name)
		}
		flags[name] = append(flags[name], value)
	}
	return flags, rest, nil
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

// usage prints how to call a command: on stdout when asked for, else with the
// reason on stderr.
func usage(err error, text string, stdout, stderr io.Writer) int {
	if errors.Is(err, errHelp) {
		fmt.Fprintln(stdout, text)
		return OK
	}
	fmt.Fprintf(stderr, "%v\n%s\n", err, text)
	return CannotDo
}
