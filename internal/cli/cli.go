// Package cli is what the plugin's binary can do besides being a plugin:
// inspect proves images, lint checks answer files. Packer's own sub-commands
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
)

// Exit codes of all commands.
const (
	OK       = 0 // proven; nothing found
	NotOK    = 1 // not proven; errors found
	CannotDo = 2 // could not be told, or the command line is wrong
)

type command func(ctx context.Context, args []string, stdout, stderr io.Writer) int

var commands = map[string]command{"inspect": inspect, "lint": lint}

// Run executes the command named by args[0]. Handled is false when it is not
// one of ours, and nothing was done.
func Run(args []string, stdout, stderr io.Writer) (code int, handled bool) {
	if len(args) == 0 || commands[args[0]] == nil {
		return 0, false
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return commands[args[0]](ctx, args[1:], stdout, stderr), true
}

var errHelp = errors.New("help was asked for")

// options splits arguments into the flags named and everything else; flags may
// stand anywhere.
func options(args []string, known ...string) (flags map[string]bool, rest []string, err error) {
	flags = map[string]bool{}
	for i, arg := range args {
		switch {
		case arg == "--":
			return flags, append(rest, args[i+1:]...), nil
		case arg == "-h" || arg == "--help":
			return nil, nil, errHelp
		case !strings.HasPrefix(arg, "-"):
			rest = append(rest, arg)
		case slices.Contains(known, strings.TrimLeft(arg, "-")):
			flags[strings.TrimLeft(arg, "-")] = true
		default:
			return nil, nil, fmt.Errorf("unknown option %s", arg)
		}
	}
	return flags, rest, nil
}

// expanded replaces patterns such as *.vhdx by the files they name, on Windows:
// its shells hand them on as they are, all others have expanded them already. A
// file that has such a name is itself.
func expanded(goos string, names []string) (files []string, err error) {
	for _, name := range names {
		if goos != "windows" || !strings.ContainsAny(name, "*?[") || isAddress(name) {
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
			return nil, fmt.Errorf("no file fits the pattern %s; check the folder and the ending", name)
		}
		files = append(files, found...)
	}
	return files, nil
}

// isAddress says whether an image is on a web server.
func isAddress(image string) bool {
	scheme, _, found := strings.Cut(image, "://")
	return found && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
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
