package winimage

import (
	"errors"
	"fmt"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/budget"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
)

const winlogon = `Microsoft\Windows NT\CurrentVersion\Winlogon`

// registry is an open hive whose absent values are absent and whose damaged
// ones are problems.
type registry struct {
	v      *volume
	name   string
	hive   *regf.Hive
	within *budget.Budget
}

func (v *volume) openHive(name string, w *Windows) *registry {
	path := `\Windows\System32\config\` + name
	entry := Hive{Name: name}
	within := hiveBudget(v.ctx)
	hive, err := v.hive(within, path)
	if err != nil {
		entry.Problem = budget.Cut(err.Error(), maxShown)
		if limited(err) {
			v.limit("registry hive "+name, err)
		}
	} else {
		entry.Clean, entry.Replayed = hive.Clean(), hive.Replayed()
	}
	w.Hives = append(w.Hives, entry)
	if err != nil {
		return nil
	}
	return &registry{v, name, hive, within}
}

// close notes in the report that the hive was not read to its end.
func (r *registry) close(w *Windows) {
	if r == nil || !limited(r.within.Err()) {
		return
	}
	r.v.limit("registry hive "+r.name, r.within.Err())
	for i := range w.Hives {
		if w.Hives[i].Name == r.name {
			w.Hives[i].Problem = r.within.Err().Error()
		}
	}
}

func (v *volume) hive(within *budget.Budget, path string) (*regf.Hive, error) {
	f, err := v.Path(path)
	if err != nil {
		return nil, err
	}
	s, err := f.Open("")
	if err != nil {
		return nil, err
	}
	var logs []regf.Log
	for _, ending := range []string{".LOG1", ".LOG2"} {
		logs = append(logs, func() ([]byte, error) {
			if !v.exists(path + ending) {
				return nil, nil
			}
			return v.ReadFile(path+ending, maxHiveLog)
		})
	}
	return regf.OpenWithin(within, s, s.Size(), logs...)
}

// key returns nil where the key is absent or cannot be read; only the latter
// is a problem.
func (r *registry) key(path string) *regf.Key {
	if r == nil {
		return nil
	}
	k, err := r.hive.Key(path)
	if err != nil {
		r.note(path, err)
		return nil
	}
	return k
}

// note takes down what could not be read, as opposed to what is absent.
func (r *registry) note(what string, err error) {
	// One that is read no further is a limit, noted once.
	if err != nil && !errors.Is(err, regf.ErrNotExist) && r.within.Err() == nil {
		r.v.missed(r.name+`\`+what, err)
	}
}

// value returns nil where the value is absent or cannot be read.
func (r *registry) value(path, name string) *regf.Value {
	if r == nil {
		return nil
	}
	k, err := r.hive.Key(path)
	if err == nil {
		var v *regf.Value
		if v, err = k.Value(name); err == nil {
			return v
		}
	}
	r.note(path+`\`+name, err)
	return nil
}

func (r *registry) text(path, name string) string {
	v := r.value(path, name)
	if v == nil {
		return ""
	}
	s, err := v.Text(maxText)
	r.note(path+`\`+name, err)
	return s
}

func (r *registry) number(path, name string) *uint32 {
	v := r.value(path, name)
	if v == nil {
		return nil
	}
	n, err := v.AsDWord()
	r.note(path+`\`+name, err)
	if err != nil {
		return nil
	}
	return &n
}

func (r *registry) has(path, name string) bool { return r.value(path, name) != nil }

// readHives fills in everything that stands in the registry.
func (v *volume) readHives(w *Windows) {
	system, software := v.openHive("SYSTEM", w), v.openHive("SOFTWARE", w)
	v.readOS(w, system, software)
	v.readSetup(&w.Setup, system, software)

	w.Clock = readClock(system)
	w.Autologon = Autologon{
		Enabled:                strings.TrimSpace(software.text(winlogon, "AutoAdminLogon")) == "1",
		User:                   software.text(winlogon, "DefaultUserName"),
		DefaultPasswordPresent: software.has(winlogon, "DefaultPassword"),
	}
	w.SkipRearm = software.number(`Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform`, "SkipRearm")
	set := controlSet(system)
	w.Drivers = Drivers{Storage: drivers(system, set, storageDrivers), Network: drivers(system, set, networkDrivers)}
	system.close(w)
	software.close(w)
}

func (v *volume) readOS(w *Windows, system, software *registry) {
	const current = `Microsoft\Windows NT\CurrentVersion`
	w.OS = OS{
		ProductName:      software.text(current, "ProductName"),
		EditionID:        software.text(current, "EditionID"),
		InstallationType: software.text(current, "InstallationType"),
		DisplayVersion:   software.text(current, "DisplayVersion"),
		Build:            software.text(current, "CurrentBuildNumber"),
		Architecture:     strings.ToLower(system.text(controlSet(system)+`\Control\Session Manager\Environment`, "PROCESSOR_ARCHITECTURE")),
	}
	if w.OS.DisplayVersion == "" { // before Windows 10 20H2
		w.OS.DisplayVersion = software.text(current, "ReleaseId")
	}
	if n := software.number(current, "UBR"); n != nil {
		w.OS.Revision = *n
	}
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

func (v *volume) readSetup(s *Setup, system, software *registry) {
	s.ImageState = software.text(`Microsoft\Windows\CurrentVersion\Setup\State`, "ImageState")
	s.SysprepMode = software.text(`Microsoft\Windows\CurrentVersion\Setup\Sysprep`, "SysprepMode")
	s.GeneralizationState = system.number(`Setup\Status\SysprepStatus`, "GeneralizationState")
	s.CleanupState = system.number(`Setup\Status\SysprepStatus`, "CleanupState")
	s.SetupType = system.number("Setup", "SetupType")
	s.CmdLine = system.text("Setup", "CmdLine")
	s.SystemSetupInProgress = system.number("Setup", "SystemSetupInProgress")
	s.OOBEInProgress = system.number("Setup", "OOBEInProgress")
	s.AuditBoot = system.number(`Setup\Status`, "AuditBoot")
	s.SetupCompletion = system.number(`Setup\Status\ChildCompletion`, "setup.exe")
	s.UnattendFile = system.text("Setup", "UnattendFile")
	if path, ok := onSystemDrive(s.UnattendFile); ok {
		s.UnattendFileExists = v.exists(path)
	}
	if k := system.key("Setup"); k != nil {
		err := k.EachSubkey(func(sub *regf.Key) bool {
			s.Upgraded = strings.HasPrefix(sub.Name(), "Source OS ")
			return !s.Upgraded
		})
		system.note("Setup", err)
	}
}

// onSystemDrive turns C:\x or %SystemRoot%\x into a path of the volume.
func onSystemDrive(path string) (string, bool) {
	lower := strings.ToLower(path)
	for prefix, with := range map[string]string{"%systemroot%": `\Windows`, "%windir%": `\Windows`, "%systemdrive%": "", "c:": ""} {
		if strings.HasPrefix(lower, prefix) {
			return with + path[len(prefix):], true
		}
	}
	return "", false
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
