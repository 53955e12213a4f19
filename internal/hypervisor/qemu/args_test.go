package qemu

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/packer-plugin-sdk/template/config"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestResolveChoosesWhatWindowsBootsOn(t *testing.T) {
	for _, c := range []struct {
		name                                string
		firmware                            hypervisor.Firmware
		machineType, disk, network          string
		storage, cards                      []string // drivers of the guest
		wantMachine, wantDisk, wantNet, err string
	}{
		{name: "BIOS", firmware: "bios", wantMachine: "pc", wantDisk: "ide", wantNet: "e1000"},
		{name: "UEFI", firmware: "uefi", machineType: "auto", disk: "auto", network: "auto", wantMachine: "q35", wantDisk: "sata", wantNet: "e1000e"},
		{name: "BIOS on q35", firmware: "bios", machineType: "q35", wantMachine: "q35", wantDisk: "sata", wantNet: "e1000e"},
		{name: "versioned q35", firmware: "uefi", machineType: "pc-q35-7.2", wantMachine: "pc-q35-7.2", wantDisk: "sata", wantNet: "e1000e"},
		{name: "versioned pc", firmware: "bios", machineType: "pc-i440fx-7.2", wantMachine: "pc-i440fx-7.2", wantDisk: "ide", wantNet: "e1000"},
		{name: "virtio is taken when asked for", firmware: "bios", disk: "virtio", network: "virtio", wantMachine: "pc", wantDisk: "virtio", wantNet: "virtio"},
		{name: "drivers of Windows 10", firmware: "bios", storage: []string{"storahci", "stornvme", "atapi", "intelide", "pciide"}, cards: []string{"E1G60"}, wantMachine: "pc", wantDisk: "ide", wantNet: "e1000"},
		{name: "the same with UEFI", firmware: "uefi", storage: []string{"intelide", "storahci"}, cards: []string{"e1iexpress"}, wantMachine: "q35", wantDisk: "sata", wantNet: "e1000e"},
		{name: "the same on a board the user chose", firmware: "bios", machineType: "q35", storage: []string{"intelide", "storahci"}, wantMachine: "q35", wantDisk: "sata", wantNet: "e1000e"},
		{name: "drivers of Windows 7", firmware: "uefi", storage: []string{"msahci"}, wantMachine: "q35", wantDisk: "sata", wantNet: "e1000e"},
		{name: "drivers of virtio only", firmware: "bios", storage: []string{"viostor"}, cards: []string{"NETKVM"}, wantMachine: "pc", wantDisk: "virtio", wantNet: "virtio"},
		{name: "a driver of NVMe only", firmware: "bios", machineType: "q35", storage: []string{"stornvme"}, wantMachine: "q35", wantDisk: "nvme", wantNet: "e1000e"},
		{name: "drivers of another hypervisor", firmware: "uefi", storage: []string{"storvsc"}, cards: []string{"netvsc"}, wantMachine: "q35", wantDisk: "sata", wantNet: "e1000e"},
		{name: "the user's word is the last", firmware: "bios", disk: "sata", network: "e1000", storage: []string{"viostor"}, cards: []string{"netkvm"}, wantMachine: "pc", wantDisk: "sata", wantNet: "e1000"},
		{name: "IDE on q35", firmware: "uefi", disk: "ide", err: `use disk_interface "sata"`},
		{name: "firmware left open", firmware: "auto", err: `firmware "auto"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, err := resolve(Options{MachineType: c.machineType, DiskInterface: c.disk, NetworkInterface: c.network}, c.firmware, hypervisor.GuestDrivers{Storage: c.storage, Network: c.cards})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || o.MachineType != c.wantMachine || o.DiskInterface != c.wantDisk || o.NetworkInterface != c.wantNet {
				t.Errorf("got %s %s %s, %v", o.MachineType, o.DiskInterface, o.NetworkInterface, err)
			}
		})
	}
}

// sample is a machine with everything set.
func sample(change func(*hardware)) hardware {
	h := hardware{
		spec: hypervisor.Spec{
			Name: "a,b", Disk: hypervisor.Disk{Path: "/x/d,1.qcow2", Format: "qcow2"}, CPUs: 4, MemoryMB: 2048, Firmware: "bios", GuestPort: 5986,
		},
		options: Options{
			Accelerator: "kvm", MachineType: "pc", CPUModel: "host", DiskInterface: "ide", NetworkInterface: "e1000", Headless: config.TriTrue,
			QemuArguments: []string{"-extra", "last"},
		},
		hostPort: 4711, monitor: "socket,fd=3", serialLog: "/x/s.log",
	}
	if change != nil {
		change(&h)
	}
	return h
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*hardware)
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
		{"a window", func(h *hardware) { h.options.Headless = config.TriFalse }, nil, []string{"-display"}},
		{"no service in the guest", func(h *hardware) { h.spec.GuestPort = 0 }, []string{"-netdev user,id=net0 "}, []string{"hostfwd"}},
		{"UEFI", func(h *hardware) { h.firmwareCode, h.firmwareVars = "/f/code.fd", "/x/vars.fd" },
			[]string{"if=pflash,unit=0,format=raw,readonly=on,file=/f/code.fd", "if=pflash,unit=1,format=raw,file=/x/vars.fd"}, nil},
		{"SATA on q35", func(h *hardware) { h.options.MachineType, h.options.DiskInterface = "q35", "sata" }, []string{"ide-hd,drive=disk0,bus=ide.0,bootindex=0"}, []string{"ich9-ahci"}},
		{"SATA on pc", func(h *hardware) { h.options.DiskInterface = "sata" }, []string{"-device ich9-ahci,id=sata -device ide-hd,drive=disk0,bus=sata.0,bootindex=0"}, nil},
		{"NVMe", func(h *hardware) { h.options.DiskInterface = "nvme" }, []string{"nvme,drive=disk0,serial=sysprep,bootindex=0"}, nil},
		{"virtio", func(h *hardware) { h.options.DiskInterface, h.options.NetworkInterface = "virtio", "virtio" },
			[]string{"virtio-blk-pci,drive=disk0,bootindex=0", "virtio-net-pci,netdev=net0,romfile="}, nil},
		{"an overlay on a dynamic VHD", func(h *hardware) { h.spec.Disk.BackingFormat = "vpc" }, []string{"backing.force_size_calc=current_size"}, nil},
		{"a hardware clock in UTC", func(h *hardware) { h.spec.HardwareClock = hypervisor.ClockUTC }, []string{"-rtc base=utc "}, []string{"localtime"}},
		{"a hardware clock that is set", func(h *hardware) { h.spec.HardwareClock = "2026-11-27T18:30:00" }, []string{"-rtc base=2026-11-27T18:30:00 "}, []string{"localtime"}},
		{"WHPX", func(h *hardware) { h.options.Accelerator = "whpx" }, []string{"-accel whpx,kernel-irqchip=off"}, nil},
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
	for want, change := range map[string]func(*hardware){
		"its format must be set":          func(h *hardware) { h.spec.Disk.Format = "" },
		`disk_interface "floppy": use`:    func(h *hardware) { h.options.DiskInterface = "floppy" },
		`network_interface "ne2000": use`: func(h *hardware) { h.options.NetworkInterface = "ne2000" },
	} {
		if _, err := sample(change).arguments(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestAWindowsWithoutADriverForItsDiskIsDoubted(t *testing.T) {
	for _, c := range []struct {
		name        string
		drivers     hypervisor.GuestDrivers
		firmware    hypervisor.Firmware
		want        string
		machineType string
	}{
		{"nothing is known", hypervisor.GuestDrivers{}, "bios", "", ""},
		{"a driver is there", hypervisor.GuestDrivers{Known: true, Storage: []string{"INTELIDE"}}, "bios", "", "pc"},
		{"it is for IDE, and the board has none", hypervisor.GuestDrivers{Known: true, Storage: []string{"intelide"}}, "bios", "no driver of a SATA, NVMe or virtio controller starts at boot (there are: intelide)", "q35"},
		{"none starts at boot", hypervisor.GuestDrivers{Known: true}, "bios", "no driver of an IDE, SATA, NVMe or virtio controller starts at boot (there are: none): Windows may stop with INACCESSIBLE_BOOT_DEVICE", ""},
		{"of Hyper-V only", hypervisor.GuestDrivers{Known: true, Storage: []string{"storvsc", "vmbus"}}, "uefi", "(there are: storvsc, vmbus)", ""},
		{"of IDE only, with UEFI", hypervisor.GuestDrivers{Known: true, Storage: []string{"intelide"}}, "uefi", "no driver of a SATA, NVMe or virtio controller starts at boot (there are: intelide)", "auto"},
	} {
		got := strings.Join((&Options{MachineType: c.machineType}).Doubts(c.drivers, c.firmware), "\n")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}
