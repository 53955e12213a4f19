package main

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/boot"
)

func disk(ctx context.Context, args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	spec := boot.DiskSpec{Self: self}
	set := flag.NewFlagSet("disk", flag.ContinueOnError)
	set.StringVar(&spec.Kernel, "kernel", "", "folder of the unpacked kernel package")
	set.StringVar(&spec.Path, "out", "", "raw disk image to write")
	set.StringVar(&spec.Windows, "windows", "", "folder that becomes drive C:")
	set.BoolVar(&spec.UEFI, "uefi", false, "GPT and UEFI instead of MBR and BIOS")
	set.IntVar(&spec.SizeMB, "size", 0, "size of the disk in MiB (0: 256)")
	if err := flags(set, args); err != nil {
		return err
	}
	if spec.Kernel == "" || spec.Path == "" {
		return errors.New("disk needs -kernel and -out\n" + usage)
	}
	if spec.Windows == "" {
		root, err := os.MkdirTemp("", "winsim-*")
		if err != nil {
			return err
		}
		defer os.RemoveAll(root)
		// As a user's disk is: Windows is on it before the first boot.
		guest, err := winsim.New(winsim.Options{Root: root})
		if err != nil {
			return err
		}
		if err := guest.Close(); err != nil {
			return err
		}
		spec.Windows = filepath.Join(root, "C")
	}
	return boot.MakeDisk(ctx, spec)
}
