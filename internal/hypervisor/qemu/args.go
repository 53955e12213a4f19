package qemu

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

// hardware is everything a command line is made of; nothing in it is "auto".
type hardware struct {
	spec         hypervisor.Spec
	options      Options
	firmwareCode string // UEFI only
	firmwareVars string // UEFI only: the build's own copy
	hostPort     int    // forwarded to the guest's, if it has one
	monitor      string // chardev backend of the QMP monitor, without its id
	serialLog    string
}

// arguments is the command line without the program's name.
func (h hardware) arguments() ([]string, error) {
	s, o := h.spec, h.options
	args := []string{
		"-name", comma(s.Name),
		"-nodefaults", "-no-user-config",
		"-machine", o.MachineType,
		"-accel", acceleratorArgument(o.Accelerator),
		"-cpu", o.CPUModel,
		// One socket: client editions of Windows use no more than two.
		"-smp", fmt.Sprintf("cpus=%d,sockets=1,cores=%d,threads=1", s.CPUs, s.CPUs),
		"-m", strconv.Itoa(s.MemoryMB),
		"-rtc", "base=" + comma(cmp.Or(s.HardwareClock, hypervisor.ClockLocal)),
		"-boot", "menu=off,strict=on",
		// Nobody would wake a guest that goes to sleep.
		"-global", "PIIX4_PM.disable_s3=1", "-global", "PIIX4_PM.disable_s4=1",
		"-global", "ICH9-LPC.disable_s3=1", "-global", "ICH9-LPC.disable_s4=1",
		"-chardev", h.monitor + ",id=qmp", "-mon", "chardev=qmp,mode=control",
		// Stopped until the monitor listens: no event is missed.
		"-S",
		"-device", "VGA",
	}
	if o.Headless.True() {
		args = append(args, "-display", "none")
	}
	if h.serialLog != "" {
		args = append(args, "-chardev", "file,id=serial0,path="+comma(h.serialLog), "-serial", "chardev:serial0")
	}
	if h.firmwareCode != "" {
		args = append(args,
			"-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+comma(h.firmwareCode),
			"-drive", "if=pflash,unit=1,format=raw,file="+comma(h.firmwareVars))
	}
	disk, err := diskArguments(s.Disk, o)
	if err != nil {
		return nil, err
	}
	args = append(args, disk...)
	network, err := networkArguments(o.NetworkInterface, h.hostPort, s.GuestPort)
	if err != nil {
		return nil, err
	}
	return append(append(args, network...), o.QemuArguments...), nil
}

func diskArguments(disk hypervisor.Disk, o Options) ([]string, error) {
	if disk.Format == "" {
		return nil, fmt.Errorf("disk %s: its format must be set", disk.Path)
	}
	// The disk is the build's scratch copy: flushing it to the platter on
	// every request of the guest protects nothing that outlives the build.
	drive := "if=none,id=disk0,cache=unsafe,discard=unmap,detect-zeroes=unmap,format=" + comma(disk.Format) + ",file=" + comma(disk.Path)
	if disk.BackingFormat == "vpc" {
		// Otherwise QEMU takes the size of some creators' disks from the
		// rounded geometry and loses their last sectors.
		drive += ",backing.force_size_calc=current_size"
	}
	args := []string{"-drive", drive}
	q35 := family(o.MachineType) == "q35"
	switch {
	case o.DiskInterface == "ide", o.DiskInterface == "sata" && q35: // both boards call their own controller so
		return append(args, "-device", "ide-hd,drive=disk0,bus=ide.0,bootindex=0"), nil
	case o.DiskInterface == "sata":
		return append(args, "-device", "ich9-ahci,id=sata", "-device", "ide-hd,drive=disk0,bus=sata.0,bootindex=0"), nil
	case o.DiskInterface == "nvme":
		return append(args, "-device", "nvme,drive=disk0,serial=sysprep,bootindex=0"), nil
	case o.DiskInterface == "virtio":
		return append(args, "-device", "virtio-blk-pci,drive=disk0,bootindex=0"), nil
	}
	return nil, fmt.Errorf("disk_interface %q: use one of %s", o.DiskInterface, strings.Join(diskInterfaces, ", "))
}

func networkArguments(card string, hostPort, guestPort int) ([]string, error) {
	device, ok := map[string]string{"e1000": "e1000", "e1000e": "e1000e", "virtio": "virtio-net-pci"}[card]
	if !ok {
		return nil, fmt.Errorf("network_interface %q: use one of %s", card, strings.Join(networkInterfaces, ", "))
	}
	netdev := "user,id=net0"
	if guestPort != 0 {
		netdev += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", hostPort, guestPort)
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
