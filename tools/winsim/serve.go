package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
)

func serve(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	listen := set.String("listen", "127.0.0.1:5985", "address of the WinRM service")
	root := set.String("root", "", "folder that holds drive C: (default: a new temporary one)")
	text := set.String("scenario", "", "how the guest behaves, as JSON")
	if err := flags(set, args); err != nil {
		return err
	}
	scenario, err := winsim.ParseScenario(*text)
	if err != nil {
		return err
	}
	if *root == "" {
		if *root, err = os.MkdirTemp("", "winsim-*"); err != nil {
			return err
		}
		defer os.RemoveAll(*root)
	}
	guest, err := winsim.Start(ctx, winsim.Options{Root: *root, User: "packer", Password: "Demo-Passw0rd", Scenario: scenario, Log: log.Printf},
		winsim.ServerOptions{Addr: *listen, NTLM: true})
	if err != nil {
		return err
	}
	defer guest.Close()
	fmt.Printf("listening on %s\n", guest.Addr)
	select {
	case <-ctx.Done():
	case <-guest.Off():
	}
	for _, unknown := range guest.Guest.Unknown() {
		fmt.Println("refused, not known:", unknown)
	}
	return guest.Close()
}
