package qemu

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// machine is everything a command line is made of; nothing in it is "auto".
type machine struct {
	spec         hypervisor.Spec
	accelerator  string
	machineType  string
	cpuModel     string
	firmwareCode string // UEFI only
	firmwareVars string // UEFI only: the build's own copy
	hostPort     int    // forwarded to the guest's, if it has one
	monitor      string // chardev backend of the QMP monitor, without its id
	serialLog    string
}

// Names that the options of a machine may have, for validation.
var (
	Accelerators      = []string{"auto", "kvm", "hvf", "whpx", "tcg"}
	DiskInterfaces    = []string{"auto", "ide", "sata", "nvme", "virtio"}
	NetworkInterfaces = []string{"auto", "e1000", "e1000e", "virtio"}
	MachineTypes      = []string{"auto", "pc", "q35"}
)

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

// resolve replaces what is left to the driver by hardware that Windows has
// drivers for on its own medium: what Hyper-V's generation 1 and 2 are closest
// to, an i440fx board with IDE for BIOS, a q35 board with SATA for UEFI.
func resolve(spec hypervisor.Spec, machineType string) (hypervisor.Spec, string, error) {
	if isAuto(machineType) {
		machineType = "pc"
		if spec.Firmware == hypervisor.FirmwareUEFI {
			machineType = "q35"
		}
	}
	q35 := family(machineType) == "q35"
	if isAuto(spec.DiskInterface) {
		spec.DiskInterface = "ide"
		if q35 {
			spec.DiskInterface = "sata"
		}
	}
	if isAuto(spec.NetworkInterface) {
		spec.NetworkInterface = "e1000"
		if q35 {
			spec.NetworkInterface = "e1000e"
		}
	}
	if spec.DiskInterface == "ide" && q35 {
		return spec, "", fmt.Errorf("machine type %s has no IDE controller: use disk_interface \"sata\" or machine_type \"pc\"", machineType)
	}
	if spec.Firmware != hypervisor.FirmwareBIOS && spec.Firmware != hypervisor.FirmwareUEFI {
		return spec, "", fmt.Errorf("firmware %q is not bios or uefi", spec.Firmware)
	}
	return spec, machineType, nil
}

func isAuto(name string) bool { return name == "" || name == "auto" }

// arguments is the command line without the program's name.
func (m machine) arguments() ([]string, error) {
	s := m.spec
	args := []string{
		"-name", comma(s.Name),
		"-nodefaults", "-no-user-config",
		"-machine", m.machineType,
		"-accel", acceleratorArgument(m.accelerator),
		"-cpu", m.cpuModel,
		// One socket: client editions of Windows use no more than two.
		"-smp", fmt.Sprintf("cpus=%d,sockets=1,cores=%d,threads=1", s.CPUs, s.CPUs),
		"-m", strconv.Itoa(s.MemoryMB),
		"-rtc", "base=" + comma(cmp.Or(s.HardwareClock, hypervisor.ClockLocal)),
		"-boot", "menu=off,strict=on",
		// Nobody would wake a guest that goes to sleep.
		"-global", "PIIX4_PM.disable_s3=1", "-global", "PIIX4_PM.disable_s4=1",
		"-global", "ICH9-LPC.disable_s3=1", "-global", "ICH9-LPC.disable_s4=1",
		"-chardev", m.monitor + ",id=qmp", "-mon", "chardev=qmp,mode=control",
		// Stopped until the monitor listens: no event is missed.
		"-S",
		"-device", "VGA",
	}
	if s.Headless {
		args = append(args, "-display", "none")
	}
	if m.serialLog != "" {
		args = append(args, "-chardev", "file,id=serial0,path="+comma(m.serialLog), "-serial", "chardev:serial0")
	}
	if m.firmwareCode != "" {
		args = append(args,
			"-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+comma(m.firmwareCode),
			"-drive", "if=pflash,unit=1,format=raw,file="+comma(m.firmwareVars))
	}
	disk, err := diskArguments(s, m.machineType)
	if err != nil {
		return nil, err
	}
	args = append(args, disk...)
	network, err := networkArguments(s, m.hostPort)
	if err != nil {
		return nil, err
	}
	return append(append(args, network...), s.Arguments...), nil
}

func diskArguments(s hypervisor.Spec, machineType string) ([]string, error) {
	if s.Disk.Format == "" {
		return nil, fmt.Errorf("disk %s: its format has to be said", s.Disk.Path)
	}
	// The disk is the build's scratch copy: flushing it to the platter on
	// every request of the guest protects nothing that outlives the build.
	drive := "if=none,id=disk0,cache=unsafe,discard=unmap,detect-zeroes=unmap,format=" + comma(s.Disk.Format) + ",file=" + comma(s.Disk.Path)
	if s.Disk.BackingFormat == "vpc" {
		// Otherwise QEMU takes the size of some creators' disks from the
		// rounded geometry and loses their last sectors.
		drive += ",backing.force_size_calc=current_size"
	}
	args := []string{"-drive", drive}
	q35 := family(machineType) == "q35"
	switch {
	case s.DiskInterface == "ide", s.DiskInterface == "sata" && q35: // both boards call their own controller so
		return append(args, "-device", "ide-hd,drive=disk0,bus=ide.0,bootindex=0"), nil
	case s.DiskInterface == "sata":
		return append(args, "-device", "ich9-ahci,id=sata", "-device", "ide-hd,drive=disk0,bus=sata.0,bootindex=0"), nil
	case s.DiskInterface == "nvme":
		return append(args, "-device", "nvme,drive=disk0,serial=sysprep,bootindex=0"), nil
	case s.DiskInterface == "virtio":
		return append(args, "-device", "virtio-blk-pci,drive=disk0,bootindex=0"), nil
	}
	return nil, fmt.Errorf("disk_interface %q: use one of %s", s.DiskInterface, strings.Join(DiskInterfaces, ", "))
}

func networkArguments(s hypervisor.Spec, hostPort int) ([]string, error) {
	device, ok := map[string]string{"e1000": "e1000", "e1000e": "e1000e", "virtio": "virtio-net-pci"}[s.NetworkInterface]
	if !ok {
		return nil, fmt.Errorf("network_interface %q: use one of %s", s.NetworkInterface, strings.Join(NetworkInterfaces, ", "))
	}
	netdev := "user,id=net0"
	if s.GuestPort != 0 {
		netdev += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", hostPort, s.GuestPort)
	}
	// Without its option ROM the firmware cannot lose minutes on network boot.
	return []string{"-netdev", netdev, "-device", device + ",netdev=net0,romfile="}, nil
}

func acceleratorArgument(name string) string {
	if name == "whpx" {
		return "whpx,kernel-irqchip=off" // the in-kernel one does not deliver Windows' interrupts
	}
	return name
}

// comma doubles commas, which separate the properties of a QEMU option.
func comma(s string) string { return strings.ReplaceAll(s, ",", ",,") }
