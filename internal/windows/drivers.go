package windows

// Device is what a driver is for.
type Device uint8

// Devices that hypervisors and clouds offer. OtherDevice is one that has no
// choice to be made for it here.
const (
	OtherDevice Device = iota // [drivers-elsewhere]
	IDE                       // [drivers-in-box]
	AHCI                      // [drivers-in-box]
	NVMe                      // [drivers-in-box]
	VirtioBlock               // [drivers-virtio]
	E1000                     // [drivers-in-box]
	E1000E                    // [drivers-in-box]
	VirtioNet                 // [drivers-virtio]
)

// Driver is the service of a driver, whose name Windows does not tell by capital
// letters, and its device.
type Driver struct {
	Service string
	For     Device
}

// StorageDrivers are those of controllers that Windows may start from a disk with. Those
// of buses (vmbus, pci, xenbus) are none: no disk hangs from them alone.
var StorageDrivers = []Driver{
	{"storahci", AHCI},       // [drivers-in-box]
	{"stornvme", NVMe},       // [drivers-in-box]
	{"atapi", IDE},           // [drivers-in-box]
	{"intelide", IDE},        // [drivers-in-box]
	{"pciide", OtherDevice},  // [drivers-in-box]
	{"msahci", AHCI},         // [drivers-in-box] Windows 7
	{"LSI_SAS", OtherDevice}, // [drivers-in-box]
	{"storvsc", OtherDevice}, // [drivers-in-box] Hyper-V
	{"viostor", VirtioBlock}, // [drivers-virtio]
	{"vioscsi", OtherDevice}, // [drivers-virtio]
	{"pvscsi", OtherDevice},  // [drivers-elsewhere] VMware
	{"xenvbd", OtherDevice},  // [drivers-elsewhere] Xen
	{"AWSNVMe", OtherDevice}, // [drivers-elsewhere] Amazon
}

// ClassFilters are filter drivers of Windows itself, below or above all devices of a
// class of storage, without regard to capital letters.
var ClassFilters = []string{"partmgr", "EhStorClass", "volsnap", "fvevol", "rdyboost", "iorate"} // [filters-in-box]

// StorageClasses are the setup classes through which Windows reaches its disk, by the
// keys below Control\Class.
var StorageClasses = map[string]string{
	"{4d36e967-e325-11ce-bfc1-08002be10318}": "DiskDrive",   // [storage-classes]
	"{71a27cdd-812a-11d0-bec7-08002be2092f}": "Volume",      // [storage-classes]
	"{4d36e97b-e325-11ce-bfc1-08002be10318}": "SCSIAdapter", // [storage-classes]
	"{4d36e96a-e325-11ce-bfc1-08002be10318}": "HDC",         // [storage-classes]
	"{4d36e97d-e325-11ce-bfc1-08002be10318}": "System",      // [storage-classes]
}

// NetworkDrivers are those of network cards.
var NetworkDrivers = []Driver{
	{"E1G60", E1000},              // [drivers-in-box]
	{"e1iexpress", E1000E},        // [drivers-in-box]
	{"netvsc", OtherDevice},       // [drivers-in-box] Hyper-V
	{"netkvm", VirtioNet},         // [drivers-virtio]
	{"vmxnet3ndis6", OtherDevice}, // [drivers-elsewhere] VMware
	{"xennet", OtherDevice},       // [drivers-elsewhere] Xen
	{"ena", OtherDevice},          // [drivers-elsewhere] Amazon
	{"gvnic", OtherDevice},        // [drivers-elsewhere] Google
}
