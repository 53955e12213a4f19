package boots

import (
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/cloudagent"
)

// startup is how a machine starts a disk.
type startup uint8

const (
	anyStartup startup = iota // BIOS or UEFI, as the disk has it
	bios
	uefi
	mostlyUEFI // UEFI as a rule; a disk for BIOS is not refused
)

// severity is what a driver that is missing makes of the verdict.
type severity uint8

const (
	doubt    severity = iota // unknown: nothing says that Windows cannot start without it
	failAny                  // no, where a service or a file of the way is missing
	failAll                  // no, where every service of every way is missing
	failBare                 // no, where service, file and binding are all missing
)

// way is one way to the disk: every service of it, and at least one of the ids bound;
// no ids: none is known.
type way struct {
	services []string
	ids      []string
}

// group are services of which a Windows has one, or a program.
type group struct {
	title    string
	services []string
	programs []string
	remedy   string
}

// row is a target and what it needs.
type row struct {
	id, title string
	start     startup
	// ways to the disk, of which one is enough; none: the target is about something
	// else.
	ways    []way
	missing severity
	remedy  string // what brings a driver that is missing
	// card is a driver without which the machine cannot be reached, and refused so;
	// most clouds and hypervisors have cards that Windows knows.
	card *way
	// besides are what is warned of without a say in the verdict.
	besides []group
	// azure: what Azure asks of the file counts, and its SAN policy is looked at.
	azure bool
	// signer: the firmware of such machines may ask for a signature.
	signer bool
	// authority is the one that the firmware knows, of a target for Secure Boot.
	authority string
	sources   []string
	// unconfirmed: names of drivers, or of their devices, have no source of their own.
	unconfirmed bool
}

// Pages that rows rest on.
const (
	generations  = "https://learn.microsoft.com/windows-server/virtualization/hyper-v/plan/should-i-create-a-generation-1-or-2-virtual-machine-in-hyper-v"
	azurePage    = "https://learn.microsoft.com/azure/virtual-machines/windows/prepare-for-upload-vhd-image"
	azureNVMe    = "https://github.com/Azure/repair-script-library/pull/155 (NVMe is for generation 2 only)"
	azureVPCI    = "https://github.com/Azure/SAP-on-Azure-Scripts-and-Utilities/issues/147 (StartOverride of vpci)"
	repairScript = "https://github.com/Azure/repair-script-library/pull/156 (what leads to stop 0x7B offline)"
	inject       = "https://github.com/libguestfs/libguestfs-common (mlcustomize/inject_virtio_win.ml: service, file, device ids)"
	virtioPage   = "https://github.com/virtio-win/kvm-guest-drivers-windows"
	hiveFacts    = "SYSTEM hives of machines in use: https://github.com/mkorman90/regipy (regipy_tests/data)"
	nitroPage    = "https://docs.aws.amazon.com/ebs/latest/userguide/nvme-ebs-volumes.html"
	awsNVMe      = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/aws-nvme-drivers.html (service AWSNVMe)"
	xenPage      = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/xen-drivers-overview.html (services; none for Server 2025)"
	enaPage      = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/enhanced-networking-ena.html"
	enaEvents    = "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-ena-driver.html (its events come from ena)"
	enaIDs       = "https://github.com/torvalds/linux (drivers/net/ethernet/amazon/ena/ena_pci_id_tbl.h: device id)"
	gcpDevices   = "https://cloud.google.com/compute/docs/images/building-custom-os (controller, device id)"
	gcpDisks     = "https://cloud.google.com/compute/docs/disks/persistent-disks (which series have SCSI, which NVMe)"
	gcpCards     = "https://github.com/GoogleCloudPlatform/compute-image-windows (sysprep/instance_setup.ps1: services of the cards)"
	gcpAgent     = "https://github.com/GoogleCloudPlatform/guest-agent (packaging/googet/agent_install.ps1: services)"
	vmwarePage   = "https://docs.vmware.com/en/VMware-vSphere/8.0/vsphere-vm-administration/GUID-5872D173-A076-42FE-8D0B-9DB0EB0E7362.html (controllers)"
	vmwareNames  = "https://github.com/vmware/ansible-vsphere-gos-validation (windows/utils/win_get_driver_installer.yml: services pvscsi, vmxnet3ndis6)"
	vmwareIDs    = "https://github.com/tianocore/edk2 (OvmfPkg/Include/IndustryStandard/PvScsi.h: device id of PVSCSI)"
	manaPage     = "https://github.com/MicrosoftDocs/azure-docs (articles/virtual-network/accelerated-networking-mana-overview.md: without a driver of MANA the card of Hyper-V serves)"
	azureAgents  = "https://github.com/MicrosoftDocs/SupportArticles-docs (support/azure/virtual-machines/windows/install-vm-agent-offline.md: services of the agent)"
	secureBoot   = "https://support.microsoft.com/topic/windows-secure-boot-certificate-expiration-and-ca-updates-7ff40d33-95dc-4c3c-8725-a9b95457578e"
	driverConfig = "https://learn.microsoft.com/windows-hardware/manufacture/desktop/maintain-driver-configurations-when-capturing-a-windows-image"
)

// What brings drivers.
const (
	partOfWindows = "they are part of Windows: see why they were removed, and repair Windows in the guest (DISM /Online /Cleanup-Image /RestoreHealth) before sysprep"
	fromVirtIO    = "install the virtio drivers (virtio-win-guest-tools.exe, or virtio-win-gt-x64.msi) in the guest before sysprep"
	fromVMware    = "install VMware Tools in the guest before sysprep"
	fromAmazon    = "install Amazon's drivers (AWSNVMe, ENA; for Xen types AWS PV, which there is for Server 2022 and earlier) in the guest before sysprep"
	fromNVMe      = "take a Windows that has an NVMe driver (8.1, Server 2012 R2 or later), or install AWSNVMe in the guest before sysprep"
)

// Hardware ids of controllers.
const (
	idStorVSC = `VMBUS\{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}`
	idVPCI    = `VMBUS\{44C4F61D-4444-4400-9D52-802E27EDE19F}`
	idPIIX4   = `PCI\VEN_8086&DEV_7111`
	idPIIX3   = `PCI\VEN_8086&DEV_7010`
	idIDE     = `PCI\CC_0101`
	idAHCI    = `PCI\CC_010601`
	idNVMe    = `PCI\CC_010802`
	idLSISAS  = `PCI\VEN_1000&DEV_0054`
	idPVSCSI  = `PCI\VEN_15AD&DEV_07C0`
	idAWSNVMe = `PCI\VEN_1D0F&DEV_8061`
	idENA     = `PCI\VEN_1D0F&DEV_EC20`
)

var (
	viaStorVSC = []way{{[]string{"vmbus", "storvsc"}, []string{idStorVSC}}}
	viaIDE     = []way{{[]string{"intelide", "atapi"}, []string{idPIIX4, idPIIX3, idIDE}}, {[]string{"pciide", "atapi"}, []string{idPIIX4, idPIIX3, idIDE}}}
	viaAHCI    = []way{{[]string{"pci", "storahci"}, []string{idAHCI}}, {[]string{"pci", "msahci"}, []string{idAHCI}}}
	viaNVMe    = way{[]string{"pci", "stornvme"}, []string{idNVMe}}

	hypervCard = group{"network card of Hyper-V", []string{"netvsc"}, nil, partOfWindows}
	intelCards = group{"network card e1000 or e1000e", []string{"E1G60", "e1iexpress", "e1dexpress", "e1i65x64", "e1i63x64", "E1000"}, nil, "give the machine a card that Windows knows, or install its driver in the guest"}
	virtioCard = group{"network card of virtio", []string{"netkvm"}, nil, fromVirtIO}
	azureAgent = group{"agent of Azure", cloudagent.AzureServices, nil, "install the Azure VM agent in the guest before sysprep (WindowsAzureVmAgent.msi); without it there are no extensions"}
)

// programs are those of agents of clouds.
func programs(names ...string) (paths []string) {
	for _, name := range names {
		if a, ok := cloudagent.ByName(name); ok {
			paths = append(paths, a.Program)
		}
	}
	return paths
}

// base is what Windows loads before any disk, on each machine. Where one is not as it
// should be nothing is refused: which of them a machine can do without is not known.
var base = []string{"acpi", "disk", "partmgr", "volmgr", "mountmgr"}

// targets are the rows, in the order in which documents show them.
var targets = []row{
	{
		id: "hyperv-gen1", title: "Hyper-V, generation 1", start: bios, ways: viaIDE, missing: failAll, remedy: partOfWindows,
		besides: []group{hypervCard}, sources: []string{generations, hiveFacts},
	},
	{
		id: "hyperv-gen2", title: "Hyper-V, generation 2", start: uefi, ways: viaStorVSC, missing: failAny, remedy: partOfWindows,
		besides: []group{hypervCard}, signer: true, sources: []string{generations, repairScript, hiveFacts},
	},
	{
		id: "azure-gen1", title: "Azure, generation 1", start: bios, ways: viaIDE, missing: failAll, remedy: partOfWindows,
		besides: []group{hypervCard, azureAgent}, azure: true, sources: []string{azurePage, azureAgents, hiveFacts},
	},
	{
		id: "azure-gen2", title: "Azure, generation 2, with SCSI disks", start: uefi, ways: viaStorVSC, missing: failAny, remedy: partOfWindows,
		besides: []group{hypervCard, azureAgent}, azure: true, signer: true, sources: []string{azurePage, azureAgents, repairScript, hiveFacts},
	},
	{
		id: "azure-nvme", title: "Azure, sizes whose disks are NVMe (v6 and later)", start: uefi,
		ways: []way{{[]string{"vmbus", "vpci", "pci", "stornvme"}, []string{idNVMe}}}, missing: failAny, remedy: fromNVMe,
		besides: []group{hypervCard, azureAgent}, azure: true, signer: true, sources: []string{azureNVMe, azureVPCI, repairScript, manaPage, azureAgents},
	},
	{
		id: "qemu-ide", title: "QEMU, IDE", start: anyStartup, ways: viaIDE, missing: doubt, remedy: partOfWindows,
		besides: []group{intelCards}, sources: []string{hiveFacts},
	},
	{
		id: "qemu-ahci", title: "QEMU, SATA (AHCI)", start: anyStartup, ways: viaAHCI, missing: doubt, remedy: partOfWindows,
		besides: []group{intelCards}, sources: []string{hiveFacts},
	},
	{
		id: "qemu-virtio", title: "QEMU, virtio-blk", start: anyStartup,
		ways: []way{{[]string{"pci", "viostor"}, []string{`PCI\VEN_1AF4&DEV_1001`, `PCI\VEN_1AF4&DEV_1042`}}}, missing: failBare, remedy: fromVirtIO,
		besides: []group{virtioCard}, sources: []string{inject, virtioPage},
	},
	{
		id: "qemu-virtio-scsi", title: "QEMU, virtio-scsi", start: anyStartup, ways: viaVioSCSI, missing: failBare, remedy: fromVirtIO,
		besides: []group{virtioCard}, sources: []string{inject, virtioPage},
	},
	{
		id: "gcp", title: "Google Compute Engine, series with SCSI disks (first and second generation)", start: mostlyUEFI, ways: viaVioSCSI, missing: failBare, remedy: fromVirtIO,
		besides: []group{{"network card of Google", []string{"netkvm", "gvnic"}, nil, "install Google's packages in the guest before sysprep (googet install google-compute-engine-driver-gvnic google-compute-engine-driver-netkvm)"},
			{"agent of Google, or cloudbase-init", []string{"GCEAgent", "GCEAgentManager"}, programs("gcesysprep", "cloudbase-init"), "install google-compute-engine-windows in the guest before sysprep"}},
		// What Google says of partition tables was not found.
		signer: true, sources: []string{gcpDevices, gcpDisks, gcpCards, gcpAgent, inject}, unconfirmed: true,
	},
	vmware("vmware-pvscsi", "VMware, PVSCSI", fromVMware, way{[]string{"pci", "pvscsi"}, []string{idPVSCSI}}),
	vmware("vmware-lsisas", "VMware, LSI Logic SAS", partOfWindows, way{[]string{"pci", "LSI_SAS"}, []string{idLSISAS}}),
	vmware("vmware-sata", "VMware, SATA", partOfWindows, viaAHCI...),
	vmware("vmware-nvme", "VMware, NVMe", fromNVMe, viaNVMe),
	{
		id: "aws-nvme", title: "Amazon EC2, types of Nitro", start: anyStartup,
		ways: []way{viaNVMe, {[]string{"pci", "AWSNVMe"}, []string{idAWSNVMe, idNVMe}}}, missing: failAll, remedy: fromNVMe,
		card: &way{[]string{"ena"}, []string{idENA}},
		// No source has the device id of AWSNVMe, or says that ena is the service.
		besides: []group{amazonAgent}, sources: []string{nitroPage, awsNVMe, enaPage, enaEvents, enaIDs}, unconfirmed: true,
	},
	{
		id: "aws-xen", title: "Amazon EC2, types of Xen", start: anyStartup,
		ways: []way{{[]string{"xenbus", "xenvbd"}, nil}}, missing: doubt, remedy: fromAmazon,
		besides: []group{{"network card of Xen", []string{"xennet"}, nil, fromAmazon}, amazonAgent}, sources: []string{xenPage},
	},
	{
		id: "secure-boot-2011", title: "firmware with Secure Boot that knows the authority of 2011 only, as that of Debian 12", authority: productionCA,
		sources: []string{secureBoot, "the variables of the Debian package ovmf 2022.11 (OVMF_VARS_4M.ms.fd)"},
	},
	{
		id: "secure-boot-2023", title: "firmware with Secure Boot that knows the authority of 2023 only", authority: uefiCA,
		sources: []string{secureBoot},
	},
}

var (
	viaVioSCSI  = []way{{[]string{"pci", "vioscsi"}, []string{`PCI\VEN_1AF4&DEV_1004`, `PCI\VEN_1AF4&DEV_1048`}}}
	amazonAgent = group{"agent of Amazon, or cloudbase-init", []string{"AmazonSSMAgent"}, programs("ec2launch-v2", "ec2launch", "cloudbase-init"), "install EC2Launch v2 in the guest before sysprep"}
)

func vmware(id, title, remedy string, ways ...way) row {
	return row{
		id: id, title: title, start: anyStartup, ways: ways, missing: doubt, remedy: remedy,
		besides: []group{
			{"network card vmxnet3 or e1000e", append([]string{"vmxnet3ndis6"}, intelCards.services...), nil, fromVMware},
			{"VMware Tools", []string{"VMTools"}, nil, fromVMware},
		},
		sources: []string{vmwarePage, vmwareNames, vmwareIDs, hiveFacts},
	}
}

// either are names for two rows, of which the disk says which one is meant: that for
// BIOS or that for UEFI.
var either = map[string][2]string{"hyperv": {"hyperv-gen1", "hyperv-gen2"}, "azure": {"azure-gen1", "azure-gen2"}}

// Names are the words for all targets, as options take them.
func Names() (names []string) {
	for _, t := range targets {
		for _, short := range []string{"hyperv", "azure"} {
			if either[short][0] == t.id {
				names = append(names, short)
			}
		}
		names = append(names, t.id)
	}
	return names
}

func find(id string) (row, bool) {
	at := slices.IndexFunc(targets, func(t row) bool { return t.id == id })
	if at < 0 {
		return row{}, false
	}
	return targets[at], true
}
