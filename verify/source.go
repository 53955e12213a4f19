package verify

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// Facts are what a source disk says before anything boots from it.
type Facts struct {
	Report winimage.Report
	// Windows describes the installation; empty where there is not exactly one.
	Windows string
	// Scheme is the partition table: mbr, gpt or none.
	Scheme string
	// Firmware is what the partition table is made for: "bios", "uefi", or empty
	// where there is none. Whether the disk starts is another question.
	Firmware string
	// StorageDrivers start at boot, NetworkDrivers are installed and not
	// disabled; names of services.
	StorageDrivers, NetworkDrivers []string
	// DiskInterface is a controller that the Windows has a boot-start driver
	// for: "ide", "sata", "nvme" or "virtio"; empty where none is known.
	DiskInterface string
	// NetworkInterface is a card that the Windows has a driver installed for:
	// "e1000", "e1000e" or "virtio". Empty where none is: Windows installs a
	// driver it was shipped with when it first sees a card, so that the default
	// is as good as any.
	NetworkInterface string
	// Origin is what the proof of the image holds against this disk; nil where
	// the disk does not say it for sure.
	Origin *winimage.Source
	// Clock is how the Windows takes the hardware clock.
	Clock winimage.Clock
	// Generalized: the source has been through sysprep /generalize and not been
	// started since.
	Generalized bool
	// Warnings are what speaks against the source, each with what to do.
	Warnings []string
}

// Source looks into a disk before it is booted. It changes nothing. The error
// is for a disk that cannot be read; one without Windows is a warning.
func Source(ctx context.Context, path string, backing ...string) (Facts, error) {
	var r winimage.Report
	err := withDisk(ctx, path, backing, func(ctx context.Context, d diskimage.Disk) (err error) {
		r, err = winimage.Inspect(ctx, d, winimage.Options{Name: path})
		return err
	})
	if err != nil {
		return Facts{}, fmt.Errorf("looking into source disk %s: %w", path, err)
	}
	return facts(r), nil
}

// choice is a device and the driver Windows needs for it.
type choice struct{ device, driver string }

// diskChoices are in order of preference: what needs no driver from elsewhere
// comes first. On BIOS the plain machine has IDE.
var (
	biosDisks = []choice{{"ide", "intelide"}, {"ide", "atapi"}, {"sata", "storahci"}, {"sata", "msahci"}, {"nvme", "stornvme"}, {"virtio", "viostor"}}
	uefiDisks = []choice{{"sata", "storahci"}, {"sata", "msahci"}, {"nvme", "stornvme"}, {"virtio", "viostor"}}
	networks  = []choice{{"e1000", "E1G60"}, {"e1000e", "e1iexpress"}, {"virtio", "netkvm"}}
)

// pick returns the first device whose driver is among the names.
func pick(choices []choice, drivers []string) string {
	for _, c := range choices {
		if slices.ContainsFunc(drivers, func(name string) bool { return strings.EqualFold(name, c.driver) }) {
			return c.device
		}
	}
	return ""
}

// facts is the judgement on a source, a pure function.
func facts(r winimage.Report) Facts {
	f := Facts{Report: r, Scheme: r.Disk.Scheme}
	disks := biosDisks
	start := windows.StartupOf(r.Disk.Scheme, r.Disk.Generation != 0)
	if start.Firmware != windows.NoFirmware {
		f.Firmware = start.Firmware.String()
	}
	if start.Firmware == windows.UEFI {
		disks = uefiDisks
	}
	if start.Missing != "" {
		f.warn("the disk does not start: it lacks %s; check that it is the system disk", start.Missing)
	}
	if len(r.Disk.BitLocker) > 0 {
		f.warn("partition %s is encrypted by BitLocker: it cannot be read or proven; decrypt it in the guest first (manage-bde -off C:)", numbers(r.Disk.BitLocker))
	}
	f.Warnings = append(f.Warnings, r.Disk.Warnings...)
	if len(r.Windows) != 1 {
		f.warn("%d Windows installations were found, the image can be proven only with one%s", len(r.Windows), because(r.Problems))
		return f
	}
	w := r.Windows[0]
	f.Windows, f.Clock = w.Describe(), w.Clock
	f.Origin = w.Origin()
	for _, d := range w.Drivers.Storage {
		if d.StartsAtBoot() {
			f.StorageDrivers = append(f.StorageDrivers, d.Name)
		}
	}
	for _, d := range w.Drivers.Network {
		if d.Start != windows.StartDisabled {
			f.NetworkDrivers = append(f.NetworkDrivers, d.Name)
		}
	}
	f.DiskInterface, f.NetworkInterface = pick(disks, f.StorageDrivers), pick(networks, f.NetworkDrivers)
	// Drivers stand in SYSTEM: where it cannot be read nothing is known of them.
	unread := slices.ContainsFunc(w.Hives, func(h winimage.Hive) bool { return h.Name == "SYSTEM" && h.Problem != "" })
	if f.DiskInterface == "" && !unread {
		f.warn("no driver of an IDE, SATA, NVMe or virtio controller starts at boot (there are: %s): Windows may stop with INACCESSIBLE_BOOT_DEVICE", orNone(f.StorageDrivers))
	}
	f.warnState(w)
	return f
}

// warnState warns of a Windows that is not one in ordinary use, shut down.
func (f *Facts) warnState(w winimage.Windows) {
	means := windows.State(w.Setup.ImageState).Means()
	f.Generalized = means == windows.Generalized
	switch means {
	case windows.Generalized:
		f.warn("the source is generalized already (%s): it goes through its first boot, specialize and OOBE, before anything can run in it; give it an answer file, or start from a disk that is not", w.Setup.ImageState)
	case windows.Unfinished:
		f.warn("the source was left by a sysprep run that broke off (%s): sysprep will fail again; start from an earlier disk", w.Setup.ImageState)
	case windows.BeforeOOBE:
		f.warn("Windows Setup is not finished in the source (%s): it goes on at the first boot", w.Setup.ImageState)
	case windows.Unheard:
		f.warn("the source has an ImageState that is not known (%s): sysprep does not start from it; check the installation", w.Setup.ImageState)
	}
	if w.Setup.Upgraded {
		f.warn("Windows was upgraded in place: sysprep supports that since Windows 10 1607 only, and drivers of the old installation may be left")
	}
	if w.Volume.Hibernated {
		f.warn("Windows is hibernated (fast startup): the session would be resumed on other hardware; run powercfg /h off and shut it down fully")
	}
	if w.Volume.Dirty || !w.Volume.LogClean {
		f.warn("the NTFS volume was not unmounted cleanly: Windows may run chkdsk at boot, which takes its time")
	}
	for _, limit := range w.Limits {
		f.warn("the source was not read whole: %s", limit)
	}
	for _, h := range w.Hives {
		switch {
		case h.Problem != "":
			f.warn("registry hive %s cannot be read: %s", h.Name, h.Problem)
		case !h.Clean:
			f.warn("registry hive %s was not flushed: the machine was not shut down fully", h.Name)
		}
	}
}

func (f *Facts) warn(format string, args ...any) {
	f.Warnings = append(f.Warnings, fmt.Sprintf(format, args...))
}

func because(problems []string) string {
	if len(problems) == 0 {
		return ""
	}
	return " (" + strings.Join(problems, "; ") + ")"
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func numbers(list []int) string { return strings.Trim(fmt.Sprint(list), "[]") }
