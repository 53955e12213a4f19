package vhd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
)

// sourceFacts are what a source disk says before anything boots from it.
type sourceFacts struct {
	Report winimage.Facts
	// Windows describes the installation; empty where there is not exactly one.
	Windows string
	// Drivers are those of that Windows.
	Drivers hypervisor.GuestDrivers
	// Origin is what the proof of the image holds against this disk; nil where
	// the disk does not say it for sure.
	Origin *winimage.Source
	// Clock is how the Windows takes the hardware clock.
	Clock winimage.Clock
	// Warnings are what speaks against the source, each with what to do.
	Warnings []string
}

// inspectLimit bounds looking into a disk, which takes well under a second
// where nothing is wrong with the storage it lies on.
const inspectLimit = 10 * time.Minute

// inspectSource looks into a disk before it is booted. It changes nothing. The
// error is for a disk that cannot be read in time; one without Windows is a warning.
func inspectSource(ctx context.Context, d diskimage.Disk, name string, limit time.Duration, alone bool) (sourceFacts, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it took more than %s; is its storage slow?", limit))
	defer cancel()
	r, err := winimage.Inspect(ctx, d, winimage.Options{Name: name})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return sourceFacts{}, fmt.Errorf("inspecting source disk %s: %w", name, err)
	}
	return factsOf(r, alone), nil
}

// factsOf is the judgement on a source, a pure function. alone: nobody connects to
// its Windows.
func factsOf(r winimage.Facts, alone bool) sourceFacts {
	f := sourceFacts{Report: r}
	if start := windows.StartupOf(r.Disk.Scheme, r.Disk.Generation != 0); start.Missing != "" {
		f.warn("the disk cannot boot: it lacks %s; check that it is the system disk", start.Missing)
	}
	if len(r.Disk.BitLocker) > 0 {
		f.warn("partition %s is encrypted by BitLocker: it cannot be read or proven; decrypt it in the guest first (manage-bde -off C:)", numbers(r.Disk.BitLocker))
	}
	f.Warnings = append(f.Warnings, r.Disk.Warnings...)
	switch len(r.Windows) {
	case 0:
		f.warn("no Windows installation was found: nothing can be proven%s; check that this is the disk of a Windows machine", because(r.Problems))
		return f
	case 1:
	default:
		f.warn("%d Windows installations were found%s; each of them has to be generalized in its turn: see verify.windows", len(r.Windows), because(r.Problems))
		return f
	}
	w := r.Windows[0]
	f.Windows, f.Clock = w.Describe(), w.Clock
	f.Origin = w.Origin()
	f.Drivers = driversOf(w)
	if alone {
		f.Warnings = append(f.Warnings, routeWarnings(w)...)
	}
	f.warnState(w, alone)
	return f
}

// driversOf lists what a machine can rely on.
func driversOf(w winimage.Windows) (d hypervisor.GuestDrivers) {
	for _, driver := range w.Drivers.Storage {
		if driver.StartsAtBoot() {
			d.Storage = append(d.Storage, driver.Name)
		}
	}
	for _, driver := range w.Drivers.Network {
		if driver.Start != windows.StartDisabled {
			d.Network = append(d.Network, driver.Name)
		}
	}
	// They stand in SYSTEM: where it cannot be read nothing is known of them.
	d.Known = !slices.ContainsFunc(w.Hives, func(h winimage.Hive) bool { return h.Name == "SYSTEM" && h.Problem != "" })
	return d
}

// warnState warns of a Windows that is not one in ordinary use, shut down.
func (f *sourceFacts) warnState(w winimage.Windows, alone bool) {
	switch state := windows.State(w.Setup.ImageState).Means(); {
	case alone && (state == windows.Generalized || state == windows.BeforeOOBE):
		// its first boot is what is wanted
	case state == windows.Generalized:
		f.warn("the source is generalized already (%s): it goes through its first boot, specialize and OOBE, before anything can run in it; give it an answer file, or start from a disk that is not generalized", w.Setup.ImageState)
	case state == windows.Unfinished:
		f.warn("the source comes from a sysprep run that failed midway (%s): sysprep will fail again; start from an earlier disk", w.Setup.ImageState)
	case state == windows.BeforeOOBE:
		f.warn("Windows Setup has not finished in the source (%s): it continues at the first boot", w.Setup.ImageState)
	case state == windows.Unrecognised:
		f.warn("the source has an unknown ImageState (%s): sysprep does not start from it; check the installation", w.Setup.ImageState)
	}
	if w.Setup.Upgraded {
		f.warn("Windows was upgraded in place: sysprep supports that since Windows 10 1607 only, and drivers of the old installation may remain")
	}
	if w.Volume.Hibernated {
		f.warn("Windows is hibernated (fast startup): the session would be resumed on other hardware; run powercfg /h off and shut it down fully")
	}
	if w.Volume.Dirty || !w.Volume.LogClean {
		f.warn("the NTFS volume was not unmounted cleanly: Windows may run chkdsk at boot, which can take a while")
	}
	for _, limit := range w.Limits {
		f.warn("the source could not be read completely: %s", limit)
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

func (f *sourceFacts) warn(format string, args ...any) {
	f.Warnings = append(f.Warnings, fmt.Sprintf(format, args...))
}

func because(problems []string) string {
	if len(problems) == 0 {
		return ""
	}
	return " (" + strings.Join(problems, "; ") + ")"
}

func numbers(list []int) string { return strings.Trim(fmt.Sprint(list), "[]") }
