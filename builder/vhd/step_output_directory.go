package vhd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
)

// scratchPrefix begins the name of the folder of a build's temporary files.
const scratchPrefix = ".scratch-"

// stepOutputDirectory makes the output folder, holds it for this build alone,
// and makes the scratch folder in it. It removes what the build made when it
// fails. Unlike the SDK's step it never removes a file that it did not make,
// -force or not; what killed builds left is ours.
type stepOutputDirectory struct {
	made    bool
	release func()
}

func (s *stepOutputDirectory) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	c := run.config
	if err := errors.Join(c.checkPaths(run.inputs())...); err != nil {
		return halt(state, err)
	}
	if _, err := os.Stat(c.OutputDirectory); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(c.OutputDirectory, 0o755); err != nil {
			return halt(state, fmt.Errorf("making output_directory: %w", err))
		}
		s.made = true
	}
	release, err := lockFolder(ui, c.OutputDirectory)
	if err != nil {
		return halt(state, fmt.Errorf("output_directory: %w", err))
	}
	s.release = release
	if err := c.checkEmpty(false); err != nil {
		return halt(state, err)
	}
	path := c.outputPath()
	if _, err := os.Stat(path); err == nil {
		run.output.replaces = true
		ui.Sayf("%s is kept until this build has made and proven its replacement", path)
	}
	proof.RemoveStale(ctx, ui, path, c.reportPath(), path+proof.ReportSuffix)
	proof.RemoveStale(ctx, ui, "", c.beside("report.json"))
	run.output.madeDirectory = s.made
	directory, err := filepath.Abs(c.OutputDirectory)
	if err == nil {
		run.scratch, err = hostfile.NewScratch(directory, scratchPrefix)
	}
	if err != nil {
		return halt(state, fmt.Errorf("making scratch folder: %w", err))
	}
	return multistep.ActionContinue
}

// lockFolder holds the output folder, and removes what killed builds left.
func lockFolder(ui packersdk.Ui, folder string) (release func(), err error) {
	release, err = hostfile.Lock(folder)
	if errors.Is(err, hostfile.ErrNoLocks) {
		// Nothing is known of other builds, so their files are left alone.
		ui.Sayf("Cannot tell whether another build writes to %s at the same time: %s", folder, err)
		return release, nil
	}
	if err != nil {
		return release, err
	}
	removed, err := hostfile.SweepScratch(folder, scratchPrefix)
	if err != nil {
		ui.Errorf("Could not remove what an earlier build left behind: %s", err)
	}
	if len(removed) > 0 {
		ui.Sayf("Removed what an earlier build left behind when it was killed: %s", strings.Join(removed, ", "))
	}
	return release, nil
}

// checkEmpty refuses an output folder that others use, unless -force is given.
// early: what killed builds left is still there.
func (c *Config) checkEmpty(early bool) error {
	entries, err := foreignEntries(c.OutputDirectory)
	if early {
		entries = slices.DeleteFunc(entries, func(name string) bool { return strings.HasPrefix(name, scratchPrefix) })
	}
	switch {
	case early && errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("reading output_directory: %w", err)
	case len(entries) > 0 && !c.PackerForce:
		return fmt.Errorf("output_directory %s is not empty (%s): choose another, empty it, or run packer build -force to replace the disk in it", c.OutputDirectory, some(entries))
	}
	return nil
}

// foreignEntries lists a folder without the lock.
func foreignEntries(folder string) (names []string, err error) {
	entries, err := os.ReadDir(folder)
	for _, e := range entries {
		if e.Name() != hostfile.LockName {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// some names the first few of a list.
func some(names []string) string {
	const few = 3
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}

func (s *stepOutputDirectory) Cleanup(state multistep.StateBag) {
	run, ui := runOf(state)
	var errs []error
	kept := run.output.kept != ""
	if run.scratch != "" {
		if kept && hostfile.Within(run.scratch, run.output.kept) {
			errs = append(errs, hostfile.KeepScratch(run.scratch)) // or the next build would remove it
		} else {
			errs = append(errs, os.RemoveAll(run.scratch))
		}
	}
	if failed(state) {
		switch {
		case run.output.path == "":
		case run.output.replaces:
			// The disk that was there is gone for a proven one.
			ui.Sayf("%s is complete and is kept", run.output.path)
			kept = true
		default:
			errs = append(errs, os.Remove(run.output.path))
			if run.report != "" {
				errs = append(errs, os.Remove(run.report))
			}
			for _, path := range run.output.evidence {
				errs = append(errs, os.Remove(path))
			}
		}
	}
	if s.release != nil {
		s.release()
	}
	if failed(state) && s.made && !kept {
		// What others put there in the meantime is not ours, and no error.
		if others, err := foreignEntries(run.config.OutputDirectory); err == nil && len(others) == 0 {
			errs = append(errs, os.Remove(run.config.OutputDirectory))
		}
	}
	if err := errors.Join(errs...); err != nil {
		ui.Errorf("Cleaning up output_directory: %s", err)
	}
}
