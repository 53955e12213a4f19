package vhd

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/packer-plugin-sdk/multistep"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// stepCheckHost refuses a build that this host cannot run, or whose output has no
// place, before anything is downloaded for it. What depends on the disk is asked
// when it is there.
type stepCheckHost struct{}

func (*stepCheckHost) Run(_ context.Context, state multistep.StateBag) multistep.StepAction {
	run, _ := runOf(state)
	c := run.config
	errs := c.checkPaths(c.inputs())
	if len(errs) == 0 {
		errs = append(errs, c.checkEmpty(true))
	}
	errs = append(errs, run.checkHost(hypervisor.Firmware(c.Firmware)))
	if err := errors.Join(errs...); err != nil {
		return halt(state, err)
	}
	return multistep.ActionContinue
}

func (*stepCheckHost) Cleanup(multistep.StateBag) {}

// checkHost asks the driver whether this host has what its machine needs.
func (r *run) checkHost(f hypervisor.Firmware) error {
	if checker, ok := r.driver.(hypervisor.Checker); ok {
		if err := checker.Check(f); err != nil {
			return fmt.Errorf("hypervisor %s: %w", r.config.Hypervisor, err)
		}
	}
	return nil
}

// stepCheckFirmware refuses a source whose firmware this host lacks, before room is
// made for it and anything is copied.
type stepCheckFirmware struct{}

func (*stepCheckFirmware) Run(_ context.Context, state multistep.StateBag) multistep.StepAction {
	run, _ := runOf(state)
	if err := run.checkHost(run.firmware); err != nil {
		return halt(state, err)
	}
	return multistep.ActionContinue
}

func (*stepCheckFirmware) Cleanup(multistep.StateBag) {}
