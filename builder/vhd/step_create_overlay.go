package vhd

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// stepCreateOverlay makes the disk that boots: a qcow2 file that takes all
// writes, over the source, or a copy for a hypervisor that boots another
// format. A machine that exists brings its own.
type stepCreateOverlay struct{}

func (*stepCreateOverlay) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	maker, ok := run.driver.(hypervisor.Maker)
	if !ok {
		run.disk = hypervisor.Disk{Path: run.source.Files[0]}
		return multistep.ActionContinue
	}
	format, err := diskimage.ParseFormat(maker.DiskFormat())
	if err != nil {
		return halt(state, fmt.Errorf("hypervisor %s: %w", run.config.Hypervisor, err))
	}
	path := filepath.Join(run.scratch, "disk."+string(format))
	run.disk = hypervisor.Disk{Path: path, Format: format.QEMU()}
	if why := needsCopy(run.source, format); why != "" {
		ui.Sayf("Copying the source disk, because %s", why)
		if err := run.copySource(ctx, path, diskimage.Options{Format: format}); err != nil {
			if ctx.Err() != nil {
				return multistep.ActionHalt
			}
			return halt(state, fmt.Errorf("copying source disk: %w", err))
		}
		return multistep.ActionContinue
	}
	run.disk.BackingFormat = backingFormat(run.source)
	if err := diskimage.WriteOverlay(path, run.source.Files[0], run.disk.BackingFormat, run.source.VirtualSize); err != nil {
		return halt(state, fmt.Errorf("making overlay: %w", err))
	}
	// QEMU opens whatever the chain names: only one that may be read gets there.
	disk, err := run.open(ctx, path)
	if err != nil {
		return halt(state, fmt.Errorf("checking overlay: %w", err))
	}
	disk.Close()
	return multistep.ActionContinue
}

func (*stepCreateOverlay) Cleanup(multistep.StateBag) {} // lies in scratch

// copySource reads the source with all files below it and writes another disk.
func (r *run) copySource(ctx context.Context, to string, options diskimage.Options) error {
	disk, err := r.open(ctx, r.source.Files[0])
	if err != nil {
		return err
	}
	defer disk.Close()
	_, err = diskimage.Convert(ctx, disk, to, options)
	return err
}

// needsCopy says why an overlay of the source would not do for a hypervisor
// that boots format, "" if it does.
func needsCopy(info diskimage.Info, format diskimage.Format) string {
	switch {
	case format != diskimage.QCOW2:
		return "the hypervisor boots " + string(format)
	case info.LogReplayed:
		return "it was not closed cleanly and QEMU replays its log only in a disk that it may write to"
	case slices.ContainsFunc(info.Chain(), func(l diskimage.Link) bool { return l.Type == diskimage.Differencing }):
		return "QEMU does not read differencing disks"
	case info.GuessedFormat:
		return "it does not say what format its backing file has, and QEMU would guess"
	}
	return ""
}

// backingFormat is QEMU's driver for the source below the overlay. A fixed VHD
// is a raw disk with a footer behind it, and the overlay, which has the disk's
// size, never reads that far; the vpc driver would guess the size from the
// geometry of some creators.
func backingFormat(info diskimage.Info) string {
	if info.Format == diskimage.VHD && info.Type == diskimage.Fixed {
		return diskimage.Raw.QEMU()
	}
	return info.Format.QEMU()
}
