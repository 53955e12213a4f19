package boots

import (
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/target"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// What a Windows with every driver has, by names of their own: not from the table.
var (
	everyDriver = []string{
		"acpi", "disk", "partmgr", "volmgr", "mountmgr", "pci", "vpci", "vmbus", "storvsc", "storahci", "stornvme", "intelide", "pciide", "atapi",
		"LSI_SAS", "viostor", "vioscsi", "pvscsi", "AWSNVMe", "xenbus", "xenvbd",
	}
	everyOther = []string{
		"netvsc", "e1iexpress", "netkvm", "gvnic", "vmxnet3ndis6", "ena", "xennet",
		"RdAgent", "WindowsAzureGuestAgent", "GCEAgent", "GCEAgentManager", "VMTools", "AmazonSSMAgent",
	}
	everyDevice = []string{
		`VMBUS\{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}`, `PCI\VEN_8086&DEV_7111`, `PCI\CC_010601`, `PCI\CC_010802`, `PCI\VEN_1000&DEV_0054`,
		`PCI\VEN_1AF4&DEV_1001`, `PCI\VEN_1AF4&DEV_1004`, `PCI\VEN_15AD&DEV_07C0`, `PCI\VEN_1D0F&DEV_8061`, `PCI\VEN_1D0F&DEV_EC20`,
	}
)

const (
	of2011 = "Microsoft Windows Production PCA 2011"
	of2023 = "Windows UEFI CA 2023"
)

// good is an image for BIOS (1) or UEFI (2) that starts everywhere where such a disk does.
func good(generation int) Image {
	s := &winimage.Starting{Database: "DriverDatabase"}
	add := func(names []string, start uint32) {
		for _, name := range names {
			n := start
			s.Services = append(s.Services, winimage.Service{Name: name, Presence: winimage.There, Start: &n, File: `\Windows\System32\drivers\` + name + ".sys", FileIs: winimage.There})
		}
	}
	add(everyDriver, 0)
	add(everyOther, 3)
	for _, name := range []string{"msahci", "E1G60", "e1dexpress", "e1i65x64", "e1i63x64", "E1000"} {
		s.Services = append(s.Services, winimage.Service{Name: name, Presence: winimage.Absent, FileIs: winimage.Absent})
	}
	for _, id := range everyDevice {
		s.Devices = append(s.Devices, winimage.Device{ID: id, Presence: winimage.There, Bound: []string{id + ": x.inf"}})
	}
	for _, id := range []string{`PCI\VEN_8086&DEV_7010`, `PCI\CC_0101`, `PCI\VEN_1AF4&DEV_1042`, `PCI\VEN_1AF4&DEV_1048`} {
		s.Devices = append(s.Devices, winimage.Device{ID: id, Presence: winimage.Absent})
	}
	s.Filters = []winimage.Filter{{Class: "DiskDrive", Position: "UpperFilters", Service: "partmgr", Presence: winimage.There, FileIs: winimage.There, InBox: true}}
	boot := &winimage.Boot{
		Partition: 1, Store: &winimage.Hive{Name: "BCD", Clean: true}, Default: &winimage.DefaultEntry{ID: "{a}", Name: "Windows", Device: "partition", Partition: 2},
		Loader: `\bootmgr`,
	}
	disk := winimage.Disk{Scheme: "mbr", Generation: 1}
	if generation == 2 {
		disk = winimage.Disk{Scheme: "gpt", Generation: 2}
		boot.Loader, boot.Manager = `\EFI\Boot\bootx64.efi`, `\EFI\Microsoft\Boot\bootmgfw.efi`
		boot.Signatures = []winimage.Signature{{Signer: "x", Authority: of2011}}
	}
	w := &winimage.Windows{Partition: 2, Starting: s}
	return Image{Facts: winimage.Facts{Disk: disk, Boot: boot, Windows: []winimage.Windows{*w}}, Windows: w}
}

func fixedVHD(size int64) *target.Image {
	return &target.Image{
		Info:   diskimage.Info{Format: diskimage.VHD, Type: diskimage.Fixed, VirtualSize: size, FileSize: size + 512, SectorSize: 512},
		Scheme: "gpt", Generation: 2,
	}
}

// Changes of a good image.
type change func(i *Image)

func service(name string, change func(s *winimage.Service)) change {
	return func(i *Image) {
		list := i.Windows.Starting.Services
		at := slices.IndexFunc(list, func(s winimage.Service) bool { return s.Name == name })
		if at < 0 {
			panic("no service " + name)
		}
		change(&list[at])
	}
}

func gone(name string) change {
	return service(name, func(s *winimage.Service) {
		*s = winimage.Service{Name: name, Presence: winimage.Absent, FileIs: winimage.Absent}
	})
}

func noFile(name string) change {
	return service(name, func(s *winimage.Service) { s.FileIs = winimage.Absent })
}

func overridden(name string) change {
	return service(name, func(s *winimage.Service) {
		s.Overrides = []winimage.Override{{Name: "1", Start: 0}, {Name: "0", Start: 3}}
	})
}

func start(name string, n uint32) change {
	return service(name, func(s *winimage.Service) { s.Start = &n })
}

func device(id string, is winimage.Presence) change {
	return func(i *Image) {
		for n := range i.Windows.Starting.Devices {
			if d := &i.Windows.Starting.Devices[n]; d.ID == id {
				d.Presence, d.Bound = is, nil
			}
		}
	}
}

func unbound(id string) change { return device(id, winimage.Absent) }

func all(changes ...change) change {
	return func(i *Image) {
		for _, c := range changes {
			c(i)
		}
	}
}

func boot(change func(b *winimage.Boot)) change { return func(i *Image) { change(i.Facts.Boot) } }

func signedBy(list ...winimage.Signature) change {
	return boot(func(b *winimage.Boot) { b.Signatures = list })
}

func filter(f winimage.Filter) change {
	return func(i *Image) { i.Windows.Starting.Filters = append(i.Windows.Starting.Filters, f) }
}

func asItIs(*Image) {}

var (
	noVirtioBlock = all(gone("viostor"), unbound(`PCI\VEN_1AF4&DEV_1001`))
	noVirtioSCSI  = all(gone("vioscsi"), unbound(`PCI\VEN_1AF4&DEV_1004`))
	dangling      = winimage.Filter{Class: "DiskDrive", Position: "LowerFilters", Service: "gonefilter", Presence: winimage.Absent, FileIs: winimage.Absent}
)
