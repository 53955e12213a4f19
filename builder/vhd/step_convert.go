package vhd

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
)

// progressEvery is how often a long conversion is heard of.
const progressEvery = 15 * time.Second

// stepConvert writes the disk in its final format.
type stepConvert struct{}

func (*stepConvert) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	c, path := run.config, run.config.outputPath()
	kind := c.Format
	if c.VHDType != "" {
		kind = c.VHDType + " " + kind
	}
	ui.Sayf("Writing the disk as %s: %s", kind, path)
	began, said := time.Now(), time.Now()
	err := convertDisk(ctx, run.disk.Path, path, c.conversion(), func(done, total int64) {
		if total > 0 && time.Since(said) >= progressEvery {
			said = time.Now()
			ui.Sayf("%d %% of %.1f GiB", done*100/total, gib(total))
		}
	})
	if err != nil {
		if ctx.Err() != nil {
			return multistep.ActionHalt
		}
		return halt(state, fmt.Errorf("writing the output: %w", err))
	}
	run.output.path = path
	if run.output.virtualSize, err = virtualSize(path, c.conversion().Format); err != nil {
		return halt(state, fmt.Errorf("reading the output back: %w", err))
	}
	if err := run.placeReport(); err != nil {
		return halt(state, err)
	}
	ui.Sayf("Wrote %s in %s: %.1f GiB disk, %.1f GiB file", path, time.Since(began).Round(time.Second/10), gib(run.output.virtualSize), gib(fileSize(path)))
	return multistep.ActionContinue
}

func (*stepConvert) Cleanup(multistep.StateBag) {}

// convertDisk reads a disk with all files below it and writes another.
func convertDisk(ctx context.Context, from, to string, options diskimage.Options, progress func(done, total int64)) error {
	disk, err := diskimage.Open(from)
	if err != nil {
		return err
	}
	defer disk.Close()
	options.Progress = progress
	_, err = diskimage.Convert(ctx, disk, to, options)
	return err
}

func virtualSize(path string, format diskimage.Format) (int64, error) {
	disk, err := diskimage.Open(path, diskimage.As(format))
	if err != nil {
		return 0, err
	}
	defer disk.Close()
	return disk.Size(), nil
}
