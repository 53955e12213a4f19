package boots

import (
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// verdicts are the table of the reference, row by row: what a row says of a disk that is
// right, of one that it refuses, and of one that nobody knows of.
var verdicts = []struct {
	target     string
	generation int
	name       string
	change     change
	want       Verdict
	reason     string // part of a reason; empty where there is none
}{
	{"hyperv-gen1", 1, "as it should be", asItIs, Yes, ""},
	{"hyperv-gen1", 1, "by pciide alone", gone("intelide"), Yes, ""},
	{"hyperv-gen1", 2, "for UEFI", asItIs, No, "this one has a GPT with an EFI system partition"},
	{"hyperv-gen1", 1, "no active partition", func(i *Image) { i.Facts.Disk.Generation = 0 }, No, "an MBR without an active partition"},
	{"hyperv-gen1", 1, "no driver of IDE", all(gone("intelide"), gone("pciide"), gone("atapi")), No, "there is no driver atapi"},
	{"hyperv-gen1", 1, "no atapi", gone("atapi"), Unknown, "there is no driver atapi"},
	{"hyperv-gen1", 1, "overridden", all(overridden("atapi"), overridden("intelide"), overridden("pciide")), Unknown, `StartOverride\0 of the driver atapi is 3`},
	{"hyperv-gen1", 1, "not bound", unbound(`PCI\VEN_8086&DEV_7111`), Unknown, "no driver is bound"},
	{"hyperv-gen1", 1, "no bootmgr", boot(func(b *winimage.Boot) { b.Missing = []string{`\bootmgr`} }), Unknown, `partition 1 lacks \bootmgr`},

	{"hyperv-gen2", 2, "as it should be", asItIs, Yes, ""},
	{"hyperv-gen2", 1, "for BIOS", asItIs, No, "this one has an MBR with an active partition"},
	{"hyperv-gen2", 2, "no system partition", func(i *Image) { i.Facts.Disk.Generation = 0 }, No, "a GPT without an EFI system partition"},
	{"hyperv-gen2", 2, "no boot manager", boot(func(b *winimage.Boot) { b.Loader, b.Manager, b.Missing = "", "", []string{"x"} }), No, "neither bootmgfw.efi nor"},
	{"hyperv-gen2", 2, "a boot manager for one machine only", boot(func(b *winimage.Boot) { b.Loader, b.Missing = "", []string{`\EFI\Boot\bootx64.efi`} }), Unknown, "lacks"},
	{"hyperv-gen2", 2, "no bootmgfw.efi", boot(func(b *winimage.Boot) { b.Manager = "" }), Unknown, "bootmgfw.efi is not in"},
	{"hyperv-gen2", 2, "no storvsc", gone("storvsc"), No, "there is no driver storvsc"},
	{"hyperv-gen2", 2, "no vmbus", gone("vmbus"), No, "there is no driver vmbus"},
	{"hyperv-gen2", 2, "no storvsc.sys", noFile("storvsc"), No, `the file of the driver storvsc is missing (\Windows\System32\drivers\storvsc.sys)`},
	{"hyperv-gen2", 2, "an empty vmbus.sys", service("vmbus", func(s *winimage.Service) { s.FileIs = winimage.Zeros }), No, "the file of the driver vmbus is empty"},
	{"hyperv-gen2", 2, "storvsc overridden", overridden("storvsc"), Unknown, `StartOverride\0 of the driver storvsc is 3`},
	{"hyperv-gen2", 2, "vmbus overridden", overridden("vmbus"), Unknown, `StartOverride\0 of the driver vmbus is 3`},
	{"hyperv-gen2", 2, "storvsc on demand", start("storvsc", 3), Unknown, "Start of the driver storvsc is 3"},
	{"hyperv-gen2", 2, "storvsc not bound", unbound(everyDevice[0]), Unknown, "no driver is bound"},
	{"hyperv-gen2", 2, "a database that cannot be read", device(everyDevice[0], winimage.Unread), Unknown, "could not be read"},
	{"hyperv-gen2", 2, "a service that cannot be read", service("storvsc", func(s *winimage.Service) { *s = winimage.Service{Name: "storvsc", Presence: winimage.Unread} }), Unknown, "could not be read"},
	{"hyperv-gen2", 2, "a file that cannot be read", service("storvsc", func(s *winimage.Service) { s.FileIs = winimage.Unread }), Unknown, "could not be read"},
	{"hyperv-gen2", 2, "a service without Start", service("storvsc", func(s *winimage.Service) { s.Start = nil }), Unknown, "could not be read"},

	{"azure-gen1", 1, "as it should be", asItIs, Yes, ""},
	{"azure-gen1", 2, "for UEFI", asItIs, No, "this one has a GPT"},
	{"azure-gen1", 1, "no driver of IDE", all(gone("intelide"), gone("pciide"), gone("atapi")), No, "there is no driver atapi"},
	{"azure-gen1", 1, "half a MiB too much", func(i *Image) { i.File = fixedVHD(1<<30 + 512) }, No, "Azure does not take the file: the disk is a whole number of MiB"},
	{"azure-gen1", 1, "overridden", all(overridden("intelide"), overridden("pciide")), Unknown, "StartOverride"},

	{"azure-gen2", 2, "as it should be", asItIs, Yes, ""},
	{"azure-gen2", 2, "as a fixed VHD", func(i *Image) { i.File = fixedVHD(1 << 30) }, Yes, ""},
	{"azure-gen2", 2, "as a dynamic VHD", func(i *Image) { i.File = fixedVHD(1 << 30); i.File.Type = diskimage.Dynamic }, No, "the VHD is a fixed one"},
	{"azure-gen2", 1, "for BIOS", asItIs, No, "this one has an MBR"},
	{"azure-gen2", 2, "no storvsc", gone("storvsc"), No, "there is no driver storvsc"},
	{"azure-gen2", 2, "overridden", overridden("storvsc"), Unknown, "StartOverride"},

	{"azure-nvme", 2, "as it should be", asItIs, Yes, ""},
	{"azure-nvme", 1, "generation 1, with all drivers", asItIs, No, "this one has an MBR"},
	{"azure-nvme", 2, "no stornvme", gone("stornvme"), No, "there is no driver stornvme"},
	{"azure-nvme", 2, "no vpci", gone("vpci"), No, "there is no driver vpci"},
	{"azure-nvme", 2, "no pci", gone("pci"), No, "there is no driver pci"},
	{"azure-nvme", 2, "no vmbus", gone("vmbus"), No, "there is no driver vmbus"},
	{"azure-nvme", 2, "vpci overridden, stornvme and pci repaired", overridden("vpci"), Unknown, `StartOverride\0 of the driver vpci is 3`},
	{"azure-nvme", 2, "stornvme overridden", overridden("stornvme"), Unknown, "driver stornvme is 3"},

	{"qemu-ide", 1, "as it should be", asItIs, Yes, ""},
	{"qemu-ide", 2, "with UEFI", asItIs, Yes, ""},
	{"qemu-ide", 1, "no driver of IDE", all(gone("intelide"), gone("pciide"), gone("atapi")), Unknown, "there is no driver atapi"},
	{"qemu-ide", 1, "no active partition", func(i *Image) { i.Facts.Disk.Generation = 0 }, Unknown, "an active partition in the MBR"},

	{"qemu-ahci", 2, "as it should be", asItIs, Yes, ""},
	{"qemu-ahci", 1, "of Windows 7", all(gone("storahci"), service("msahci", func(s *winimage.Service) {
		*s = winimage.Service{Name: "msahci", Presence: winimage.There, Start: new(uint32), FileIs: winimage.There}
	})), Yes, ""},
	{"qemu-ahci", 2, "no storahci", gone("storahci"), Unknown, "there is no driver storahci"},
	{"qemu-ahci", 2, "overridden", overridden("storahci"), Unknown, "driver storahci is 3"},

	{"qemu-virtio", 1, "as it should be", asItIs, Yes, ""},
	{"qemu-virtio", 2, "of the modern device", all(unbound(`PCI\VEN_1AF4&DEV_1001`), device(`PCI\VEN_1AF4&DEV_1042`, winimage.There)), Yes, ""},
	{"qemu-virtio", 1, "no viostor at all", noVirtioBlock, No, "there is no driver viostor"},
	{"qemu-virtio", 1, "its file only", all(noVirtioBlock, service("viostor", func(s *winimage.Service) { s.FileIs = winimage.There })), Unknown, "there is no driver viostor"},
	{"qemu-virtio", 1, "its binding only", gone("viostor"), Unknown, "there is no driver viostor"},
	{"qemu-virtio", 1, "no binding", unbound(`PCI\VEN_1AF4&DEV_1001`), Unknown, "no driver is bound"},

	{"qemu-virtio-scsi", 2, "as it should be", asItIs, Yes, ""},
	{"qemu-virtio-scsi", 2, "no vioscsi at all", noVirtioSCSI, No, "there is no driver vioscsi"},
	{"qemu-virtio-scsi", 2, "no vioscsi.sys", noFile("vioscsi"), Unknown, "the file of the driver vioscsi is missing"},

	{"gcp", 2, "as it should be", asItIs, Yes, ""},
	{"gcp", 2, "no vioscsi at all", noVirtioSCSI, No, "there is no driver vioscsi"},
	{"gcp", 1, "for BIOS", asItIs, Unknown, "the disk is for BIOS"},

	{"vmware-pvscsi", 2, "as it should be", asItIs, Yes, ""},
	{"vmware-pvscsi", 2, "no pvscsi", gone("pvscsi"), Unknown, "there is no driver pvscsi"},
	{"vmware-lsisas", 1, "as it should be", asItIs, Yes, ""},
	{"vmware-lsisas", 1, "overridden", overridden("LSI_SAS"), Unknown, "driver LSI_SAS is 3"},
	{"vmware-sata", 2, "as it should be", asItIs, Yes, ""},
	{"vmware-sata", 2, "no storahci", gone("storahci"), Unknown, "there is no driver storahci"},
	{"vmware-nvme", 2, "as it should be", asItIs, Yes, ""},
	{"vmware-nvme", 2, "no stornvme", gone("stornvme"), Unknown, "there is no driver stornvme"},

	{"aws-nvme", 1, "as it should be, for BIOS", asItIs, Yes, ""},
	{"aws-nvme", 2, "by Amazon's driver alone", gone("stornvme"), Yes, ""},
	{"aws-nvme", 2, "by the driver of Windows alone", gone("AWSNVMe"), Yes, ""},
	{"aws-nvme", 2, "no driver of NVMe", all(gone("stornvme"), gone("AWSNVMe")), No, "there is no driver"},
	{"aws-nvme", 2, "no ENA", all(gone("ena"), unbound(`PCI\VEN_1D0F&DEV_EC20`)), No, "there is no driver of the network card (ena)"},
	{"aws-nvme", 2, "an ENA of another name", gone("ena"), Yes, ""},
	{"aws-nvme", 2, "overridden", all(gone("AWSNVMe"), overridden("stornvme")), Unknown, "driver stornvme is 3"},

	{"aws-xen", 1, "as it should be", asItIs, Yes, ""},
	{"aws-xen", 1, "no xenvbd", gone("xenvbd"), Unknown, "there is no driver xenvbd"},

	{"secure-boot-2011", 2, "signed in 2011", asItIs, Yes, ""},
	{"secure-boot-2011", 2, "signed by both", signedBy(winimage.Signature{Authority: of2011}, winimage.Signature{Authority: of2023}), Yes, ""},
	{"secure-boot-2011", 2, "signed in 2023", signedBy(winimage.Signature{Authority: of2023}), No, "is signed by Windows UEFI CA 2023, and the firmware asks for Microsoft Windows Production PCA 2011"},
	{"secure-boot-2011", 2, "not signed", signedBy(), No, "is not signed"},
	{"secure-boot-2011", 2, "changed after it was signed", signedBy(winimage.Signature{Authority: of2011, Problem: "the program was changed"}), Unknown, "does not fit it"},
	{"secure-boot-2011", 1, "for BIOS", asItIs, Unknown, "Secure Boot is for"},
	{"secure-boot-2023", 2, "signed in 2023", signedBy(winimage.Signature{Authority: of2023}), Yes, ""},
	{"secure-boot-2023", 2, "signed in 2011", asItIs, No, "the firmware asks for Windows UEFI CA 2023"},
	{"secure-boot-2023", 2, "no boot manager", boot(func(b *winimage.Boot) { b.Loader, b.Manager = "", "" }), Unknown, "no boot manager"},

	{"hyperv", 1, "for BIOS", asItIs, Yes, ""},
	{"hyperv", 2, "for UEFI", asItIs, Yes, ""},
	{"hyperv", 1, "for BIOS, no storvsc", gone("storvsc"), Yes, ""},
	{"hyperv", 2, "for UEFI, no storvsc", gone("storvsc"), No, "storvsc"},
	{"azure", 2, "for UEFI, no atapi", gone("atapi"), Yes, ""},
	{"azure", 1, "no active partition", func(i *Image) { i.Facts.Disk.Generation = 0 }, No, "without an active partition"},
	{"azure", 2, "overridden", overridden("storvsc"), Unknown, "StartOverride"},
	{"hyperv", 2, "overridden", overridden("vmbus"), Unknown, "StartOverride"},
}
