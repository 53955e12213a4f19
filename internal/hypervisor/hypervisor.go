// Package hypervisor describes what the builder needs of a machine that runs
// a disk, and keeps the drivers of such machines. A driver lives in a folder
// below, registers itself, and owns its options.
package hypervisor

import (
	"context"
	"time"
)

// Firmware names what starts the disk.
type Firmware string

// The firmware a machine can have. Auto is resolved by the builder from the
// partition table of the source (MBR: BIOS, GPT: UEFI) before a driver sees it.
const (
	FirmwareAuto Firmware = "auto"
	FirmwareBIOS Firmware = "bios"
	FirmwareUEFI Firmware = "uefi"
)

// Spec is the machine to be made. Fields that a driver cannot honour are an
// error of its Start, never ignored. A Taker gets an empty one: its machine is
// made already.
type Spec struct {
	Name     string
	Disk     Disk
	CPUs     int
	MemoryMB int
	Firmware Firmware
	// Drivers are what the guest has drivers for: devices that are left to the
	// driver follow them.
	Drivers GuestDrivers
	// HardwareClock is what the machine's clock shows when it starts: ClockUTC,
	// ClockLocal (the host's local time) or a time in ClockLayout. Empty stands
	// for ClockLocal.
	HardwareClock string
	// GuestPort is the port the communicator answers on inside the guest; 0 if
	// nothing has to be reached.
	GuestPort int
	// ScratchDir is a directory of the build for sockets, firmware variables
	// and logs. It is removed by the builder.
	ScratchDir string
}

// GuestDrivers are the drivers of a Windows, by the names of their services.
type GuestDrivers struct {
	Known   bool     // they could be read
	Storage []string // of disk controllers, those that start at boot
	Network []string // of network cards, those that are not disabled
}

// Values of Spec.HardwareClock.
const (
	ClockUTC    = "utc"
	ClockLocal  = "localtime"
	ClockLayout = "2006-01-02T15:04:05"
)

// Disk is a file and how to read it. The format is always explicit: a fixed
// VHD probed by content looks like a raw disk, since only its end says what it is.
type Disk struct {
	Path   string
	Format string // qcow2, vpc, vhdx, raw: QEMU's name for it
	// BackingFormat is the format of the file that an overlay lies on, if any.
	BackingFormat string
}

// Cause says who ended a machine.
type Cause string

// The causes a Fate can have.
const (
	CauseGuestShutdown Cause = "guest-shutdown" // the guest powered itself off
	CauseHostRequest   Cause = "host-request"   // we asked and the guest obeyed
	CauseKilled        Cause = "killed"         // forced off, by us
	CauseGuestReset    Cause = "guest-reset"    // the guest restarted where it must not
	CauseCrash         Cause = "crash"          // guest panic, or the hypervisor's process failed
	CauseGone          Cause = "gone"           // it answers no more and its disk rests; all a driver sees that cannot watch the power
	CauseUnknown       Cause = "unknown"
)

// Fate is how a machine ended. It is sent exactly once.
type Fate struct {
	Cause Cause
	When  time.Time
	// Detail is the hypervisor's own word for it (QMP reason, exit status,
	// last lines of its error output).
	Detail string
	// Err is set when the end was not one that a build can accept.
	Err error
}

// Clean says whether the guest powered itself off, of its own or when asked:
// the only end after which its disk may be believed to be flushed. A machine
// that is merely gone passes too: its driver cannot know better, and warns.
func (f Fate) Clean() bool {
	return f.Err == nil && (f.Cause == CauseGuestShutdown || f.Cause == CauseHostRequest || f.Cause == CauseGone)
}

// String is the fate in words for a log line or an error.
func (f Fate) String() string {
	words := map[Cause]string{
		CauseGuestShutdown: "the guest powered itself off",
		CauseHostRequest:   "the guest powered off when asked",
		CauseKilled:        "the machine was forced off",
		CauseGuestReset:    "the guest restarted instead of powering off",
		CauseCrash:         "the machine crashed",
		CauseGone:          "the machine no longer answers and is assumed to be off",
	}[f.Cause]
	if words == "" {
		words = "the machine ended for an unknown reason"
	}
	if f.Err != nil {
		return words + ": " + f.Err.Error()
	}
	if f.Detail != "" {
		return words + " (" + f.Detail + ")"
	}
	return words
}

// Endpoint is where the communicator is reached from this host.
type Endpoint struct {
	Host string
	Port int
}

// Machine runs once. All calls take a context and end with it; none of them
// waits longer than the driver documents. What only some machines can do is an
// interface of its own, below.
type Machine interface {
	// Start boots the machine. The channel delivers its fate once and is then
	// closed; it is the only reliable sign that the machine is off.
	Start(ctx context.Context, spec Spec) (<-chan Fate, error)

	// Endpoint blocks until the address of the guest is known.
	Endpoint(ctx context.Context) (Endpoint, error)

	// ExpectOff says that provisioning is over: from here on the guest only has
	// to power off. A restart from now on is its fate (CauseGuestReset), and a
	// driver that infers power-off begins only now, because a restart during
	// provisioning looks the same.
	ExpectOff()

	// Close releases everything the driver holds: process, sockets, files of
	// its own. It kills a machine of the driver's own that still runs. It can be
	// called twice.
	Close() error
}

// Reporter is a Machine whose driver sees what happens to it: power-off is
// reported, not inferred.
type Reporter interface {
	// Report is called before Start. tell is told what happens, in order, and
	// does not wait.
	Report(tell func(Event))
}

// PowerDowner is a Machine whose guest can be asked to shut down.
type PowerDowner interface {
	// PowerDown presses the ACPI power button or the like and returns at once;
	// the answer is the fate. It is called again while the guest does not react.
	PowerDown(ctx context.Context) error
}

// Killer is a Machine that can be forced off.
type Killer interface {
	// Kill makes the fate CauseKilled.
	Kill(ctx context.Context) error
}

// Screenshotter is a Machine whose screen can be photographed while it runs.
type Screenshotter interface {
	// Screenshot writes what the screen shows as a PNG.
	Screenshot(ctx context.Context, path string) error
}

// Meter is a Machine whose driver counts what the guest writes.
type Meter interface {
	// Written is how many bytes the guest has written to its disk since the start.
	Written(ctx context.Context) (uint64, error)
}

// ReadMeter is a Machine whose driver counts what the guest, or its firmware, reads.
type ReadMeter interface {
	// BytesRead is how many bytes were read from the disk since the start.
	BytesRead(ctx context.Context) (uint64, error)
}

// Flusher is a Machine whose hypervisor keeps a part of what the guest has written to
// itself, for instance where in the file it lies.
type Flusher interface {
	// Flush writes that out, so that others can read the disk while the machine runs.
	// The guest notices nothing.
	Flush(ctx context.Context) error
}

// Waiter is a Machine that can say what keeps it from being taken for off: ""
// for nothing but the time.
type Waiter interface{ WaitingFor() string }
