package vhd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/packer-plugin-sdk/multistep"
	packersdk "github.com/hashicorp/packer-plugin-sdk/packer"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/runlog"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// stepInspectSource finds out by content what the source disk is, and how a
// machine has to start it.
type stepInspectSource struct {
	limit time.Duration // of looking into it; 0: inspectLimit
}

func (s *stepInspectSource) Run(ctx context.Context, state multistep.StateBag) multistep.StepAction {
	run, ui := runOf(state)
	run.log.End(phaseDownload, runlog.OK, nil)
	defer run.phase("source", state)()
	path := run.config.SourcePath
	if downloaded, ok := state.Get(downloadKey).(string); ok {
		path = downloaded
	}
	taker, takes := run.driver.(hypervisor.Taker)
	if takes {
		path = taker.OwnDisk()
	}
	err := run.inspect(ctx, path, cmp.Or(s.limit, inspectLimit), ui)
	if err != nil && takes && !errors.Is(err, diskimage.ErrNotAllowed) && !errors.Is(err, os.ErrNotExist) {
		// Some hypervisors lock the disk of a running machine; it is read for
		// good when the machine is off.
		if taker.Held(err) {
			ui.Sayf("The disk cannot be read yet, because another program holds it open, as a hypervisor does while the machine runs: %s", err)
		} else {
			ui.Sayf("The disk cannot be read while the machine runs; it is tried again when the machine is off: %s", err)
		}
		run.source, err = diskimage.Info{Files: []string{path}, FileSize: fileSize(path)}, nil
	}
	if err != nil {
		return halt(state, err)
	}
	return multistep.ActionContinue
}

func (*stepInspectSource) Cleanup(multistep.StateBag) {}

func (r *run) inspect(ctx context.Context, path string, limit time.Duration, ui packersdk.Ui) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("finding source disk: %w", err)
	}
	disk, err := r.open(ctx, path)
	if refused := new(diskimage.Refused); r.config.SourceURL != "" && errors.As(err, &refused) {
		return fmt.Errorf("reading source disk: %s names another file as its parent (%s), which a downloaded disk may not do; flatten it first (qemu-img convert -O qcow2)", refused.Image, refused.Name)
	}
	if err != nil {
		return fmt.Errorf("reading source disk: %w", err)
	}
	defer disk.Close()
	info := disk.Info()
	if r.config.SourceURL != "" && len(info.Files) > 1 {
		return fmt.Errorf("reading source disk: %s names another file as its parent (%s), which a downloaded disk may not do; flatten it first", path, info.Files[1])
	}
	maker, makes := r.driver.(hypervisor.Maker)
	if err := diskimage.CanHold(info, r.config.conversion()); err != nil {
		return fmt.Errorf("reading source disk: the output cannot be made of %s: %w", path, err)
	}
	if err := bootable(info); err != nil && makes {
		return fmt.Errorf("reading source disk: %s %w", path, err)
	}
	table, err := partition.Read(disk, disk.Size(), disk.SectorSize())
	if err != nil {
		return fmt.Errorf("reading partition table of %s: %w", path, err)
	}
	firmware, err := firmwareFor(hypervisor.Firmware(r.config.Firmware), table.Startup().Firmware)
	if err != nil && makes {
		return fmt.Errorf("%s: %w", path, err)
	}
	r.source, r.firmware = info, firmware
	kind := string(info.Format)
	if info.Type != "" {
		kind = string(info.Type) + " " + kind
	}
	ui.Sayf("Source disk: %s, %s, %.1f GiB, partition table %s", path, kind, float64(disk.Size())/(1<<30), table.Scheme)
	if chain := info.Chain(); len(chain) > 1 {
		ui.Sayf("Source disk: backing chain: %s", diskimage.Lineage(chain))
	}
	// What Windows says of itself helps and warns; a source that cannot be
	// understood may boot all the same.
	facts, err := inspectSource(ctx, disk, path, limit, r.config.Comm.Type == "none")
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		ui.Sayf("Source disk: warning: %s", err)
		return nil
	}
	r.windows = facts
	if facts.Windows != "" {
		ui.Sayf("Source disk: %s, %s", facts.Windows, facts.Report.Windows[0].Setup.ImageState)
	}
	if makes {
		facts.Warnings = append(facts.Warnings, maker.Doubts(facts.Drivers, firmware)...)
	}
	for _, warning := range facts.Warnings {
		ui.Sayf("Source disk: warning: %s", warning)
	}
	return nil
}

// bootable refuses what the machine's controllers do not offer.
func bootable(info diskimage.Info) error {
	if info.SectorSize != 512 {
		return fmt.Errorf("has sectors of %d bytes; only disks with sectors of 512 bytes can be booted here", info.SectorSize)
	}
	return nil
}

// firmwareFor resolves "auto".
func firmwareFor(wanted hypervisor.Firmware, table windows.Firmware) (hypervisor.Firmware, error) {
	switch {
	case wanted != hypervisor.FirmwareAuto && wanted != "":
		return wanted, nil
	case table != windows.NoFirmware:
		return hypervisor.Firmware(table.String()), nil
	}
	return "", errors.New("the disk has no partition table, so firmware = \"auto\" cannot choose: is this a disk that boots? If so, set firmware to \"bios\" or \"uefi\"; if not, get it again: it is damaged, or no disk at all")
}

// openDisk opens a disk with the files it is based on, and closes it.
func openDisk(path string) error {
	disk, err := diskimage.Open(path)
	if err != nil {
		return err
	}
	return disk.Close()
}
