package winsim

import "fmt"

// bootDrivers are loaded before the guest has its disk: those of the system, and of the
// controllers of QEMU and Hyper-V.
var bootDrivers = []string{
	"acpi", "pci", "disk", "partmgr", "volmgr", "mountmgr", "vmbus", "storvsc", "storahci", "atapi", "intelide", "stornvme",
}

// cardDrivers are those of network cards.
var cardDrivers = []string{"E1G60", "e1iexpress", "netvsc"}

// boundDevices are ids of controllers with the INF file of their driver.
var boundDevices = map[string]string{
	`PCI\VEN_8086&DEV_7111`: "mshdc.inf", `PCI\VEN_8086&DEV_7010`: "mshdc.inf", `PCI\CC_0101`: "mshdc.inf", `PCI\CC_010601`: "mshdc.inf",
	`PCI\CC_010802`: "stornvme.inf", `VMBUS\{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}`: "wstorvsc.inf",
}

// seedDrivers writes drivers, their services and what binds devices to them.
func (g *Guest) seedDrivers() error {
	for start, names := range map[uint32][]string{0: bootDrivers, 3: cardDrivers} {
		for _, name := range names {
			if err := g.drive.WriteFile(folderSystem32+`\drivers\`+name+".sys", []byte("MZ")); err != nil {
				return fmt.Errorf("seeding the drivers: %w", err)
			}
			key := keyServices + `\` + name
			g.reg.SetDWord(key, "Start", start)
			g.reg.SetString(key, "ImagePath", `System32\drivers\`+name+".sys")
		}
	}
	for id, inf := range boundDevices {
		g.reg.SetDWord(`HKLM\SYSTEM\DriverDatabase\DeviceIds\`+id, inf, 0xff01)
	}
	return nil
}
