// Command winsim is the simulated Windows guest as a program: it makes the
// bootable disk, serves the guest on this machine, and is PID 1 of that disk.
// It belongs to the tests and the demo and is no part of the plugin.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

const usage = `usage:
  winsim disk -kernel DIR -out FILE [-uefi] [-size MiB] [-windows DIR]
        make a bootable raw disk of the guest, with DIR or a new Windows as C:
  winsim serve [-listen ADDR] [-root DIR] [-scenario JSON]
        serve the guest here, without a machine, until it powers off
  winsim replay [-listen ADDR] [-root DIR] [-speed N] RUN.JSON
        serve a guest that answers as the one of a recorded run did (run.json of
        log_directory), until it is interrupted`

func main() {
	if os.Getpid() == 1 {
		fmt.Fprintln(os.Stderr, "guest:", initGuest())
		return // the kernel panics, which is what a guest that cannot start deserves
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "winsim:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	commands := map[string]func(context.Context, []string) error{"disk": disk, "serve": serve, "replay": replayRun}
	if len(args) == 0 || commands[args[0]] == nil {
		return fmt.Errorf("%s", usage)
	}
	return commands[args[0]](ctx, args[1:])
}

// flags parses args and refuses words that are left over.
func flags(set *flag.FlagSet, args []string) error {
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("unexpected %q\n%s", set.Arg(0), usage)
	}
	return nil
}
