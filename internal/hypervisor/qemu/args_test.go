package qemu

import (
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestResolveChoosesWhatWindowsBootsOn(t *testing.T) {
	for _, c := range []struct {
		name                                string
		firmware                            hypervisor.Firmware
		machineType, disk, network          string
		wantMachine, wantDisk, wantNet, err string
	}{
		{name: "BIOS", firmware: "bios", wantMachine: "pc", wantDisk: "ide", wantNet: "e1000"},
		{name: "UEFI", firmware: "uefi", machineType: "auto", disk: "auto", network: "auto", wantMachine: "q35", wantDisk: "sata", wantNet: "e1000e"},
		{name: "BIOS on q35", firmware: "bios", machineType: "q35", wantMachine: "q35", wantDisk: "sata", wantNet: "e1000e"},
		{name: "versioned q35", firmware: "uefi", machineType: "pc-q35-7.2", wantMachine: "pc-q35-7.2", wantDisk: "sata", wantNet: "e1000e"},
		{name: "versioned pc", firmware: "bios", machineType: "pc-i440fx-7.2", wantMachine: "pc-i440fx-7.2", wantDisk: "ide", wantNet: "e1000"},
		{name: "virtio is taken when asked for", firmware: "bios", disk: "virtio", network: "virtio", wantMachine: "pc", wantDisk: "virtio", wantNet: "virtio"},
		{name: "IDE on q35", firmware: "uefi", disk: "ide", err: `use disk_interface "sata"`},
		{name: "firmware left open", firmware: "auto", err: `firmware "auto"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, machineType, err := resolve(hypervisor.Spec{Firmware: c.firmware, DiskInterface: c.disk, NetworkInterface: c.network}, c.machineType)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || machineType != c.wantMachine || spec.DiskInterface != c.wantDisk || spec.NetworkInterface != c.wantNet {
				t.Errorf("got %s %s %s, %v", machineType, spec.DiskInterface, spec.NetworkInterface, err)
			}
		})
	}
}

// sample is a machine with everything set.
func sample(change func(*machine)) machine {
	m := machine{
		spec: hypervisor.Spec{
			Name: "a,b", Disk: hypervisor.Disk{Path: "/x/d,1.qcow2", Format: "qcow2"}, CPUs: 4, MemoryMB: 2048, Firmware: "bios",
			DiskInterface: "ide", NetworkInterface: "e1000", Headless: true, GuestPort: 5986, Arguments: []string{"-extra", "last"},
		},
		accelerator: "kvm", machineType: "pc", cpuModel: "host", hostPort: 4711, monitor: "socket,fd=3", serialLog: "/x/s.log",
	}
	if change != nil {
		change(&m)
	}
	return m
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*machine)
		has    []string // runs of arguments
		hasNot []string
	}{
		{"what every machine has", nil, []string{
			"-name a,,b", "-nodefaults -no-user-config", "-machine pc -accel kvm -cpu host", "-smp cpus=4,sockets=1,cores=4,threads=1 -m 2048",
			"-rtc base=localtime", "-chardev socket,fd=3,id=qmp -mon chardev=qmp,mode=control -S", "-display none",
			"format=qcow2,file=/x/d,,1.qcow2 -device ide-hd,drive=disk0,bus=ide.0,bootindex=0",
			"-netdev user,id=net0,hostfwd=tcp:127.0.0.1:4711-:5986 -device e1000,netdev=net0,romfile=",
			"-chardev file,id=serial0,path=/x/s.log -serial chardev:serial0",
		}, []string{"pflash", "-no-shutdown", "-no-reboot", "force_size"}},
		{"a window", func(m *machine) { m.spec.Headless = false }, nil, []string{"-display"}},
		{"no service in the guest", func(m *machine) { m.spec.GuestPort = 0 }, []string{"-netdev user,id=net0 "}, []string{"hostfwd"}},
		{"UEFI", func(m *machine) { m.firmwareCode, m.firmwareVars = "/f/code.fd", "/x/vars.fd" },
			[]string{"if=pflash,unit=0,format=raw,readonly=on,file=/f/code.fd", "if=pflash,unit=1,format=raw,file=/x/vars.fd"}, nil},
		{"SATA on q35", func(m *machine) { m.machineType, m.spec.DiskInterface = "q35", "sata" }, []string{"ide-hd,drive=disk0,bus=ide.0,bootindex=0"}, []string{"ich9-ahci"}},
		{"SATA on pc", func(m *machine) { m.spec.DiskInterface = "sata" }, []string{"-device ich9-ahci,id=sata -device ide-hd,drive=disk0,bus=sata.0,bootindex=0"}, nil},
		{"NVMe", func(m *machine) { m.spec.DiskInterface = "nvme" }, []string{"nvme,drive=disk0,serial=sysprep,bootindex=0"}, nil},
		{"virtio", func(m *machine) { m.spec.DiskInterface, m.spec.NetworkInterface = "virtio", "virtio" },
			[]string{"virtio-blk-pci,drive=disk0,bootindex=0", "virtio-net-pci,netdev=net0,romfile="}, nil},
		{"an overlay on a dynamic VHD", func(m *machine) { m.spec.Disk.BackingFormat = "vpc" }, []string{"backing.force_size_calc=current_size"}, nil},
		{"a hardware clock in UTC", func(m *machine) { m.spec.HardwareClock = hypervisor.ClockUTC }, []string{"-rtc base=utc "}, []string{"localtime"}},
		{"a hardware clock that is set", func(m *machine) { m.spec.HardwareClock = "2026-11-27T18:30:00" }, []string{"-rtc base=2026-11-27T18:30:00 "}, []string{"localtime"}},
		{"WHPX", func(m *machine) { m.accelerator = "whpx" }, []string{"-accel whpx,kernel-irqchip=off"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			args, err := sample(c.change).arguments()
			if err != nil {
				t.Fatal(err)
			}
			line := strings.Join(args, " ") + " "
			for _, w := range c.has {
				if !strings.Contains(line, w) {
					t.Errorf("%q is missing in %s", w, line)
				}
			}
			for _, w := range c.hasNot {
				if strings.Contains(line, w) {
					t.Errorf("%q is in %s", w, line)
				}
			}
			if !slices.Equal(args[len(args)-2:], []string{"-extra", "last"}) {
				t.Errorf("the user's arguments are not last: %v", args)
			}
			again, _ := sample(c.change).arguments()
			if !slices.Equal(args, again) {
				t.Error("the order changes")
			}
		})
	}
}

func TestArgumentsRefuseWhatTheyDoNotKnow(t *testing.T) {
	for want, change := range map[string]func(*machine){
		"its format has to be said":       func(m *machine) { m.spec.Disk.Format = "" },
		`disk_interface "floppy": use`:    func(m *machine) { m.spec.DiskInterface = "floppy" },
		`network_interface "ne2000": use`: func(m *machine) { m.spec.NetworkInterface = "ne2000" },
	} {
		if _, err := sample(change).arguments(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
