package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/replay"
)

// replayRun serves a guest that answers as the one of a recorded run did.
func replayRun(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("replay", flag.ContinueOnError)
	listen := set.String("listen", "127.0.0.1:5985", "address of the WinRM service")
	root := set.String("root", "", "folder that holds drive C: (default: a new temporary one)")
	speed := set.Float64("speed", 1, "how many times as fast as it was; the limits of the options have to be as much shorter then")
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() != 1 {
		return errors.New("replay needs the file run.json of a run\n" + usage)
	}
	if *speed <= 0 {
		return errors.New("-speed has to be above 0")
	}
	run, err := runlog.Read(set.Arg(0))
	if err != nil {
		return err
	}
	scenario, err := replay.Scenario(run)
	if err != nil {
		return err
	}
	if *root == "" {
		if *root, err = os.MkdirTemp("", "winsim-*"); err != nil {
			return err
		}
		defer os.RemoveAll(*root)
	}
	guest, err := winsim.Start(ctx, winsim.Options{Root: *root, User: "packer", Password: "Demo-Passw0rd", Scenario: scenario, Log: log.Printf, Speed: *speed},
		winsim.ServerOptions{Addr: *listen, NTLM: true})
	if err != nil {
		return err
	}
	defer guest.Close()
	describe(os.Stdout, run, guest.Addr)
	<-ctx.Done()
	for _, unknown := range guest.Guest.Unknown() {
		fmt.Println("refused, not known:", unknown)
	}
	return guest.Close()
}

// describe says how the run was, and how to run against the guest.
func describe(w io.Writer, run runlog.Log, address string) {
	fmt.Fprintf(w, "listening on %s, user packer, password Demo-Passw0rd\n", address)
	fmt.Fprintf(w, "recorded by release %s, builder %q; options:\n", run.Version, run.Builder)
	for _, name := range slices.Sorted(maps.Keys(run.Options)) {
		fmt.Fprintf(w, "  %s = %v\n", name, run.Options[name])
	}
	if v := run.Verdict; v != nil {
		cause := v.Class
		if v.Cause != "" {
			cause += "/" + v.Cause
		}
		fmt.Fprintf(w, "it ended as [%s] %s\n", cause, v.FirstLine)
	} else {
		fmt.Fprintln(w, "it has no verdict: it was killed, or went on when the file was written")
	}
	if run.CancelledMS != nil {
		fmt.Fprintf(w, "it was cancelled after %.1f s: cancel this one at the same place\n", float64(*run.CancelledMS)/1000)
	}
}
