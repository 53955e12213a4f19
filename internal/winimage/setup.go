package winimage

import (
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

var _, winlogon = windows.AutoAdminLogon.Offline() // its key

// readRegistry fills in everything that stands in the registry.
func (d *drive) readRegistry(w *Windows, wanted *Wanted) {
	system, software := d.openHive("SYSTEM"), d.openHive("SOFTWARE")
	hives := both{system, software}
	w.OS = readOS(system, software)
	w.Setup = readSetup(hives)
	if path, ok := onSystemDrive(w.Setup.UnattendFile); ok {
		w.Setup.UnattendFileExists = d.exists(path)
	}
	w.Clock = readClock(system)
	w.Autologon = readAutologon(hives)
	w.Autologon.LSASecret = d.readAutologonSecret()
	w.SkipRearm = hives.number(windows.SkipRearm)
	w.Drivers = readDrivers(system)
	w.Identity = d.readIdentity(system, software)
	w.Servicing = d.readServicing(system, software)
	w.AnswerFiles = d.answerFiles(w.Setup.UnattendFile)
	if wanted != nil {
		w.Starting = d.readStarting(system, *wanted, w.AnswerFiles)
	}
	w.Hives = []Hive{system.close(), software.close()}
}

func readOS(system, software *registry) OS {
	_, current := windows.CurrentBuild.Offline()
	found := OS{
		ProductName:      software.text(current, "ProductName"),
		EditionID:        software.text(current, "EditionID"),
		InstallationType: software.text(current, "InstallationType"),
		DisplayVersion:   software.text(current, "DisplayVersion"),
		Build:            software.text(current, windows.CurrentBuild.Name()),
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
	_, zone := windows.ActiveTimeBias.Offline()
	path := controlSet(system) + strings.TrimPrefix(zone, "CurrentControlSet")
	c := Clock{TimeZone: system.text(path, "TimeZoneKeyName")}
	if universal := system.number(path, "RealTimeIsUniversal"); universal != nil {
		c.UTC = *universal != 0
	}
	if bias := system.number(path, windows.ActiveTimeBias.Name()); bias != nil {
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

func readSetup(hives both) Setup {
	s := Setup{
		ImageState:            hives.text(windows.ImageState),
		SysprepMode:           hives.text(windows.SysprepMode),
		GeneralizationState:   hives.number(windows.GeneralizationState),
		CleanupState:          hives.number(windows.CleanupState),
		SetupType:             hives.number(windows.SetupType),
		CmdLine:               hives.text(windows.CmdLine),
		SystemSetupInProgress: hives.number(windows.SystemSetupInProgress),
		OOBEInProgress:        hives.number(windows.OOBEInProgress),
		AuditBoot:             hives.number(windows.AuditBoot),
		SetupCompletion:       hives.number(windows.SetupCompletion),
		UnattendFile:          hives.text(windows.UnattendFile),
	}
	_, setup := windows.SetupType.Offline()
	if k := hives.system.key(setup); k != nil {
		err := k.EachSubkey(func(sub *regf.Key) bool {
			s.Upgraded = strings.HasPrefix(sub.Name(), windows.UpgradedFrom)
			return !s.Upgraded
		})
		hives.system.note(setup, err)
	}
	return s
}

func readAutologon(hives both) Autologon {
	return Autologon{
		Enabled:                strings.TrimSpace(hives.text(windows.AutoAdminLogon)) == "1",
		User:                   hives.software.text(winlogon, "DefaultUserName"),
		DefaultPasswordPresent: hives.has(windows.DefaultPassword),
	}
}

func readDrivers(system *registry) Drivers {
	set := controlSet(system)
	return Drivers{
		Storage: drivers(system, set, windows.StorageDrivers), Network: drivers(system, set, windows.NetworkDrivers),
	}
}

func drivers(system *registry, set string, known []windows.Driver) []Driver {
	list := []Driver{}
	for _, driver := range known {
		name := driver.Service
		key := set + `\Services\` + name
		if start := system.number(key, "Start"); start != nil {
			list = append(list, Driver{Name: name, Start: *start, StartOverride: system.number(key+`\StartOverride`, "0")})
		}
	}
	return list
}
