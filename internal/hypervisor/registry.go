package hypervisor

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/hcl/v2/hcldec"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
)

// Driver is a kind of machine that users can choose.
type Driver struct {
	// Name is the value of the option `hypervisor`.
	Name string
	// Default: it is chosen where that option is not set.
	Default bool
	// Options makes the driver's options for one source, new each time.
	Options func() Options
}

// Options are what a user can set of a driver, and what the driver says before
// there is a machine: a pointer to a struct with mapstructure tags, whose
// FlatMapstructure packer-sdc writes. Every one is either a Maker or a Taker.
type Options interface {
	FlatMapstructure() interface{ HCL2Spec() map[string]hcldec.Spec }
	// Prepare fills in defaults and returns everything that is wrong, each error
	// beginning with the option's name. Values that are not known yet pass.
	Prepare(Settings) (warnings []string, errs []error)
	// Reads are the files that the options name for reading.
	Reads() []File
	// New makes a machine that has not touched anything yet.
	New(Build) Machine
}

// Maker is a driver that makes its machine and boots the disk it is given.
type Maker interface {
	Options
	// DiskFormat is what that disk has to be, in QEMU's names. It is a copy of the
	// source, unless the driver is an Overlayer too.
	DiskFormat() string
	// Doubts says why a Windows with these drivers may not boot on the machine.
	Doubts(GuestDrivers, Firmware) []string
}

// Overlayer is a Maker that boots a qcow2 overlay on the source, which takes all
// writes. DiskFormat is then "qcow2".
type Overlayer interface {
	// Backing is the format that the overlay names for the source, in QEMU's
	// names. Where this source needs a copy after all, copyBecause says why: the
	// end of a sentence about it.
	Backing(source diskimage.Info) (format, copyBecause string)
}

// Checker is a Maker that can say without a disk whether this host has what its
// machines need: programs and firmware. It is asked before a download, with
// FirmwareAuto where the disk decides, and again when that is known.
type Checker interface{ Check(Firmware) error }

// DomainTyper is a driver that knows which accelerator its images are for, by the
// names that the vagrant post-processor takes: kvm, hvf, tcg or none.
type DomainTyper interface{ DomainType() string }

// Taker is a driver that takes a machine which somebody else has made and runs.
type Taker interface {
	Options
	// OwnDisk is the path of the machine's disk.
	OwnDisk() string
	// Held says whether an error of reading that disk means that another program
	// holds it, as a hypervisor does while the machine runs.
	Held(error) bool
}

// File is a file that an option names; Path is empty where it is not set.
type File struct{ Option, Path string }

// Settings are the builder's own options that those of a driver have to agree
// with.
type Settings struct {
	Firmware Firmware
	// Communicator is its type, empty where that is not known yet.
	Communicator string
	// Guest is where the user says that the communicator reaches the guest. Host
	// is empty where he does not.
	Guest           Endpoint
	ShutdownTimeout time.Duration
}

// Build is what a machine is given of the build it is for.
type Build struct {
	Settings
	// Say tells the user what he should know while the machine runs.
	Say func(string)
	// OpenDisk opens a disk as it will be read, with the files it is based on,
	// and closes it.
	OpenDisk func(path string) error
	// Dial opens a connection to the guest the way the communicator goes, through a
	// bastion or a proxy; nil: it goes directly.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

var (
	registering sync.Mutex
	registered  []Driver
)

// Register makes a driver known. It is called by the init function of the
// driver's package, and panics on a driver that contradicts itself or another.
func Register(d Driver) {
	registering.Lock()
	defer registering.Unlock()
	if wrong := contradiction(d, registered); wrong != "" {
		panic("hypervisor " + d.Name + ": " + wrong)
	}
	registered = append(registered, d)
	slices.SortFunc(registered, func(a, b Driver) int {
		switch {
		case a.Default:
			return -1
		case b.Default:
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
}

func contradiction(d Driver, others []Driver) string {
	o := d.Options()
	_, maker := o.(Maker)
	_, taker := o.(Taker)
	if maker == taker {
		return fmt.Sprintf("%T has to be a Maker or a Taker, and not both", o)
	}
	_, overlays := o.(Overlayer)
	switch {
	case overlays && !maker:
		return fmt.Sprintf("%T makes overlays and no machine", o)
	case overlays && o.(Maker).DiskFormat() != diskimage.QCOW2.QEMU():
		return fmt.Sprintf("%T boots %s, and an overlay is qcow2", o, o.(Maker).DiskFormat())
	}
	for _, other := range others {
		switch {
		case other.Name == d.Name:
			return "registered twice"
		case other.Default && d.Default:
			return other.Name + " is the default already"
		}
	}
	return ""
}

// Drivers are those that are linked in, the default first, the others by name.
func Drivers() []Driver {
	registering.Lock()
	defer registering.Unlock()
	return slices.Clone(registered)
}

// Names lists the drivers whose options are of a kind, as users choose them:
// Options for all of them, Maker or Taker.
func Names[Kind Options]() (names []string) {
	for _, d := range Drivers() {
		if _, is := d.Options().(Kind); is {
			names = append(names, d.Name)
		}
	}
	return names
}

// AnyOf is a list of names for a sentence: "a", "b" or "c".
func AnyOf(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	if len(quoted) < 2 {
		return strings.Join(quoted, "")
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// Set lists the options of a driver that have a value.
func Set(o Options) (names []string) {
	v := reflect.ValueOf(o).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("mapstructure"), ",")
		f := v.Field(i)
		if name != "" && !f.IsZero() && (f.Kind() != reflect.Slice || f.Len() > 0) {
			names = append(names, name)
		}
	}
	return names
}
