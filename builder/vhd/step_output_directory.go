package vhd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/verify"
)

// stepOutputDirectory makes the output folder and the scratch folder in it,
// and removes what the build made when it fails. Unlike the SDK's step it
// never removes a file that it did not make, -force or not.
type stepOutputDirectory struct{ made bool }

func (s *stepOutputDirectory) Run(_ context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	c := run.config
	entries, err := os.ReadDir(c.OutputDirectory)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(c.OutputDirectory, 0o755); err != nil {
			return halt(state, fmt.Errorf("making output_directory: %w", err))
		}
		s.made = true
	case err != nil:
		return halt(state, fmt.Errorf("looking into output_directory: %w", err))
	case len(entries) > 0 && !c.PackerForce:
		return halt(state, fmt.Errorf("output_directory %s is not empty: choose another, empty it, or run packer build -force to replace the disk in it", c.OutputDirectory))
	}
	if c.PackerForce {
		switch err := os.Remove(c.outputPath()); {
		case err == nil:
			ui.Sayf("Removed the previous %s", c.outputPath())
		case !errors.Is(err, fs.ErrNotExist):
			return halt(state, fmt.Errorf("removing the previous output: %w", err))
		}
	}
	run.output.madeDirectory = s.made
	directory, err := filepath.Abs(c.OutputDirectory)
	if err == nil {
		run.scratch, err = os.MkdirTemp(directory, ".scratch-")
	}
	if err != nil {
		return halt(state, fmt.Errorf("making scratch folder: %w", err))
	}
	return multistep.ActionContinue
}

func (s *stepOutputDirectory) Cleanup(state multistep.StateBag) {
	run, ui := runOf(state)
	var errs []error
	if run.scratch != "" {
		errs = append(errs, os.RemoveAll(run.scratch))
	}
	if failed(state) {
		if run.output.path != "" {
			errs = append(errs, os.Remove(run.output.path))
			if run.report == run.output.path+verify.ReportSuffix {
				errs = append(errs, os.Remove(run.report))
			}
		}
		if s.made {
			// Not RemoveAll: what others put there in the meantime is not ours.
			errs = append(errs, os.Remove(run.config.OutputDirectory))
		}
	}
	if err := errors.Join(errs...); err != nil {
		ui.Errorf("Cleaning up output_directory: %s", err)
	}
}
