//go:generate go tool packer-sdc mapstructure-to-hcl2 -type Options
//go:generate go tool packer-sdc struct-markdown

package qemu

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/option"
)

func init() {
	hypervisor.Register(hypervisor.Driver{Name: "qemu", Default: true, Options: func() hypervisor.Options { return new(Options) }})
}

// Options of the driver `qemu`, which boots a copy-on-write overlay of the
// source in QEMU.
type Options struct {
	// What runs the guest's processor: `kvm` (Linux), `hvf` (macOS), `whpx`
	// (Windows), `tcg` (software, everywhere, slow) or `auto`, which runs a
	// tiny program in the host's accelerator and falls back to `tcg` when that
	// fails. Defaults to `auto`.
	Accelerator string `mapstructure:"accelerator"`
	// The UEFI firmware's code. Found through QEMU's firmware descriptors by
	// default; set it together with `efi_firmware_vars`.
	EFIFirmwareCode string `mapstructure:"efi_firmware_code"`
	// The template of the UEFI firmware's variables, from the same build as
	// `efi_firmware_code`. It is copied, never changed.
	EFIFirmwareVars string `mapstructure:"efi_firmware_vars"`
	// QEMU's machine type: `pc`, `q35`, a versioned name of either, or `auto`:
	// `pc` with BIOS, `q35` with UEFI. Defaults to `auto`.
	MachineType string `mapstructure:"machine_type"`
	// QEMU's processor model with its flags. `auto` is the host's with
	// Hyper-V enlightenments under KVM and `max` under TCG; QEMU's own default
	// lacks instructions that current Windows needs. Defaults to `auto`.
	CPUModel string `mapstructure:"cpu_model"`
	// The disk controller: `ide` (machine type `pc`), `sata`, `nvme`, `virtio`
	// or `auto`, which follows the drivers of the Windows on the source; where
	// they are not known it is `ide` on `pc`, `sata` on `q35`. `virtio` needs its
	// driver installed in the guest. Defaults to `auto`.
	DiskInterface string `mapstructure:"disk_interface"`
	// The network card: `e1000`, `e1000e`, `virtio` or `auto`, which follows the
	// drivers of the Windows on the source; where they are not known it is
	// `e1000` on `pc`, `e1000e` on `q35`. `virtio` needs its driver installed in
	// the guest. Defaults to `auto`.
	NetworkInterface string `mapstructure:"network_interface"`
	// Run without a window. Defaults to `true`.
	Headless config.Trilean `mapstructure:"headless"`
	// The QEMU program, a name or a path. Defaults to `qemu-system-x86_64`. On
	// Windows a name that is not in PATH is also looked for in `%ProgramFiles%\qemu`.
	QemuBinary string `mapstructure:"qemu_binary"`
	// Further arguments for QEMU, put after all others, for instance
	// `["-device", "usb-tablet"]`.
	QemuArguments []string `mapstructure:"qemu_arguments"`
}

var _ interface {
	hypervisor.Maker
	hypervisor.Overlayer
	hypervisor.Checker
	hypervisor.DomainTyper
} = (*Options)(nil)

// auto leaves a choice to the driver.
const auto = "auto"

var (
	accelerators      = []string{auto, "kvm", "hvf", "whpx", "tcg"}
	diskInterfaces    = []string{auto, "ide", "sata", "nvme", "virtio"}
	networkInterfaces = []string{auto, "e1000", "e1000e", "virtio"}
)

// Prepare implements hypervisor.Options.
func (o *Options) Prepare(s hypervisor.Settings) (_ []string, errs []error) {
	wrong := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	wrong(option.Choice("accelerator", &o.Accelerator, auto, accelerators...))
	wrong(option.Choice("disk_interface", &o.DiskInterface, auto, diskInterfaces...))
	wrong(option.Choice("network_interface", &o.NetworkInterface, auto, networkInterfaces...))
	if o.MachineType == "" {
		o.MachineType = auto
	}
	if o.DiskInterface == "ide" && (family(o.MachineType) == "q35" || o.MachineType == auto && s.Firmware == hypervisor.FirmwareUEFI) {
		wrong(errors.New("disk_interface: machine type q35 has no IDE controller; use \"sata\", or machine_type = \"pc\""))
	}
	if (o.EFIFirmwareCode == "") != (o.EFIFirmwareVars == "") {
		wrong(errors.New("efi_firmware_code and efi_firmware_vars belong together: set both or neither"))
	}
	if o.EFIFirmwareCode != "" && s.Firmware == hypervisor.FirmwareBIOS {
		wrong(errors.New("efi_firmware_code: firmware is \"bios\"; remove one of them"))
	}
	if s.Guest.Host != "" {
		wrong(fmt.Errorf("%s_host: QEMU's guest is reached through a forwarded port of this host; remove it, or use hypervisor = %s",
			s.Communicator, hypervisor.AnyOf(hypervisor.Names[hypervisor.Taker]())))
	}
	if o.Headless == config.TriUnset {
		o.Headless = config.TriTrue
	}
	return nil, errs
}

// Reads implements hypervisor.Options.
func (o *Options) Reads() []hypervisor.File {
	return []hypervisor.File{{Option: "efi_firmware_code", Path: o.EFIFirmwareCode}, {Option: "efi_firmware_vars", Path: o.EFIFirmwareVars}}
}

// New implements hypervisor.Options.
func (o *Options) New(b hypervisor.Build) hypervisor.Machine { return newMachine(*o, b.Say) }

// Check implements hypervisor.Checker.
func (o *Options) Check(f hypervisor.Firmware) error {
	binary, err := o.binary()
	if err != nil || f != hypervisor.FirmwareUEFI || o.EFIFirmwareCode != "" {
		return err
	}
	machine := o.MachineType
	if machine == auto {
		machine = "q35"
	}
	_, err = findFirmware(binary, machine)
	return err
}

// binary finds the program.
func (o *Options) binary() (string, error) {
	path, err := find(cmp.Or(o.QemuBinary, "qemu-system-x86_64"), installed())
	if err != nil {
		return "", fmt.Errorf("finding QEMU: %w; install it (Debian: qemu-system-x86, Windows: https://www.qemu.org/download/#windows) or set qemu_binary", err)
	}
	return path, nil
}

// DiskFormat implements hypervisor.Maker.
func (*Options) DiskFormat() string { return "qcow2" }

// Backing implements hypervisor.Overlayer. A fixed VHD is a raw disk with a footer
// behind it, and the overlay, which has the disk's size, never reads that far; the
// vpc driver would guess the size from the geometry of some creators.
func (*Options) Backing(source diskimage.Info) (format, copyBecause string) {
	switch {
	case source.LogReplayed:
		return "", "it was not closed cleanly and QEMU replays its log only in a disk that it may write to"
	case slices.ContainsFunc(source.Chain(), func(l diskimage.Link) bool { return l.Type == diskimage.Differencing }):
		return "", "QEMU does not read differencing disks"
	case source.Member != "":
		return "", "it lies in an OVA"
	case slices.ContainsFunc(source.Chain(), func(l diskimage.Link) bool { return l.Format == diskimage.VMDK }):
		return "", "QEMU does not read all kinds of VMDK, and opens whatever files one names"
	case source.FooterDamaged:
		return "", "one of its two footers is damaged, and programs differ in which of them they read"
	case source.GuessedFormat:
		return "", "it does not say what format its backing file has, and QEMU would guess"
	case source.Format == diskimage.VHD && source.Type == diskimage.Fixed:
		return diskimage.Raw.QEMU(), ""
	}
	return source.Format.QEMU(), ""
}

// Doubts implements hypervisor.Maker. Only the disk can keep a Windows from
// booting.
func (o *Options) Doubts(d hypervisor.GuestDrivers, f hypervisor.Firmware) []string {
	if !d.Known || pickDisk(o.MachineType, f, d) != "" {
		return nil
	}
	found := "none"
	if len(d.Storage) > 0 {
		found = strings.Join(d.Storage, ", ")
	}
	return []string{fmt.Sprintf("no driver of %s controller starts at boot (there are: %s): Windows may stop with INACCESSIBLE_BOOT_DEVICE",
		oneOf(controllers(o.MachineType, f)), found)}
}

// DomainType implements hypervisor.DomainTyper.
func (o *Options) DomainType() string {
	switch o.Accelerator {
	case "tcg", "hvf":
		return o.Accelerator
	case "whpx": // Vagrant does not know it
		return "none"
	}
	return "kvm"
}
