package qemu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// device is a device by our name for it, by what drivers are for, and as a
// person writes it.
type device struct {
	name string
	is   windows.Device
	said string
}

// In order of preference: what needs no driver from elsewhere comes first. IDE
// is for BIOS, on the board that has it.
var (
	disks    = []device{{"sata", windows.AHCI, "SATA"}, {"nvme", windows.NVMe, "NVMe"}, {"virtio", windows.VirtioBlock, "virtio"}}
	withIDE  = append([]device{{"ide", windows.IDE, "IDE"}}, disks...)
	networks = []device{{"e1000", windows.E1000, "e1000"}, {"e1000e", windows.E1000E, "e1000e"}, {"virtio", windows.VirtioNet, "virtio"}}
)

// pickDisk returns the controller that Windows starts from, "" where none is
// known.
func pickDisk(machineType string, firmware hypervisor.Firmware, d hypervisor.GuestDrivers) string {
	return pick(controllers(machineType, firmware), windows.StorageDrivers, d.Storage)
}

// controllers are those that a board can start from.
func controllers(machineType string, firmware hypervisor.Firmware) []device {
	if firmware == hypervisor.FirmwareUEFI || family(machineType) == "q35" {
		return disks
	}
	return withIDE
}

// oneOf names devices for a sentence: an IDE, SATA or NVMe.
func oneOf(devices []device) string {
	article, last := "a ", len(devices)-1
	if devices[0].is == windows.IDE {
		article = "an "
	}
	var names []string
	for _, d := range devices[:last] {
		names = append(names, d.said)
	}
	return article + strings.Join(names, ", ") + " or " + devices[last].said
}

// pick returns the first device that one of the installed drivers is for, ""
// for none.
func pick(devices []device, drivers []windows.Driver, installed []string) string {
	for _, dev := range devices {
		for _, driver := range drivers {
			if driver.For == dev.is && slices.ContainsFunc(installed, func(name string) bool { return strings.EqualFold(name, driver.Service) }) {
				return dev.name
			}
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
	disk, card := "ide", "e1000"
	q35 := family(o.MachineType) == "q35"
	if q35 {
		disk, card = "sata", "e1000e"
	}
	if isAuto(o.DiskInterface) {
		o.DiskInterface = cmp.Or(pickDisk(o.MachineType, firmware, drivers), disk)
	}
	if isAuto(o.NetworkInterface) {
		o.NetworkInterface = cmp.Or(pick(networks, windows.NetworkDrivers, drivers.Network), card)
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
