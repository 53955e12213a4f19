package vhd

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/heartbeat"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// stepCreateOverlay makes the disk that boots: a qcow2 file that takes all
// writes, over the source, where the driver knows how, or else a copy. A machine
// that exists brings its own.
type stepCreateOverlay struct{}

func (*stepCreateOverlay) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	defer run.phase("overlay", state)()
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
	backing, why := run.overlaid(format)
	if why != "" {
		ui.Sayf("Copying the source disk, because %s", why)
		if err := run.copySource(ctx, path, diskimage.Options{Format: format}); err != nil {
			if ctx.Err() != nil {
				return multistep.ActionHalt
			}
			return halt(state, fmt.Errorf("copying source disk: %w", err))
		}
		return multistep.ActionContinue
	}
	run.disk.BackingFormat = backing
	if err := diskimage.WriteOverlay(path, run.source.Files[0], run.disk.BackingFormat, run.source.VirtualSize); err != nil {
		return halt(state, fmt.Errorf("making overlay: %w", err))
	}
	// A hypervisor opens whatever the chain names: only one that may be read gets there.
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
	wait := r.heart.Begin(heartbeat.Facts{Doing: "copying the source disk"})
	defer wait.End()
	options.Progress = wait.Percent
	_, err = diskimage.Convert(ctx, disk, to, options)
	return err
}

// overlaid is the format that an overlay names for the source or, where the
// machine needs a copy of it, why.
func (r *run) overlaid(boots diskimage.Format) (format, copyBecause string) {
	if o, ok := r.driver.(hypervisor.Overlayer); ok {
		return o.Backing(r.source)
	}
	return "", "the hypervisor boots " + string(boots)
}
