package boots

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
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
		"netvsc", "e1iexpress", "netkvm", "gvnic", "vmxnet3ndis6", "ena", "mana", "xennet",
		"RdAgent", "WindowsAzureGuestAgent", "GCEAgent", "VMTools", "AmazonSSMAgent",
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
	for _, name := range []string{"msahci", "pvscsii", "netvsc60", "netvsc50", "E1G60", "e1dexpress", "e1i65x64", "e1i63x64", "E1000"} {
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

func nothing(*Image) {}

var (
	noVirtioBlock = all(gone("viostor"), unbound(`PCI\VEN_1AF4&DEV_1001`))
	noVirtioSCSI  = all(gone("vioscsi"), unbound(`PCI\VEN_1AF4&DEV_1004`))
	dangling      = winimage.Filter{Class: "DiskDrive", Position: "LowerFilters", Service: "gonefilter", Presence: winimage.Absent, FileIs: winimage.Absent}
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
	{"hyperv-gen1", 1, "as it should be", nothing, Yes, ""},
	{"hyperv-gen1", 1, "by pciide alone", gone("intelide"), Yes, ""},
	{"hyperv-gen1", 2, "for UEFI", nothing, No, "this one has a GPT with an EFI system partition"},
	{"hyperv-gen1", 1, "no active partition", func(i *Image) { i.Facts.Disk.Generation = 0 }, No, "an MBR without an active partition"},
	{"hyperv-gen1", 1, "no driver of IDE", all(gone("intelide"), gone("pciide"), gone("atapi")), No, "there is no driver atapi"},
	{"hyperv-gen1", 1, "no atapi", gone("atapi"), Unknown, "there is no driver atapi"},
	{"hyperv-gen1", 1, "overridden", all(overridden("atapi"), overridden("intelide"), overridden("pciide")), Unknown, `StartOverride\0 of the driver atapi is 3`},
	{"hyperv-gen1", 1, "not bound", unbound(`PCI\VEN_8086&DEV_7111`), Unknown, "no driver is bound"},
	{"hyperv-gen1", 1, "no bootmgr", boot(func(b *winimage.Boot) { b.Missing = []string{`\bootmgr`} }), Unknown, `partition 1 lacks \bootmgr`},

	{"hyperv-gen2", 2, "as it should be", nothing, Yes, ""},
	{"hyperv-gen2", 1, "for BIOS", nothing, No, "this one has an MBR with an active partition"},
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

	{"azure-gen1", 1, "as it should be", nothing, Yes, ""},
	{"azure-gen1", 2, "for UEFI", nothing, No, "this one has a GPT"},
	{"azure-gen1", 1, "no driver of IDE", all(gone("intelide"), gone("pciide"), gone("atapi")), No, "there is no driver atapi"},
	{"azure-gen1", 1, "half a MiB too much", func(i *Image) { i.File = fixedVHD(1<<30 + 512) }, No, "Azure does not take the file: the disk is a whole number of MiB"},
	{"azure-gen1", 1, "overridden", all(overridden("intelide"), overridden("pciide")), Unknown, "StartOverride"},

	{"azure-gen2", 2, "as it should be", nothing, Yes, ""},
	{"azure-gen2", 2, "as a fixed VHD", func(i *Image) { i.File = fixedVHD(1 << 30) }, Yes, ""},
	{"azure-gen2", 2, "as a dynamic VHD", func(i *Image) { i.File = fixedVHD(1 << 30); i.File.Type = diskimage.Dynamic }, No, "the VHD is a fixed one"},
	{"azure-gen2", 1, "for BIOS", nothing, No, "this one has an MBR"},
	{"azure-gen2", 2, "no storvsc", gone("storvsc"), No, "there is no driver storvsc"},
	{"azure-gen2", 2, "overridden", overridden("storvsc"), Unknown, "StartOverride"},

	{"azure-nvme", 2, "as it should be", nothing, Yes, ""},
	{"azure-nvme", 1, "generation 1, with all drivers", nothing, No, "this one has an MBR"},
	{"azure-nvme", 2, "no stornvme", gone("stornvme"), No, "there is no driver stornvme"},
	{"azure-nvme", 2, "no vpci", gone("vpci"), No, "there is no driver vpci"},
	{"azure-nvme", 2, "no pci", gone("pci"), No, "there is no driver pci"},
	{"azure-nvme", 2, "no vmbus", gone("vmbus"), No, "there is no driver vmbus"},
	{"azure-nvme", 2, "vpci overridden, stornvme and pci repaired", overridden("vpci"), Unknown, `StartOverride\0 of the driver vpci is 3`},
	{"azure-nvme", 2, "stornvme overridden", overridden("stornvme"), Unknown, "driver stornvme is 3"},

	{"qemu-ide", 1, "as it should be", nothing, Yes, ""},
	{"qemu-ide", 2, "with UEFI", nothing, Yes, ""},
	{"qemu-ide", 1, "no driver of IDE", all(gone("intelide"), gone("pciide"), gone("atapi")), Unknown, "there is no driver atapi"},
	{"qemu-ide", 1, "no active partition", func(i *Image) { i.Facts.Disk.Generation = 0 }, Unknown, "an active partition in the MBR"},

	{"qemu-ahci", 2, "as it should be", nothing, Yes, ""},
	{"qemu-ahci", 1, "of Windows 7", all(gone("storahci"), service("msahci", func(s *winimage.Service) {
		*s = winimage.Service{Name: "msahci", Presence: winimage.There, Start: new(uint32), FileIs: winimage.There}
	})), Yes, ""},
	{"qemu-ahci", 2, "no storahci", gone("storahci"), Unknown, "there is no driver storahci"},
	{"qemu-ahci", 2, "overridden", overridden("storahci"), Unknown, "driver storahci is 3"},

	{"qemu-virtio", 1, "as it should be", nothing, Yes, ""},
	{"qemu-virtio", 2, "of the modern device", all(unbound(`PCI\VEN_1AF4&DEV_1001`), device(`PCI\VEN_1AF4&DEV_1042`, winimage.There)), Yes, ""},
	{"qemu-virtio", 1, "no viostor at all", noVirtioBlock, No, "there is no driver viostor"},
	{"qemu-virtio", 1, "its file only", all(noVirtioBlock, service("viostor", func(s *winimage.Service) { s.FileIs = winimage.There })), Unknown, "there is no driver viostor"},
	{"qemu-virtio", 1, "its binding only", gone("viostor"), Unknown, "there is no driver viostor"},
	{"qemu-virtio", 1, "no binding", unbound(`PCI\VEN_1AF4&DEV_1001`), Unknown, "no driver is bound"},

	{"qemu-virtio-scsi", 2, "as it should be", nothing, Yes, ""},
	{"qemu-virtio-scsi", 2, "no vioscsi at all", noVirtioSCSI, No, "there is no driver vioscsi"},
	{"qemu-virtio-scsi", 2, "no vioscsi.sys", noFile("vioscsi"), Unknown, "the file of the driver vioscsi is missing"},

	{"gcp", 2, "as it should be", nothing, Yes, ""},
	{"gcp", 2, "no vioscsi at all", noVirtioSCSI, No, "there is no driver vioscsi"},
	{"gcp", 1, "for BIOS", nothing, Unknown, "the disk is for BIOS"},

	{"vmware-pvscsi", 2, "as it should be", nothing, Yes, ""},
	{"vmware-pvscsi", 2, "no pvscsi", gone("pvscsi"), Unknown, "there is no driver pvscsi"},
	{"vmware-lsisas", 1, "as it should be", nothing, Yes, ""},
	{"vmware-lsisas", 1, "overridden", overridden("LSI_SAS"), Unknown, "driver LSI_SAS is 3"},
	{"vmware-sata", 2, "as it should be", nothing, Yes, ""},
	{"vmware-sata", 2, "no storahci", gone("storahci"), Unknown, "there is no driver storahci"},
	{"vmware-nvme", 2, "as it should be", nothing, Yes, ""},
	{"vmware-nvme", 2, "no stornvme", gone("stornvme"), Unknown, "there is no driver stornvme"},

	{"aws-nvme", 1, "as it should be, for BIOS", nothing, Yes, ""},
	{"aws-nvme", 2, "by Amazon's driver alone", gone("stornvme"), Yes, ""},
	{"aws-nvme", 2, "by the driver of Windows alone", gone("AWSNVMe"), Yes, ""},
	{"aws-nvme", 2, "no driver of NVMe", all(gone("stornvme"), gone("AWSNVMe")), No, "there is no driver"},
	{"aws-nvme", 2, "no ENA", all(gone("ena"), unbound(`PCI\VEN_1D0F&DEV_EC20`)), No, "there is no driver of the network card (ena)"},
	{"aws-nvme", 2, "an ENA of another name", gone("ena"), Yes, ""},
	{"aws-nvme", 2, "overridden", all(gone("AWSNVMe"), overridden("stornvme")), Unknown, "driver stornvme is 3"},

	{"aws-xen", 1, "as it should be", nothing, Yes, ""},
	{"aws-xen", 1, "no xenvbd", gone("xenvbd"), Unknown, "there is no driver xenvbd"},

	{"secure-boot-2011", 2, "signed in 2011", nothing, Yes, ""},
	{"secure-boot-2011", 2, "signed by both", signedBy(winimage.Signature{Authority: of2011}, winimage.Signature{Authority: of2023}), Yes, ""},
	{"secure-boot-2011", 2, "signed in 2023", signedBy(winimage.Signature{Authority: of2023}), No, "is signed by Windows UEFI CA 2023, and the firmware asks for Microsoft Windows Production PCA 2011"},
	{"secure-boot-2011", 2, "not signed", signedBy(), No, "is not signed"},
	{"secure-boot-2011", 2, "changed after it was signed", signedBy(winimage.Signature{Authority: of2011, Problem: "the program was changed"}), Unknown, "does not fit it"},
	{"secure-boot-2011", 1, "for BIOS", nothing, Unknown, "Secure Boot is for"},
	{"secure-boot-2023", 2, "signed in 2023", signedBy(winimage.Signature{Authority: of2023}), Yes, ""},
	{"secure-boot-2023", 2, "signed in 2011", nothing, No, "the firmware asks for Windows UEFI CA 2023"},
	{"secure-boot-2023", 2, "no boot manager", boot(func(b *winimage.Boot) { b.Loader, b.Manager = "", "" }), Unknown, "no boot manager"},

	{"hyperv", 1, "for BIOS", nothing, Yes, ""},
	{"hyperv", 2, "for UEFI", nothing, Yes, ""},
	{"hyperv", 1, "for BIOS, no storvsc", gone("storvsc"), Yes, ""},
	{"hyperv", 2, "for UEFI, no storvsc", gone("storvsc"), No, "storvsc"},
	{"azure", 2, "for UEFI, no atapi", gone("atapi"), Yes, ""},
	{"azure", 1, "no active partition", func(i *Image) { i.Facts.Disk.Generation = 0 }, No, "without an active partition"},
	{"azure", 2, "overridden", overridden("storvsc"), Unknown, "StartOverride"},
	{"hyperv", 2, "overridden", overridden("vmbus"), Unknown, "StartOverride"},
}

func judged(name string, i Image) Answer {
	list := Judge([]string{name}, i)
	if len(list) != 1 {
		panic(fmt.Sprintf("%s: %d answers", name, len(list)))
	}
	return list[0]
}

func TestEachRowSaysWhatTheReferenceSays(t *testing.T) {
	seen := map[string]map[Verdict]bool{}
	for _, c := range verdicts {
		t.Run(c.target+", "+c.name, func(t *testing.T) {
			i := good(c.generation)
			c.change(&i)
			a := judged(c.target, i)
			var texts []string
			for _, r := range a.Reasons {
				texts = append(texts, r.Text)
			}
			said := strings.Join(texts, "; ")
			if a.Verdict != c.want || c.reason == "" && said != "" || !strings.Contains(said, c.reason) {
				t.Errorf("%s because %q, want %s because of %q", a.Verdict, said, c.want, c.reason)
			}
			if seen[c.target] == nil {
				seen[c.target] = map[Verdict]bool{}
			}
			seen[c.target][c.want] = true
		})
	}
	// By the reference no disk is refused for these.
	never := []string{"qemu-ide", "qemu-ahci", "vmware-pvscsi", "vmware-lsisas", "vmware-sata", "vmware-nvme", "aws-xen"}
	for _, name := range Names() {
		if !seen[name][Yes] || !seen[name][Unknown] || seen[name][No] == slices.Contains(never, name) {
			t.Errorf("%s has cases for %v", name, slices.Sorted(maps.Keys(seen[name])))
		}
	}
}

// What holds for each machine that has to reach its disk.
func TestWhatEachMachineNeeds(t *testing.T) {
	third := dangling
	third.Presence, third.FileIs = winimage.There, winimage.There
	lost, unreadable := third, third
	lost.FileIs, unreadable.FileIs = winimage.Absent, winimage.Unread
	for name, c := range map[string]struct {
		change change
		want   Verdict
		reason string
	}{
		"a filter without a service":            {filter(dangling), No, "there is no driver of the filter gonefilter (LowerFilters of the class DiskDrive)"},
		"a filter without a file":               {filter(lost), No, "the file of the filter gonefilter"},
		"a filter that cannot be read":          {filter(unreadable), Unknown, "the filter gonefilter"},
		"a filter of somebody else":             {filter(third), Yes, ""},
		"filters that cannot be read":           {func(i *Image) { i.Windows.Starting.FiltersUnread = true }, Unknown, "some filters"},
		"disk.sys is missing":                   {noFile("disk"), Unknown, "the file of the driver disk is missing"},
		"partmgr does not start":                {start("partmgr", 4), Unknown, "Start of the driver partmgr is 4"},
		"acpi is overridden":                    {overridden("acpi"), Unknown, "acpi"},
		"volmgr is gone":                        {gone("volmgr"), Unknown, "there is no driver volmgr"},
		"mountmgr is gone":                      {gone("mountmgr"), Unknown, "there is no driver mountmgr"},
		"an entry for a partition of elsewhere": {boot(func(b *winimage.Boot) { b.Default.Partition = 0 }), Unknown, "the default boot entry Windows {a} names a partition that is not on the disk"},
		"an entry of an unknown kind":           {boot(func(b *winimage.Boot) { b.Default.Device = "other" }), Unknown, "is not known"},
		"an entry without a device":             {boot(func(b *winimage.Boot) { b.Default.Device = "none" }), Unknown, "is not known"},
		"an entry for the boot partition":       {boot(func(b *winimage.Boot) { b.Default = &winimage.DefaultEntry{Device: "boot"} }), Yes, ""},
		"an entry that is to be located":        {boot(func(b *winimage.Boot) { b.Default = &winimage.DefaultEntry{Device: "locate"} }), Yes, ""},
		"no default entry":                      {boot(func(b *winimage.Boot) { b.Default = nil }), Unknown, "names no default entry"},
		"boot files that cannot be read":        {boot(func(b *winimage.Boot) { b.Problem = "corrupt" }), Unknown, "corrupt"},
		"a boot partition that cannot be read":  {func(i *Image) { i.Facts.Boot = nil }, Unknown, "could not be read"},
		"drivers that were not read":            {func(i *Image) { i.Windows.Starting = nil }, Unknown, "was not read"},
		"a Windows that was not read":           {func(i *Image) { i.Windows = nil }, Unknown, "was not read"},
		"a hive that cannot be read": {func(i *Image) {
			for n := range i.Windows.Starting.Services {
				s := &i.Windows.Starting.Services[n]
				*s = winimage.Service{Name: s.Name, Presence: winimage.Unread}
			}
			for n := range i.Windows.Starting.Devices {
				d := &i.Windows.Starting.Devices[n]
				d.Presence, d.Bound = winimage.Unread, nil
			}
		}, Unknown, "could not be read"},
		"facts that nobody asked for": {func(i *Image) { i.Windows.Starting = &winimage.Starting{} }, Unknown, "could not be read"},
	} {
		for _, row := range targets {
			if row.authority != "" {
				continue
			}
			generation := 2
			if row.start == bios {
				generation = 1
			}
			i := good(generation)
			c.change(&i)
			a := judged(row.id, i)
			found := slices.ContainsFunc(a.Reasons, func(r Reason) bool { return strings.Contains(r.Text, c.reason) })
			if a.Verdict != c.want || found != (c.reason != "") {
				t.Errorf("%s on %s: %s, %+v", name, row.id, a.Verdict, a.Reasons)
			}
		}
	}
}

// Windows 10 overrides the drivers of all controllers that a machine does not have.
// Whether generalize has undone that is not known: it is no reason for a yes.
func TestADriverThatIsOverriddenGivesNoYes(t *testing.T) {
	for _, row := range targets {
		if row.authority != "" {
			continue
		}
		generation := 2
		if row.start == bios {
			generation = 1
		}
		i := good(generation)
		for _, name := range everyDriver {
			overridden(name)(&i)
		}
		a := judged(row.id, i)
		if a.Verdict != Unknown {
			t.Errorf("%s: %s", row.id, a.Verdict)
		}
		i.Windows.Starting.KeptBy = []string{`\Windows\Panther\unattend.xml`}
		kept := judged(row.id, i)
		if r := kept.Reasons[0]; !strings.Contains(r.Text, `PersistAllDeviceInstalls in \Windows\Panther\unattend.xml`) || !strings.Contains(r.Remedy, "take PersistAllDeviceInstalls out") {
			t.Errorf("%s: %+v", row.id, r)
		}
	}
}

func TestWhatIsBesidesIsWarnedOfAndChangesNoVerdict(t *testing.T) {
	for _, c := range []struct {
		target     string
		generation int
		name       string
		change     change
		reason     string
	}{
		{"hyperv-gen1", 1, "no card", gone("netvsc"), "network card of Hyper-V"},
		{"hyperv-gen2", 2, "no card", start("netvsc", 4), "network card of Hyper-V"},
		{"hyperv-gen2", 2, "signed in 2023", signedBy(winimage.Signature{Authority: of2023}), "is signed by Windows UEFI CA 2023"},
		{"hyperv-gen2", 2, "not signed", signedBy(), "by nobody that could be made out"},
		{"azure-gen1", 1, "no agent", all(gone("RdAgent"), gone("WindowsAzureGuestAgent")), "agent of Azure"},
		{"azure-gen2", 2, "offline disks", func(i *Image) { n := uint32(3); i.Windows.Starting.SANPolicy = &n }, "SAN policy is 3"},
		{"azure-gen2", 2, "BitLocker", func(i *Image) { i.Facts.Disk.BitLocker = []int{3} }, "BitLocker"},
		{"azure-nvme", 2, "no card", all(gone("mana"), gone("netvsc")), "MANA"},
		{"qemu-ide", 1, "no card", gone("e1iexpress"), "e1000"},
		{"qemu-ahci", 1, "no card", gone("e1iexpress"), "e1000"},
		{"qemu-virtio", 1, "no card", gone("netkvm"), "card of virtio"},
		{"qemu-virtio-scsi", 1, "no card", noFile("netkvm"), "card of virtio"},
		{"gcp", 2, "no card", all(gone("netkvm"), gone("gvnic")), "card of Google"},
		{"gcp", 2, "no agent", gone("GCEAgent"), "agent of Google"},
		{"vmware-nvme", 2, "no card", all(gone("vmxnet3ndis6"), gone("e1iexpress")), "vmxnet3"},
		{"vmware-sata", 2, "no tools", gone("VMTools"), "VMware Tools"},
		{"aws-nvme", 2, "no agent", gone("AmazonSSMAgent"), "agent of Amazon"},
		{"aws-xen", 1, "no card", gone("xennet"), "card of Xen"},
	} {
		i := good(c.generation)
		if a := judged(c.target, i); a.Verdict != Yes || len(a.Besides) > 0 {
			t.Errorf("%s: %+v", c.target, a)
		}
		c.change(&i)
		a := judged(c.target, i)
		if a.Verdict != Yes || len(a.Besides) != 1 || !strings.Contains(a.Besides[0].Text, c.reason) || a.Besides[0].Remedy == "" {
			t.Errorf("%s, %s: %s, %+v", c.target, c.name, a.Verdict, a.Besides)
		}
	}
	// A program of an agent is one as well as a service.
	i := good(2)
	gone("AmazonSSMAgent")(&i)
	i.Windows.Starting.Programs = []string{`\Program Files\Amazon\EC2Launch\EC2Launch.exe`}
	if a := judged("aws-nvme", i); len(a.Besides) > 0 {
		t.Errorf("%+v", a.Besides)
	}
	third := winimage.Filter{Class: "DiskDrive", Position: "LowerFilters", Service: "stdcfltn", Presence: winimage.There, FileIs: winimage.There}
	filter(third)(&i)
	if a := judged("qemu-ahci", i); a.Verdict != Yes || len(a.Besides) != 1 || !strings.Contains(a.Besides[0].Text, "stdcfltn") {
		t.Errorf("%+v", a)
	}
}

func TestOnlyANoRefusesUnlessItIsStrict(t *testing.T) {
	for _, c := range []struct {
		change change
		strict bool
		holds  bool
		as     finding.Severity
	}{
		{nothing, false, true, finding.Fail}, {nothing, true, true, finding.Fail},
		{overridden("storvsc"), false, false, finding.Warn}, {overridden("storvsc"), true, false, finding.Fail},
		{gone("storvsc"), false, false, finding.Fail}, {gone("storvsc"), true, false, finding.Fail},
	} {
		i := good(2)
		c.change(&i)
		f := judged("azure-gen2", i).Finding(c.strict)
		if f.Holds != c.holds || f.Severity != c.as || f.ID != "boots-on-azure-gen2" || f.Expected != "yes" || f.Source == "" || (f.Remedy == nil) != c.holds {
			t.Errorf("strict %t: %+v", c.strict, f)
		}
		if !slices.Contains(IDs(), f.ID) {
			t.Errorf("%s is not among %q", f.ID, IDs())
		}
	}
	i := good(2)
	gone("netvsc")(&i)
	list := judged("azure-gen2", i).Findings(true)
	if len(list) != 2 || !list[0].Holds || list[1].Holds || list[1].Severity != finding.Warn || list[1].ID != "boots-on-azure-gen2-besides" || list[1].Remedy == nil {
		t.Errorf("%+v", list)
	}
	for _, f := range list {
		if !slices.Contains(IDs(), f.ID) {
			t.Errorf("%s is not among the ids", f.ID)
		}
	}
}

func TestANameThatIsNoneIsLeftOut(t *testing.T) {
	if got := Judge([]string{"moon"}, good(2)); got != nil {
		t.Errorf("%+v", got)
	}
	if Asks(nil) != nil {
		t.Error("nothing asks for something")
	}
	w := Asks([]string{"qemu-virtio", "azure", "moon"})
	for _, name := range []string{"viostor", "disk", "storvsc", "atapi", "RdAgent"} {
		if !slices.Contains(w.Services, name) {
			t.Errorf("%s is not asked for", name)
		}
	}
	if len(w.Services) != len(slices.Compact(slices.Sorted(slices.Values(w.Services)))) {
		t.Errorf("asked for twice: %q", w.Services)
	}
}
