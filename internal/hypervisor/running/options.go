//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Options
//go:generate go tool packer-sdc struct-markdown

package running

import (
	"errors"
	"fmt"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

const name = "existing"

func init() {
	hypervisor.Register(hypervisor.Driver{Name: name, Options: func() hypervisor.Options { return new(Options) }})
}

// Options of the driver `existing`, for a machine that you run yourself and
// whose disk is read when it is off.
type Options struct {
	// The path of the machine's disk. Required. The disk is read, never
	// changed, and only when the machine is off. The machine itself is given by
	// `winrm_host` and `winrm_port`.
	DiskPath string `mapstructure:"disk_path"`
	// How long the machine must not answer, with its disk unchanged, to be
	// assumed to be off. Defaults to `1m`.
	PowerOffSettle time.Duration `mapstructure:"power_off_settle"`
}

var _ hypervisor.Taker = (*Options)(nil)

// Prepare implements hypervisor.Options.
func (o *Options) Prepare(s hypervisor.Settings) (warnings []string, errs []error) {
	if o.PowerOffSettle < 0 {
		errs = append(errs, fmt.Errorf("power_off_settle: %s is negative; write a duration such as \"1m\"", o.PowerOffSettle))
	}
	if o.PowerOffSettle == 0 {
		o.PowerOffSettle = time.Minute
	}
	if o.DiskPath == "" {
		errs = append(errs, fmt.Errorf("disk_path: required with hypervisor = %q; set the path of the machine's disk", name))
	}
	switch {
	case s.Communicator == "":
	case s.Communicator == "none":
		errs = append(errs, errors.New("communicator: an existing machine has to be reachable to see when it is off; use winrm or ssh"))
	case s.Guest.Host == "":
		errs = append(errs, fmt.Errorf("%s_host: required with hypervisor = %q; set the machine's address", s.Communicator, name))
	}
	// A negative one is an error of its own, and compares with nothing.
	if min(s.ShutdownTimeout, o.PowerOffSettle) >= 0 && s.ShutdownTimeout <= o.PowerOffSettle {
		errs = append(errs, fmt.Errorf("shutdown_timeout: %s is not longer than power_off_settle (%s), so the machine could never be seen to be off; raise it", s.ShutdownTimeout, o.PowerOffSettle))
	}
	return []string{fmt.Sprintf("hypervisor %q: the plugin cannot see whether the machine is off. It assumes that the machine is off once it has not answered, and its disk has not changed, for power_off_settle; it cannot switch the machine off or take a screenshot.", name)}, errs
}

// Reads implements hypervisor.Options.
func (o *Options) Reads() []hypervisor.File {
	return []hypervisor.File{{Option: "disk_path", Path: o.DiskPath}}
}

// New implements hypervisor.Options.
func (o *Options) New(b hypervisor.Build) hypervisor.Machine { return newMachine(*o, b) }

// OwnDisk implements hypervisor.Taker.
func (o *Options) OwnDisk() string { return o.DiskPath }

// Held implements hypervisor.Taker.
func (*Options) Held(err error) bool { return held(err) }
