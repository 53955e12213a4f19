package winimage

import (
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
)

const winlogon = `Microsoft\Windows NT\CurrentVersion\Winlogon`

// readRegistry fills in everything that stands in the registry.
func (d *drive) readRegistry(w *Windows) {
	system, software := d.openHive("SYSTEM"), d.openHive("SOFTWARE")
	w.OS = readOS(system, software)
	w.Setup = readSetup(system, software)
	if path, ok := onSystemDrive(w.Setup.UnattendFile); ok {
		w.Setup.UnattendFileExists = d.exists(path)
	}
	w.Clock = readClock(system)
	w.Autologon = readAutologon(software)
	w.SkipRearm = software.number(`Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform`, "SkipRearm")
	w.Drivers = readDrivers(system)
	w.Hives = []Hive{system.close(), software.close()}
}

func readOS(system, software *registry) OS {
	const current = `Microsoft\Windows NT\CurrentVersion`
	found := OS{
		ProductName:      software.text(current, "ProductName"),
		EditionID:        software.text(current, "EditionID"),
		InstallationType: software.text(current, "InstallationType"),
		DisplayVersion:   software.text(current, "DisplayVersion"),
		Build:            software.text(current, "CurrentBuildNumber"),
		Architecture:     strings.ToLower(system.text(controlSet(system)+`\Control\Session Manager\Environment`, "PROCESSOR_ARCHITECTURE")),
	}
	if found.DisplayVersion == "" { // before Windows 10 20H2
		found.DisplayVersion = software.text(current, "ReleaseId")
	}
	if n := software.number(current, "UBR"); n != nil {
		found.Revision = *n
	}
	return found
}

// readClock reads how Windows takes the hardware clock.
func readClock(system *registry) Clock {
	path := controlSet(system) + `\Control\TimeZoneInformation`
	c := Clock{TimeZone: system.text(path, "TimeZoneKeyName")}
	if universal := system.number(path, "RealTimeIsUniversal"); universal != nil {
		c.UTC = *universal != 0
	}
	if bias := system.number(path, "ActiveTimeBias"); bias != nil {
		minutes := int32(*bias)
		c.ActiveBias = &minutes
	}
	return c
}

// controlSet names the key that CurrentControlSet stands for when Windows
// runs.
func controlSet(system *registry) string {
	n := system.number("Select", "Current")
	if n == nil {
		return "ControlSet001"
	}
	return fmt.Sprintf("ControlSet%03d", *n)
}

func readSetup(system, software *registry) Setup {
	s := Setup{
		ImageState:            software.text(`Microsoft\Windows\CurrentVersion\Setup\State`, "ImageState"),
		SysprepMode:           software.text(`Microsoft\Windows\CurrentVersion\Setup\Sysprep`, "SysprepMode"),
		GeneralizationState:   system.number(`Setup\Status\SysprepStatus`, "GeneralizationState"),
		CleanupState:          system.number(`Setup\Status\SysprepStatus`, "CleanupState"),
		SetupType:             system.number("Setup", "SetupType"),
		CmdLine:               system.text("Setup", "CmdLine"),
		SystemSetupInProgress: system.number("Setup", "SystemSetupInProgress"),
		OOBEInProgress:        system.number("Setup", "OOBEInProgress"),
		AuditBoot:             system.number(`Setup\Status`, "AuditBoot"),
		SetupCompletion:       system.number(`Setup\Status\ChildCompletion`, "setup.exe"),
		UnattendFile:          system.text("Setup", "UnattendFile"),
	}
	if k := system.key("Setup"); k != nil {
		err := k.EachSubkey(func(sub *regf.Key) bool {
			s.Upgraded = strings.HasPrefix(sub.Name(), "Source OS ")
			return !s.Upgraded
		})
		system.note("Setup", err)
	}
	return s
}

func readAutologon(software *registry) Autologon {
	return Autologon{
		Enabled:                strings.TrimSpace(software.text(winlogon, "AutoAdminLogon")) == "1",
		User:                   software.text(winlogon, "DefaultUserName"),
		DefaultPasswordPresent: software.has(winlogon, "DefaultPassword"),
	}
}

func readDrivers(system *registry) Drivers {
	set := controlSet(system)
	return Drivers{Storage: drivers(system, set, storageDrivers), Network: drivers(system, set, networkDrivers)}
}

// The drivers of the controllers and NICs that hypervisors and clouds offer,
// by service name: in-box (Microsoft), then virtio, VMware, Xen, AWS and Google.
var (
	storageDrivers = []string{
		"storahci", "stornvme", "atapi", "intelide", "pciide", "msahci", "LSI_SAS", "storvsc", "vmbus",
		"viostor", "vioscsi", "pvscsi", "xenvbd", "xenbus", "AWSNVMe",
	}
	networkDrivers = []string{
		"E1G60", "e1iexpress", "netvsc", "netkvm", "vmxnet3ndis6", "xennet", "ena", "gvnic",
	}
)

func drivers(system *registry, set string, names []string) []Driver {
	list := []Driver{}
	for _, name := range names {
		key := set + `\Services\` + name
		if start := system.number(key, "Start"); start != nil {
			list = append(list, Driver{Name: name, Start: *start, StartOverride: system.number(key+`\StartOverride`, "0")})
		}
	}
	return list
}
