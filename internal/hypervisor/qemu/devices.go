package qemu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// device is a device and the driver Windows needs for it.
type device struct{ name, driver string }

// In order of preference: what needs no driver from elsewhere comes first. With
// BIOS the plain machine has IDE.
var (
	biosDisks = append([]device{{"ide", "intelide"}, {"ide", "atapi"}}, uefiDisks...)
	uefiDisks = []device{{"sata", "storahci"}, {"sata", "msahci"}, {"nvme", "stornvme"}, {"virtio", "viostor"}}
	networks  = []device{{"e1000", "E1G60"}, {"e1000e", "e1iexpress"}, {"virtio", "netkvm"}}
)

func disksFor(f hypervisor.Firmware) []device {
	if f == hypervisor.FirmwareUEFI {
		return uefiDisks
	}
	return biosDisks
}

// pick returns the first device whose driver is among the names.
func pick(devices []device, drivers []string) string {
	for _, c := range devices {
		if slices.ContainsFunc(drivers, func(name string) bool { return strings.EqualFold(name, c.driver) }) {
			return c.name
		}
	}
	return ""
}

// resolve replaces what is left to the driver by hardware that the guest has
// drivers for, and where they are not known by what Windows has on its own
// medium: what Hyper-V's generation 1 and 2 are closest to, an i440fx board with
// IDE for BIOS, a q35 board with SATA for UEFI. Windows installs a driver it was
// shipped with when it first sees a network card, so that a card without a driver
// is as good as any.
func resolve(o Options, firmware hypervisor.Firmware, drivers hypervisor.GuestDrivers) (Options, error) {
	if firmware != hypervisor.FirmwareBIOS && firmware != hypervisor.FirmwareUEFI {
		return o, fmt.Errorf("firmware %q is not bios or uefi", firmware)
	}
	if isAuto(o.MachineType) {
		o.MachineType = "pc"
		if firmware == hypervisor.FirmwareUEFI {
			o.MachineType = "q35"
		}
	}
	disks, disk, card := disksFor(firmware), "ide", "e1000"
	q35 := family(o.MachineType) == "q35"
	if q35 {
		disks, disk, card = uefiDisks, "sata", "e1000e"
	}
	if isAuto(o.DiskInterface) {
		o.DiskInterface = cmp.Or(pick(disks, drivers.Storage), disk)
	}
	if isAuto(o.NetworkInterface) {
		o.NetworkInterface = cmp.Or(pick(networks, drivers.Network), card)
	}
	if o.DiskInterface == "ide" && q35 {
		return o, fmt.Errorf("machine type %s has no IDE controller: use disk_interface \"sata\" or machine_type \"pc\"", o.MachineType)
	}
	return o, nil
}

// family reduces a versioned machine type (pc-i440fx-7.2) to "pc" or "q35";
// any other comes back as it is.
func family(machineType string) string {
	switch {
	case strings.HasPrefix(machineType, "pc-q35"):
		return "q35"
	case strings.HasPrefix(machineType, "pc-i440fx"):
		return "pc"
	}
	return machineType
}

func isAuto(name string) bool { return name == "" || name == auto }
